"""What a store has, image by image, and bringing images in under names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wherry.errors import InvalidUsage, WherryError
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.reference import InvalidReference, Reference, is_attachment
from wherry.store.contract import BlobSource
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.images import images_of
from wherry.store.layout import LayoutFolder

_ARCHIVE_ENDINGS = re.compile(r"(\.(oci|docker))?\.(tar|tgz|tar\.gz|tar\.zst|tzst)$")
_NO_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image of a store under one of its names."""

    name: str
    root: Descriptor
    images: tuple[Image, ...]
    """One a platform; empty where the root cannot be read."""
    problem: str = ""
    """Why its images can't be read; empty where they can."""


def pulled(image: Image) -> int:
    """Count the bytes of an image's layers as they cross the wire."""
    return sum(layer.size for layer in image.manifest.stack)


def listings(store: LayoutFolder) -> tuple[ListedImage, ...]:
    """Read every image that has a name, by name; a broken one is listed with its problem."""
    return tuple(_listing(name, root, store) for name, root in sorted(store.tags().items()) if not is_attachment(name))


def _listing(name: str, root: Descriptor, store: LayoutFolder) -> ListedImage:
    try:
        return ListedImage(name, root, images_of(store, root))
    except WherryError as error:
        return ListedImage(name, root, (), error.message)


def bring(store: DiskStore, source: BlobSource, roots: Mapping[str, Descriptor]) -> int:
    """Copy images into a store and name them; give the bytes that were new.

    Raises:
        WherryError: whatever stopped it; images before that are there, under their names.
    """
    moved = 0
    with store.writing():
        for name, root in roots.items():
            if store.has(root):
                store.sound_image(root)  # what is damaged goes, so that it comes again
            moved += copy(root, source, store)
            store.tag(name, root)
    return moved


def names_for(roots: Mapping[str, Descriptor], *, origin: str, wanted: str = "") -> dict[str, Descriptor]:
    """Choose the names under which images of an archive or a layout go into the store.

    A whole name stays. A bare tag, which is what many tools write into a layout, and an image without any get the
    file's name before it: `v1` of `dist/api.tar` is `api:v1`.

    Args:
        roots: the images by the names they come with.
        origin: what the archive or folder is called; empty where it came in a pipe.
        wanted: the name the user gave, if one.

    Raises:
        InvalidUsage: there is none, several for one name, or none that would do.
    """
    if not roots:
        raise InvalidUsage(f"{origin or 'stdin'}: contains no image", hint="check its index.json")
    if wanted:
        if len({root.digest for root in roots.values()}) > 1:
            there = ", ".join(sorted(roots)[:8])
            raise InvalidUsage(
                f"{origin or 'stdin'}: contains several images, but only one name was given", hint=f"images: {there}"
            )
        return {str(Reference.parse(wanted)): next(iter(roots.values()))}
    named = {_name(name, root, origin): root for name, root in roots.items()}
    if len(named) < len(roots):
        raise InvalidUsage(
            f"{origin or 'stdin'}: contains several images without names",
            hint="extract each by digest with `skopeo copy`, and load it",
        )
    return named


def _name(name: str, root: Descriptor, origin: str) -> str:
    if ":" in name and name != root.digest:
        try:
            return str(Reference.parse(name))
        except InvalidReference:
            pass
    stem = _NO_WORD.sub("-", _ARCHIVE_ENDINGS.sub("", origin.lower())).strip("-")
    tag = "latest" if name == root.digest else name
    try:
        return str(Reference.parse(f"{stem}:{tag}"))
    except InvalidReference as error:
        raise InvalidUsage(
            f"{origin or 'stdin'}: cannot derive a name from {name[:100]!r}", hint="name it with -t NAME"
        ) from error
