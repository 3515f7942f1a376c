"""`wherry slim [PROGRAM]`: what keeps a program's bytes alive, and what the known ways out are worth."""

import click

from wherry.cli.complete import platforms, services
from wherry.cli.world import World


@click.command("slim")
@click.argument("program", metavar="[PROGRAM]", default=".", shell_complete=services)
@click.option(
    "--platform", metavar="PLATFORM", help="The platform to try it on. [default: the first]", shell_complete=platforms
)
@click.option("--apply", is_flag=True, help="Write the tags that pay and drop nothing into wherry.toml.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was found as JSON; docs/reference/slim.md has its schema."
)
@click.pass_obj
def command(world: World, /, *, program: str, platform: str | None, apply: bool, as_json: bool) -> int:
    """Ask the linker what keeps dead code alive, and try the known ways out by rebuilding.

    PROGRAM is a folder or a service of wherry.toml, as `wherry build` takes it. Every figure is of a program that was
    built just now. `[slim.NAME]` in wherry.toml adds ways of your own.
    """
    from wherry.cli.trying import say_slim

    return say_slim(world, program, platform, apply=apply, as_json=as_json)
