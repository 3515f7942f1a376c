"""A store in a dict: for tests, ours and users'."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch, SizeMismatch
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import CHUNK


class MemoryStore:
    """Blobs by digest; keeps every promise of `store/contract.py`."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks."""
        if blob.digest not in self.blobs:
            raise BlobMissing(str(blob.digest), "memory")
        stored = self.blobs[blob.digest]
        if len(stored) != blob.size:
            raise SizeMismatch(str(blob.digest), expected=blob.size, actual=len(stored))
        for start in range(offset, len(stored), CHUNK):
            yield stored[start : start + CHUNK]

    def has(self, blob: Descriptor) -> bool:
        """Report whether the blob is here."""
        return len(self.blobs.get(blob.digest, b"")) == blob.size and blob.digest in self.blobs

    def write(self, blob: Descriptor, chunks: Iterable[bytes]) -> None:
        """Store the blob whole or not at all."""
        if self.has(blob):
            return
        state = blob.digest.hasher()
        received = bytearray()
        for chunk in chunks:
            received += chunk
            if len(received) > blob.size:
                break
        if len(received) != blob.size:
            raise SizeMismatch(str(blob.digest), expected=blob.size, actual=len(received))
        state.update(received)
        if (actual := Digest.from_hash(state)) != blob.digest:
            raise DigestMismatch(str(blob.digest), expected=blob.digest, actual=actual)
        self.blobs[blob.digest] = bytes(received)

    @contextmanager
    def draft(self) -> "Iterator[MemoryBlobWriter]":
        """Open a blob that is still being made."""
        yield MemoryBlobWriter(self)


class MemoryBlobWriter:
    """A blob being made in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._buffer = io.BytesIO()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self._buffer.write(chunk)

    def commit(self, media_type: str) -> Descriptor:
        """Name the bytes by their digest and store them."""
        blob = Descriptor.of(media_type, self._buffer.getvalue())
        self._store.blobs[blob.digest] = self._buffer.getvalue()
        return blob
