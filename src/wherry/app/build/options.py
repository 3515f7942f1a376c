"""Typed options of a build, for both front ends, and the one place that refuses combinations.

An option belongs to the class that declares it: those of `CommonOptions` work for a Go module and for a Dockerfile;
what wherry.toml can set too is declared once, in `settings/options.py`. A caller with words (the command line) passes
the names of the given options to `check_strangers`; a caller with values uses one of two classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from wherry.errors import InvalidUsage
from wherry.settings.options import BuildOptions, GoSettings, ImageSettings
from wherry.settings.outputs import Output, encoding_of


class FrontEnd(StrEnum):
    """What an image is built from."""

    GO = "go"
    DOCKERFILE = "dockerfile"


@dataclass(frozen=True, kw_only=True)
class CommonOptions(ImageSettings):
    """Options of both front ends. A setting that is None comes from wherry.toml, or has a default."""

    outputs: tuple[Output, ...] = ()
    metadata_file: str = ""
    """Where digests are written as JSON, with buildx's keys; empty: nowhere."""
    iidfile: str = ""
    """Where the image ID is written; empty: nowhere."""
    push: bool | None = None
    """None: where KO_DOCKER_REPO or `repo` names the image, it is pushed, else not."""
    image_refs: str = ""
    """Where the references of the images are written, one a line; empty: nowhere."""
    tag_only: bool = False
    """Whether references that are printed or put into manifests have the tag and no digest."""
    jobs: int = 0
    """Steps that run at a time; 0: as this machine has processors."""
    load: bool = False
    """Whether the local Docker, Podman or containerd gets the image."""
    budgets: bool = True
    """Whether the budgets of wherry.toml hold."""
    prove: bool = False
    """Whether images are started, traced and probed before they are delivered; `[prove]` of wherry.toml says how."""
    sbom: tuple[str, ...] = ()
    """SBOMs to attach: `spdx`, `cyclonedx`."""
    provenance: bool = False
    """Whether SLSA provenance is attached."""
    attach: str = "referrers"
    """Where those go: `referrers`, `index` or `both`."""
    against: str = ""
    """What growth is counted from, in place of what wherry.toml says."""
    pull: bool = False
    """Whether registries are asked for the tags of bases again, and a failure ends the build."""
    offline: bool = False
    insecure: bool = False
    """Whether the registries of the image's names may speak plain HTTP."""
    no_cache: bool = False
    strict_encoder: bool = False
    """Whether an encoder that this release's digests are not made with ends the build."""

    def settings(self) -> BuildOptions:
        """Give the image's settings, which go above those of wherry.toml."""
        own = {field.name for field in fields(self)} & {field.name for field in fields(BuildOptions)}
        return BuildOptions(**{name: getattr(self, name) for name in own})


@dataclass(frozen=True, kw_only=True)
class GoOptions(GoSettings, CommonOptions):
    """Options of a build of Go modules."""

    disable_optimizations: bool = False
    """Whether it is compiled for a debugger: no optimisation, symbols and DWARF kept."""
    size_record: bool = False
    """Whether the owners of variables are kept, for `size`."""
    allow_secret_ldflags: bool = False
    """Whether what is published (`-X`, env, labels, annotations) may look like a secret."""
    no_vcs: bool = False
    """Whether facts of version control are left out."""
    repo: str = ""
    """Repository that makes the names, as ko has it."""
    style: str = ""
    """`preserve`, `base` or `bare`; empty: the program's name and a hash of its import path."""
    local: bool = False
    """Whether images are loaded as `ko.local/NAME`."""
    go: bool = False
    """Whether the Go module is meant where there is a Dockerfile too."""
    settled: bool = False
    """Whether a profile adds nothing: the options are all of an image's recipe."""


@dataclass(frozen=True, kw_only=True)
class GoBuild(GoOptions):
    """A build of main packages of a Go module."""

    packages: tuple[str, ...] = ()
    """Folders, services of wherry.toml or PACKAGE@VERSION; empty: the services of wherry.toml, or the one here."""


@dataclass(frozen=True, kw_only=True)
class DockerfileOptions(CommonOptions):
    """Options of a build of a Dockerfile."""

    file: str = ""
    """The Dockerfile; `-` is standard input, empty the one in the context."""
    target: str = ""
    build_args: tuple[str, ...] = ()
    """As `NAME=VALUE`, or NAME for the value of the session's environment."""
    build_contexts: tuple[str, ...] = ()
    """As `NAME=FOLDER`, `NAME=oci-layout://PATH`, `NAME=docker-image://NAME` or a URL."""
    secrets: tuple[str, ...] = ()
    """As `id=NAME[,src=FILE|,env=VAR]`."""
    agents: tuple[str, ...] = ()
    """As `default` or `NAME=SOCKET`."""
    no_cache_filter: tuple[str, ...] = ()
    """Stages to build again."""
    hosts: tuple[tuple[str, str], ...] = ()
    """Names and addresses for steps' /etc/hosts."""
    limits: tuple[tuple[str, int, int], ...] = ()
    """Names of resources, soft and hard limits of steps."""
    shm: int = 0
    """Bytes of steps' /dev/shm; 0: the default, 64 MiB."""
    network: str = "default"
    """Of steps: `default`, `host` or `none`."""
    allow: tuple[str, ...] = ()
    isolation: str = "auto"
    """`auto`, `userns` or `chroot`."""
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    check: bool = False
    """Whether the Dockerfile is only checked."""
    debug_shell: bool = False
    ignore_chown_errors: bool = False
    """Whether chown in a RUN does nothing where this user has no subordinate IDs."""


@dataclass(frozen=True, kw_only=True)
class DockerfileBuild(DockerfileOptions):
    """A build of a Dockerfile."""

    context: str = "."
    """A folder, a tar or git URL, or `-` for a tar on standard input."""


_OWN: Mapping[FrontEnd, frozenset[str]] = {
    FrontEnd.GO: frozenset(GoOptions.__dataclass_fields__) - frozenset(CommonOptions.__dataclass_fields__),
    FrontEnd.DOCKERFILE: frozenset(DockerfileOptions.__dataclass_fields__)
    - frozenset(CommonOptions.__dataclass_fields__),
}
"""The options that one front end alone has."""
_WHOSE = {FrontEnd.GO: "Go modules", FrontEnd.DOCKERFILE: "Dockerfiles"}
_REMEDIES = {
    "base": "change FROM in the Dockerfile, or build the Go module with --go",
    "ca": "write a file by `wherry certs -o ca.pem`, and use --add ca.pem:/etc/ssl/certs/ca-certificates.crt",
    "ca_for": "write a file by `wherry certs -o ca.pem`, and use --add ca.pem:/etc/ssl/certs/ca-certificates.crt",
    "ca_only": "write a file by `wherry certs -o ca.pem`, and use --add ca.pem:/etc/ssl/certs/ca-certificates.crt",
    "allow_secret_ldflags": "use --allow published.secret",
    "repo": "name the image with -t REGISTRY/NAME --push",
    "local": "use --load",
    "size_record": "use `wherry size --source DIR`",
    "debug_info": "export the unstripped program from a stage with --target and -o",
}


def serves(option: str) -> tuple[FrontEnd, ...]:
    """Give the front ends that an option works for, by its field's name."""
    return tuple(front for front in FrontEnd if option not in _OWN[_other(front)])


def check_strangers(front_end: FrontEnd, given: Mapping[str, str], why: str) -> None:
    """Refuse options of the front end that is not used.

    Args:
        front_end: the one that is.
        given: options as they were written (`--base`), by their field's name.
        why: why it is used, such as "this folder is built from its Dockerfile".

    Raises:
        InvalidUsage: there are some; all are named.
    """
    strangers = {name: words for name, words in given.items() if front_end not in serves(name)}
    if not strangers:
        return
    verb = "is" if len(strangers) == 1 else "are"
    other = "remove it" if len(strangers) == 1 else "remove them"
    if front_end is FrontEnd.DOCKERFILE:
        other += ", or build the Go module with --go"
    remedy = _REMEDIES.get(next(iter(strangers)), "") if len(strangers) == 1 else ""
    raise InvalidUsage(
        f"{', '.join(strangers.values())} {verb} for {_WHOSE[_other(front_end)]}; {why}", hint=remedy or other
    )


def check_conflicts(options: CommonOptions) -> None:
    """Refuse options that exclude each other.

    Raises:
        InvalidUsage: two do; both are named.
    """
    take_out = "remove one of them"
    compression, level = encoding_of(options.outputs, options.compression, options.compression_level)
    if options.release and (compression is not None or level is not None):
        raise InvalidUsage("--release cannot be combined with --compression: it chooses the compression", hint=take_out)
    if options.pull and options.offline:
        raise InvalidUsage("--pull and --offline cannot be combined", hint=take_out)
    if isinstance(options, DockerfileOptions) and options.check:
        written = {
            "--prove": options.prove,
            "--sbom": bool(options.sbom),
            "--provenance": options.provenance,
            "--push": bool(options.push),
            "--load": options.load,
            "--output": bool(options.outputs),
            "--metadata-file": bool(options.metadata_file),
            "--iidfile": bool(options.iidfile),
            "--cache-to": bool(options.cache_to),
        }
        asked = [words for words, given in written.items() if given]
        if asked:
            raise InvalidUsage(f"--check builds nothing, but {asked[0]} needs an image", hint=take_out)


def _other(front_end: FrontEnd) -> FrontEnd:
    return FrontEnd.DOCKERFILE if front_end is FrontEnd.GO else FrontEnd.GO
