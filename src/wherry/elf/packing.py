"""A packed program: a stub that unpacks a compressed copy of the program to where it was linked, and jumps there.

The stub (`lab/stubs/pack.c`) is an ELF file of one segment with a header to be filled in; the payload follows it.

Sources: elf(5); LZMA specification (7-Zip, lzma-specification.txt), the form of .lzma files.
"""

import lzma
import struct
from dataclasses import dataclass
from itertools import pairwise

from wherry.errors import InvalidDocument, InvalidUsage

MAGIC = b"wherryP1"
MACHINES = {62: "amd64", 183: "arm64"}
"""Architectures that there is a stub for, by the number of their machine."""
_HEADER = struct.Struct("<8s7Q")
_SEGMENT = struct.Struct("<3Q")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_MOST_SEGMENTS = 8
_LARGEST = 1 << 30
_STUB, _STUB_END = 0x70000000, 0x80000000
_PAGES = {62: 1 << 12, 183: 1 << 16}
_LOAD, _INTERPRETER, _DYNAMIC = 1, 3, 2
_EXECUTABLE = 2
_ALONE = 13
"""Bytes of the header of a .lzma file."""
_FILTERS = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]


@dataclass(frozen=True, slots=True)
class _Load:
    offset: int
    address: int
    stored: int
    memory: int
    protection: int


@dataclass(frozen=True, slots=True)
class PackableProgram:
    """A program that can be packed: 64 bits, little-endian, linked to one place, with no dynamic linker."""

    machine: int
    entry: int
    loads: tuple[_Load, ...]

    @property
    def base(self) -> int:
        """The first address."""
        return self.loads[0].address & -self.page

    @property
    def page(self) -> int:
        """Bytes of a page, the largest that its machine may have."""
        return _PAGES[self.machine]

    @property
    def size(self) -> int:
        """Bytes from the first address to the last that is stored."""
        return max(load.address + load.stored for load in self.loads) - self.base

    @property
    def memory(self) -> int:
        """Bytes in memory, whole pages."""
        return _up(max(load.address + load.memory for load in self.loads) - self.base, self.page)

    @classmethod
    def of(cls, program: bytes, name: str) -> "PackableProgram":
        """Read a program.

        Raises:
            InvalidDocument: it is no ELF file of 64 bits, or damaged.
            InvalidUsage: it can't be packed; the message says why.
        """
        if program[:7] != b"\x7fELF\x02\x01\x01" or len(program) < 64:  # noqa: PLR2004 - the header's size
            raise InvalidDocument(name, "not a little-endian ELF program of 64 bits", hint="give a Linux program")
        kind, machine = struct.unpack_from("<HH", program, 16)
        (entry, table) = struct.unpack_from("<QQ", program, 24)
        size, count = struct.unpack_from("<HH", program, 54)
        if machine not in MACHINES:
            raise InvalidUsage(f"{name}: no stub for machine {machine}", hint="only amd64 and arm64 are packed")
        if size != _PROGRAM.size or table + count * size > len(program):
            raise InvalidDocument(name, "damaged program headers", hint="build it again")
        rows = [_PROGRAM.unpack_from(program, table + at * size) for at in range(count)]
        if kind != _EXECUTABLE or any(row[0] in {_INTERPRETER, _DYNAMIC} for row in rows):
            raise InvalidUsage(
                f"{name}: dynamically linked or position-independent",
                hint="build it with CGO_ENABLED=0 and no -buildmode=pie",
            )
        found = cls(machine, entry, tuple(_load(row) for row in rows if row[0] == _LOAD and row[6]))
        found._check(name, program)
        return found

    def segments(self) -> list[tuple[int, int, int]]:
        """Give address, size and protection of each segment, in whole pages."""
        return [
            (start := load.address & -self.page, _up(load.address + load.memory, self.page) - start, load.protection)
            for load in self.loads
        ]

    def image(self, program: bytes) -> bytes:
        """Lay it out as in memory."""
        out = bytearray(self.size)
        for load in self.loads:
            at = load.address - self.base
            out[at : at + load.stored] = program[load.offset : load.offset + load.stored]
        return bytes(out)

    def _check(self, name: str, program: bytes) -> None:
        if not self.loads or len(self.loads) > _MOST_SEGMENTS or self.loads[0].offset:
            raise InvalidUsage(f"{name}: its segments are not those of a Go program", hint="leave it unpacked")
        if any(load.offset + load.stored > len(program) or load.stored > load.memory for load in self.loads):
            raise InvalidDocument(name, "a segment is cut short", hint="build it again")
        pieces = sorted(self.segments())
        apart = all(one[0] + one[1] <= other[0] for one, other in pairwise(pieces))
        last = self.base + self.memory
        if not apart or self.base <= 0 or self.memory > _LARGEST or not (last <= _STUB or self.base >= _STUB_END):
            raise InvalidUsage(f"{name}: it is linked to where the stub is, or is too large", hint="leave it unpacked")
        if not self.base <= self.entry < last:
            raise InvalidDocument(name, "its entry is outside its segments", hint="build it again")


def packed_program(program: bytes, stub: bytes, name: str) -> bytes:
    """Pack a program.

    Args:
        program: an ELF file.
        stub: the start for its machine.
        name: what the reader knows the program by.

    Raises:
        InvalidDocument, InvalidUsage: as `PackableProgram.of`.

    Cost: about a second of processor time for a megabyte.
    """
    found = PackableProgram.of(program, name)
    image = found.image(program)
    payload = lzma.compress(image, format=lzma.FORMAT_ALONE, filters=_FILTERS)
    start = bytearray(stub) + bytes(-len(stub) % 16)
    at = start.find(MAGIC)
    if at < 0:
        raise InvalidDocument("the stub", "has no header", hint="install wherry again")
    segments = found.segments()
    _HEADER.pack_into(
        start, at, MAGIC, len(start), len(payload), found.base, len(image), found.memory, found.entry, len(segments)
    )
    for place, segment in enumerate(segments):
        _SEGMENT.pack_into(start, at + _HEADER.size + place * _SEGMENT.size, *segment)
    whole = len(start) + len(payload)
    (table,) = struct.unpack_from("<Q", start, 32)
    struct.pack_into("<QQ", start, table + 32, whole, whole)  # the first segment holds the payload, too
    struct.pack_into("<Q", start, 40, 0)
    struct.pack_into("<HHH", start, 58, 0, 0, 0)  # sections, which the stub has none of
    return bytes(start) + payload


def unpacked_image(packed: bytes, name: str) -> bytes:
    """Unpack what `packed_program` made, as the stub does; the program as it is laid out in memory.

    Raises:
        InvalidDocument: it is none, or damaged.
    """
    at = packed.find(MAGIC, 0, 1 << 16)
    if at < 0 or at + _HEADER.size > len(packed):
        raise InvalidDocument(name, "not packed by wherry", hint="give a program that `wherry pack` wrote")
    _, start, length, _, size, *_ = _HEADER.unpack_from(packed, at)
    if size > _LARGEST or start + length != len(packed):
        raise InvalidDocument(name, "damaged", hint="pack it again")
    try:
        image = lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(packed[start:], size + 1)
    except lzma.LZMAError as error:
        raise InvalidDocument(name, f"damaged: {error}", hint="pack it again") from error
    if len(image) != size:
        raise InvalidDocument(name, "damaged", hint="pack it again")
    return image


def _load(row: tuple[int, ...]) -> _Load:
    flags = row[1]
    return _Load(row[2], row[3], row[5], row[6], (flags & 4) >> 2 | flags & 2 | (flags & 1) << 2)


def _up(size: int, page: int) -> int:
    return (size + page - 1) & -page
