"""What a build gives: one result for both front ends, and one JSON document of it.

`docs/reference/build-json.md` is the document's reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from wherry.app.build.options import FrontEnd
from wherry.oci.config import Layer
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.analysis.size import BudgetCheck

VERSION = 2
"""Of the JSON document."""


@dataclass(frozen=True, slots=True)
class GoProgram:
    """The Go program of an image's platform."""

    digest: str
    size: int
    """Bytes."""
    go: str
    """Such as `go1.26.8`."""
    cached: bool
    """Whether it was not compiled again."""
    seconds: float = 0.0
    """How long it was compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPlatform:
    """One platform of a built image."""

    platform: Platform
    image: Image
    own: tuple[Layer, ...]
    """Layers above the base."""
    program: GoProgram | None = None
    """None where the image is of a Dockerfile."""

    @property
    def pulled(self) -> int:
        """Bytes of all layers, as stored."""
        return sum(layer.size for layer in self.image.manifest.stack)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """One built image."""

    names: tuple[str, ...]
    """Tags in the local store."""
    title: str
    """What it is called among others: the program's name, or the image's."""
    root: Descriptor
    """Of the manifest, or of the index where there are several platforms."""
    platforms: tuple[BuiltPlatform, ...]
    base: str = ""
    """As it was asked for; empty where a Dockerfile says."""
    package: str = ""
    """Import path of the main package; empty where the image is of a Dockerfile."""

    @property
    def digest(self) -> str:
        """The digest of the manifest or index."""
        return str(self.root.digest)

    @property
    def reference(self) -> str:
        """The first name with the digest."""
        return f"{self.names[0]}@{self.root.digest}"

    @property
    def images(self) -> tuple[Image, ...]:
        """One for each platform."""
        return tuple(built.image for built in self.platforms)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs that the image is made of."""
        below = (
            blob for image in self.images for blob in (image.descriptor, image.manifest.config, *image.manifest.stack)
        )
        return tuple({blob.digest: blob for blob in (self.root, *below)}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltStep:
    """One step of a build."""

    name: str
    cached: bool
    seconds: float
    reasons: Sequence[str]
    """Why it was not cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What a build did."""

    front_end: FrontEnd
    images: tuple[BuiltImage, ...]
    steps: tuple[BuiltStep, ...]
    unchanged: bool
    """Whether everything came from the cache."""
    looked_at: int
    """Files that were checked."""
    seconds: float
    notices: tuple[str, ...] = ()
    budgets: "tuple[BudgetCheck, ...]" = ()

    def document(self) -> bytes:
        """Write it as JSON."""
        return msgspec.json.encode(BuildDocument.of(self))

    def again(self) -> "BuildResult":
        """Give what the same build gives when nothing changed."""
        steps = tuple(replace(step, cached=True, seconds=0.0, reasons=()) for step in self.steps)
        images = tuple(replace(image, platforms=tuple(_again(one) for one in image.platforms)) for image in self.images)
        return replace(self, unchanged=True, steps=steps, images=images)


class LayerDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A layer."""

    digest: str
    media_type: str
    size: int
    """Bytes, as stored."""


class ProgramDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A Go program."""

    digest: str
    size: int
    """Bytes."""
    go: str
    cached: bool


class BuiltPlatformDocument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One platform of an image."""

    platform: str
    digest: str
    """Of the manifest."""
    config: str
    """Digest of the config."""
    pulled: int
    """Bytes of all layers, as stored."""
    layers: tuple[LayerDocument, ...]
    program: ProgramDocument | None = None
    """Of a Go module."""


class ImageDocument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One image."""

    names: tuple[str, ...]
    digest: str
    media_type: str
    platforms: tuple[BuiltPlatformDocument, ...]
    package: str = ""
    """Of a Go module."""
    base: str = ""
    """Of a Go module."""


class StepDocument(msgspec.Struct, frozen=True, rename="camel"):
    """One step."""

    name: str
    cached: bool
    seconds: float
    reasons: tuple[str, ...]


class BuildDocument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `wherry build --json` prints."""

    version: int
    front_end: str
    unchanged: bool
    images: tuple[ImageDocument, ...]
    steps: tuple[StepDocument, ...]
    budgets: tuple[object, ...] = ()

    @classmethod
    def of(cls, result: BuildResult) -> "BuildDocument":
        """Describe a result."""
        return cls(
            version=VERSION,
            front_end=str(result.front_end),
            unchanged=result.unchanged,
            images=tuple(map(_image, result.images)),
            steps=tuple(
                StepDocument(step.name, step.cached, round(step.seconds, 3), tuple(step.reasons))
                for step in result.steps
            ),
            budgets=result.budgets,
        )


def _image(image: BuiltImage) -> ImageDocument:
    return ImageDocument(
        names=image.names,
        digest=image.digest,
        media_type=image.root.media_type,
        platforms=tuple(map(_platform, image.platforms)),
        package=image.package,
        base=image.base,
    )


def _platform(built: BuiltPlatform) -> BuiltPlatformDocument:
    manifest, program = built.image.manifest, built.program
    return BuiltPlatformDocument(
        platform=str(built.platform),
        digest=str(built.image.descriptor.digest),
        config=str(manifest.config.digest),
        pulled=built.pulled,
        layers=tuple(LayerDocument(str(layer.digest), layer.media_type, layer.size) for layer in manifest.stack),
        program=ProgramDocument(program.digest, program.size, program.go, program.cached) if program else None,
    )


def _again(built: BuiltPlatform) -> BuiltPlatform:
    return replace(built, program=replace(built.program, cached=True)) if built.program else built


def names_and_roots(images: Sequence[BuiltImage]) -> Mapping[str, Descriptor]:
    """Give what each name of several images resolves to."""
    return {name: image.root for image in images for name in image.names}
