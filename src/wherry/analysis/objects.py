"""Executables of any system: their sections, each byte of the file in one, and what Go wrote about the build.

Sources: those of the readers; Go 1.26, debug/buildinfo (where each format has the build info).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wherry.analysis.binary import build_info
from wherry.elf.machine import architecture
from wherry.elf.reader import MAGIC as ELF
from wherry.elf.reader import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, Elf, Section
from wherry.errors import InvalidDocument
from wherry.foreign import macho, pe
from wherry.foreign.parts import FilePart, Foreign
from wherry.golang import buildinfo, pclntab
from wherry.golang.buildinfo import BuildInfo

_DEBUG = (".debug_", ".zdebug_", ".gnu_debug")
_LINKING = (".rel", ".dyn", ".interp", ".hash", ".gnu.", ".got", ".plt", ".init_array", ".fini_array", ".go.buildinfo")
_SEARCHED = 1 << 20
"""Bytes of the data that are searched for the build info of a PE file: it stands at its start."""


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """An executable, by its section table."""

    format: str
    """`elf`, `macho` or `pe`."""
    system: str
    """The operating system, as GOOS says it."""
    architecture: str
    """As GOARCH says it."""
    sections: tuple[FilePart, ...]
    """By their place in the file, none over another; "" is what is between them. Their sizes' sum is the file's."""
    info: BuildInfo | None
    """None for a program in another language or without build info."""
    stripped: bool
    """Whether it has no symbol table."""


def sections_of(view: memoryview, name: str) -> ObjectFile:
    """Read the tables of an executable.

    Args:
        view: the whole file.
        name: what the reader knows it by.

    Raises:
        InvalidDocument: it is of no known format, or a table is outside it.
    """
    start = bytes(view[:4])
    if start == ELF:
        return elf_object(Elf.parse(view, name))
    if start[:2] == pe.MAGIC:
        found = pe.parse(view, name)
        return _foreign(view, name, "pe", "windows", found, [part for part in found.parts if part.kind == "data"])
    found = macho.parse(view, name)
    marked = [part for part in found.parts if part.name.endswith(",__go_buildinfo")]
    return _foreign(view, name, "macho", "darwin", found, marked)


def elf_object(elf: Elf) -> ObjectFile:
    """Like `sections_of`, for a file with tables already read."""
    stripped = elf.section(".symtab") is None
    return ObjectFile("elf", "linux", architecture(elf), _elf_parts(elf), build_info(elf), stripped)


def _elf_parts(elf: Elf) -> tuple[FilePart, ...]:
    parts = (FilePart(one.name, one.offset, one.stored, kind_of(one)) for one in elf.sections if one.stored)
    return tuple(whole(parts, len(elf.view)))


def kind_of(section: Section) -> str:  # noqa: PLR0911 - a table in prose
    """Name what a section is for, by the words of `spans.Kind`."""
    if section.name in pclntab.SECTIONS:
        return "pclntab"
    if section.name in {".symtab", ".strtab"}:
        return "symbols"
    if section.name.startswith(_DEBUG):
        return "debug"
    if section.name.startswith(_LINKING):
        return "linking"
    if not section.flags & SHF_ALLOC or section.name.startswith(".note"):
        return "headers"
    if section.flags & SHF_EXECINSTR:
        return "code"
    written = section.flags & SHF_WRITE and not section.name.startswith(".data.rel.ro")
    return "data" if written else "rodata"


def _foreign(
    view: memoryview, name: str, kind: str, system: str, found: Foreign, marked: Iterable[FilePart]
) -> ObjectFile:
    sections = tuple(whole(found.parts, len(view)))
    return ObjectFile(kind, system, found.architecture, sections, _info(view, name, marked), not found.symbols)


def _info(view: memoryview, name: str, parts: Iterable[FilePart]) -> BuildInfo | None:
    for part in parts:
        content = view[part.offset : part.offset + part.size]
        at = buildinfo.find(content[:_SEARCHED])
        if at is not None:
            try:
                return BuildInfo.parse(content[at:], name)
            except InvalidDocument:
                return None
    return None


def whole(parts: Iterable[FilePart], size: int) -> Iterator[FilePart]:
    """Count every byte of a file once: of parts over each other the one that starts first, and what is in none."""
    at = 0
    for part in sorted(parts, key=lambda one: (one.offset, -one.size)):
        start, end = max(part.offset, at), min(part.offset + part.size, size)
        if end > start:
            if start > at:
                yield FilePart("", at, start - at, "headers")
            yield FilePart(part.name, start, end - start, part.kind)
            at = end
    if size > at:
        yield FilePart("", at, size - at, "headers")
