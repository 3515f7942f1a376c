"""What the user asks of a Dockerfile, and the plan that comes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wherry.dockerfile import instructions as of
from wherry.dockerfile.arguments import platform_arguments
from wherry.oci.config import RuntimeConfig
from wherry.plan.graph import Plan
from wherry.plan.ops import CopyOp
from wherry.plan.stage_state import StageOptions
from wherry.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLayerOptions:
    """How layers are made."""

    algorithm: str
    level: int
    encoder: str
    rewrite: bool = False
    """Whether no time in a layer may be after SOURCE_DATE_EPOCH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileTarget:
    """What the user asks of a Dockerfile."""

    file: of.Dockerfile
    contexts: Mapping[str, str]
    """Named contexts: by familiar name, `image` for those that are images, else `files`."""
    context_images: Mapping[str, str]
    """The names under which `BaseImages` knows those that are images."""
    platforms: tuple[Platform, ...]
    build_platform: Platform
    implicit: bool
    """Whether no platform was requested: then a base's may differ in its variant."""
    target: str
    options: StageOptions
    changes: RuntimeConfig
    """What the user sets of the config, above the Dockerfile; an empty field leaves its."""
    added: tuple[CopyOp, ...]
    """Files of the user's that go on top of the target."""
    annotations: tuple[tuple[str, str], ...]
    packing: StageLayerOptions
    no_cache: frozenset[str]
    """Stages to rebuild."""
    cache_scope: str


@dataclass(frozen=True, slots=True)
class PlannedImages:
    """A plan, and the step that gives each platform's image."""

    plan: Plan
    images: Mapping[Platform, str]
    texts: Mapping[str, of.Instruction]
    """The instruction that each step is of."""
    renewed: frozenset[str]
    """Steps that are done whether or not they are cached."""
    published: tuple[tuple[str, str, str], ...] = ()
    """Instruction or option, name and value of what everyone who can pull the image can read."""
    history: tuple[str, ...] = ()
    """Lines of the images' own history."""


def predefined_arguments(request: DockerfileTarget, platform: Platform, target: str) -> Iterator[tuple[str, str]]:
    """Give the arguments that have a value before the file says anything."""
    given = request.options.arguments
    yield from platform_arguments(request.build_platform, platform, target, given).items()
    if request.options.epoch is not None:
        yield "SOURCE_DATE_EPOCH", str(request.options.epoch)
