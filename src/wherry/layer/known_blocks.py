"""Blocks of an earlier layer, taken again where their input is the same: compression is a function of its input.

`compress.py` makes each block by itself. A record says what the blocks of a layer were made of and with which encoder;
a block is taken from that layer's blob only where the hash of its input is the one recorded, and the hash of its bytes
too. So the digest is the one of a build without a record.
"""

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from wherry.errors import WherryError
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import BlobSource
from wherry.typed import from_msgpack

_HASH = 16
"""Bytes of a SHA-256 that are kept."""


class PackedBlock(msgspec.Struct, frozen=True, array_like=True):
    """A block of a layer."""

    source: bytes
    """Hash of what it was made of."""
    size: int
    """Bytes of the blob that it takes."""
    content: bytes
    """Hash of those bytes."""


class PackedBlocks(msgspec.Struct, frozen=True, array_like=True):
    """The blocks of a layer, in order; the last one ends the stream, and is not among them."""

    encoder: str
    first: int
    """Where the first begins in the blob."""
    blocks: tuple[PackedBlock, ...]


class KnownBlocks:
    """What is known of an earlier layer, and what becomes known of the one that is being packed."""

    def __init__(self, source: BlobSource, record: bytes = b"", blob: Descriptor | None = None) -> None:
        """Take what was kept of an earlier layer.

        Args:
            source: where that layer is read.
            record: what `record` gave; one that is damaged or of another encoder counts for nothing.
            blob: the earlier layer; None: nothing is known.
        """
        self._source, self._record, self._blob = source, record, blob
        self._encoder, self._first = "", 0
        self._places: dict[bytes, tuple[int, PackedBlock]] = {}
        self._made: list[PackedBlock] = []

    def begin(self, encoder: str, first: int) -> None:
        """Begin a layer.

        Args:
            encoder: all that decides the compressed bytes.
            first: where its first block begins in the blob.
        """
        self._encoder, self._first = encoder, first
        self._places = dict(_places(self._record, encoder)) if self._blob is not None and self._record else {}

    @property
    def record(self) -> bytes:
        """What to keep, once the layer is packed; empty where it has no such blocks."""
        if not self._made:
            return b""
        return msgspec.msgpack.encode(PackedBlocks(self._encoder, self._first, tuple(self._made)))

    def deflated(self, block: bytes, deflate: Callable[[bytes], bytes]) -> tuple[PackedBlock, bytes]:
        """Give a block's compressed bytes; may be called by several threads at a time."""
        source = _hash(block)
        known = self._places.get(source)
        if known is not None and (content := self._read(*known)) is not None:
            return known[1], content
        content = deflate(block)
        return PackedBlock(source, len(content), _hash(content)), content

    def made(self, block: PackedBlock) -> None:
        """Hear of the next block of the new layer, in order."""
        self._made.append(block)

    def _read(self, offset: int, block: PackedBlock) -> bytes | None:
        if self._blob is None:
            return None
        content = b""
        try:
            for chunk in self._source.read(self._blob, offset):
                content += chunk[: block.size - len(content)]
                if len(content) == block.size:
                    break
        except WherryError:  # it was deleted meanwhile
            return None
        return content if _hash(content) == block.content else None


def _places(record: bytes, encoder: str) -> Iterator[tuple[bytes, tuple[int, PackedBlock]]]:
    try:
        known = from_msgpack(record, PackedBlocks)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if known.encoder != encoder or known.first < 0 or any(block.size < 0 for block in known.blocks):
        return
    offset = known.first
    for block in known.blocks:
        yield block.source, (offset, block)
        offset += block.size


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_HASH]
