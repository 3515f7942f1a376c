"""`wherry bench [stages] [DIR]`: build an image in two ways, in rounds, and compare size, time and start."""

import json

import click

from wherry.cli.complete import platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

_STAGES = "stages"


@click.command("bench", cls=GroupedCommand)
@click.argument("words", nargs=-1, metavar="[stages] [DIR]")
@click.option("-f", "--file", "file", default="", metavar="FILE", help="The Dockerfile. [default: DIR/Dockerfile]")
@click.option("--target", default="", metavar="STAGE", help="Build STAGE. [default: the last stage]")
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Set the value of an ARG.")
@click.option(
    "--build-context",
    "build_contexts",
    multiple=True,
    metavar="NAME=VALUE",
    help="Context for FROM and --from: a directory, oci-layout://PATH, docker-image://NAME or a URL.",
)
@click.option("--platform", metavar="PLATFORM", help="Build for PLATFORM.", shell_complete=platforms)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Builds of each kind that are counted."
)
@click.option(
    "--starts",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="Starts of each image on this machine, until it listens or exits; 0 for none.",
)
@click.option(
    "--change",
    default="",
    metavar="FILE",
    help="File of DIR that gets one more line. [default: a source that is found]",
)
@click.option("--against", default="", metavar="FILE", help="With stages: compare with this Dockerfile.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print all measurements as JSON; `wherry help bench` has its schema."
)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    words: tuple[str, ...],
    file: str,
    target: str,
    build_args: tuple[str, ...],
    build_contexts: tuple[str, ...],
    platform: str | None,
    rounds: int,
    starts: int,
    change: str,
    against: str,
    as_json: bool,
) -> None:
    """Build an image in two ways, in interleaved rounds, and compare size, time and start.

    `wherry bench stages` compares a Dockerfile with the same one with its stages merged into one; one with a single
    stage that compiles a static Go program is split. Without the word, the Go module in DIR, built without a
    Dockerfile, is compared with its Dockerfile. Each round builds cold (no cache), with one line changed, with the
    list of dependencies changed, and unchanged. A copy of DIR is built; nothing in it is changed.
    """
    from wherry.app.bench_project import check_folder
    from wherry.app.build.options import DockerfileBuild
    from wherry.app.build.sources import open_source
    from wherry.app.stage_bench import BenchOptions, bench_stages
    from wherry.report.stage_bench import bench_document, bench_lines
    from wherry.settings.values import parse_platforms

    stages = words[:1] == (_STAGES,)
    folders = words[1:] if stages else words
    if len(folders) > 1:
        raise InvalidUsage(f"{folders[1]}: one directory is compared at a time", hint="give one build context")
    if against and not stages:
        raise InvalidUsage("--against: only for stages", hint="use `wherry bench stages --against FILE`")
    folder = folders[0] if folders else "."
    wanted = DockerfileBuild(
        context=folder,
        file=file,
        target=target,
        build_args=build_args,
        build_contexts=build_contexts,
        platforms=parse_platforms((platform,)) if platform else None,
    )
    options = BenchOptions(rounds=rounds, starts=starts, change=change, against=against, go=not stages)
    check_folder(world.cwd / folder, folder, file, stages=stages)
    with open_source(world, folder, file, lambda: world.binary_in) as source, world.reporter() as progress:
        found = bench_stages(world, source, wanted, options, progress)
    if as_json:
        world.say(json.dumps(bench_document(found), indent=2))
    else:
        world.show(list(bench_lines(found)))
