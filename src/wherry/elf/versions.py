"""Symbol versions: which ones a file asks of each library, and which ones it defines.

Sources: Linux Standard Base Core 5.0, "Symbol Versioning" (.gnu.version_r, .gnu.version_d); glibc 2.41,
elf/dl-version.c.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from wherry.elf.dynamic import DynamicTexts, dynamic_entries
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument

FLAG_WEAK: Final = 2
"""VER_FLG_WEAK: the program starts without it."""

_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_NEED = "2H3I"
_NEED_AUX = "I2H2I"
_DEF = "4H3I"
_DEF_AUX = "2I"
_MOST = 1 << 14
"""Versions that are read of one file; glibc's libc.so.6 has about 50."""


@dataclass(frozen=True, slots=True)
class NeededVersion:
    """A version that a library must define."""

    library: str
    """As DT_NEEDED has it."""
    version: str
    """Such as `GLIBC_2.34`."""
    weak: bool
    """Whether the program starts without it."""


@dataclass(frozen=True, slots=True)
class SymbolVersions:
    """What the two version sections say; both are empty for a file without versions."""

    needed: tuple[NeededVersion, ...] = ()
    defined: tuple[str, ...] = ()
    """The file's own name is the first."""

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read them, found by the dynamic section as the loader does.

        Raises:
            InvalidDocument: an entry or a name is outside the file; the section is named.
        """
        entries = dynamic_entries(elf)
        if not entries:
            return cls()
        tags, texts = dict(reversed(entries)), DynamicTexts.of(elf, entries)
        needed = _needed(elf, texts, tags[_VERNEED], tags.get(_VERNEEDNUM, 0)) if _VERNEED in tags else ()
        defined = _defined(elf, texts, tags[_VERDEF], tags.get(_VERDEFNUM, 0)) if _VERDEF in tags else ()
        return cls(tuple(needed), tuple(defined))


def _needed(elf: Elf, texts: DynamicTexts, address: int, count: int) -> Iterator[NeededVersion]:
    section = _Chain(elf, "version_r", address)
    for at, (_, auxiliaries, file, aux, _) in section.walk(0, _NEED, count):
        library = texts.at(file, "version_r")
        for _, (_, flags, _, name, _) in section.walk(at + aux, _NEED_AUX, auxiliaries):
            yield NeededVersion(library, texts.at(name, "version_r"), bool(flags & FLAG_WEAK))


def _defined(elf: Elf, texts: DynamicTexts, address: int, count: int) -> Iterator[str]:
    section = _Chain(elf, "version_d", address)
    for at, (_, _, _, auxiliaries, _, aux, _) in section.walk(0, _DEF, count):
        # Further names are those of the versions that this one includes.
        for _, (name, _) in section.walk(at + aux, _DEF_AUX, min(auxiliaries, 1)):
            yield texts.at(name, "version_d")


class _Chain:
    """Entries that each say how many bytes further the next one is; 0 ends them."""

    def __init__(self, elf: Elf, name: str, address: int) -> None:
        self._elf, self._name, self._left = elf, name, _MOST
        try:
            self._content = elf.read_on(address)
        except InvalidDocument as error:
            raise InvalidDocument(elf.name, f"{name}: {error.problem}") from error

    def walk(self, at: int, layout: str, count: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Give place and fields of at most `count` entries."""
        row = struct.Struct(self._elf.order + layout)
        for _ in range(min(count, _MOST)):
            self._left -= 1
            if self._left < 0:
                raise InvalidDocument(self._elf.name, f"{self._name}: more than {_MOST} entries")
            if at + row.size > len(self._content):
                raise InvalidDocument(self._elf.name, f"{self._name}: an entry at {at} is outside its segment")
            fields = row.unpack_from(self._content, at)
            yield at, fields
            if not fields[-1]:
                return
            at += fields[-1]
