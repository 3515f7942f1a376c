"""Blobs that are read until the caller cancels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wherry.oci.descriptor import Descriptor
from wherry.store.contract import BlobSource


@dataclass(frozen=True, slots=True)
class CancellableSource:
    """A source that checks for cancellation at each chunk."""

    source: BlobSource
    checkpoint: Callable[[], None]
    """Raises to stop."""

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks from an offset on.

        Raises:
            Cancelled: the caller asked to stop.
        """
        self.checkpoint()
        for chunk in self.source.read(blob, offset):
            yield chunk
            self.checkpoint()
