"""`wherry diff A B`: what grew."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World

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
def command(world: World, /, **options: object) -> int:
    """Say what grew from A to B, each a program or an image, and how much of it is another toolchain's.

    Images are compared platform by platform, programs module by module. Where the two have another Go or other flags,
    modules whose source is the same show what that alone did, and the part to be expected of other code is estimated.
    """
    from wherry.cli.comparing import say_difference

    return say_difference(world, options)
