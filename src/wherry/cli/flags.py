"""`wherry flags [PROGRAM] [-- ARGUMENTS]`: measure what each flag changes."""

import json

import click

from wherry.cli.complete import platforms, services
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

_LEAST_RUNS = 20


@click.command("flags", cls=GroupedCommand, context_settings={"ignore_unknown_options": False})
@click.argument("program", metavar="[PROGRAM]", default=".", shell_complete=services)
@click.argument("arguments", metavar="[-- ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--platform", metavar="PLATFORM", help="Platform to build for. [default: the first]", shell_complete=platforms
)
@click.option("--deep", is_flag=True, help="Also try flags that recompile all packages: inlining, PIE, GOAMD64, tags.")
@click.option(
    "--run", "run_", is_flag=True, help="Start each variant on this machine with ARGUMENTS, until it listens or exits."
)
@click.option(
    "--runs",
    type=click.IntRange(3, 1000),
    default=_LEAST_RUNS,
    show_default=True,
    help="Number of starts of each variant.",
)
@click.option(
    "--ready", default="", metavar="URL", help="Treat it as ready when URL answers. [default: when it listens]"
)
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable for it.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was found as JSON; `wherry help flags` has its schema."
)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    program: str,
    arguments: tuple[str, ...],
    platform: str | None,
    deep: bool,
    run_: bool,
    runs: int,
    ready: str,
    env: tuple[str, ...],
    as_json: bool,
) -> int:
    """Build the program with different compiler and linker flags, and measure size and startup of each variant.

    PROGRAM is a folder, a service of wherry.toml, or an image of the local store that was built from this module.
    Sizes are those of the file and of a layer
    with only this file. --run starts the program on this machine, as your user, with ARGUMENTS, and measures from exec
    until its first listening socket or its exit; the runs of the variants are interleaved. Also tests common claims
    about flags that turn out to be wrong.
    """
    from wherry.app.trials import VariantStart, flags
    from wherry.report.flags import flags_document, flags_lines

    start = VariantStart(arguments, dict(pair.partition("=")[::2] for pair in env), runs, ready) if run_ else None
    with world.reporter() as progress:
        found = flags(world, program, platform=platform, deep=deep, start=start, progress=progress)
    if as_json:
        world.say(json.dumps(flags_document(found), indent=2))
    else:
        world.show(flags_lines(found))
    return 0
