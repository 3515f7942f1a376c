"""Images read from a store: a root descriptor to what stands behind it."""

from wherry.errors import InvalidDocument, NotFound
from wherry.oci import media
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobSource, read_whole


def read_image(source: BlobSource, manifest: Descriptor) -> Image:
    """Read a manifest and its config.

    Raises:
        InvalidDocument: it is no manifest, or the two do not match.
        BlobMissing, DigestMismatch, SizeMismatch: as `BlobSource.read`.
    """
    name = str(manifest.digest)
    if manifest.media_type not in media.MANIFESTS:
        raise InvalidDocument(name, f"{manifest.media_type or 'no media type'} is no image manifest")
    parsed = Manifest.parse(read_whole(source, manifest), name)
    config = ImageConfig.parse(read_whole(source, parsed.config), f"config {parsed.config.digest}")
    return Image.of(manifest, parsed, config)


def images_of(source: BlobSource, root: Descriptor) -> tuple[Image, ...]:
    """Read every image under a manifest or an index, in the index's order.

    Attestations and other artifacts (platform `unknown/unknown`) are passed over.
    """
    if root.media_type not in media.INDEXES:
        return (read_image(source, root),)
    index = Index.parse(read_whole(source, root), str(root.digest))
    return tuple(read_image(source, entry) for entry in index.manifests if _is_image(entry))


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
    raise NotFound(f"{name} has no image for {platform}", hint=f"it has: {there}")


def _entry_for(source: BlobSource, root: Descriptor, platform: Platform) -> Descriptor | None:
    """Choose by what an index says of its entries, so that no other one is read."""
    if root.media_type not in media.INDEXES:
        return None
    index = Index.parse(read_whole(source, root), str(root.digest))
    fitting = (entry for entry in index.manifests if _is_image(entry) and entry.platform)
    return next((entry for entry in fitting if entry.platform and entry.platform.platform == platform), None)


def _is_image(entry: Descriptor) -> bool:
    if entry.media_type not in media.MANIFESTS:
        return False
    return entry.platform is None or entry.platform.os != "unknown"
