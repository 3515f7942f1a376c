"""`wherry context [DIR]`: what a build context ships, and what its ignore file could leave out."""

import json
from dataclasses import asdict

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

_SHOWN = 20


@click.command("context", cls=GroupedCommand)
@click.argument("folder", default=".", metavar="[DIR]")
@click.option("-f", "--file", "file", default="", metavar="FILE", help="The Dockerfile. [default: DIR/Dockerfile]")
@click.option("--target", default="", metavar="STAGE", help="Look at what STAGE needs. [default: the last stage]")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, folder: str, file: str, target: str, as_json: bool) -> None:
    """Show what the build context DIR ships by size, what no instruction takes, and lines for .dockerignore.

    What the ignore file leaves out is not counted. A line marked `safe` leaves out nothing that an instruction of the
    Dockerfile takes; the others are taken by a COPY of everything, and steps rarely read them.
    """
    from wherry.app.build.options import DockerfileBuild
    from wherry.app.build.sources import open_source
    from wherry.app.context_files import read_context
    from wherry.report.terminal import printable, size, table

    with open_source(world, folder, file, lambda: world.binary_in) as source:
        content = read_context(world, source, DockerfileBuild(context=folder, file=file, target=target))
    if as_json:
        world.say(json.dumps({"version": 1, **asdict(content)}, indent=2))
        return
    world.say(
        f"{size(content.bytes)} in {content.files} files; instructions take {size(content.taken_bytes)} in "
        f"{content.taken_files}"
    )
    rows = [
        (size(one.bytes), f"{one.files} files", f"{size(one.taken_bytes)} taken", printable(one.name))
        for one in content.entries[:_SHOWN]
    ]
    for line in table(rows, right=(0, 1, 2)):
        world.say(f"  {line}")
    if content.suggested:
        world.say("lines for .dockerignore:")
    lines = [
        (size(one.bytes), f"{one.files} files", "safe" if one.safe else "check", printable(one.pattern), one.reason)
        for one in content.suggested[:_SHOWN]
    ]
    for line in table(lines, right=(0, 1)):
        world.say(f"  {line}")
