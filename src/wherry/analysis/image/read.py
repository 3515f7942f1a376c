"""A layer's blob to its index, in one pass and bounded memory: names, sizes, digests, and what each entry costs.

Sources: OCI image-spec v1.1.1, layer.md; System V ABI, gABI 4.1, "Sections" (flags and types).
"""

import hashlib
import struct
from contextlib import closing
from itertools import count

from wherry.analysis.image.index import FILE, OPAQUE, WHITEOUT, IndexBuilder, LayerIndex, Row
from wherry.digest import Digest
from wherry.layer.changes import hidden_by, is_bookkeeping
from wherry.layer.decompress import MeteredLayer
from wherry.layer.entry import Entry, encode_path
from wherry.layer.header import BLOCK, InvalidArchive, PlainHeader
from wherry.layer.tar import CHUNK, TarBody, plain_entry, read_headers
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import BlobSource

_NONE = bytes(32)
_NAMES = 1 << 28
"""Bytes of all names of a layer that are kept; 200,000 files have 15 MB."""
_ELF = b"\x7fELF"
_ELF_HEADER = 64
_LARGEST_TABLE = 1 << 20
_PROGBITS, _SYMTAB, _STRTAB = 1, 2, 3
_ALLOC = 2
_LEAST = 4096
"""Bytes of a section that is not loaded, below which it is not a table for debuggers (`.comment` has 40)."""


def read_index(source: BlobSource, blob: Descriptor, diff_id: Digest, *, ahead: bool = False) -> LayerIndex:
    """Read a layer through; `ahead` has another thread decompress it.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive, InvalidDocument: it is not what the image says.

    Cost: one pass; memory for the index, about 100 bytes an entry.
    """
    with closing(MeteredLayer(source, blob, diff_id, ahead=ahead)) as stream:
        return _read(stream, blob, diff_id)


def _read(stream: MeteredLayer, blob: Descriptor, diff_id: Digest) -> LayerIndex:
    name = f"layer {blob.digest}"
    made = IndexBuilder()
    bodies = end = pulled = 0
    for found, body in read_headers(stream, name, sparse=True):
        held = body.left
        start, end = end, stream.given + held + -held % BLOCK
        real = found.size if isinstance(found, Entry) and found.held >= 0 else -1
        digest, debug = _read_body(body, real) if held or real >= 0 else (_NONE, 0)
        before, pulled = pulled, stream.pulled
        row = _row(found, name, digest, end - start, pulled - before)
        if row is not None:
            made.add(row, debug)
            bodies += held
        if len(made.paths) + len(made.targets) > _NAMES:
            raise InvalidArchive(name, f"names of more than {_NAMES} bytes", hint="do not trust where it came from")
    return made.built(blob, str(diff_id), stream.given, bodies)


def _row(found: PlainHeader | Entry, name: str, digest: bytes, stored: int, pulled: int) -> Row | None:
    """Make a row of a header or an entry; None of what means nothing."""
    if not isinstance(found, Entry):
        flag, path_, mode, uid, gid, size, mtime = found
        if b".wh." not in path_:
            kind = flag[0]
            return Row(path_, kind, size if kind == FILE else 0, stored, pulled, mode, uid, gid, mtime, digest)
        found = plain_entry(found)
    kind, path, entry = found.kind.value[0], found.path, found
    if ".wh." in path:
        if is_bookkeeping(entry):
            return None
        if hidden := hidden_by(entry, name):
            kind, path = (WHITEOUT if hidden.whole else OPAQUE), hidden.path
    return Row(
        encode_path(path),
        kind,
        entry.size if kind == FILE else 0,
        stored,
        pulled,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime,
        digest,
        encode_path(entry.target) if entry.target else b"",
    )


def _read_body(body: TarBody, real: int) -> tuple[bytes, int]:
    """Hash a file's content; of an ELF file, count the bytes that are for debuggers.

    Args:
        body: what the tar has of it.
        real: bytes of a file stored sparse; -1 of all others.
    """
    chunk = body.read(CHUNK)
    if not body.left and real < 0 and chunk[: len(_ELF)] != _ELF:
        return hashlib.sha256(chunk).digest(), 0
    state = hashlib.sha256(f"sparse {real} ".encode() if real >= 0 else b"")
    sections = _SectionTable() if chunk[: len(_ELF)] == _ELF and real < 0 else None
    while chunk:
        state.update(chunk)
        if sections:
            sections.feed(chunk)
        chunk = body.read(CHUNK) if body.left else b""
    return state.digest(), sections.debug_bytes() if sections else 0


class _SectionTable:
    """The section headers of an ELF file that goes by as a stream."""

    def __init__(self) -> None:
        self._start = b""
        self._at = 0
        self._table = bytearray()
        self._place: tuple[int, int] | None = None
        self._order = "<"
        self._wide = True
        self._names = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        if len(self._start) < _ELF_HEADER:
            self._start += chunk[: _ELF_HEADER - len(self._start)]
            if len(self._start) == _ELF_HEADER:
                self._place = self._header()
        if self._place:
            start, size = self._place
            low = max(start + len(self._table) - self._at, 0)
            self._table += chunk[low : max(start + size - self._at, 0)]
        self._at += len(chunk)

    def debug_bytes(self) -> int:
        """Add up symbol tables and what else is not loaded; 0 where the table is not whole or makes no sense."""
        if not self._place or len(self._table) != self._place[1]:
            return 0
        layout = struct.Struct(self._order + ("IIQQQQIIQQ" if self._wide else "10I"))
        found = 0
        rows = (layout.unpack_from(self._table, at) for at in range(0, len(self._table), layout.size))
        for number, (_, type_, flags, _, _, size, *_) in zip(count(), rows, strict=False):
            if flags & _ALLOC or number == self._names:
                continue
            if type_ in {_SYMTAB, _STRTAB} or (type_ == _PROGBITS and size >= _LEAST):
                found += size
        return found if found <= self._at else 0

    def _header(self) -> tuple[int, int] | None:
        """Read where the table is."""
        self._wide, self._order = self._start[4] == 2, ">" if self._start[5] == 2 else "<"  # noqa: PLR2004 - ELFCLASS64, ELFDATA2MSB
        kind = struct.unpack_from(f"{self._order}H", self._start, 16)[0]
        offset = struct.unpack_from(
            f"{self._order}{'Q' if self._wide else 'I'}", self._start, 40 if self._wide else 32
        )[0]
        each, number, self._names = struct.unpack_from(f"{self._order}3H", self._start, 58 if self._wide else 46)
        right = each == (64 if self._wide else 40)
        # Executables and shared objects (ET_EXEC, ET_DYN): a relocatable one needs its symbols.
        if kind not in {2, 3} or not right or offset < _ELF_HEADER or each * number > _LARGEST_TABLE:
            return None
        return offset, each * number
