"""ELF files: header, sections, segments and notes, by struct over a memory map.

Sources: System V gABI, "ELF Header", "Sections", "Program Header", "Note Section"; Go 1.26,
cmd/link/internal/ld/elf.go (the Go build id's note).
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Final, Self, TypeVar

from wherry.errors import InvalidDocument

MAGIC: Final = b"\x7fELF"
ET_EXEC: Final = 2
ET_DYN: Final = 3
PT_LOAD: Final = 1
PT_DYNAMIC: Final = 2
PT_INTERP: Final = 3
PT_NOTE: Final = 4
PF_X: Final = 1
SHT_NULL: Final = 0
SHT_NOBITS: Final = 8
SHF_WRITE: Final = 1
SHF_ALLOC: Final = 2
SHF_EXECINSTR: Final = 4

_CLASS_64 = 2
_IDENT = 16
"""Bytes of e_ident, before the fields; it gives their width and order."""
_PN_XNUM = 0xFFFF
_SHN_XINDEX = 0xFFFF
_MOST_HEADERS = 1 << 16
"""Sections or segments we read of one file: linkers stay far below; a made-up count ends here."""
_LONGEST_NAME = 512
_LONGEST_INTERPRETER = 4096
"""Linux' PATH_MAX; the kernel refuses a longer one."""
_NOTE_WIDE = 8
"""The alignment of PT_NOTE whose notes are padded to 8; all others are padded to 4."""
_MOST_NOTES = 256
_LONGEST_NOTE = 1 << 16

_E = TypeVar("_E", bound="Elf")

Buffer = bytes | bytearray | memoryview | mmap.mmap


@dataclass(frozen=True, slots=True)
class Section:
    """A named range of the file; what linkers and debuggers go by."""

    name: str
    type: int
    flags: int
    address: int
    """0 where it is not loaded."""
    offset: int
    size: int
    """Bytes; of a NOBITS section only in memory."""
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def stored(self) -> int:
        """Bytes it takes in the file."""
        return 0 if self.type in {SHT_NOBITS, SHT_NULL} else self.size


@dataclass(frozen=True, slots=True)
class Segment:
    """A range the kernel or the dynamic linker goes by."""

    type: int
    flags: int
    offset: int
    address: int
    stored: int
    """Bytes in the file."""
    size: int
    """Bytes in memory."""
    alignment: int


@dataclass(frozen=True, slots=True)
class Note:
    """An ELF note: name, type and content."""

    owner: str
    type: int
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Elf:
    """An ELF file whose tables were checked to be inside it; contents are read when asked for."""

    name: str
    """What the reader knows the file by; it starts every message."""
    view: memoryview = field(repr=False)
    """The whole file."""
    bits: int
    order: str
    """`<` or `>`, as struct writes it."""
    machine: int
    """EM_…, such as 62 for x86-64."""
    type: int
    """ET_…; 2 is an executable at a fixed address, 3 one that can be moved, or a library."""
    entry: int
    flags: int
    sections: tuple[Section, ...]
    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, buffer: Buffer, name: str) -> Self:
        """Read the header and both tables.

        Args:
            buffer: the whole file, best a memory map; it stays in use as long as the value does.
            name: what the reader knows the file by.

        Raises:
            InvalidDocument: it is not an ELF file, or a table or a section is outside it; the field is named.

        Cost: the tables alone; 0.2 ms for a 28 MB binary of 25 sections.
        """
        view = memoryview(buffer).toreadonly()
        if bytes(view[:4]) != MAGIC:
            raise InvalidDocument(name, "not an ELF file")
        return _Reader.of(view, name).elf(cls)

    @property
    def wide(self) -> bool:
        """Whether its addresses have 64 bits."""
        return self.bits == 64  # noqa: PLR2004 - bits, a number with a name of its own

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {section.name: section for section in reversed(self.sections)}

    def section(self, name: str) -> Section | None:
        """Find a section; of several with the name, the first."""
        return self._by_name.get(name)

    def content(self, part: Section | Segment) -> memoryview:
        """Give the bytes a section or segment has in the file."""
        return self.view[part.offset : part.offset + part.stored]

    def segment_at(self, address: int) -> Segment | None:
        """Find the loaded segment that has a virtual address in its stored bytes."""
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.address <= address < segment.address + segment.stored:
                return segment
        return None

    def read(self, address: int, size: int) -> memoryview:
        """Give bytes as loaded in memory.

        Raises:
            InvalidDocument: no segment stores all of them.
        """
        rest = self.read_on(address)
        if size < 0 or len(rest) < size:
            raise InvalidDocument(self.name, f"{size} bytes at address {address:#x} are in no segment")
        return rest[:size]

    def read_on(self, address: int) -> memoryview:
        """Give the bytes from an address to the end of what its segment stores.

        Raises:
            InvalidDocument: no segment stores that address.
        """
        segment = self.segment_at(address)
        if segment is None:
            raise InvalidDocument(self.name, f"address {address:#x} is in no segment")
        return self.view[segment.offset + address - segment.address : segment.offset + segment.stored]

    @cached_property
    def interpreter(self) -> str:
        """The program that loads it (PT_INTERP), such as /lib64/ld-linux-x86-64.so.2; empty where the kernel does.

        Raises:
            InvalidDocument: it is not a text that ends in a NUL.
        """
        for segment in self.segments:
            if segment.type == PT_INTERP:
                return self._interpreter(segment)
        return ""

    def _interpreter(self, segment: Segment) -> str:
        if segment.stored > _LONGEST_INTERPRETER:
            raise InvalidDocument(self.name, f"PT_INTERP has {segment.stored} bytes; the limit for a path is 4096")
        path, end, _ = bytes(self.content(segment)).partition(b"\0")
        if not end:
            raise InvalidDocument(self.name, "PT_INTERP does not end in a NUL")
        return path.decode(errors="surrogateescape")

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """The notes of all PT_NOTE segments; in each, reading stops at a broken one.

        At most 256 are read, and a note of more than 64 KiB is passed over.
        """
        found = chain.from_iterable(
            _notes(self.content(segment), self.order, _NOTE_WIDE if segment.alignment == _NOTE_WIDE else 4)
            for segment in self.segments
            if segment.type == PT_NOTE
        )
        return tuple(islice(found, _MOST_NOTES))

    @property
    def go_build_id(self) -> str:
        """What the Go linker named the build by; empty where there is none."""
        return self._note("Go", 4).decode(errors="replace")

    @property
    def gnu_build_id(self) -> str:
        """The build id that profilers and symbol stores go by, in hex; empty where there is none."""
        return self._note("GNU", 3).hex()

    def _note(self, owner: str, kind: int) -> bytes:
        return next((note.content for note in self.notes if (note.owner, note.type) == (owner, kind)), b"")


@dataclass(frozen=True, slots=True)
class _Reader:
    """A file on its way to an `Elf`: where its tables are, and how they are packed."""

    view: memoryview
    name: str
    wide: bool
    """Whether it is of the 64-bit class."""
    order: str

    @classmethod
    def of(cls, view: memoryview, name: str) -> Self:
        if len(view) < _IDENT or view[4] not in {1, 2} or view[5] not in {1, 2}:
            raise InvalidDocument(name, "e_ident: class and byte order must be 1 or 2")
        return cls(view, name, view[4] == _CLASS_64, "<>"[view[5] - 1])

    def elf(self, cls: type[_E]) -> _E:
        word = "Q" if self.wide else "I"
        header = struct.Struct(f"{self.order}HHI{word * 3}IHHHHHH")
        if len(self.view) < _IDENT + header.size:
            raise InvalidDocument(self.name, f"{len(self.view)} bytes; its header alone has {_IDENT + header.size}")
        kind, machine, _, entry, phoff, shoff, flags, _, phentsize, phnum, shentsize, shnum, strings = (
            header.unpack_from(self.view, _IDENT)
        )
        row = struct.Struct(f"{self.order}II{word * 4}II{word * 2}")
        if shoff and (shnum == 0 or phnum == _PN_XNUM or strings == _SHN_XINDEX):
            first = self._rows("e_shoff", shoff, shentsize, 1, row)[0]
            shnum = shnum or first[5]
            strings = first[6] if strings == _SHN_XINDEX else strings
            phnum = first[7] if phnum == _PN_XNUM else phnum
        return cls(
            name=self.name, view=self.view, bits=64 if self.wide else 32, order=self.order, machine=machine, type=kind,
            entry=entry, flags=flags,
            sections=self._sections(self._rows("e_shoff", shoff, shentsize, shnum, row), strings),
            segments=self._segments(phoff, phentsize, phnum),
        )  # fmt: skip

    def _rows(self, field: str, offset: int, step: int, count: int, row: struct.Struct) -> list[tuple[int, ...]]:
        if not offset or not count:
            return []
        if step != row.size:
            raise InvalidDocument(self.name, f"{field}: its entries have {step} bytes, expected {row.size}")
        if count > _MOST_HEADERS or offset + count * step > len(self.view):
            raise InvalidDocument(
                self.name,
                f"{field}: {count} entries at offset {offset} exceed the file ({len(self.view)} bytes)",
            )
        return list(row.iter_unpack(self.view[offset : offset + count * step]))

    def _segments(self, offset: int, step: int, count: int) -> tuple[Segment, ...]:
        word = "II6Q" if self.wide else "8I"
        rows = self._rows("e_phoff", offset, step, count, struct.Struct(self.order + word))
        if self.wide:
            found = tuple(Segment(r[0], r[1], r[2], r[3], r[5], r[6], r[7]) for r in rows)
        else:
            found = tuple(Segment(r[0], r[6], r[1], r[2], r[4], r[5], r[7]) for r in rows)
        for place, segment in enumerate(found):
            self._check(f"segment {place}", segment.offset, segment.stored)
        return found

    def _sections(self, rows: list[tuple[int, ...]], strings: int) -> tuple[Section, ...]:
        if strings >= len(rows):
            if rows:
                raise InvalidDocument(self.name, f"e_shstrndx: section {strings} of {len(rows)}")
            return ()
        self._check("the section name table", rows[strings][4], rows[strings][5])
        texts = self.view[rows[strings][4] : rows[strings][4] + rows[strings][5]]
        found = []
        for place, (name, *rest) in enumerate(rows):
            text, end, _ = bytes(texts[name : name + _LONGEST_NAME]).partition(b"\0")
            if not end and rest[0] != SHT_NULL:
                raise InvalidDocument(self.name, f"section {place}: its name is outside the name table")
            section = Section(text.decode(errors="replace"), *rest)
            self._check(f"section {section.name or place}", section.offset, section.stored)
            found.append(section)
        return tuple(found)

    def _check(self, part: str, offset: int, size: int) -> None:
        if size and offset + size > len(self.view):
            raise InvalidDocument(
                self.name,
                f"{part}: {size} bytes at offset {offset} exceed the file ({len(self.view)} bytes)",
                hint="the file is truncated or not an ELF file; copy it again",
            )


def _notes(content: memoryview, order: str, alignment: int) -> Iterator[Note]:
    """Read notes one after the other; a broken one ends it, as it does for the kernel and for binutils."""
    row = struct.Struct(order + "3I")
    place = 0
    while place + row.size <= len(content):
        owner_size, size, kind = row.unpack_from(content, place)
        start = place + row.size
        body = start + -(-owner_size // alignment) * alignment
        if body + size > len(content):
            return
        if owner_size <= _LONGEST_NAME and size <= _LONGEST_NOTE:
            owner = bytes(content[start : start + owner_size]).rstrip(b"\0")
            yield Note(owner.decode(errors="replace"), kind, bytes(content[body : body + size]))
        place = body + -(-size // alignment) * alignment
