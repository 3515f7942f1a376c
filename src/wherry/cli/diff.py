"""`wherry diff A B`: show what grew."""

from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.settings.sizes import Growth

_WAYS = ("module", "package", "function", "kind", "layer", "file")


@click.command("diff", cls=GroupedCommand)
@click.argument("before", metavar="A", shell_complete=images)
@click.argument("after", metavar="B", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Compare only this platform.", shell_complete=platforms)
@click.option("--by", type=click.Choice(_WAYS), default="module", show_default=True, help="What to list.")
@click.option(
    "--top", type=click.IntRange(1), default=15, show_default=True, metavar="N", help="Maximum number of rows."
)
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request comment.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole document; `wherry help diff` has its schema.")
@click.option(
    "--fail-on",
    metavar="growth=SIZE|PERCENT",
    help="Exit 1 if B grew by more than this: file size for programs, unpacked or pulled size for images.",
)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    before: str,
    after: str,
    platform: str | None,
    by: str,
    top: int,
    markdown: bool,
    as_json: bool,
    fail_on: str | None,
) -> int:
    """Show what grew from A to B, each a program or an image, and how much of that the toolchain caused.

    Images are compared platform by platform, programs module by module. If Go version or flags differ, unchanged
    modules show how much that alone added; for changed modules the share is estimated.
    """
    from wherry.app.compare import beyond, diff

    limit = _limit(fail_on)
    document = diff(world, before, after, platform=platform)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
    else:
        from wherry.report.diff import lines_of, markdown_of

        write = markdown_of if markdown else lines_of
        world.show(write(document, by=by if document.binaries or by == "file" else "layer", most=top))
    broken = list(beyond(document, limit)) if limit else []
    for one in broken:
        world.note(f"{one.name}: grew by {one.grown} bytes, {one.over} more than {limit} allow")
    return 1 if broken else 0


def _limit(text: str | None) -> "Growth | None":
    if text is None:
        return None
    from wherry.settings.sizes import parse_growth

    name, equals, value = text.partition("=")
    if name != "growth" or not equals:
        raise InvalidUsage(f"--fail-on {text}: unknown", hint="write it as --fail-on growth=200kB or growth=2%")
    return parse_growth(value)
