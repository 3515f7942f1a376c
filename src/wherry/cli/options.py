"""Options that several commands take: how an image is built, and what it is called in a registry."""

from collections.abc import Callable
from typing import TypeVar

import click

from wherry.cli.complete import bases, platforms

F = TypeVar("F", bound=Callable[..., object])

HOW = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="LIST",
        shell_complete=platforms,
        help="linux/amd64,linux/arm64,… or all. [default: this machine's]",
    ),
    click.option(
        "--base",
        metavar="BASE",
        shell_complete=bases,
        help="Go: static, static-notz, scratch, an image of a registry or of the local store, a layout, an archive.",
    ),
    click.option(
        "--ldflags", metavar="FLAGS", help="Linker flags, added to -s; {{.Version}} and the like are replaced."
    ),
    click.option(
        "--allow-secret-ldflags",
        is_flag=True,
        help="Build although -X sets what looks like a secret: everybody who has the image can read it.",
    ),
    click.option("--tags", "go_tags", multiple=True, metavar="LIST", help="Go build tags."),
    click.option("--gcflags", metavar="FLAGS", help="Compiler flags."),
    click.option("--asmflags", metavar="FLAGS", help="Assembler flags."),
    click.option(
        "--go-env",
        "go_env",
        multiple=True,
        metavar="NAME=VALUE",
        help="A variable for Go, such as GOEXPERIMENT=jsonv2.",
    ),
    click.option("--go-version", metavar="VERSION", help="Build with this Go release."),
    click.option("--strip/--no-strip", default=None, help="Leave symbols and DWARF out. [default: strip]"),
    click.option("--trimpath/--no-trimpath", default=None, help="Leave this machine's paths out. [default: trimpath]"),
    click.option("--strip-buildid", is_flag=True, default=None, help="Take the build ID out too (36 bytes)."),
    click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the config."),
    click.option(
        "--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="An annotation of manifest and index."
    ),
    click.option("-e", "--env", "env", multiple=True, metavar="NAME=VALUE", help="A variable of the container."),
    click.option("-u", "--user", metavar="UID[:GID]", help="User of the container. [default: 65532:65532]"),
    click.option("-w", "--workdir", metavar="PATH", help="Working directory of the container."),
    click.option("--expose", multiple=True, metavar="PORT[/PROTO]", help="A port the service listens on."),
    click.option(
        "--entrypoint",
        metavar="WORDS",
        help="Entry point, split as a shell would, or a JSON list. [default: the program]",
    ),
    click.option("--cmd", metavar="WORDS", help="Default arguments."),
    click.option(
        "--add", "add", multiple=True, metavar="FILE:PATH[:MODE[:OWNER]]", help="A file to put into the image."
    ),
    click.option(
        "--compression", type=click.Choice(["gzip", "zstd", "none"]), help="Encoding of the layers. [default: gzip]"
    ),
    click.option("--compression-level", type=int, help="Its level."),
    click.option(
        "--release/--no-release",
        default=None,
        help="Compress for release: zstd -19, or gzip -9 if a target can't read zstd (prints why).",
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "json", "quiet"]),
        default="auto",
        help="How to show what is going on.",
    ),
    click.option("--pull", is_flag=True, help="Ask for the base's tag, locked or not, and stop if that fails."),
    click.option("--offline", is_flag=True, help="Ask no registry and no module proxy: what was last seen counts."),
    click.option(
        "--insecure", is_flag=True, help="Registries may speak plain HTTP, or show certificates that aren't trusted."
    ),
    click.option(
        "--strict-encoder", is_flag=True, help="Stop where the encoder is not the one this release is made with."
    ),
    click.option("--no-cache", is_flag=True, help="Do every step."),
    click.option("--no-vcs", is_flag=True, help="Leave facts of version control out."),
    click.option("--explain", is_flag=True, help="Say of each step why it was done."),
)
"""How an image is built."""

DOCKERFILE = (
    click.option("--target", default="", metavar="STAGE", help="Dockerfile: build this stage. [default: the last]"),
    click.option(
        "--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Dockerfile: the value of an ARG."
    ),
    click.option(
        "--build-context",
        "build_contexts",
        multiple=True,
        metavar="NAME=VALUE",
        help="Dockerfile: a folder, oci-layout://PATH, docker-image://NAME or a URL, for FROM and --from.",
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="id=NAME[,src=FILE|,env=VAR]",
        help="Dockerfile: a secret for RUN --mount=type=secret.",
    ),
    click.option(
        "--ssh", "agents", multiple=True, metavar="default|NAME=SOCKET", help="Dockerfile: an agent for type=ssh."
    ),
    click.option(
        "--no-cache-filter", "no_cache_filter", multiple=True, metavar="STAGES", help="Dockerfile: do these anew."
    ),
    click.option(
        "--add-host", "hosts", multiple=True, metavar="NAME:IP", help="Dockerfile: a line in steps' /etc/hosts."
    ),
    click.option("--ulimit", "limits", multiple=True, metavar="NAME=SOFT[:HARD]", help="Dockerfile: a limit of steps."),
    click.option(
        "--shm-size", "shm", default="", metavar="SIZE", help="Dockerfile: of steps' /dev/shm. [default: 64m]"
    ),
    click.option(
        "--network",
        type=click.Choice(["default", "host", "none"]),
        default="default",
        help="Dockerfile: steps' network; default is this machine's.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="WHAT",
        help="Dockerfile: security.insecure lets steps have all privileges; published.secret, an image have secrets.",
    ),
    click.option(
        "--isolation",
        type=click.Choice(["auto", "userns", "chroot"]),
        default="auto",
        help="Dockerfile: how steps are kept apart from this machine.",
    ),
    click.option("--check", is_flag=True, help="Dockerfile: check it, and build nothing."),
    click.option("--debug-shell", is_flag=True, help="Dockerfile: open a shell where a step failed."),
    click.option("--cache-from", multiple=True, metavar="type=…", help="Dockerfile: take steps from there."),
    click.option("--cache-to", multiple=True, metavar="type=…", help="Dockerfile: put steps there."),
)
"""What a Dockerfile is built with, as buildx has it."""

NAMING = (
    click.option("--repo", metavar="REPO", help="Push below REPO, under a name made of the package. [$KO_DOCKER_REPO]"),
    click.option("-P", "--preserve-import-paths", "style", flag_value="preserve", help="REPO/IMPORT/PATH."),
    click.option("-B", "--base-import-paths", "style", flag_value="base", help="REPO/NAME. [default: REPO/NAME-MD5]"),
    click.option("--bare", "style", flag_value="bare", help="REPO itself."),
    click.option("-L", "--local", is_flag=True, help="Load it into the Docker that is here, as ko.local/NAME."),
)
"""What an image is called in a registry, as ko has it."""

MANIFESTS = (
    click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="Manifests."),
    click.option("-R", "--recursive", is_flag=True, help="Look into folders below, too."),
    click.option("-l", "--selector", default="", metavar="KEY=VALUE,…", help="Only documents with these labels."),
    click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="Tags of the images. [default: latest]"),
)
"""Which manifests are read, and what their images are tagged."""

TRANSFER = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="LIST",
        shell_complete=platforms,
        help="Only these platforms. [default: all]",
    ),
    click.option("--insecure", is_flag=True, help="Speak plain HTTP, or to hosts whose certificate isn't trusted."),
    click.option("-q", "--quiet", is_flag=True, help="Print the digest only."),
    click.option("--json", "as_json", is_flag=True, help="Print what was moved as JSON."),
)
"""How images are moved."""


def with_options(*groups: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Give a command several groups of options, in their order."""

    def decorate(command: F) -> F:
        for group in reversed(groups):
            for option in reversed(group):
                command = option(command)
        return command

    return decorate
