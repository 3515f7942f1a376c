"""Images put together from entries, layer by layer, in a store of their own."""

from collections.abc import Iterable, Sequence

from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import BytesContent, Entry, EntryKind
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobStore, write_document

AMD64 = Platform("linux", "amd64")


def file(path: str, content: bytes = b"", mode: int = 0o644) -> Entry:
    """Make a file."""
    return Entry(path=path, kind=EntryKind.FILE, mode=mode, size=len(content), content=BytesContent(content))


def folder(path: str) -> Entry:
    """Make a folder."""
    return Entry(path=path, kind=EntryKind.FOLDER)


def put_layers(
    store: BlobStore,
    layers: Sequence[Iterable[Entry]],
    runtime: RuntimeConfig | None = None,
    platform: Platform = AMD64,
    history: tuple[History, ...] = (),
    encoding: Encoding | None = None,
) -> Descriptor:
    """Write an image of these layers, base first; give its manifest."""
    packed = [pack(entries, encoding or Encoding.default(), store) for entries in layers]
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        created="2026-01-02T03:04:05Z",
        config=runtime or RuntimeConfig(),
        rootfs=RootFS(diff_ids=tuple(layer.diff_id for layer in packed)),
        history=history,
    )
    configured = write_document(store, media.OCI_CONFIG, config.encoded())
    manifest = Manifest.of(configured, tuple(layer.blob for layer in packed))
    return write_document(store, media.OCI_MANIFEST, manifest.encoded())


def put_platforms(store: BlobStore, images: dict[Platform, Descriptor]) -> Descriptor:
    """Write an index; give it."""
    entries = (
        Descriptor(
            media_type=image.media_type, digest=image.digest, size=image.size, platform=PlatformDocument.of(platform)
        )
        for platform, image in images.items()
    )
    return write_document(store, media.OCI_INDEX, Index.of(tuple(entries)).encoded())
