"""Sizes: an executable's file, every byte of it counted once.

Sources: System V gABI, "Sections"; Go 1.26, cmd/link/internal/ld/data.go (names of sections).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from wherry.elf.machine import architecture
from wherry.elf.reader import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, Elf, Section
from wherry.errors import InvalidDocument
from wherry.golang import buildinfo, pclntab
from wherry.golang.buildinfo import BuildInfo

_DWARF = (".debug_", ".zdebug_")
_LINKING = (".rel", ".dyn", ".interp", ".hash", ".gnu.", ".got", ".init_array", ".fini_array")


class PartKind(StrEnum):
    """What the bytes of a file are for."""

    CODE = "code"
    PCLNTAB = "pclntab"
    RODATA = "rodata"
    DATA = "data"
    LINKING = "linking"
    SYMBOLS = "symbols"
    OTHER = "other"


MEANING: Final = {
    PartKind.CODE: "machine code",
    PartKind.PCLNTAB: "Go's function table: names, lines, stack maps",
    PartKind.RODATA: "constants, strings, types, embedded files",
    PartKind.DATA: "variables",
    PartKind.LINKING: "relocations and names for the dynamic linker",
    PartKind.SYMBOLS: "symbol tables and DWARF",
    PartKind.OTHER: "headers, notes, padding",
}


@dataclass(frozen=True, slots=True)
class Part:
    """All bytes of one kind."""

    kind: PartKind
    size: int
    """Bytes of the file."""


@dataclass(frozen=True, slots=True)
class Binary:
    """What can be said of an executable from its tables."""

    size: int
    """Bytes of the file; the sum of the parts."""
    architecture: str
    """As GOARCH says it."""
    parts: tuple[Part, ...]
    """One a kind that the file has, most bytes first."""
    symbols: bool
    """Whether it has a symbol table."""
    dwarf: bool
    """Whether debuggers find DWARF in it."""
    interpreter: str
    """The program that loads it; empty where the kernel does."""
    go: BuildInfo | None
    """None for a program in another language or without build info."""

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read what the tables of a file say.

        Raises:
            InvalidDocument: the interpreter's path is broken.
        """
        return cls(
            size=len(elf.view),
            architecture=architecture(elf),
            parts=parts_of(elf),
            symbols=elf.section(".symtab") is not None,
            dwarf=any(section.name.startswith(_DWARF) for section in elf.sections),
            interpreter=elf.interpreter,
            go=build_info(elf),
        )


def build_info(elf: Elf) -> BuildInfo | None:
    """Read the build info of a Go program; None where there is none, or none that we can read."""
    section = elf.section(buildinfo.SECTION)
    if section is None:
        return None
    try:
        return BuildInfo.parse(elf.content(section), elf.name)
    except InvalidDocument:
        return None


def parts_of(elf: Elf) -> tuple[Part, ...]:
    """Count every byte of a file once, by what it is for; the sizes' sum is the file's size.

    Where sections overlap, a byte counts for the one that starts first.
    """
    sizes = dict.fromkeys(PartKind, 0)
    for kind, size in _runs(elf):
        sizes[kind] += size
    return tuple(Part(kind, size) for kind, size in sorted(sizes.items(), key=lambda pair: -pair[1]) if size)


def _runs(elf: Elf) -> Iterator[tuple[PartKind, int]]:
    at = 0
    for section in sorted((one for one in elf.sections if one.stored), key=lambda one: (one.offset, -one.stored)):
        start, end = max(section.offset, at), section.offset + section.stored
        if end > start:
            yield PartKind.OTHER, start - at
            yield _kind(section), end - start
            at = end
    yield PartKind.OTHER, len(elf.view) - at


def _kind(section: Section) -> PartKind:
    if section.name in pclntab.SECTIONS:
        return PartKind.PCLNTAB
    if section.name in {".symtab", ".strtab"} or section.name.startswith((*_DWARF, ".gnu_debug")):
        return PartKind.SYMBOLS
    if not section.flags & SHF_ALLOC or section.name.startswith(".note"):
        return PartKind.OTHER
    if section.name.startswith(_LINKING):
        return PartKind.LINKING
    if section.flags & SHF_EXECINSTR:
        return PartKind.CODE
    written = section.flags & SHF_WRITE and not section.name.startswith(".data.rel.ro")
    return PartKind.DATA if written else PartKind.RODATA
