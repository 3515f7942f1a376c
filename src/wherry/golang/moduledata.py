"""The module data: where the linker put code, types, variables and the tables about them.

It changed in Go 1.26 and again in 1.27 while the pclntab's magic stayed, so its fields are read by the Go that
build info names, and believed only where they agree with the pclntab and with one another.

Source: Go 1.20 to 1.27, runtime/symtab.go (`moduledata`), cmd/link/internal/ld/symtab.go.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from wherry.errors import InvalidDocument, WherryError
from wherry.golang.functions import Functions
from wherry.golang.pclntab import Pclntab

OLDEST: Final = 20
NEWEST: Final = 27
"""The Go minors whose module data is known."""

_POINTER, _STRING, _SLICE = 1, 2, 3
"""Words of a field."""
_MOST_CANDIDATES = 64
_HIGHEST = 1 << 62
"""No field is above: addresses, counts and sizes of one program."""


def _slices(*names: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, _SLICE) for name in names)


def _pointers(names: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, _POINTER) for name in names.split())


_TABLES = (
    *_pointers("pclntab"), *_slices("funcnames", "units", "files", "pcs", "functions", "functab"),
    *_pointers("findfunc minpc maxpc text etext noptrdata enoptrdata data edata bss ebss noptrbss enoptrbss"),
    *_pointers("covctrs ecovctrs end gcdata gcbss"),
)  # fmt: skip
_LINKS = _slices("typelinks", "itablinks")
_TAIL = (*_slices("modulehashes"), *_pointers("flags"), ("gcdatamask", 2), ("gcbssmask", 2), *_pointers("typemap"))


def _fields(minor: int) -> tuple[tuple[str, int], ...]:
    """List the fields of a Go minor, each with its words."""
    types = "types etypes rodata gofunc"
    if minor == 26:  # noqa: PLR2004 - Go 1.26
        types += " epclntab"
    elif minor >= 27:  # noqa: PLR2004 - Go 1.27: types lie one behind the other, so that no list of them is needed
        types = "types typedesclen etypes itaboffset itabsize rodata gofunc epclntab"
    return (
        *_TABLES, *_pointers(types), *_slices("textsections"), *(_LINKS if minor < 27 else ()),  # noqa: PLR2004 - as above
        *_slices("ptab"), ("pluginpath", _STRING), *_slices("pkghashes"),
        *(_slices("inittasks") if minor > 20 else ()), ("modulename", _STRING), *_TAIL,  # noqa: PLR2004 - Go 1.21
        *_pointers("bad next" if minor < 23 else "next"),  # noqa: PLR2004 - one byte of the flags since Go 1.23
    )  # fmt: skip


class Memory(Protocol):
    """A program as loaded in memory."""

    def read(self, address: int, size: int) -> memoryview:
        """Give bytes at an address.

        Raises:
            InvalidDocument: the file has none for it.
        """

    def places_of(self, word: bytes, alignment: int) -> Iterator[int]:
        """Give the addresses at which bytes stand in what can be written, or could while it was relocated."""


class UnknownGo(WherryError):
    """The module data is of a Go whose fields we don't know, or it contradicts itself."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True)
class ModuleData:
    """The fields of one program, by name; a slice's and a text's length by its name and `_len`."""

    minor: int
    """The Go: 26 is Go 1.26."""
    address: int
    size: int
    fields: Mapping[str, int]
    experiments: frozenset[str] = frozenset()
    """What GOEXPERIMENT switched on or off when it was built, such as `noswissmap`."""

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    def get(self, name: str) -> int:
        """Give a field, or 0 where this Go has none of the name."""
        return self.fields.get(name, 0)


def minor_of(version: str) -> int | None:
    """Read the minor out of a version such as `go1.26.8` or `devel go1.28-3a5f`; None where there is none."""
    found = re.search(r"\bgo1\.(\d{1,4})", version)
    return int(found[1]) if found else None


def experiments_of(version: str) -> frozenset[str]:
    """Read the experiments out of a version such as `go1.24.9 X:noswissmap,rangefunc`."""
    _, _, names = version.partition(" X:")
    return frozenset(name for name in names.partition(" ")[0].split(",") if name)


def find(memory: Memory, functions: Functions, pclntab: int, version: str) -> ModuleData:
    """Find the module data and read it.

    Args:
        memory: the program.
        functions: its functions.
        pclntab: the address of its pclntab.
        version: its Go, as build info has it; empty where that is gone: then the one layout that fits is taken.

    Raises:
        UnknownGo: the Go is newer than those known, or no place fits.
    """
    minor = minor_of(version)
    if minor is not None and not OLDEST <= minor <= NEWEST:
        raise UnknownGo(
            f"{functions.table.name}: Go 1.{minor} unknown: sections only",
            hint=f"wherry reads the tables of Go 1.{OLDEST} to 1.{NEWEST}: use a newer wherry",
        )
    minors = range(NEWEST, OLDEST - 1, -1) if minor is None else (minor,)
    order, pointer = functions.table.order, functions.table.pointer
    word = struct.pack(f"{order}{_letter(pointer)}", pclntab)
    for place, _ in zip(memory.places_of(word, pointer), range(_MOST_CANDIDATES), strict=False):
        for candidate in minors:
            read = _read(memory, place, candidate, order, pointer)
            if read and _agrees(read, functions, pclntab):
                return replace(read, experiments=experiments_of(version))
    said = f"Go 1.{minor}" if minor else "an unknown Go version"
    raise UnknownGo(
        f"{functions.table.name}: no module data of {said} fits its pclntab: sections only",
        hint="the binary was changed after linking, or comes from a Go version with changed tables",
    )


def _letter(pointer: int) -> str:
    return "Q" if pointer == 8 else "I"  # noqa: PLR2004 - bytes of a pointer


def _read(memory: Memory, place: int, minor: int, order: str, pointer: int) -> ModuleData | None:
    fields = _fields(minor)
    count = sum(words for _, words in fields)
    try:
        content = memory.read(place, count * pointer)
    except InvalidDocument:
        return None
    words = struct.unpack(f"{order}{count}{_letter(pointer)}", content)
    return ModuleData(minor, place, count * pointer, dict(_named(fields, words)))


def _named(fields: Iterable[tuple[str, int]], words: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    at = 0
    for name, size in fields:
        yield name, words[at]
        if size > 1:
            yield f"{name}_len", words[at + 1]
        at += size


def _agrees(module: ModuleData, functions: Functions, pclntab: int) -> bool:
    """Hold the fields against the pclntab's header, the functions, and one another."""
    table, field = functions.table, module.fields
    starts = {
        "funcnames": table.funcname_at, "units": table.units_at, "files": table.files_at, "pcs": table.pcs_at,
        "functions": table.functab_at, "functab": table.functab_at,
    }  # fmt: skip
    ranges = (
        "minpc maxpc", "text etext", "noptrdata enoptrdata", "data edata", "bss ebss", "noptrbss enoptrbss",
        "types etypes",
    )  # fmt: skip
    first, last = int(functions.starts[0]), int(functions.starts[-1])
    return (
        all(field[name] == pclntab + at for name, at in starts.items())
        and field["functab_len"] == len(functions) + 1
        and field["minpc"] == field["text"] + first
        and field["maxpc"] == field["text"] + last
        and table.text in {0, field["text"]}
        and all(field[low] <= field[high] for low, high in map(str.split, ranges))
        and field["next"] == 0
        and field["typemap"] == 0
        and max(field.values()) <= _HIGHEST
        and _flags(field["flags"], table) in {b"\0", b"\1"}
        and _types_agree(module)
    )


def _flags(word: int, table: Pclntab) -> bytes:
    """Give the bytes of `hasmain` (1 in a program, 0 in a plugin) and `bad`, as far as they are not 0."""
    return word.to_bytes(table.pointer, "little" if table.order == "<" else "big").rstrip(b"\0") or b"\0"


def _types_agree(module: ModuleData) -> bool:
    size = module["etypes"] - module["types"]
    if "itaboffset" in module.fields:
        return module["typedesclen"] <= module["itaboffset"] <= module["itaboffset"] + module["itabsize"] <= size
    return module["typelinks_len"] <= size // 8 and module["itablinks_len"] <= size // 8
