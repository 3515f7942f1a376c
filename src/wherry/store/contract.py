"""What every store promises; `store.copy` moves blobs from one to another."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wherry.counted import Moved, passing
from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch, InvalidDocument
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.manifest import Index, Manifest

CHUNK = 1 << 20
"""Bytes read or written at a time."""
DEEPEST = 8
"""Documents between a root and a blob; an index, a manifest and a layer are two."""


class BlobSource(Protocol):
    """Anything blobs are read from: a folder, an archive, a registry, a dict in a test."""

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks from an offset on.

        Read from 0, it ends normally only if size and digest hold; from later on, only if the size does.

        Raises:
            BlobMissing: nothing is stored under this digest.
            DigestMismatch, SizeMismatch: something else is.
        """


@dataclass(frozen=True, slots=True)
class CountedSource:
    """A source that reports how much of a blob was read."""

    source: BlobSource
    moved: Moved

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        return passing(self.source.read(blob, offset), self.moved, blob.size)


@runtime_checkable
class LocalSource(BlobSource, Protocol):
    """One whose blobs are files of this machine."""

    def local(self, blob: Descriptor) -> bool:
        """Report whether a blob can be read without a network, and by a forked process at the same time."""


class BlobWriter(Protocol):
    """A blob on its way in, whose digest is known only at its end."""

    def write(self, chunk: bytes) -> None:
        """Append bytes."""

    def commit(self, media_type: str) -> Descriptor:
        """Name the bytes by their digest and store them; committing what is there already is not an error."""


class BlobSink(Protocol):
    """Anything blobs are written to."""

    def has(self, blob: Descriptor) -> bool:
        """Report whether the blob is here with the right size. A blob's children went in before it."""

    def write(self, blob: Descriptor, chunks: Iterable[bytes]) -> None:
        """Store the blob whole or not at all; writing it twice is not an error.

        Raises:
            DigestMismatch, SizeMismatch: the chunks are not the blob; nothing was stored.
            CannotWrite: no space, or not allowed.
        """

    def draft(self) -> AbstractContextManager[BlobWriter]:
        """Open a blob that is still being made; leaving without `commit` forgets it."""


class BlobStore(BlobSource, BlobSink, Protocol):
    """Both."""


class SoundStore(BlobStore, Protocol):
    """One that can tell what its disk has done to it."""

    def sound(self, blob: Descriptor) -> bool:
        """Report whether the blob is here and is what its name says; one that is not is deleted, to be made again."""

    def sound_image(self, root: Descriptor) -> bool:
        """Tell the same of all that a root points to; what is known to be stored elsewhere counts as sound."""


def verified(blob: Descriptor, chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Pass a blob's chunks on, and end normally only if they hash to its digest.

    Args:
        blob: what they must be.
        chunks: all of them; the reader checks their size.
        name: what the reader knows the blob by.
    """
    state = blob.digest.hasher()
    for chunk in chunks:
        state.update(chunk)
        yield chunk
    if (actual := Digest.from_hash(state)) != blob.digest:
        raise DigestMismatch(name, expected=blob.digest, actual=actual)


def read_whole(source: BlobSource, blob: Descriptor) -> bytes:
    """Read a document: a manifest, an index, a config.

    Raises:
        InvalidDocument: the descriptor promises more than documents may have.
        BlobMissing, DigestMismatch, SizeMismatch: as `BlobSource.read`.
    """
    if blob.size > LARGEST:
        raise InvalidDocument(str(blob.digest), f"{blob.size} bytes; the limit for documents is {LARGEST}")
    return b"".join(source.read(blob))


def write_document(sink: BlobSink, media_type: str, document: bytes) -> Descriptor:
    """Store bytes in memory and describe them."""
    blob = Descriptor.of(media_type, document)
    sink.write(blob, [document])
    return blob


def children(root: Descriptor, source: BlobSource) -> tuple[Descriptor, ...]:
    """Name all that a blob points at directly: nothing for a layer or a config.

    Raises:
        InvalidDocument: it says it is a manifest or an index, and is not.
    """
    if root.media_type in media.INDEXES:
        return Index.parse(read_whole(source, root), str(root.digest)).manifests
    if root.media_type in media.MANIFESTS:
        manifest = Manifest.parse(read_whole(source, root), str(root.digest))
        return (manifest.config, *manifest.stack)
    return ()


def walk(roots: Iterable[Descriptor], source: BlobSource, *, sparse: bool = False) -> Iterator[Descriptor]:
    """Yield every blob that the roots point to, each once, parents before children.

    Args:
        roots: where to start.
        source: what the documents are read from.
        sparse: a document may be missing; its children then are not known.

    Raises:
        InvalidDocument: a document is invalid, or they point at each other more than `DEEPEST` deep.
        BlobMissing, DigestMismatch, SizeMismatch: as `BlobSource.read`, of a document.
    """
    seen: set[tuple[str, str]] = set()
    waiting = [(root, 0) for root in reversed(tuple(roots))]
    while waiting:
        blob, depth = waiting.pop()
        if (blob.digest, blob.media_type) in seen:
            continue
        seen.add((blob.digest, blob.media_type))
        _refuse_depth(blob, depth)
        yield blob
        try:
            below = children(blob, source)
        except BlobMissing:
            if not sparse:
                raise
            continue
        waiting.extend((child, depth + 1) for child in reversed(below))


def _refuse_depth(blob: Descriptor, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidDocument(
            str(blob.digest),
            f"nested more than {DEEPEST} documents deep; images have two or three levels",
            hint="do not trust its origin",
        )
