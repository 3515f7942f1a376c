"""Images read from a store: a root descriptor to what stands behind it."""

from collections.abc import Iterator

import msgspec

from wherry.errors import InvalidDocument, NotFound
from wherry.oci import media
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import DEEPEST, BlobSource, read_whole


def read_image(source: BlobSource, manifest: Descriptor) -> Image:
    """Read a manifest and its config.

    Raises:
        InvalidDocument: it is not a manifest, or the two do not match.
        BlobMissing, DigestMismatch, SizeMismatch: as `BlobSource.read`.
    """
    name = str(manifest.digest)
    if manifest.media_type not in media.MANIFESTS:
        raise InvalidDocument(name, f"{manifest.media_type or 'no media type'} is not an image manifest")
    parsed = Manifest.parse(read_whole(source, manifest), name)
    config = ImageConfig.parse(read_whole(source, parsed.config), f"config {parsed.config.digest}")
    return Image.of(manifest, parsed, config)


def images_of(source: BlobSource, root: Descriptor) -> tuple[Image, ...]:
    """Read every image under a manifest or an index, in the index's order.

    Attestations and other artifacts (platform `unknown/unknown`) are passed over.
    """
    if root.media_type not in media.INDEXES:
        return (read_image(source, root),)
    return tuple(read_image(source, entry) for entry in _entries(source, root))


def platforms_of(source: BlobSource, root: Descriptor) -> tuple[Platform, ...]:
    """List the platforms under a manifest or an index; a manifest is read only where the index names none for it."""
    if root.media_type not in media.INDEXES:
        return (read_image(source, root).platform,)
    return tuple(
        entry.platform.platform if entry.platform else read_image(source, entry).platform
        for entry in _entries(source, root)
    )


def image_for(source: BlobSource, root: Descriptor, platform: Platform, name: str) -> Image:
    """Choose the image of one platform; a single manifest has to be of it too.

    Raises:
        NotFound: there is none; the hint lists the platforms there are.
    """
    entry = _entry_for(source, root, platform)
    if entry and (claimed := read_image(source, entry)).platform == platform:
        return claimed
    images = images_of(source, root)
    for image in images:
        if image.platform == platform:
            return image
    there = ", ".join(str(image.platform) for image in images) or "none"
    raise NotFound(f"{name} has no image for {platform}", hint=f"platforms: {there}")


def _entry_for(source: BlobSource, root: Descriptor, platform: Platform) -> Descriptor | None:
    """Choose by what an index says of its entries, so that no other one is read."""
    if root.media_type not in media.INDEXES:
        return None
    fitting = (entry for entry in _entries(source, root) if entry.platform)
    return next((entry for entry in fitting if entry.platform and entry.platform.platform == platform), None)


def _entries(source: BlobSource, root: Descriptor, depth: int = 0) -> Iterator[Descriptor]:
    """Yield the manifests of images under an index, those of indexes in it too.

    An index in an index may have a platform; it counts for entries that name none themselves.
    """
    if depth > DEEPEST:
        raise InvalidDocument(str(root.digest), f"nested more than {DEEPEST} documents deep")
    for entry in Index.parse(read_whole(source, root), str(root.digest)).manifests:
        if entry.media_type in media.INDEXES:
            for inner in _entries(source, entry, depth + 1):
                yield inner if inner.platform else msgspec.structs.replace(inner, platform=entry.platform)
        elif _is_image(entry):
            yield entry


def _is_image(entry: Descriptor) -> bool:
    if entry.media_type not in media.MANIFESTS:
        return False
    return entry.platform is None or entry.platform.os != "unknown"
