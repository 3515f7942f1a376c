"""`wherry build [PATH…]`: a Go module to an image."""

import click

from wherry.cli.complete import bases, platforms, services
from wherry.cli.world import World


@click.command("build")
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=services)
@click.option(
    "-t",
    "--tag",
    "names",
    multiple=True,
    metavar="NAME",
    help="Name in the local store; repeatable. [default: the program's name]",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="LIST",
    shell_complete=platforms,
    help="linux/amd64,linux/arm64,… or all. [default: this machine's]",
)
@click.option(
    "--base",
    metavar="BASE",
    shell_complete=bases,
    help="static, static-notz, scratch, an image of a registry or of the local store, a layout, an archive.",
)
@click.option("-f", "--file", "dockerfile", metavar="FILE", help="Build a Dockerfile (not in this version).")
@click.option("--go", "go_door", is_flag=True, help="Build the Go module, also where there is a Dockerfile.")
@click.option("--ldflags", metavar="FLAGS", help="Linker flags, added to -s; {{.Version}} and the like are replaced.")
@click.option("--tags", "go_tags", multiple=True, metavar="LIST", help="Go build tags.")
@click.option("--gcflags", metavar="FLAGS", help="Compiler flags.")
@click.option("--asmflags", metavar="FLAGS", help="Assembler flags.")
@click.option(
    "--go-env", "go_env", multiple=True, metavar="NAME=VALUE", help="A variable for Go, such as GOEXPERIMENT=jsonv2."
)
@click.option("--go-version", metavar="VERSION", help="Build with this Go release.")
@click.option("--strip/--no-strip", default=None, help="Leave symbols and DWARF out. [default: strip]")
@click.option("--trimpath/--no-trimpath", default=None, help="Leave this machine's paths out. [default: trimpath]")
@click.option("--strip-buildid", is_flag=True, default=None, help="Take the build ID out too (36 bytes).")
@click.option("--debug-info", metavar="FILE", help="Also write the program with symbols and DWARF.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the config.")
@click.option(
    "--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="An annotation of manifest and index."
)
@click.option("-e", "--env", "env", multiple=True, metavar="NAME=VALUE", help="A variable of the container.")
@click.option("-u", "--user", metavar="UID[:GID]", help="User of the container. [default: 65532:65532]")
@click.option("-w", "--workdir", metavar="PATH", help="Working directory of the container.")
@click.option("--expose", multiple=True, metavar="PORT[/PROTO]", help="A port the service listens on.")
@click.option(
    "--entrypoint", metavar="WORDS", help="Entry point, split as a shell would, or a JSON list. [default: the program]"
)
@click.option("--cmd", metavar="WORDS", help="Default arguments.")
@click.option("--add", "add", multiple=True, metavar="FILE:PATH[:MODE[:OWNER]]", help="A file to put into the image.")
@click.option(
    "--compression", type=click.Choice(["gzip", "zstd", "none"]), help="Encoding of the layers. [default: gzip]"
)
@click.option("--compression-level", type=int, help="Its level.")
@click.option(
    "--release/--no-release",
    default=None,
    help="The smallest encoding that everybody concerned reads: zstd 19, or gzip 9 and why.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="TYPE",
    help="type=oci|docker|tar|local,dest=PATH as buildx has it.",
)
@click.option("--metadata-file", metavar="FILE", help="Write digests as JSON, with buildx's keys.")
@click.option("--iidfile", metavar="FILE", help="Write the image ID: the config's digest, or the index's.")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "json", "quiet"]),
    default="auto",
    help="How to show what is going on.",
)
@click.option("--push", is_flag=True, help="Push the image under its names.")
@click.option("--load", is_flag=True, help="Load the image into the Docker, podman or containerd that is here.")
@click.option("--pull", is_flag=True, help="Ask for the base's tag, locked or not, and stop if that fails.")
@click.option("--offline", is_flag=True, help="Ask no registry and no module proxy: what was last seen counts.")
@click.option(
    "--insecure", is_flag=True, help="Registries may speak plain HTTP, or show certificates that aren't trusted."
)
@click.option("--no-cache", is_flag=True, help="Do every step.")
@click.option("--no-vcs", is_flag=True, help="Leave facts of version control out.")
@click.option("--explain", is_flag=True, help="Say of each step why it was done.")
@click.pass_obj
def command(world: World, /, paths: tuple[str, ...], **options: object) -> int:
    """Build each PATH, a main package of a Go module, into an image in the local store, and push it if asked to.

    Without PATH: the services of wherry.toml, or the main package here. Prints NAME@DIGEST for each image.
    """
    from wherry.cli.memo import key_of_call, may_remember, recall

    call = key_of_call(world, paths, options) if may_remember(options) else ""
    memo = recall(world, call) if call else None
    if memo is not None and options["push"]:
        from wherry.cli.shipping import leads_to

        if not all(leads_to(world, name, digest) for name, digest in memo.names.items()):
            memo = None
    if memo is None:
        from wherry.cli.building import build
        from wherry.cli.requests import requests_of

        return build(world, requests_of(world, paths, options), call)
    if not options["quiet"] and options["progress"] != "quiet":
        for line in memo.noted:
            world.note(f"  {line}")
    for line in memo.printed:
        world.say(line)
    return 0
