"""The dynamic section: which libraries an executable asks for, and where it has them looked for.

Sources: System V gABI, "Dynamic Section"; glibc's elf.h (DT_FLAGS_1).
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from wherry.elf.reader import PT_DYNAMIC, Elf
from wherry.errors import InvalidDocument

DF_1_NODEFLIB: Final = 0x800
DF_1_PIE: Final = 0x08000000

_NULL, _NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 0, 1, 5, 10, 14, 15, 29
_FLAGS, _FLAGS_1 = 30, 0x6FFFFFFB
_MOST_ENTRIES = 1 << 16
_MOST_LIBRARIES = 4096
_LONGEST_TEXT = 4096
"""Bytes of a name or a search path we read."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What PT_DYNAMIC says; all empty for a file that has none."""

    present: bool = False
    needed: tuple[str, ...] = ()
    """Libraries by soname (or by path), in the order they are loaded."""
    soname: str = ""
    rpath: tuple[str, ...] = ()
    """Folders to search first; no longer heard where there is a runpath. `$ORIGIN` stands as written."""
    runpath: tuple[str, ...] = ()
    flags: int = 0
    flags_1: int = 0

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read a file's dynamic section.

        Raises:
            InvalidDocument: it points outside the file; the tag is named.
        """
        entries = dynamic_entries(elf)
        if entries is None:
            return cls()
        texts = DynamicTexts.of(elf, entries)
        needed = [value for tag, value in entries if tag == _NEEDED]
        if len(needed) > _MOST_LIBRARIES:
            raise InvalidDocument(elf.name, f"DT_NEEDED: {len(needed)} libraries; the limit is {_MOST_LIBRARIES}")
        single = dict(reversed(entries))
        return cls(
            present=True,
            needed=tuple(texts.at(value, "DT_NEEDED") for value in needed),
            soname=texts.at(single[_SONAME], "DT_SONAME") if _SONAME in single else "",
            rpath=texts.folders(single.get(_RPATH), "DT_RPATH"),
            runpath=texts.folders(single.get(_RUNPATH), "DT_RUNPATH"),
            flags=single.get(_FLAGS, 0),
            flags_1=single.get(_FLAGS_1, 0),
        )

    @property
    def search(self) -> tuple[str, ...]:
        """The folders the file names itself, as ld.so hears them."""
        return self.runpath or self.rpath


@dataclass(frozen=True, slots=True)
class DynamicTexts:
    """The table that the tags' numbers point into."""

    elf: Elf
    table: memoryview

    @classmethod
    def of(cls, elf: Elf, entries: list[tuple[int, int]]) -> Self:
        """Find the table.

        Raises:
            InvalidDocument: it is outside the file.
        """
        tags = dict(reversed(entries))
        if _STRTAB not in tags:
            return cls(elf, memoryview(b""))
        try:
            table = elf.read_on(tags[_STRTAB])
        except InvalidDocument as error:
            raise InvalidDocument(elf.name, f"DT_STRTAB: {error.problem}") from error
        return cls(elf, table[: tags.get(_STRSZ, len(table))])

    def at(self, offset: int, tag: str) -> str:
        """Read a text.

        Args:
            offset: where it begins.
            tag: what points at it; it starts the message.

        Raises:
            InvalidDocument: it is outside the table, or does not end.
        """
        text, end, _ = bytes(self.table[offset : offset + _LONGEST_TEXT]).partition(b"\0")
        if not end:
            raise InvalidDocument(self.elf.name, f"{tag}: {offset} is outside its string table")
        return text.decode(errors="surrogateescape")

    def folders(self, offset: int | None, tag: str) -> tuple[str, ...]:
        """Read a list of folders; None gives none."""
        if offset is None:
            return ()
        return tuple(folder for folder in self.at(offset, tag).split(":") if folder)


def dynamic_entries(elf: Elf) -> list[tuple[int, int]] | None:
    """Give tags and values up to DT_NULL; None where there is no PT_DYNAMIC."""
    segment = next((segment for segment in elf.segments if segment.type == PT_DYNAMIC), None)
    if segment is None:
        return None
    row = struct.Struct(elf.order + ("QQ" if elf.wide else "II"))
    content = elf.content(segment)[: _MOST_ENTRIES * row.size]
    entries: list[tuple[int, int]] = []
    for tag, value in row.iter_unpack(content[: len(content) // row.size * row.size]):
        if tag == _NULL:
            break
        entries.append((tag, value))
    return entries
