"""`wherry slim [PROGRAM]`: what keeps a program's bytes alive, and what the known ways out are worth."""

import json

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
    from wherry.app.trials import slim
    from wherry.report.lab import slim_document, slim_lines

    with world.reporter("plain") as progress:
        done = slim(world, program, platform=platform, apply=apply, progress=progress)
    if as_json:
        world.say(json.dumps(slim_document(done.found)))
    else:
        for line in slim_lines(done.found):
            world.say(line)
    if done.file:
        world.note(f"{done.file}: [{done.table}] go-tags = {', '.join(done.written)}")
    elif apply:
        world.note("nothing pays without dropping something: wherry.toml stays as it is")
    elif done.found.advised:
        world.note(f"--apply writes {', '.join(done.tags)} into wherry.toml")
    return 0
