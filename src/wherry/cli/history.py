"""`wherry history [why|export|import|merge]`: figures of builds over time."""

from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.history import ImportedHistory
    from wherry.history.database import HistoryDatabase

_ACTIONS = ("why", "export", "import", "merge")
_CALLS = 20
_OF_THE_TABLE = {"limit", "since", "image", "as_csv", "as_json"}
_WHO = {
    "limit": "remove it; `wherry history` without more has it",
    "since": "remove it; `wherry history` and `wherry history export` to a file have it",
    "image": "remove it; `wherry history` without more has it",
    "form": "write: wherry history export --format FORMAT",
    "output": "write: wherry history export -o FILE",
    "as_csv": "remove it; `wherry history --csv` prints all calls",
    "as_json": "remove it; `wherry history export` writes JSON lines",
}
_FORMATS = ("jsonl", "openmetrics", "grafana")


@click.command("history", cls=GroupedCommand)
@click.argument("action", metavar="[why|export|import|merge]", required=False, type=click.Choice(_ACTIONS))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=0), help="Calls to list. [default: 20; with --csv and --json, all]"
)
@click.option("--since", metavar="DAY|SPAN", help="Only calls since a day (2026-11-29) or for a span (30d, 12h).")
@click.option("--image", metavar="NAME", help="Only calls about this image.")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="jsonl", help="export: the format. [default: jsonl]"
)
@click.option("-o", "--output", metavar="FILE", help="export: write to this file. [default: stdout]")
@click.option("--csv", "as_csv", is_flag=True, help="Print calls as comma-separated values.")
@click.option("--json", "as_json", is_flag=True, help="Print calls as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    action: str | None,
    names: tuple[str, ...],
    limit: int | None,
    since: str | None,
    image: str | None,
    form: str,
    output: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show figures of builds, pushes, pulls, runs and scans over time.

    `why NAME` says how an image came about, by its name or digest, and what differs from the one before. `export`
    writes the history as JSON lines, as OpenMetrics, or a Grafana dashboard for those; with NAME, a reference, it is
    pushed as an artifact. `import` reads such files and artifacts, and `kubectl get pods,events -o json` for pulls,
    starts and OOM kills of a cluster. `merge` does both: NAME, a file or a reference, and this history then have all
    calls of both.

    WHERRY_HISTORY=off, or record = false below [history] of wherry.toml, keeps no history. It stays on this machine
    until you export it.
    """
    from wherry.app.history import moment_of, open_history

    if as_csv and as_json:
        raise InvalidUsage("--csv and --json: two formats", hint="choose one")
    _check_names(action, names)
    _check_options(action, pushed=action == "export" and bool(names))
    after = moment_of(since, world.clock()) if since else 0.0
    with open_history(world) as database:
        if action == "why":
            _why(world, database, names, as_json=as_json)
        elif action == "export":
            _export(world, database, names, form=form, output=output, since=after)
        elif action in {"import", "merge"}:
            _take(world, database, names, merge=action == "merge", as_json=as_json)
        else:
            _show(world, database, since=after, image=image, limit=limit, form=("csv" * as_csv or "json" * as_json))


def _check_names(action: str | None, names: tuple[str, ...]) -> None:
    if action in {"why", "import", "merge"} and not names:
        what = {"why": "NAME", "import": "FILE", "merge": "FILE"}[action]
        raise InvalidUsage(f"history {action}: no {what}", hint=f"write: wherry history {action} {what}")
    if (action == "export" and len(names) > 1) or (action is None and names):
        raise InvalidUsage(f"history {action or ''}: too many names", hint="see `wherry history --help`")


def _check_options(action: str | None, *, pushed: bool) -> None:
    """Refuse options that an action would ignore."""
    context = click.get_current_context()
    allowed = {"since", "form", "output"} if action == "export" else {"as_json"} if action else _OF_THE_TABLE
    if pushed:
        allowed = {"form", "output"}  # which are refused with their own words
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is click.core.ParameterSource.COMMANDLINE
        if isinstance(option, click.Option) and given and option.name not in allowed:
            of = f"history {action}{' NAME' * pushed}" if action else "history"
            raise InvalidUsage(f"{option.opts[-1]}: {of} has no such option", hint=_WHO[option.name or ""])


def _show(
    world: World, database: "HistoryDatabase", *, since: float, image: str | None, limit: int | None, form: str
) -> None:
    entries = [one for one in database.entries(since) if image is None or _names(one, image)]
    if form and limit is not None:
        entries = entries[max(len(entries) - limit, 0) :]
    limit = _CALLS if limit is None else limit
    listed = entries if form or image else [one for one in entries if one.command != "cluster"]
    if form == "json":
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "machine": database.machine, "calls": entries}).decode())
        return
    from wherry.report.history_table import csv_text, history_lines

    if form == "csv":
        world.say(csv_text(entries).rstrip("\n"))
        return
    if not entries:
        chosen = since > 0 or image is not None
        world.note(
            "no call that is recorded matches --image and --since"
            if chosen and database.ask("SELECT 1 FROM calls LIMIT 1")
            else "no calls are recorded yet; build something, then look again"
        )
        return
    from wherry.app.history import measure_layers
    from wherry.history.trends import metrics_of

    measure_layers(world, database)
    lines = history_lines(database, listed[max(len(listed) - limit, 0) :], list(metrics_of(database, since)), since)
    world.show(lines)
    if len(listed) < len(entries):
        world.note(f"{len(entries) - len(listed)} figures of clusters are in the trends; --json lists them")


def _names(entry: object, image: str) -> bool:
    return any(one.name == image or one.digest.startswith(image) for one in getattr(entry, "images", ()))


def _why(world: World, database: "HistoryDatabase", names: tuple[str, ...], *, as_json: bool) -> None:
    from wherry.app.history import measure_layers
    from wherry.history.stories import stories_of

    measure_layers(world, database)
    found = [story for name in names for story in stories_of(database, name)]
    if as_json:
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "images": found}).decode())
        return
    from wherry.report.history_table import story_lines

    for story in found:
        world.show(story_lines(story))


def _export(
    world: World, database: "HistoryDatabase", names: tuple[str, ...], *, form: str, output: str | None, since: float
) -> None:
    if names:
        if form != "jsonl" or output:
            raise InvalidUsage(f"{names[0]}: an artifact has JSON lines", hint="remove --format and -o")
        from wherry.app.history_artifact import push_history

        world.say(f"{names[0]}@{push_history(world, database, names[0])}")
        return
    if form == "jsonl":
        from wherry.app.history import export_history

        lines = b"".join(export_history(world, database, since)).decode()
    elif form == "openmetrics":
        from wherry.report.openmetrics import openmetrics

        lines = openmetrics(database, since)
    else:
        from wherry.report.grafana import dashboard

        lines = dashboard()
    if output is None:
        world.say(lines.rstrip("\n"))
        return
    from wherry.store.files import replacing

    with replacing(world.cwd / output) as file:
        file.write(lines.encode())


def _take(world: World, database: "HistoryDatabase", names: tuple[str, ...], *, merge: bool, as_json: bool) -> None:
    from wherry.app.history_exchange import import_history, merge_history

    found = (
        [merge_history(world, database, name) for name in names] if merge else import_history(world, database, names)
    )
    if as_json:
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "imported": found}).decode())
        return
    for one in found:
        world.say(_told(one))


def _told(one: "ImportedHistory") -> str:
    from wherry.report.history import seconds
    from wherry.report.terminal import printable

    words = f"{printable(one.name)}: {one.entries} calls, {one.added} of them new"
    if one.ahead:
        words += f"; its clock is {seconds(one.ahead)} ahead of this machine's, so its times were set back"
    if one.future:
        words += f"; {one.future} calls are dated after now"
    return words
