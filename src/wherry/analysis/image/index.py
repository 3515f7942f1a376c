"""The index of a layer: what its tar holds, entry by entry, in columns; small enough to keep by the blob's digest.

A layer of 200,000 files takes about 20 MB here, where a value an entry would take 200. Positions of entries are rows.

Sources: OCI image-spec v1.1.1, layer.md "Whiteouts"; POSIX.1-2017, pax, "ustar Interchange Format".
"""

import hashlib
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from wherry.oci.descriptor import Descriptor

FORMAT = 2
"""Raised when an index holds something else, so that none from before is taken."""

FILE, HARDLINK, SYMLINK, CHAR, BLOCK, FOLDER, FIFO = b"0123456"
WHITEOUT, OPAQUE = b"wo"
"""Kinds of rows, by their type flag in a tar; whiteouts have the path that they hide, opaque ones their folder's."""

DIGEST = 32
"""Bytes of a SHA-256."""
_NONE = bytes(DIGEST)
_CHECK = 16
_LEVEL = 3
_PIECE = 1 << 18


class Row(NamedTuple):
    """One entry of a layer."""

    path: bytes
    """As `Entry.path`: relative, without `.` or `..`; empty is the root."""
    kind: int
    """`FILE` and its kin."""
    size: int = 0
    """Bytes of a file, holes counted."""
    stored: int = 0
    """Its bytes in the tar, headers and padding counted."""
    pulled: int = 0
    """Its bytes in the blob, as compressed."""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Seconds since the epoch."""
    digest: bytes = _NONE
    """SHA-256 of a file's content; of one stored sparse, of its map and its data."""
    target: bytes = b""
    """Of a symbolic link: as written; of a hard link: a path like `path`."""


@dataclass(frozen=True, slots=True)
class LayerIndex:
    """All entries of a layer, a column a field, in the order of the tar."""

    blob: str
    """Digest of the blob."""
    diff_id: str
    """Digest of the tar, which was checked."""
    blob_size: int
    tar_size: int
    """Bytes after decompression."""
    bodies: int
    """Bytes of files in the tar; the rest are headers, padding and the end."""
    kinds: bytes
    paths: bytes
    """One after the other, each followed by a zero byte."""
    targets: bytes
    """The same of links; empty for all else."""
    digests: bytes
    numbers: "tuple[array[int], ...]"
    """See `column`."""
    debug: dict[int, int] = field(default_factory=dict)
    """Bytes of an ELF file that no run needs (symbol and debug tables), by row."""

    def __len__(self) -> int:
        return len(self.kinds)

    def column(self, number: int) -> "array[int]":
        """Give numbers by row: 0 sizes, 1 stored, 2 pulled, 3 modes, 4 uids, 5 gids, 6 mtimes."""
        return self.numbers[number]

    def each_path(self) -> Iterator[bytes]:
        """Give the paths, row by row, without a list of all."""
        return _each(self.paths)

    def each_target(self) -> Iterator[bytes]:
        """Give the targets of links, row by row."""
        return _each(self.targets)

    def digest_of(self, row: int) -> bytes:
        """Give the SHA-256 of a file's content."""
        return self.digests[row * DIGEST : (row + 1) * DIGEST]

    def rows(self) -> Iterator[Row]:
        """Give every entry."""
        columns = [self.column(number) for number in range(_NUMBERS)]
        pairs = zip(self.each_path(), self.each_target(), strict=True)
        for place, (path, target) in enumerate(pairs):
            sizes, stored, pulled, modes, uids, gids, mtimes = (column[place] for column in columns)
            yield Row(
                path, self.kinds[place], sizes, stored, pulled, modes, uids, gids, mtimes, self.digest_of(place), target
            )

    def encoded(self) -> Iterator[bytes]:
        """Give the index as bytes that are kept: compressed, and a check at the end."""
        import zstandard

        packer, state = zstandard.ZstdCompressor(level=_LEVEL).compressobj(), hashlib.blake2b(digest_size=_CHECK)
        texts = (self.kinds, self.paths, self.targets, self.digests)
        forms = [(column.typecode, len(column) * column.itemsize) for column in self.numbers]
        facts = (self.blob, self.diff_id, self.blob_size, self.tar_size, self.bodies)
        head = msgspec.msgpack.encode(
            _Head(sys.byteorder, facts, tuple(len(text) for text in texts), tuple(forms), self.debug)
        )
        for part in (len(head).to_bytes(8, "big"), head, *texts, *(column.tobytes() for column in self.numbers)):
            packed = packer.compress(part)
            state.update(packed)
            yield packed
        packed = packer.flush()
        state.update(packed)
        yield packed + state.digest()

    @classmethod
    def decode(cls, kept: bytes, blob: str) -> "LayerIndex | None":
        """Read a kept index; None where it is damaged, or of another blob."""
        import zstandard

        packed = memoryview(kept)[:-_CHECK]
        if hashlib.blake2b(packed, digest_size=_CHECK).digest() != kept[-_CHECK:]:
            return None
        try:
            with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
                head = msgspec.msgpack.decode(reader.read(int.from_bytes(reader.read(8), "big")), type=_Head)
                if head.byteorder != sys.byteorder or head.facts[0] != blob:
                    return None
                texts = [reader.read(size) for size in head.texts]
                numbers = tuple(_column(code, reader.read(size)) for code, size in head.numbers)
        except (zstandard.ZstdError, msgspec.DecodeError, ValueError):
            return None
        kinds, paths, targets, digests = texts
        return cls(*head.facts, kinds, paths, targets, digests, numbers, head.debug)


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What comes before the columns of an index that is kept."""

    byteorder: str
    facts: tuple[str, str, int, int, int]
    texts: tuple[int, ...]
    """Bytes of each."""
    numbers: tuple[tuple[str, int], ...]
    """Type code and bytes of each."""
    debug: dict[int, int]


def _column(code: str, kept: bytes) -> "array[int]":
    found = array(code)
    found.frombytes(kept)
    return found


def _narrow(column: "array[int]") -> "array[int]":
    """Give a column in the least bytes that hold its numbers."""
    least, most = min(column, default=0), max(column, default=0)
    code = next((code for code in "BHI" if most < 1 << 8 * array(code).itemsize), "q") if least >= 0 else "q"
    return array(code, column) if code != "q" else column


_NUMBERS = 7


@dataclass(slots=True)
class IndexBuilder:
    """Rows as they come, to an index."""

    kinds: bytearray = field(default_factory=bytearray)
    paths: bytearray = field(default_factory=bytearray)
    targets: bytearray = field(default_factory=bytearray)
    digests: bytearray = field(default_factory=bytearray)
    columns: "tuple[array[int], ...]" = field(default_factory=lambda: tuple(array("q") for _ in range(_NUMBERS)))
    debug: dict[int, int] = field(default_factory=dict)

    def add(self, row: Row, debug: int = 0) -> None:
        """Append an entry; `debug` as `LayerIndex.debug`."""
        path, kind, size, stored, pulled, mode, uid, gid, mtime, digest, target = row
        if debug:
            self.debug[len(self.kinds)] = debug
        self.kinds.append(kind)
        self.paths += path + b"\0"
        self.targets += target + b"\0"
        self.digests += digest
        sizes, storeds, pulleds, modes, uids, gids, mtimes = self.columns
        sizes.append(size)
        storeds.append(stored)
        pulleds.append(pulled)
        modes.append(mode)
        uids.append(uid)
        gids.append(gid)
        mtimes.append(mtime)

    def built(self, blob: Descriptor, diff_id: str, tar_size: int, bodies: int) -> LayerIndex:
        """Give the index; this is empty afterwards."""
        numbers = tuple(map(_narrow, self.columns))
        return LayerIndex(
            blob=str(blob.digest),
            diff_id=diff_id,
            blob_size=blob.size,
            tar_size=tar_size,
            bodies=bodies,
            kinds=_taken(self.kinds),
            paths=_taken(self.paths),
            targets=_taken(self.targets),
            digests=_taken(self.digests),
            numbers=numbers,
            debug=self.debug,
        )


def _taken(text: bytearray) -> bytes:
    """Take what was collected, so that it is not there twice."""
    taken = bytes(text)
    text.clear()
    return taken


def _each(joined: bytes) -> Iterator[bytes]:
    """Split in pieces, so that a million names are not there at a time."""
    start = 0
    while start < len(joined):
        end = joined.find(b"\0", min(start + _PIECE, len(joined) - 1))
        yield from joined[start:end].split(b"\0")
        start = end + 1
