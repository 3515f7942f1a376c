"""An image, or an index of several, with its layers compressed again: the same files, other blobs.

Configs stay byte for byte, and with them diff ids and what containers see. Manifests and indexes name other layers, so
their digests change. What says of itself that it speaks of a manifest by its digest (BuildKit's attestations, manifests
with a subject) would speak of an image that isn't there: it is left out, and the caller is told.

Docker's media types know gzip only: with another encoding, manifests and indexes become OCI's.

Sources: OCI image-spec v1.1.1, manifest.md, image-index.md and layer.md; moby/buildkit, docs/attestations/
attestation-storage.md; containerd/stargz-snapshotter, docs/estargz.md.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec

from wherry.counted import Moving, unheard
from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.image.assemble import as_oci
from wherry.layer.compress import Encoding, encode
from wherry.layer.decompress import open_layer
from wherry.oci import media
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Index, Manifest
from wherry.store.contract import CHUNK, BlobSink, BlobSource, CountedSource, read_whole, write_document
from wherry.store.copy import copy

_ATTESTED = "vnd.docker.reference.digest"
"""Annotation by which BuildKit says which manifest of an index another one speaks of."""
_OF_THE_ENCODING = ("containerd.io/snapshot/stargz/", "io.containers.estargz.", "io.github.containers.zstd-chunked.")
"""Beginnings of annotations that tell where in a blob something is."""
_DOCKER_LAYER = {media.OCI_LAYER_GZIP: media.DOCKER_LAYER_GZIP}


def recompress(  # noqa: PLR0913 - each is one thing that callers vary
    root: Descriptor,
    source: BlobSource,
    sink: BlobSink,
    encoding: Encoding,
    *,
    threads: int = 1,
    left_out: Callable[[Descriptor], None] = lambda _: None,
    moving: Moving = unheard,
) -> Descriptor:
    """Compress the layers of an image again, and store it.

    Args:
        root: its manifest or index; what is neither, or no image, is copied unchanged.
        source: where it is.
        sink: where the new one goes.
        encoding: of every layer; non-distributable layers stay unchanged.
        threads: how many compress at a time; no influence on the bytes.
        left_out: called for each manifest that refers to a changed one.
        moving: hears how much of each layer is read.

    Returns:
        The new root; the old one's platform and annotations stand in it.

    Raises:
        InvalidDocument, InvalidArchive: a document or a layer is not what its media type says.
        BlobMissing, DigestMismatch, SizeMismatch: of the source; a layer's diff id is checked, too.

    Cost: each layer is read, decoded and encoded once, in bounded memory.
    """
    return _Recompression(source, sink, encoding, threads, left_out, moving).renewed(root)


@dataclass
class _Recompression:
    source: BlobSource
    sink: BlobSink
    encoding: Encoding
    threads: int
    left_out: Callable[[Descriptor], None]
    moving: Moving
    layers: dict[tuple[Digest, Digest], Descriptor] = field(default_factory=dict)
    """What layers became; platforms of an image often share some."""

    def renewed(self, blob: Descriptor) -> Descriptor:
        if blob.media_type in media.INDEXES:
            return self._index(blob, Index.parse(read_whole(self.source, blob), str(blob.digest)))
        if blob.media_type in media.MANIFESTS:
            manifest = Manifest.parse(read_whole(self.source, blob), str(blob.digest))
            if _is_image(manifest):
                return self._manifest(blob, manifest)
        copy(blob, self.source, self.sink)
        return blob

    def _index(self, blob: Descriptor, index: Index) -> Descriptor:
        children = tuple(self.renewed(child) for child in self._kept(index))
        ours = {media.OCI_INDEX, media.OCI_MANIFEST}
        kind = media.OCI_INDEX if any(child.media_type in ours for child in children) else blob.media_type
        new = msgspec.structs.replace(index, media_type=kind, manifests=children)
        return self._in_place_of(blob, kind, new.encoded())

    def _kept(self, index: Index) -> Iterator[Descriptor]:
        here = {str(child.digest) for child in index.manifests}
        for child in index.manifests:
            if child.annotations.get(_ATTESTED) in here or self._has_subject(child, here):
                self.left_out(child)
            else:
                yield child

    def _has_subject(self, child: Descriptor, here: set[str]) -> bool:
        if child.media_type not in media.MANIFESTS:
            return False
        subject = Manifest.parse(read_whole(self.source, child), str(child.digest)).subject
        return subject is not None and subject.digest in here

    def _manifest(self, blob: Descriptor, manifest: Manifest) -> Descriptor:
        config = ImageConfig.parse(read_whole(self.source, manifest.config), str(manifest.config.digest))
        image = Image.of(blob, manifest, config)
        copy(manifest.config, self.source, self.sink)
        layers = tuple(map(self._layer, manifest.stack, image.config.diff_ids))
        docker = blob.media_type == media.DOCKER_MANIFEST and self.encoding.algorithm == "gzip"
        kind = blob.media_type if docker else media.OCI_MANIFEST
        new = msgspec.structs.replace(
            manifest,
            media_type=kind,
            config=manifest.config if docker else msgspec.structs.replace(manifest.config, media_type=media.OCI_CONFIG),
            layers=tuple(map(_as_docker if docker else as_oci, layers)),
        )
        return self._in_place_of(blob, kind, new.encoded())

    def _layer(self, layer: Descriptor, diff_id: Digest) -> Descriptor:
        if _may_not_be_distributed(layer):
            with suppress(NotFound):  # it may be available from its URLs only
                copy(layer, self.source, self.sink)
            return layer
        key = layer.digest, diff_id
        if key not in self.layers:
            with self.moving(f"compress layer {layer.digest.short}") as moved:
                stream = open_layer(CountedSource(self.source, moved), layer, diff_id)
                tar = iter(partial(stream.read, CHUNK), b"")
                self.layers[key] = encode(tar, self.encoding, self.sink, threads=self.threads)
        kept = {
            name: value for name, value in layer.annotations.items() if not name.startswith(_OF_THE_ENCODING)
        }  # what else is said of a layer is said of its files
        return msgspec.structs.replace(self.layers[key], annotations=kept)

    def _in_place_of(self, old: Descriptor, media_type: str, document: bytes) -> Descriptor:
        new = write_document(self.sink, media_type, document)
        return msgspec.structs.replace(
            new, annotations=old.annotations, platform=old.platform, artifact_type=old.artifact_type
        )


def _is_image(manifest: Manifest) -> bool:
    return manifest.config.media_type in media.CONFIGS and all(
        layer.media_type in media.COMPRESSION_OF_LAYER for layer in manifest.stack
    )


def _may_not_be_distributed(layer: Descriptor) -> bool:
    return ".nondistributable." in layer.media_type or ".foreign." in layer.media_type


def _as_docker(layer: Descriptor) -> Descriptor:
    return msgspec.structs.replace(layer, media_type=_DOCKER_LAYER.get(layer.media_type, layer.media_type))
