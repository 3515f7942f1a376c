"""`wherry diff A B`: what grew."""

from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.settings.sizes import Growth

_WAYS = ("module", "package", "function", "kind", "layer")


@click.command("diff")
@click.argument("before", metavar="A", shell_complete=images)
@click.argument("after", metavar="B", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Of images with several: only this one.", shell_complete=platforms)
@click.option("--by", type=click.Choice(_WAYS), default="module", show_default=True, help="What to list.")
@click.option("--top", type=click.IntRange(1), default=15, show_default=True, metavar="N", help="Rows at most.")
@click.option("--markdown", is_flag=True, help="Print it as a comment on a pull request.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole document; docs/reference/diff.md has its schema."
)
@click.option(
    "--fail-on",
    metavar="growth=SIZE|PERCENT",
    help="Exit 1 where B is bigger than A by more: a program's file; of images what is unpacked, and what is pulled.",
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
    """Say what grew from A to B, each a program or an image, and how much of it is another toolchain's.

    Images are compared platform by platform, programs module by module. Where the two have another Go or other flags,
    modules whose source is the same show what that alone did, and the part to be expected of other code is estimated.
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
        for line in write(document, by=by if document.binaries else "layer", most=top):
            world.say(line)
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
