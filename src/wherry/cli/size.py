"""`wherry size SUBJECT`: whose bytes."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World

_WAYS = ("module", "package", "function", "kind", "section")


@click.command("size")
@click.argument("subject", metavar="IMAGE|BINARY", shell_complete=images)
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: only this one.", shell_complete=platforms
)
@click.option("--by", type=click.Choice(_WAYS), default="module", show_default=True, help="What to list.")
@click.option("--top", type=click.IntRange(1), default=25, show_default=True, metavar="N", help="Rows at most.")
@click.option("--match", default="", metavar="TEXT", help="Only packages or functions with TEXT in their name.")
@click.option("--sections", is_flag=True, help="Read the section table only: milliseconds, and no owners.")
@click.option("--full", is_flag=True, help="Read everything; this is the default.")
@click.option(
    "--generics",
    type=click.Choice(["compiled", "origin"]),
    default="compiled",
    show_default=True,
    help="Whose a generic function's instance is: the package it was compiled for, or the one that wrote it.",
)
@click.option("--why", metavar="MODULE", help="Show each way by which MODULE, or a package, comes to be imported.")
@click.option("--without", metavar="MODULE", help="Estimate what would go without MODULE, or without a package.")
@click.option("--rebuild", is_flag=True, help="With --without: measure it, by a build with its functions left out.")
@click.option(
    "--source", metavar="DIR", help="The module's source, for what imports tell. [default: here, if it is it]"
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole document; docs/reference/size.md has its schema."
)
@click.pass_obj
def command(world: World, /, **options: object) -> int:
    """Say whose each byte of a Go program is: which module, package, function, and what for.

    Each byte of the file is counted once. It is exact where a table of the binary says so, shared where several
    packages use the same bytes, inferred where only a reference tells, unknown otherwise.

    What is `alone` a module's would go if it went: it needs the source, by --source, or here.
    """
    from wherry.cli.sizing import say_size

    return say_size(world, options)
