"""An image in the form that a daemon takes: whole or one platform, and layers that it can unpack."""

from collections.abc import Mapping
from dataclasses import dataclass

from wherry.daemon.find import Daemon
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.platform import Platform
from wherry.store.archive import write_docker_archive, write_oci_archive
from wherry.store.contract import BlobStore
from wherry.store.images import image_for, images_of


@dataclass(frozen=True, slots=True)
class LoadedImages:
    """What a daemon has now."""

    names: tuple[str, ...]
    digest: str
    """Of what was loaded: an index, or one of its manifests; or another, if layers were recompressed."""
    notices: tuple[str, ...]


def give(daemon: Daemon, store: BlobStore, images: Mapping[str, Descriptor], here: Platform) -> list[LoadedImages]:
    """Load images by name.

    Args:
        daemon: who takes them.
        store: source of the images, and where recompressed layers are stored.
        images: a manifest or an index by name; where the daemon keeps no index, its platform of one is taken.
        here: this machine's platform, for a daemon that does not say its own.

    Raises:
        NotFound: an index has no image for the daemon's platform.
        NotLoaded: the daemon did not take one; those before it are there.
    """
    return [
        _whole(daemon, store, name, root)
        if daemon.keeps_indexes and root.media_type in media.INDEXES
        else _single(daemon, store, name, root, here)
        for name, root in images.items()
    ]


def _whole(daemon: Daemon, store: BlobStore, name: str, root: Descriptor) -> LoadedImages:
    daemon.load(lambda out: write_oci_archive(out, store, {name: root}))
    return LoadedImages((name,), str(root.digest), ())


def _single(daemon: Daemon, store: BlobStore, name: str, root: Descriptor, here: Platform) -> LoadedImages:
    notices: list[str] = []
    image = _chosen(store, root, daemon.platform or here, name, notices)
    manifest = image.descriptor
    if not daemon.takes_zstd and _has_zstd(image):
        manifest = _as_gzip(store, manifest)
        notices.append(f"{daemon.name} cannot read zstd: layers are loaded as gzip, with another digest")
    daemon.load(lambda out: write_docker_archive(out, store, {name: manifest}))
    return LoadedImages((name,), str(manifest.digest), tuple(notices))


def _chosen(store: BlobStore, root: Descriptor, platform: Platform, name: str, notices: list[str]) -> Image:
    images = images_of(store, root)
    if len(images) == 1:
        return images[0]
    notices.append(f"loading only {platform} of {len(images)} platforms")
    return image_for(store, root, platform, name)


def _has_zstd(image: Image) -> bool:
    return any(media.COMPRESSION_OF_LAYER.get(layer.media_type) == "zstd" for layer in image.manifest.stack)


def _as_gzip(store: BlobStore, manifest: Descriptor) -> Descriptor:
    from wherry.image.recompress import recompress
    from wherry.layer.compress import Encoding

    return recompress(manifest, store, store, Encoding.default("gzip"), threads=4)
