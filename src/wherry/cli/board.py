"""`wherry board [serve]`: one page of the history."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

_DEFAULT = click.core.ParameterSource.DEFAULT


@click.command("board", cls=GroupedCommand)
@click.argument("action", metavar="[serve]", required=False, type=click.Choice(["serve"]))
@click.option("--html", metavar="FILE", help="Write the page to this file. [default: board.html]")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=0,
    help="serve: listen on this port of 127.0.0.1. [default: a free one]",
)
@click.option("--since", metavar="DAY|SPAN", help="Only calls since a day (2026-11-29) or for a span (30d, 12h).")
@click.option(
    "--split",
    metavar="DAY|SPAN",
    help="Compare calls before this day with those since. [default: the first and the last]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the page's path and size as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    action: str | None,
    html: str | None,
    port: int,
    since: str | None,
    split: str | None,
    as_json: bool,
) -> None:
    """Write one HTML page of the history: what it was before and is now, sizes, times, memory, caches, scans, budgets.

    The page works offline, in any browser, and asks for nothing. `serve` makes it again for each visit, on this machine
    only, until it is stopped.
    """
    from wherry.app.history import moment_of

    now = world.clock()
    after, parted = (moment_of(one, now) if one else None for one in (since, split))

    def page() -> bytes:
        from wherry.app.board import board_of
        from wherry.app.history import measure_layers, open_history
        from wherry.report.board import board_page

        with open_history(world) as database:
            measure_layers(world, database)
            board = board_of(database, since=after or 0.0, split=parted)
            if not board.calls:
                world.note("the page is empty: no call is recorded" + (f" since {since}" if since else " yet"))
            return board_page(board)

    if action is None and click.get_current_context().get_parameter_source("port") is not _DEFAULT:
        raise InvalidUsage(f"--port {port}: a file has no port", hint="write: wherry board serve --port PORT")
    if action == "serve":
        if html or as_json:
            raise InvalidUsage("board serve: --html and --json write no file", hint="remove serve, or these options")
        from wherry.app.board_server import serve

        def ready(url: str) -> None:
            world.say(url)
            world.stdout.flush()

        page()  # what is wrong is said before anyone visits
        serve(page, port, ready)
        return
    from wherry.report.terminal import size
    from wherry.store.files import replacing

    made, name = page(), html or "board.html"
    with replacing(world.cwd / name) as file:
        file.write(made)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "page": str(world.cwd / name), "bytes": len(made)}).decode())
    world.note(f"{name}  {size(len(made))}")
