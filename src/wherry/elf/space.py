"""The address space of an ELF file: what is at which address once it is loaded, and where that is in the file.

Imported late: it needs numpy. Sources: System V gABI, "Relocation", "Program Header"; the processors' supplements
(numbers of the relative relocation).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from wherry.elf.machine import architecture
from wherry.elf.reader import PT_LOAD, SHF_ALLOC, Elf
from wherry.errors import InvalidDocument

SHT_RELA: Final = 4
_RELATIVE = {"amd64": 8, "arm64": 1027, "loong64": 3, "ppc64": 22, "ppc64le": 22, "riscv64": 3, "s390x": 12}
"""R_…_RELATIVE: the word becomes where the file was loaded plus the addend. 386 and arm keep addends in place."""
_PF_W = 2
_MOST_SEGMENTS = 64
"""Loaded segments of one program: Go's linker makes three to five, others up to a dozen."""
_MOST_SECTIONS = 1024
_HIGHEST: Final = 1 << 62
"""Addresses above are of no program, and their sums would not fit 64 bits with a sign."""


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses that follow one another in the file too."""

    address: int
    size: int
    """Bytes that the file has for it."""
    offset: int
    """Where in the file it begins."""
    writable: bool
    content: memoryview
    """As it will be once relocated, at the address the file asks for."""


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """All that is loaded."""

    elf: Elf
    ranges: tuple[Range, ...]
    """By address; they do not overlap in memory."""

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Lay out the loaded segments; where they overlap in memory, the first by address counts.

        Raises:
            InvalidDocument: segments or sections overlap in the file, or there are more than any linker
                makes: walking them would never end.

        Cost: a copy of every segment that the dynamic linker would change.
        """
        _bounded(elf)
        moved = _relative(elf)
        ranges: list[Range] = []
        end = 0
        for segment in sorted((one for one in elf.segments if one.type == PT_LOAD), key=lambda one: one.address):
            skipped = max(0, end - segment.address)
            if segment.stored > skipped:
                start, size = segment.address + skipped, segment.stored - skipped
                offset = segment.offset + skipped
                content = _patched(elf, elf.view[offset : offset + size], start, moved)
                ranges.append(Range(start, size, offset, bool(segment.flags & _PF_W), content))
                end = start + size
        return cls(elf, tuple(ranges))

    def range_at(self, address: int) -> Range | None:
        """Find the range that an address is in."""
        return next((one for one in self.ranges if one.address <= address < one.address + one.size), None)

    def read(self, address: int, size: int) -> memoryview:
        """Give bytes as the program will find them.

        Raises:
            InvalidDocument: the file has none for the address.
        """
        found = self.range_at(address)
        if found is None or size < 0 or address + size > found.address + found.size:
            raise InvalidDocument(self.elf.name, f"{size} bytes at address {address:#x} are in no segment")
        return found.content[address - found.address : address - found.address + size]

    def read_on(self, address: int) -> memoryview:
        """Give bytes to the end of the range; none where the address is in no range."""
        found = self.range_at(address)
        return found.content[address - found.address :] if found else memoryview(b"")

    def words(self, addresses: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """Read a whole number of so many bytes at each address; 0 where the file has none, -1 where it is too large."""
        found = np.zeros(len(addresses), np.int64)
        for one in self.ranges:
            inside = (addresses >= one.address) & (addresses <= one.address + one.size - size)
            octets = np.frombuffer(one.content, dtype=np.uint8)
            places = (addresses[inside] - one.address)[:, None] + np.arange(size)
            values = np.ascontiguousarray(octets[places]).view(f"{self.elf.order}u{size}")[:, 0]
            found[inside] = np.where(values > _HIGHEST, -1, values.astype(np.int64))
        return found

    def offset(self, address: int) -> int | None:
        """Report where in the file an address is; None for one that is only in memory."""
        found = self.range_at(address)
        return found.offset + address - found.address if found else None

    def offsets(self, addresses: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell it of many; -1 for those that are only in memory."""
        found = np.full(len(addresses), -1, dtype=np.int64)
        for one in self.ranges:
            inside = (addresses >= one.address) & (addresses < one.address + one.size)
            found[inside] = addresses[inside] - one.address + one.offset
        return found

    def places_of(self, word: bytes, alignment: int) -> Iterator[int]:
        """Give the addresses at which bytes stand, in ranges that can be written."""
        for one in self.ranges:
            if one.writable:
                for found in re.finditer(re.escape(word), one.content):
                    if (one.address + found.start()) % alignment == 0:
                        yield one.address + found.start()


def _bounded(elf: Elf) -> None:
    segments = [(one.address, one.size, one.stored) for one in elf.segments if one.type == PT_LOAD]
    sections = [(one.address if one.flags & SHF_ALLOC else 0, one.size, one.stored) for one in elf.sections]
    for name, parts, most in (("segments", segments, _MOST_SEGMENTS), ("sections", sections, _MOST_SECTIONS)):
        if len(parts) > most:
            raise InvalidDocument(elf.name, f"{len(parts)} {name}, more than {most}")
        if sum(stored for _, _, stored in parts) > len(elf.view):
            raise InvalidDocument(elf.name, f"its {name} overlap in the file")
        for address, size, stored in parts:
            if address + max(size, stored) > _HIGHEST:
                raise InvalidDocument(elf.name, f"address {address:#x} is too large")


def _relative(elf: Elf) -> NDArray[np.int64]:
    """Read the places and values of relative relocations, two columns.

    Tables of the packed kind (SHT_RELR), and those of 386 and arm, leave the values in place.
    """
    kind = _RELATIVE.get(architecture(elf))
    rows = [np.empty((0, 3), np.int64)]
    for section in elf.sections:
        if kind is not None and section.type == SHT_RELA and section.flags & SHF_ALLOC:
            content = elf.content(section)
            words = np.frombuffer(content, dtype=f"{elf.order}i8", count=len(content) // 24 * 3)
            rows.append(words.reshape(-1, 3).astype(np.int64))
    table = np.concatenate(rows)
    moved: NDArray[np.int64] = table[(table[:, 1] & 0xFFFFFFFF) == (kind or 0)][:, [0, 2]]
    return moved


def _patched(elf: Elf, content: memoryview, address: int, moved: NDArray[np.int64]) -> memoryview:
    inside = (moved[:, 0] >= address) & (moved[:, 0] <= address + len(content) - 8)
    places = moved[inside, 0] - address
    if not len(places):
        return content
    copy = bytearray(content)
    view = np.frombuffer(copy, dtype=np.uint8)
    values = moved[inside, 1].astype(f"{elf.order}i8").view(np.uint8).reshape(-1, 8)
    view[places[:, None] + np.arange(8)] = values
    return memoryview(copy).toreadonly()
