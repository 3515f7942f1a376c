"""Indexes of layers, kept in the cache by the blob's digest: a layer is read once, whichever images share it."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.analysis.image.index import FORMAT, LayerIndex
from wherry.digest import Digest
from wherry.errors import CannotWrite, DigestMismatch, InvalidDocument, NotPermitted
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.store.contract import BlobSource
from wherry.store.files import read_regular, replacing

FOLDER = "layers"
"""Below the cache: a file a layer."""
_LARGEST = 1 << 30
_READERS = 2
"""Layers read side by side: one waits for the network or the disk while another is decompressed."""


@dataclass(frozen=True, slots=True)
class LayerIndexes:
    """The indexes that a cache folder keeps."""

    cache: Path

    def of_image(self, source: BlobSource, image: Image) -> tuple[LayerIndex, ...]:
        """Give the index of each layer, base first; only those that are not kept are read.

        Raises:
            BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive, InvalidDocument: a layer is not what the image
                says.
        """
        pairs = tuple(zip(image.manifest.stack, image.config.diff_ids, strict=True))
        found = self._side_by_side(source, {blob.digest: (blob, diff_id) for blob, diff_id in pairs})
        for blob, diff_id in pairs:
            if (actual := found[blob.digest].diff_id) != diff_id:
                raise DigestMismatch(f"layer {blob.digest} after decompression", expected=diff_id, actual=actual)
        return tuple(found[blob.digest] for blob, _ in pairs)

    def _side_by_side(
        self, source: BlobSource, wanted: Mapping[Digest, tuple[Descriptor, Digest]]
    ) -> dict[Digest, LayerIndex]:
        found = {digest: index for digest in wanted if (index := self._kept(digest)) is not None}
        unread = {digest: pair for digest, pair in wanted.items() if digest not in found}
        if len(unread) < _READERS:
            return found | {digest: self._read(source, *pair) for digest, pair in unread.items()}
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_READERS) as readers:
            futures = {digest: readers.submit(self._read, source, *pair) for digest, pair in unread.items()}
            try:
                return found | {digest: future.result() for digest, future in futures.items()}
            finally:
                for future in futures.values():
                    future.cancel()

    def _read(self, source: BlobSource, blob: Descriptor, diff_id: Digest) -> LayerIndex:
        """Read a layer and keep its index; a cache that cannot be written is not an error."""
        from wherry.analysis.image.read import read_index

        index = read_index(source, blob, diff_id)
        path = self._path(blob.digest)
        with suppress(CannotWrite, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(index.encoded())
        return index

    def _path(self, blob: Digest) -> Path:
        return self.cache / FOLDER / f"{str(blob).replace(':', '-')}-{FORMAT}.index"

    def _kept(self, blob: Digest) -> LayerIndex | None:
        """Give the index that is kept of a layer; its diff id may be another than an image says."""
        path = self._path(blob)
        try:
            kept = read_regular(path, _LARGEST)
        except (InvalidDocument, NotPermitted, OSError):
            return None
        index = LayerIndex.decode(kept, str(blob)) if kept else None
        if index is not None:
            with suppress(OSError):
                os.utime(path)
        return index


def forget_indexes(cache: Path, before: float) -> None:
    """Delete those that were not asked for since a time (seconds since the epoch)."""
    for path in (cache / FOLDER).glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
