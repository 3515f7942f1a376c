"""`wherry slim [PROGRAM]`: find what defeats dead-code elimination, and try known fixes."""

import json

import click

from wherry.cli.complete import platforms, services
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("slim", cls=GroupedCommand)
@click.argument("program", metavar="[PROGRAM]", default=".", shell_complete=services)
@click.option(
    "--platform", metavar="PLATFORM", help="Platform to build for. [default: the first]", shell_complete=platforms
)
@click.option(
    "--apply", is_flag=True, help="Write the build tags that save bytes without dropping features into wherry.toml."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was found as JSON; `wherry help slim` has its schema."
)
@click.pass_obj
def command(world: World, /, *, program: str, platform: str | None, apply: bool, as_json: bool) -> int:
    """Find what defeats dead-code elimination, and try known fixes by rebuilding.

    PROGRAM is a folder, a service of wherry.toml, or an image of the local store that was built from this module.
    Every figure is measured on a rebuilt
    program. `[slim.NAME]` in wherry.toml adds fixes of your own.
    """
    from wherry.app.trials import slim

    with world.reporter() as progress:
        done = slim(world, program, platform=platform, apply=apply, progress=progress)
    from wherry.report.lab import slim_document, slim_lines

    if as_json:
        world.say(json.dumps(slim_document(done.found), indent=2))
    else:
        world.show(slim_lines(done.found))
    if done.file:
        world.note(f"{done.file}: [{done.table}] go-tags = {', '.join(done.written)}")
    elif apply:
        world.note("no tag saves bytes without dropping features: wherry.toml is unchanged")
    elif done.found.advised:
        world.note(f"--apply writes {', '.join(done.tags)} into wherry.toml")
    return 0
