"""`wherry context [DIR]`: what a build context ships, and what its ignore file could leave out."""

import json
from dataclasses import asdict

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.counted import counted
from wherry.errors import InvalidUsage


@click.command("context", cls=GroupedCommand)
@click.argument("folder", default=".", metavar="[DIR]")
@click.option("-f", "--file", "file", default="", metavar="FILE", help="The Dockerfile. [default: DIR/Dockerfile]")
@click.option("--target", default="", metavar="STAGE", help="Look at what STAGE needs. [default: the last stage]")
@click.option("--fix", "fix", is_flag=True, help="Add the safe lines to the ignore file, and print them as a diff.")
@click.option("--dry-run", "dry_run", is_flag=True, help="With --fix: print the diff and leave the file unchanged.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World, /, *, folder: str, file: str, target: str, fix: bool, dry_run: bool, as_json: bool
) -> int:
    """Show what the build context DIR ships by size, what no instruction takes, and lines for .dockerignore.

    What the ignore file leaves out is not counted. A line marked `safe` leaves out nothing that is read: no instruction
    takes it, or the Go compiler, which alone reads what a COPY of everything takes, did not read it in the last
    wherry build of the module. The others are for you to decide. MISSES counts, over the last 200 commits, how many
    commits would rebuild fewer steps with the line.
    """
    from wherry.app.build.options import DockerfileBuild
    from wherry.app.build.sources import open_source
    from wherry.app.context_files import read_context
    from wherry.app.context_fix import fix_ignore_file
    from wherry.report.context import context_lines, fix_lines

    if dry_run and not fix:
        raise InvalidUsage("--dry-run: nothing to leave unchanged without --fix", hint="add --fix, or remove --dry-run")
    with open_source(world, folder, file, lambda: world.binary_in) as source:
        content = read_context(world, source, DockerfileBuild(context=folder, file=file, target=target))
        fixed = fix_ignore_file(world, source, content, write=not dry_run) if fix else None
    if as_json:
        document = {"version": 1, **asdict(content), **({"fix": asdict(fixed)} if fixed else {})}
        world.say(json.dumps(document, indent=2))
    elif fixed:
        for line in fix_lines(fixed):
            world.say(line)
    else:
        for line in context_lines(content):
            world.say(line)
    if fixed and not as_json:
        done = "added" if fixed.written else "to add"
        world.note(f"{fixed.file}: {counted(len(fixed.lines), 'line')} {done}, {len(fixed.left)} left to decide on")
    return 1 if fixed and fixed.lines and dry_run else 0
