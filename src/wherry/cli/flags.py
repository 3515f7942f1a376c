"""`wherry flags [PROGRAM] [-- ARGUMENTS]`: what each flag bought."""

import json

import click

from wherry.cli.complete import platforms, services
from wherry.cli.world import World

_LEAST_RUNS = 20


@click.command("flags", context_settings={"ignore_unknown_options": False})
@click.argument("program", metavar="[PROGRAM]", default=".", shell_complete=services)
@click.argument("arguments", metavar="[-- ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--platform", metavar="PLATFORM", help="The platform to try it on. [default: the first]", shell_complete=platforms
)
@click.option("--deep", is_flag=True, help="Try what compiles packages again too: inlining, PIE, GOAMD64, tags.")
@click.option("--run", "run_", is_flag=True, help="Start each variant here with ARGUMENTS, until it listens or ends.")
@click.option("--runs", type=click.IntRange(3, 1000), default=_LEAST_RUNS, show_default=True, help="How often.")
@click.option("--ready", default="", metavar="URL", help="It is ready when URL answers. [default: when it listens]")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Set a variable for it.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was found as JSON; docs/reference/flags.md has its schema."
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
    """Build the program in every variant that matters, weigh and start them, and say what each flag bought.

    PROGRAM is a folder or a service of wherry.toml, as `wherry build` takes it. Sizes are of the file, and of a layer
    with it. With --run the program is started on this machine, as you, with ARGUMENTS: from exec to its first socket
    that listens, or to its end; runs are interleaved. What is said of flags and does not hold is tried too.
    """
    from wherry.app.trials import VariantStart, flags
    from wherry.report.flags import flags_document, flags_lines

    start = VariantStart(arguments, dict(pair.partition("=")[::2] for pair in env), runs, ready) if run_ else None
    with world.reporter("plain") as progress:
        found = flags(world, program, platform=platform, deep=deep, start=start, progress=progress)
    if as_json:
        world.say(json.dumps(flags_document(found)))
    else:
        for line in flags_lines(found):
            world.say(line)
    return 0
