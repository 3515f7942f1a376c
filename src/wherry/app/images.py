"""An image that was found under a name: its documents, its platforms, and what it is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wherry.app.places import find
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.platform import Platform
from wherry.store.contract import BlobSource, read_whole

if TYPE_CHECKING:
    from wherry.analysis.content import ImageContent

RECIPE = "dev.wherry.recipe"
"""See `build.recipe`."""


@dataclass(frozen=True, slots=True)
class OpenImage:
    """An image under the name it was asked for; documents and layers are read when they are asked for."""

    name: str
    source: BlobSource
    root: Descriptor
    """Of the manifest, or of the index."""

    @property
    def digest(self) -> str:
        """The digest of the manifest or index."""
        return str(self.root.digest)

    def images(self, platform: Platform | None = None) -> tuple[Image, ...]:
        """Read the images of all platforms, or of one.

        Raises:
            NotFound: there is none of the platform; the hint lists those there are.
        """
        from wherry.store.images import image_for, images_of

        if platform:
            return (image_for(self.source, self.root, platform, self.name),)
        return images_of(self.source, self.root)

    def document(self, kind: Literal["manifest", "config"], platform: Platform | None = None) -> bytes:
        """Read a stored document: the root, or the manifest or config of one platform.

        Raises:
            InvalidUsage: a config is asked for, and there are several.
        """
        if kind == "manifest" and platform is None:
            return read_whole(self.source, self.root)
        images = self.images(platform)
        if len(images) != 1:
            there = ", ".join(str(image.platform) for image in images) or "none"
            raise InvalidUsage(
                f"{self.name} has {len(images)} configs", hint=f"choose one with --platform; available: {there}"
            )
        return read_whole(self.source, images[0].descriptor if kind == "manifest" else images[0].manifest.config)

    def content(self, image: Image, *, biggest: int | None = None) -> "ImageContent":
        """Measure what one platform's layers hold.

        Args:
            image: one of `images()`.
            biggest: how many of the biggest files are named; None: those of 1 % or more.

        Cost: every layer is read once.
        """
        from wherry.analysis.content import content_of

        return content_of(self.source, image, biggest=biggest)


def open_image(session: Session, name: str) -> OpenImage:
    """Find an image.

    Args:
        session: where the store is.
        name: a name or digest of the local store, a layout folder, an archive, or a reference to a registry.

    Raises:
        NotFound, RegistryError, InvalidReference: there is none.
    """
    at = find(session, name)
    return OpenImage(at.name, session.cancellable(at.source), at.root)


def recipe_of(image: Image) -> Mapping[str, object]:
    """Read the recipe that wherry put into an image; empty where there is none."""
    return recipe_in(image.config.runtime.labels or {})


def recipe_in(labels: Mapping[str, str]) -> Mapping[str, object]:
    """Read a recipe from its label; empty where there is none."""
    try:
        recipe = json.loads(labels.get(RECIPE) or "{}")
    except (ValueError, RecursionError):
        return {}
    return recipe if isinstance(recipe, dict) else {}
