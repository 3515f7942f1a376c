"""`wherry build [PATH…]`: build an image from a Go module or a Dockerfile."""

from typing import TYPE_CHECKING

import click

from wherry.cli.cluster_words import KUBERNETES, split_words, take_caches
from wherry.cli.complete import outputs as offered
from wherry.cli.complete import services
from wherry.cli.ko_words import KO, KoCommand
from wherry.cli.options import DOCKERFILE, FORMAT, HOW, NAMING, with_options
from wherry.cli.world import World

if TYPE_CHECKING:
    from wherry.app.build.options import GoBuild
    from wherry.cli.words import Voice


@click.command("build", cls=KoCommand)
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=services)
@click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME",
    help="Image name; repeatable. [default: the program's name, or the directory's]",
)
@click.option("-f", "--file", metavar="FILE", help="Build this Dockerfile; - reads it from stdin.")
@click.option("--go", is_flag=True, help="Build the Go module even if there is a Dockerfile.")
@click.option("--debug-info", metavar="FILE", help="Go: also write the program with symbols and DWARF to this file.")
@click.option(
    "--size-record",
    is_flag=True,
    help="Keep symbol data in the store, so that `wherry size` can attribute variables exactly without the source.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="TYPE",
    shell_complete=offered,
    help="Also write the image: type=oci|docker|tar|local,dest=PATH, as in buildx.",
)
@click.option("--metadata-file", metavar="FILE", help="Write digests to this file as JSON, with buildx's keys.")
@click.option(
    "--iidfile", metavar="FILE", help="Write the image ID to this file: the digest of the config, or of the index."
)
@FORMAT
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@click.option(
    "--push/--no-push",
    default=None,
    help="Push the image under its names. [default: only where --repo or KO_DOCKER_REPO makes the name]",
)
@click.option("--load", is_flag=True, help="Load the image into the local Docker, Podman or containerd.")
@click.option(
    "--budgets/--no-budgets",
    default=True,
    help="Check the budgets of wherry.toml; if one is exceeded, exit 1 and push nothing. [default: budgets]",
)
@click.option(
    "--prove",
    is_flag=True,
    help="Start the image and ask its probe, as [prove] of wherry.toml says; if it fails, exit 1 and push nothing.",
)
@click.option(
    "--against",
    metavar="IMAGE|FILE",
    help="Measure growth against this image or file instead of the one in wherry.toml.",
)
@with_options(HOW, NAMING, KO, DOCKERFILE, KUBERNETES)
@click.pass_context
def command(context: click.Context, /, paths: tuple[str, ...], **words: object) -> int:
    """Build each PATH, a main package of a Go module, into an image in the local store.

    Without PATH, build the services of wherry.toml, or the main package in the current directory. Prints NAME@DIGEST
    for each image.

    With -f, or if PATH has a Dockerfile and no main package, PATH is the build context of a Dockerfile: a directory, a
    tar or git URL, or - for a tar on stdin. Options that do not apply to the chosen front end are errors.

    With --on kubernetes, pods of a cluster build, and the index is made, pushed and signed from this machine; `wherry
    help kubernetes-builds`.
    """
    from wherry.app.build.frontend import choose
    from wherry.app.build.options import DockerfileBuild, FrontEnd, check_conflicts, check_strangers
    from wherry.cli.ko_words import from_ko
    from wherry.cli.words import build_of, check_voice, given_words, voice_of

    world: World = context.obj
    given = given_words(context)
    words = from_ko(world, {**words, "paths": paths}, given)
    del words["paths"]
    there = split_words(words)
    if there is not None and there["attach_name"]:
        from wherry.cli.cluster_build import attach_there

        return attach_there(world, voice_of(words), there)
    if "ambiguous_tags" in given:
        given["go_tags"] = given.pop("ambiguous_tags")
    file = words["file"]
    chosen = choose(world.cwd, paths, given, file=str(file or ""), go=bool(words["go"]))
    if there is not None and chosen.front_end is FrontEnd.GO:
        take_caches(there, words, given)
    check_strangers(chosen.front_end, given, chosen.why)
    wanted, voice = build_of(chosen.front_end, paths, words), voice_of(words)
    check_conflicts(wanted)
    check_voice(voice, wanted)
    if there is not None:
        from wherry.cli.cluster_build import build_there

        return build_there(world, wanted, voice, there)
    if isinstance(wanted, DockerfileBuild):
        from wherry.cli.building import build

        return build(world, wanted, voice)
    return _build_go(world, wanted, voice)


def _build_go(world: World, wanted: "GoBuild", voice: "Voice") -> int:
    """Build Go modules here, or say again what the same call said when nothing has changed since."""
    from wherry.app.traced import is_traced
    from wherry.cli.replay_build import key_of_call, may_remember, recall

    began = world.clock()
    remembered = may_remember(wanted, voice) and not is_traced(world.environment)
    call = key_of_call(world, wanted, voice) if remembered else ""
    # Where a compiler was started ahead, the call is one that can't be replayed.
    memo = recall(world, call) if call and world.compiler is None else None
    if memo is not None and memo.pushed:
        from wherry.app.transfer import leads_to

        if not all(leads_to(world, name, digest) for name, digest in memo.names.items()):
            memo = None
    if memo is None:
        from wherry.cli.building import build

        return build(world, wanted, voice, call)
    if voice.mode != "quiet":
        for line in memo.noted:
            world.note(f"  {line}")
    for line in memo.printed:
        world.say(line)
    from wherry.app.history_record import record_again

    record_again(world, memo.kept, began=began)
    return 0
