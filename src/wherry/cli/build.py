"""`wherry build [PATH…]`: a Go module, or a Dockerfile, to an image."""

import click

from wherry.cli.complete import outputs as offered
from wherry.cli.complete import services
from wherry.cli.options import DOCKERFILE, HOW, NAMING, with_options
from wherry.cli.world import World


@click.command("build")
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=services)
@click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME",
    help="Name in the local store; repeatable. [default: the program's name, or the folder's]",
)
@click.option("-f", "--file", metavar="FILE", help="Build this Dockerfile; - reads it from standard input.")
@click.option("--go", is_flag=True, help="Build the Go module, also where there is a Dockerfile.")
@click.option("--debug-info", metavar="FILE", help="Go: also write the program with symbols and DWARF.")
@click.option(
    "--size-record",
    is_flag=True,
    help="Keep the owners of variables in the store, so that `wherry size` is exact later, without the source.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="TYPE",
    shell_complete=offered,
    help="type=oci|docker|tar|local,dest=PATH as buildx has it.",
)
@click.option("--metadata-file", metavar="FILE", help="Write digests as JSON, with buildx's keys.")
@click.option("--iidfile", metavar="FILE", help="Write the image ID: the config's digest, or the index's.")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@click.option("--push", is_flag=True, help="Push the image under its names.")
@click.option("--load", is_flag=True, help="Load the image into the local Docker, Podman or containerd.")
@click.option(
    "--budgets/--no-budgets",
    default=True,
    help="Check the budgets of wherry.toml; if one is broken, exit 1 and push nothing. [default: budgets]",
)
@click.option("--against", metavar="IMAGE|FILE", help="What growth is counted from, in place of what wherry.toml says.")
@with_options(HOW, NAMING, DOCKERFILE)
@click.pass_context
def command(context: click.Context, /, paths: tuple[str, ...], **words: object) -> int:
    """Build each PATH, a main package of a Go module, into an image in the local store, and push it if asked to.

    Without PATH: the services of wherry.toml, or the main package here. Prints NAME@DIGEST for each image.

    With -f, or where PATH has a Dockerfile and no main package, it is the context of a Dockerfile: a folder, a tar or
    git URL, or - for a tar on standard input. Options of the other front end are refused.
    """
    from wherry.app.build.frontend import choose
    from wherry.app.build.options import DockerfileBuild, check_conflicts, check_strangers
    from wherry.cli.words import build_of, check_voice, given_words, voice_of

    world: World = context.obj
    given = given_words(context)
    file = words["file"]
    chosen = choose(world.cwd, paths, given, file=str(file or ""), go=bool(words["go"]))
    check_strangers(chosen.front_end, given, chosen.why)
    wanted, voice = build_of(chosen.front_end, paths, words), voice_of(words)
    check_conflicts(wanted)
    check_voice(voice, wanted)
    if isinstance(wanted, DockerfileBuild):
        from wherry.cli.building import build

        return build(world, wanted, voice)
    from wherry.cli.memo import key_of_call, may_remember, recall

    call = key_of_call(world, wanted, voice) if may_remember(wanted, voice) else ""
    memo = recall(world, call) if call else None
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
    return 0
