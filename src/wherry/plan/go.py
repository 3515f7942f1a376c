"""A Go program, or several, to steps: no Dockerfile."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wherry.oci.config import RuntimeConfig
from wherry.plan.graph import AddedFile, BaseOp, CompileOp, FilesLayerOp, Plan, ProgramImageOp, Step, key_of
from wherry.platform import Platform
from wherry.source.dependency import words_of
from wherry.source.module import MainPackage

SETTINGS = frozenset({"roots", "added", "keep", "users", "env"})
"""Parts of a base's content that a request sets (`base/settings.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """How layers are made: fixed at build, since the encoding is a part of the image."""

    algorithm: str
    level: int
    encoder: str
    """Name and version of the compressor."""
    mtime: int
    """Seconds since the epoch, of every entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTarget:
    """One image to be: a program on its platforms."""

    package: MainPackage
    platforms: tuple[Platform, ...]
    flags: tuple[str, ...]
    """Arguments of `go build`."""
    public: tuple[str, ...]
    """Variables with values of `-X` that the recipe may have."""
    secrets_allowed: bool
    """Whether `-X` may set what looks like a secret."""
    environment: Mapping[str, str]
    """What the user's environment says to Go, and CGO_ENABLED."""
    overrides: Mapping[str, str]
    """`--go-env`: stronger than what a platform says."""
    go: str
    """The `go` command, with `@VERSION` where one is pinned."""
    stamp: bool
    base: str
    base_content: Mapping[str, str]
    """What decides the base's bytes."""
    path: str
    """The program's absolute path in the image."""
    added: tuple[AddedFile, ...]
    changes: RuntimeConfig
    created: str
    annotations: Mapping[str, str]
    recipe: Mapping[str, str]
    packing: LayerOptions
    static_pie: int = 0
    """See `CompileOp`."""
    cgo: str = ""
    no_inline: tuple[str, ...] = ()

    def step(self, what: str, platform: Platform) -> str:
        """Name a step of this image."""
        return f"{what} {self.package.import_path} {platform}"


def plan_images(targets: Iterable[ProgramTarget], cache_scope: str) -> Plan:
    """Order what is to do for images; steps that are the same for two of them come once.

    Args:
        targets: the images.
        cache_scope: what is being built, such as the module's folder.
    """
    steps: dict[str, Step] = {}
    for target in targets:
        for platform in target.platforms:
            for step in _steps(target, platform):
                steps.setdefault(step.name, step)
    return Plan(tuple(steps.values()), cache_scope)


def base_step(target: ProgramTarget, platform: Platform) -> str:
    """Name the step that has the base in the store; images of one base share it."""
    own = {name: text for name, text in target.base_content.items() if name in SETTINGS}
    mark = f" with {key_of(own)[:8]}" if own else ""  # two images may have one base with other certificates
    return f"base {target.base}{mark} {platform}"


def _steps(target: ProgramTarget, platform: Platform) -> Iterator[Step]:
    packing = target.packing
    base = base_step(target, platform)
    yield Step(base, BaseOp(target.base, platform, target.base_content))
    compiled = target.step("compile", platform)
    yield Step(
        compiled,
        CompileOp(
            package=str(target.package.folder),
            platform=platform,
            flags=target.flags,
            environment={
                **target.environment,
                **platform.go_environment(),
                **platform.go_levels(target.environment),
                **target.overrides,
            },
            go=target.go,
            stamp=target.stamp,
            public=target.public,
            secrets_allowed=target.secrets_allowed,
            published=target.package.release is not None,
            dependency=words_of(target.package),
            static_pie=target.static_pie,
            cgo=target.cgo,
            no_inline=target.no_inline,
        ),
    )
    layers = []
    if target.added:
        # Files the user adds change more seldom than the program: below it, their layer is pulled once.
        layers.append(target.step("pack files of", platform))
        yield Step(layers[-1], _pack(target.added, packing, "wherry build --add"), (base,))
    layers.append(target.step("pack", platform))
    program = AddedFile(source="", path=target.path, mode=0o755)
    yield Step(layers[-1], _pack((program,), packing, f"wherry build {target.package.import_path}"), (base, compiled))
    yield Step(
        target.step("assemble", platform),
        ProgramImageOp(
            platform=platform,
            changes=target.changes,
            created=target.created,
            annotations=target.annotations,
            recipe=target.recipe,
        ),
        (base, compiled, *layers),
    )


def _pack(files: tuple[AddedFile, ...], packing: LayerOptions, created_by: str) -> FilesLayerOp:
    return FilesLayerOp(
        files=files,
        mtime=packing.mtime,
        algorithm=packing.algorithm,
        level=packing.level,
        encoder=packing.encoder,
        created_by=created_by,
    )
