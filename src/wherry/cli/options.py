"""Options shared by several commands."""

from collections.abc import Callable
from typing import TypeVar

import click

from wherry.cli.complete import bases, platforms
from wherry.cli.world import World

F = TypeVar("F", bound=Callable[..., object])


def _note_format(context: click.Context, _: click.Parameter, value: str) -> str:
    world: World = context.obj
    world.annotates = value == "github"
    return value


FORMAT = click.option(
    "--format",
    type=click.Choice(["text", "github"]),
    default="text",
    is_eager=True,
    expose_value=False,
    callback=_note_format,
    help="github: also annotate the lines of a pull request with errors and findings, in GitHub Actions.",
)
"""For commands whose errors are in the user's sources."""

FINDINGS_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github", "gitlab"]),
    default="text",
    is_eager=True,
    callback=_note_format,
    help="json: as --json. sarif, gitlab: a report for code hosts. github: annotate lines, in GitHub Actions.",
)
"""For commands whose results are findings in the user's sources."""


def _wait_at_most(context: click.Context, _: click.Parameter, text: str | None) -> None:
    if text is not None:
        from wherry.settings.sizes import parse_duration

        context.obj.patience = parse_duration(text, "--timeout")


TIMEOUT = click.option(
    "--timeout",
    metavar="TIME",
    envvar="WHERRY_TIMEOUT",
    expose_value=False,
    callback=_wait_at_most,
    help="Wait at most this long for a registry that asks to come back later, such as 30s or 10m. [default: 2m]",
)
"""How patient requests are; the session has it, no command."""

HOW = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="LIST",
        shell_complete=platforms,
        help="Target platforms: linux/amd64,linux/arm64,… or all. [default: this machine's]",
    ),
    click.option(
        "--base",
        metavar="BASE",
        shell_complete=bases,
        help="Go: base image: static, static-notz, ultra-minimal, scratch, deb:static…, declared ([base] of "
        "wherry.toml), auto (the smallest that has what linked packages ask for), an image name, a layout or an "
        "archive.",
    ),
    click.option(
        "--debian",
        metavar="RELEASE",
        help="Go: the Debian that deb: bases are made of: 13 or 12. [default: 13]",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="GROUP",
        help="Go: keep files of Debian packages that deb: bases leave out: docs or locales.",
    ),
    click.option("--ca", multiple=True, metavar="FILE", help="Go: add the certificates of this file to the base."),
    click.option(
        "--ca-for",
        multiple=True,
        metavar="HOST:PORT|ROOT",
        help="Go: keep only the public roots that these endpoints are verified by (asked now), or roots by name or "
        "sha256:FINGERPRINT.",
    ),
    click.option("--ca-only", is_flag=True, default=None, help="Go: keep no public root, only those of --ca."),
    click.option(
        "--ldflags",
        multiple=True,
        metavar="FLAGS",
        help="Linker flags, added to -s; templates such as {{.Version}} are expanded.",
    ),
    click.option(
        "--allow-secret-ldflags",
        is_flag=True,
        help="Build even if -X sets what looks like a secret, which every user of the image can read.",
    ),
    click.option("--build-tags", "go_tags", multiple=True, metavar="LIST", help="Go build tags."),
    click.option(
        "--tags",
        "ambiguous_tags",
        multiple=True,
        metavar="LIST",
        help="The same; refused where ko is in use, for which they are image tags.",
    ),
    click.option("--gcflags", metavar="FLAGS", help="Compiler flags."),
    click.option("--asmflags", metavar="FLAGS", help="Assembler flags."),
    click.option(
        "--go-env",
        "go_env",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set an environment variable for go, such as GOEXPERIMENT=jsonv2.",
    ),
    click.option("--go-version", metavar="VERSION", help="Build with this Go release."),
    click.option("--strip/--no-strip", default=None, help="Omit symbols and DWARF. [default: strip]"),
    click.option(
        "--trimpath/--no-trimpath", default=None, help="Omit file system paths of this machine. [default: trimpath]"
    ),
    click.option("--strip-buildid", is_flag=True, default=None, help="Remove the build ID too (36 bytes)."),
    click.option(
        "--profile",
        metavar="WORDS",
        help="Go: choose what pays on a small device: edge, or edge,small (10 to 20 % more CPU under load).",
    ),
    click.option(
        "--device-memory",
        metavar="SIZE",
        help="Go: with --profile edge, set GOMEMLIMIT and GOGC for a device with this memory, such as 64MB.",
    ),
    click.option(
        "--pie/--no-pie",
        default=None,
        help="Go: make a static PIE, which is loaded at a random address and needs no dynamic linker.",
    ),
    click.option(
        "--cgo",
        type=click.Choice(["off", "musl"]),
        help="Go: musl: compile C with zig and link it statically with musl. [default: off]",
    ),
    click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Set a label in the image config."),
    click.option(
        "--annotation",
        "annotations",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set an annotation on the manifest and the index.",
    ),
    click.option(
        "-e", "--env", "env", multiple=True, metavar="NAME=VALUE", help="Set an environment variable in the image."
    ),
    click.option("-u", "--user", metavar="UID[:GID]", help="User the container runs as. [default: 65532:65532]"),
    click.option("-w", "--workdir", metavar="PATH", help="Working directory of the container."),
    click.option("--expose", multiple=True, metavar="PORT[/PROTO]", help="Port the service listens on."),
    click.option(
        "--entrypoint",
        metavar="WORDS",
        help="Entry point, split as a shell would, or a JSON list. [default: the program]",
    ),
    click.option("--cmd", metavar="WORDS", help="Default arguments."),
    click.option("--add", "add", multiple=True, metavar="FILE:PATH[:MODE[:OWNER]]", help="Add a file to the image."),
    click.option(
        "--compression", type=click.Choice(["gzip", "zstd", "none"]), help="Layer compression. [default: gzip]"
    ),
    click.option("--compression-level", type=int, help="Compression level."),
    click.option(
        "--release/--no-release",
        default=None,
        help="Compress for release: zstd -19, or gzip -9 if a target can't read zstd (prints why).",
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "json", "quiet"]),
        default="auto",
        help="How to show progress.",
    ),
    click.option(
        "--pull", is_flag=True, help="Always re-resolve the base's tag, ignoring wherry.lock; fail if unreachable."
    ),
    click.option(
        "--offline", is_flag=True, help="Contact no registry or module proxy; use the last resolved versions."
    ),
    click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates for registries."),
    TIMEOUT,
    click.option(
        "--strict-encoder", is_flag=True, help="Fail unless the installed encoder compresses as this release's does."
    ),
    click.option("--no-cache", is_flag=True, help="Rebuild every step."),
    click.option("--no-vcs", is_flag=True, help="Do not record version control data in the image."),
    click.option("--explain", is_flag=True, help="Explain why each step was run."),
)
"""Options for building an image."""

DOCKERFILE = (
    click.option("--target", default="", metavar="STAGE", help="Dockerfile: build this stage. [default: the last]"),
    click.option(
        "--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Dockerfile: set the value of an ARG."
    ),
    click.option(
        "--build-context",
        "build_contexts",
        multiple=True,
        metavar="NAME=VALUE",
        help="Dockerfile: context for FROM and --from: a directory, oci-layout://PATH, docker-image://NAME or a URL.",
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="id=NAME[,src=FILE|,env=VAR]",
        help="Dockerfile: pass a secret to RUN --mount=type=secret.",
    ),
    click.option(
        "--ssh",
        "agents",
        multiple=True,
        metavar="default|NAME=SOCKET",
        help="Dockerfile: pass an SSH agent to RUN --mount=type=ssh.",
    ),
    click.option(
        "--no-cache-filter",
        "no_cache_filter",
        multiple=True,
        metavar="STAGES",
        help="Dockerfile: rebuild these stages.",
    ),
    click.option(
        "--add-host",
        "hosts",
        multiple=True,
        metavar="NAME:IP",
        help="Dockerfile: add a line to /etc/hosts of RUN steps.",
    ),
    click.option(
        "--ulimit", "limits", multiple=True, metavar="NAME=SOFT[:HARD]", help="Dockerfile: set a ulimit for RUN steps."
    ),
    click.option(
        "--shm-size",
        "shm",
        default="",
        metavar="SIZE",
        help="Dockerfile: size of /dev/shm in RUN steps. [default: 64m]",
    ),
    click.option(
        "--network",
        type=click.Choice(["default", "host", "none"]),
        default="default",
        help="Dockerfile: network of RUN steps. default: one of its own for each step, by pasta or slirp4netns; "
        "host: the host's, with --allow network.host; none: loopback only.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="WHAT",
        help="Dockerfile: network.host permits the host's network; security.insecure permits privileged steps; "
        "published.secret permits secrets in the image.",
    ),
    click.option(
        "--isolation",
        type=click.Choice(["auto", "userns", "chroot"]),
        default="auto",
        help="Dockerfile: how RUN steps are isolated from this machine.",
    ),
    click.option(
        "--ignore-chown-errors",
        is_flag=True,
        help="Dockerfile: without subordinate IDs, let chown in RUN do nothing; files stay root's.",
    ),
    click.option("--check", is_flag=True, help="Dockerfile: check it without building."),
    click.option("--debug-shell", is_flag=True, help="Dockerfile: open a shell in a step that failed."),
    click.option("--cache-from", multiple=True, metavar="type=…", help="Dockerfile: import cached steps from there."),
    click.option("--cache-to", multiple=True, metavar="type=…", help="Dockerfile: export cached steps there."),
)
"""Options for building a Dockerfile, named as in buildx."""

NAMING = (
    click.option(
        "--repo", metavar="REPO", help="Push to REPO, with a name derived from the package. [$KO_DOCKER_REPO]"
    ),
    click.option("-P", "--preserve-import-paths", "style", flag_value="preserve", help="Push to REPO/IMPORT/PATH."),
    click.option(
        "-B", "--base-import-paths", "style", flag_value="base", help="Push to REPO/NAME. [default: REPO/NAME-MD5]"
    ),
    click.option("--bare", "style", flag_value="bare", help="Push to REPO itself."),
    click.option("-L", "--local", is_flag=True, help="Load it into the local Docker, as ko.local/NAME."),
)
"""Options for naming an image in a registry, as in ko."""

MANIFESTS = (
    click.option(
        "-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="Kubernetes manifests."
    ),
    click.option("-R", "--recursive", is_flag=True, help="Search subdirectories too."),
    click.option(
        "-l", "--selector", default="", metavar="KEY=VALUE,…", help="Process only documents with these labels."
    ),
    click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="Tag the images. [default: latest]"),
    click.option("--push/--no-push", default=None, help="Push the images. [default: push]"),
    FORMAT,
)
"""Options for reading manifests and tagging their images."""

TRANSFER = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="LIST",
        shell_complete=platforms,
        help="Copy only these platforms. [default: all]",
    ),
    click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates."),
    TIMEOUT,
    click.option("-q", "--quiet", is_flag=True, help="Print the digest only."),
    click.option("--json", "as_json", is_flag=True, help="Print what was transferred as JSON."),
)
"""Options for transferring images."""


OUTPUT = (
    click.option(
        "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
        help="Write to FILE; - is stdout. [default: stdout]",
    ),
)  # fmt: skip
"""Where a document goes."""


def with_options(*groups: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Give a command several groups of options, in their order."""

    def decorate(command: F) -> F:
        for group in reversed(groups):
            for option in reversed(group):
                command = option(command)
        return command

    return decorate
