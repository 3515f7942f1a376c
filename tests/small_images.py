"""Images of a few hundred bytes, whole in every respect: what tests of stores and readers put in."""

import gzip
import hashlib
import io
import tarfile

from wherry.digest import Digest
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobStore, write_document

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def layer_tar(text: str) -> bytes:
    """Make the tar of a layer with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("hello.txt")
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def put_image(
    store: BlobStore, text: str = "hello", platform: Platform = AMD64, *, compress: bool = True
) -> Descriptor:
    """Write an image with one layer, children first; give its manifest."""
    layer = layer_tar(text)
    blob = write_document(
        store,
        media.OCI_LAYER_GZIP if compress else media.OCI_LAYER,
        gzip.compress(layer, mtime=0) if compress else layer,
    )
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        created="2026-01-02T03:04:05Z",
        config=RuntimeConfig(entrypoint=("/hello",)),
        rootfs=RootFS(diff_ids=(Digest("sha256:" + hashlib.sha256(layer).hexdigest()),)),
    )
    configured = write_document(store, media.OCI_CONFIG, config.encoded())
    return write_document(store, media.OCI_MANIFEST, Manifest.of(configured, (blob,)).encoded())


def put_index(store: BlobStore, text: str = "hello", platforms: tuple[Platform, ...] = (AMD64, ARM64)) -> Descriptor:
    """Write an image of several platforms; give its index."""
    entries = []
    for platform in platforms:
        manifest = put_image(store, f"{text} {platform}", platform)
        entries.append(
            Descriptor(
                media_type=manifest.media_type,
                digest=manifest.digest,
                size=manifest.size,
                platform=PlatformDocument.of(platform),
            )
        )
    return write_document(store, media.OCI_INDEX, Index.of(tuple(entries)).encoded())


def put_layers(store: BlobStore, sizes: list[int]) -> Descriptor:
    """Write an image of layers of so many bytes each, as stored: gzip that does not compress."""
    tars = []
    for place, size in enumerate(sizes):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            member = tarfile.TarInfo(f"file{place}")
            member.size = size
            archive.addfile(member, io.BytesIO(bytes([place % 256]) * size))
        tars.append(buffer.getvalue())
    blobs = tuple(write_document(store, media.OCI_LAYER_GZIP, gzip.compress(tar, 0, mtime=0)) for tar in tars)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=tuple(map(Digest.of, tars))))
    configured = write_document(store, media.OCI_CONFIG, config.encoded())
    return write_document(store, media.OCI_MANIFEST, Manifest.of(configured, blobs).encoded())
