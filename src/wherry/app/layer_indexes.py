"""Indexes of layers, kept in the cache by the blob's digest: a layer is read once, whichever images share it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.analysis.image.index import FORMAT, LayerIndex
from wherry.analysis.image.read import read_index
from wherry.digest import Digest
from wherry.errors import CannotWrite, DigestMismatch, InvalidDocument, NotPermitted
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.store.contract import BlobSource
from wherry.store.files import read_regular, replacing

FOLDER = "layers"
"""Below the cache: a file a layer."""
_LARGEST = 1 << 30


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
        found: dict[Digest, LayerIndex] = {}
        for blob, diff_id in zip(image.manifest.stack, image.config.diff_ids, strict=True):
            if blob.digest not in found:
                found[blob.digest] = self.of_layer(source, blob, diff_id)
        return tuple(found[blob.digest] for blob in image.manifest.stack)

    def of_layer(self, source: BlobSource, blob: Descriptor, diff_id: Digest) -> LayerIndex:
        """Give the index of a layer; a cache that cannot be written is not an error."""
        path = self.cache / FOLDER / f"{str(blob.digest).replace(':', '-')}-{FORMAT}.index"
        index = self._kept(path, str(blob.digest))
        if index is None:
            index = read_index(source, blob, diff_id)
            with suppress(CannotWrite, OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as file:
                    file.write(index.encoded())
        elif index.diff_id != diff_id:
            raise DigestMismatch(f"layer {blob.digest} after decompression", expected=diff_id, actual=index.diff_id)
        return index

    def _kept(self, path: Path, blob: str) -> LayerIndex | None:
        try:
            kept = read_regular(path, _LARGEST)
        except (InvalidDocument, NotPermitted, OSError):
            return None
        index = LayerIndex.decode(kept, blob) if kept else None
        if index is not None:
            with suppress(OSError):
                os.utime(path)
        return index


def forget_indexes(cache: Path, before: float) -> None:
    """Delete those that were not asked for since a time (seconds since the epoch)."""
    for path in (cache / FOLDER).glob("*.index"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
