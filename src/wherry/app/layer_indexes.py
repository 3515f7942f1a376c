"""Indexes of layers, kept in the cache by the blob's digest: a layer is read once, whichever images share it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Self

from wherry.analysis.image.index import FORMAT, LayerIndex
from wherry.app.cancel import CancellableSource
from wherry.app.session import Session
from wherry.digest import Digest
from wherry.errors import Cancelled, CannotWrite, DigestMismatch, InvalidDocument, NotPermitted
from wherry.host.beside import beside
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.store.contract import BlobSource, LocalSource
from wherry.store.files import read_regular, replacing

FOLDER = "layers"
"""Below the cache: a file a layer."""
_LARGEST = 1 << 30
_READERS = 2
"""Layers read side by side: one waits for the network or the disk while another is decompressed."""
_WORTH = 4 << 20
"""Bytes of layers from which on a second process costs less than it saves: it is forked in some milliseconds."""
_MUCH_LONGER = 2
"""How many times the other's bytes a process has to have, so that a thread that decompresses ahead helps it."""
Pair = tuple[Descriptor, Digest]
"""A layer's blob and diff id."""


@dataclass(frozen=True, slots=True)
class LayerIndexes:
    """The indexes that a cache folder keeps."""

    cache: Path
    may_fork: bool = False
    """Whether this process may be forked to read side by side; else threads do."""

    @classmethod
    def of(cls, session: Session) -> Self:
        """Give those of a session's cache."""
        return cls(session.cache_folder, session.may_fork)

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

    def _side_by_side(self, source: BlobSource, wanted: Mapping[Digest, Pair]) -> dict[Digest, LayerIndex]:
        found = {digest: index for digest in wanted if (index := self._kept(digest)) is not None}
        unread = sorted(
            (pair for digest, pair in wanted.items() if digest not in found), key=lambda pair: -pair[0].size
        )
        if len(unread) < _READERS:
            return found | {pair[0].digest: self._read(source, *pair, ahead=True) for pair in unread}
        share = _second_share(unread)
        if self.may_fork and _worth_a_process(source, unread):
            with beside(partial(self._read_all, source, share)) or nullcontext() as other:
                if other:
                    mine = [pair for pair in unread if pair not in share]
                    longer = _bytes(mine) > _MUCH_LONGER * _bytes(share)
                    found |= {pair[0].digest: self._read(source, *pair, ahead=longer) for pair in mine}
                    other.wait()
                    kept = {pair[0].digest: self._kept(pair[0].digest) or self._read(source, *pair) for pair in share}
                    return found | kept
        return found | self._in_threads(source, unread)

    def _read_all(self, source: BlobSource, layers: Sequence[Pair], alone: Callable[[], bool]) -> None:
        """Read layers, in a process of its own, into the cache."""
        for pair in layers:
            self._read(CancellableSource(source, partial(_stop_if, alone)), *pair)

    def _in_threads(self, source: BlobSource, unread: Sequence[Pair]) -> dict[Digest, LayerIndex]:
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        stop = Event()
        stoppable = CancellableSource(source, partial(_stop_if, stop.is_set))
        with ThreadPoolExecutor(_READERS) as readers:
            try:
                futures = {pair[0].digest: readers.submit(self._read, stoppable, *pair) for pair in unread}
                ended, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
                return {digest: future.result() for digest, future in futures.items()}
            finally:
                stop.set()

    def _read(self, source: BlobSource, blob: Descriptor, diff_id: Digest, *, ahead: bool = False) -> LayerIndex:
        """Read a layer and keep its index; a cache that cannot be written is not an error."""
        from wherry.analysis.image.read import read_index

        index = read_index(source, blob, diff_id, ahead=ahead)
        path = self._path(blob.digest)
        with suppress(CannotWrite, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                for part in index.encoded():
                    file.write(part)
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


def _stop_if(asked: Callable[[], bool]) -> None:
    """Stop a reader when its layer is not needed any more."""
    if asked():
        raise Cancelled


def _worth_a_process(source: BlobSource, unread: Sequence[Pair]) -> bool:
    """Report whether layers are large enough, and may be read by two processes."""
    large = _bytes(unread) >= _WORTH
    return large and isinstance(source, LocalSource) and all(source.local(blob) for blob, _ in unread)


def _bytes(layers: Sequence[Pair]) -> int:
    return sum(blob.size for blob, _ in layers)


def _second_share(layers: Sequence[Pair]) -> tuple[Pair, ...]:
    """Split layers, the largest first, into two shares of about one size; give the smaller."""
    shares: tuple[list[Pair], list[Pair]] = ([], [])
    sizes = [0, 0]
    for pair in layers:
        least = sizes.index(min(sizes))
        shares[least].append(pair)
        sizes[least] += pair[0].size
    return tuple(shares[sizes.index(min(sizes))])


def forget_indexes(cache: Path, before: float) -> None:
    """Delete those that were not asked for since a time (seconds since the epoch)."""
    for path in (cache / FOLDER).glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
