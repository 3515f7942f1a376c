"""Mach-O files: the sections of macOS programs, and the contents of their last segment.

Source: Apple's mach-o/loader.h (`mach_header`, `segment_command`, `section`, `symtab_command`,
`linkedit_data_command`, `dyld_info_command`), mach/machine.h.
"""

from collections.abc import Iterator
from typing import Final

from wherry.errors import InvalidDocument
from wherry.foreign.parts import Bytes, FilePart, Foreign

MAGICS: Final = (b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf")
"""32 and 64 bits, little and big end first."""

_WIDE = (b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf")
UNIVERSAL: Final = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
"""How a file with programs of several architectures starts, with places of 32 and of 64 bits."""
_MOST_ARCHITECTURES = 40
"""Classes of Java start in the same way, and have their version, from 45 on, where the number of programs is."""
_ARCHITECTURES = {7: "386", 0x01000007: "amd64", 12: "arm", 0x0100000C: "arm64"}
_SEGMENT, _SYMTAB, _DYSYMTAB, _SEGMENT_64, _DYLD_INFO, _REQUIRED = 0x1, 0x2, 0xB, 0x19, 0x22, 0x80000000
_LINKEDIT = {
    0x1D: ("code signature", "headers"),
    0x26: ("function starts", "symbols"),
    0x29: ("data in code", "symbols"),
    0x33: ("exports", "linking"),
    0x34: ("chained fixups", "linking"),
}
_MOST_COMMANDS = 4096
_MOST_PARTS = 4096
_ZEROED = {0x1, 0xC, 0x12}
"""Types of sections that the file has no bytes for."""
_SYMBOL_32, _SYMBOL_64 = 12, 16
_EXECUTE_HEADER = 1
"""`__mh_execute_header`, the one symbol of its own that a stripped program may keep."""
_LINKING = ("__symbol_stub", "__stubs", "__nl_symbol", "__la_symbol", "__got", "__go_buildinfo")


def parse(view: memoryview, name: str) -> Foreign:
    """Read the header and the load commands.

    Args:
        view: the whole file.
        name: what the reader knows it by.

    Raises:
        InvalidDocument: it is not a Mach-O file of one architecture, or a table is outside it.
    """
    magic = bytes(view[:4])
    if magic in UNIVERSAL:
        raise InvalidDocument(
            name, "a universal binary with several architectures", hint="extract one with `lipo -thin`"
        )
    if magic not in MAGICS:
        raise InvalidDocument(name, "not a Mach-O file")
    order, wide = "<" if magic[3] == 0xFE else ">", magic in _WIDE  # noqa: PLR2004 - the first byte of MH_MAGIC
    file = Bytes(view, name)
    machine, _, _, count, size = file.row(f"{order}5I", 4, "the header")
    start = 32 if wide else 28
    file.check("the load commands", start, size)
    if count > _MOST_COMMANDS:
        raise InvalidDocument(name, f"{count} load commands, more than {_MOST_COMMANDS}")
    parts: list[FilePart] = []
    symbols = False
    for kind, at in _commands(file, order, start, count):
        symbols |= kind == _DYSYMTAB and _has_own_symbols(file, order, at)
        parts += _parts(file, order, kind, at)
        if len(parts) > _MOST_PARTS:
            raise InvalidDocument(name, f"more than {_MOST_PARTS} sections")
    found = tuple(part for part in parts if part.size)
    return Foreign(_ARCHITECTURES.get(machine, f"machine {machine}"), found, symbols)


def architectures(view: memoryview, name: str) -> tuple[memoryview, ...]:
    """Give the programs of a universal binary, one an architecture; none of any other file.

    Raises:
        InvalidDocument: a program is outside the file.

    Source: Apple's mach-o/fat.h (`fat_header`, `fat_arch`, `fat_arch_64`).
    """
    file, magic = Bytes(view, name), bytes(view[:4])
    if magic not in UNIVERSAL:
        return ()
    (count,) = file.row(">I", 4, "the header")
    if count >= _MOST_ARCHITECTURES:
        return ()
    row, size = (">8x2Q8x", 32) if magic == UNIVERSAL[1] else (">8x2I4x", 20)
    found = []
    for number in range(count):
        start, length = file.row(row, 8 + number * size, f"architecture {number}")
        file.check(f"architecture {number}", start, length)
        found.append(view[start : start + length])
    return tuple(found)


def _commands(file: Bytes, order: str, at: int, count: int) -> Iterator[tuple[int, int]]:
    for number in range(count):
        kind, size = file.row(f"{order}2I", at, f"load command {number}")
        if size < 8:  # noqa: PLR2004 - its own two fields
            raise InvalidDocument(file.name, f"load command {number} has {size} bytes")
        file.check(f"load command {number}", at, size)
        yield kind, at
        at += size


def _has_own_symbols(file: Bytes, order: str, at: int) -> bool:
    """Report whether the program names what it has: the symbols it asks others for stay when it is stripped."""
    _, own, _, offered, _, _ = file.row(f"{order}6I", at + 8, "LC_DYSYMTAB")
    return own + offered > _EXECUTE_HEADER


def _parts(file: Bytes, order: str, kind: int, at: int) -> Iterator[FilePart]:
    if kind in {_SEGMENT, _SEGMENT_64}:
        yield from _sections(file, order, at, wide=kind == _SEGMENT_64)
    elif kind == _SYMTAB:
        symbols, count, strings, size = file.row(f"{order}4I", at + 8, "LC_SYMTAB")
        row = _SYMBOL_64 if bytes(file.view[:4]) in _WIDE else _SYMBOL_32
        yield _linkedit(file, "symbol table", symbols, count * row, "symbols")
        yield _linkedit(file, "symbol names", strings, size, "symbols")
    elif kind == _DYSYMTAB:
        offset, count = file.row(f"{order}2I", at + 56, "LC_DYSYMTAB")
        yield _linkedit(file, "indirect symbols", offset, 4 * count, "linking")
    elif kind & ~_REQUIRED == _DYLD_INFO:
        pairs = file.row(f"{order}10I", at + 8, "LC_DYLD_INFO")
        for number, what in enumerate(("rebase", "bind", "weak bind", "lazy bind", "export")):
            yield _linkedit(file, what, pairs[2 * number], pairs[2 * number + 1], "linking")
    elif kind & ~_REQUIRED in _LINKEDIT:
        name, purpose = _LINKEDIT[kind & ~_REQUIRED]
        offset, size = file.row(f"{order}2I", at + 8, name)
        yield _linkedit(file, name, offset, size, purpose)


def _linkedit(file: Bytes, name: str, offset: int, size: int, kind: str) -> FilePart:
    file.check(name, offset, size)
    return FilePart(f"__LINKEDIT,{name}", offset, size, kind)


def _sections(file: Bytes, order: str, at: int, *, wide: bool) -> Iterator[FilePart]:
    word, row, first = ("Q", 80, 72) if wide else ("I", 68, 56)
    *_, count, _ = file.row(f"{order}4{word}4I", at + 24, "a segment")
    if count > _MOST_PARTS:
        raise InvalidDocument(file.name, f"{count} sections in one segment, more than {_MOST_PARTS}")
    file.check("sections", at + first, count * row)
    for place in range(at + first, at + first + count * row, row):
        name, segment = (_text(file.view[start : start + 16]) for start in (place, place + 16))
        _, size, offset, _, _, _, flags = file.row(f"{order}2{word}5I", place + 32, f"section {segment},{name}")
        if flags & 0xFF not in _ZEROED:
            file.check(f"section {segment},{name}", offset, size)
            yield FilePart(f"{segment},{name}", offset, size, _kind(segment, name))


def _text(padded: memoryview) -> str:
    return bytes(padded).rstrip(b"\0").decode(errors="replace")


def _kind(segment: str, name: str) -> str:
    if segment == "__DWARF":
        return "debug"
    if name == "__gopclntab":
        return "pclntab"
    if name == "__text":
        return "code"
    if name.startswith(_LINKING):
        return "linking"
    return "data" if segment == "__DATA" else "rodata"
