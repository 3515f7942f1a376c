"""PE files: the sections of Windows programs, their symbols and their signature.

Source: Microsoft's PE format ("COFF File Header", "Optional Header", "Section Table", "The Attribute Certificate
Table").
"""

from collections.abc import Iterator
from typing import Final

from wherry.errors import InvalidDocument
from wherry.foreign.parts import Bytes, FilePart, Foreign

MAGIC: Final = b"MZ"

_SIGNATURE = b"PE\0\0"
_ARCHITECTURES = {0x14C: "386", 0x8664: "amd64", 0x1C0: "arm", 0x1C4: "arm", 0xAA64: "arm64"}
_COFF, _SECTION, _SYMBOL = 20, 40, 18
_DIRECTORIES = {0x10B: 96, 0x20B: 112}
"""Where in the optional header the data directories are: 32 and 64 bits."""
_CERTIFICATES = 4
_MOST_SECTIONS = 96
"""What Windows loads at most."""
_CODE, _ZEROED, _WRITE = 0x20, 0x80, 0x80000000
_LONGEST_NAME = 256


def parse(view: memoryview, name: str) -> Foreign:
    """Read the headers and the section table.

    Args:
        view: the whole file.
        name: what the reader knows it by.

    Raises:
        InvalidDocument: it is not a PE file, or a table is outside it.
    """
    file = Bytes(view, name)
    if bytes(view[:2]) != MAGIC:
        raise InvalidDocument(name, "not a PE file")
    (start,) = file.row("<I", 0x3C, "the header of DOS")
    file.check("the header", start, 4 + _COFF)
    if bytes(view[start : start + 4]) != _SIGNATURE:
        raise InvalidDocument(name, "a DOS program, not a Windows program: no PE signature")
    machine, count, _, symbols, rows, optional, _ = file.row("<2H3I2H", start + 4, "the header")
    if count > _MOST_SECTIONS:
        raise InvalidDocument(name, f"{count} sections; Windows loads at most {_MOST_SECTIONS}")
    strings = symbols + rows * _SYMBOL
    table = start + 4 + _COFF + optional
    parts = [_section(file, table + number * _SECTION, strings if symbols else 0) for number in range(count)]
    parts += _symbols(file, symbols, strings)
    parts += _certificates(file, start + 4 + _COFF, optional)
    found = tuple(part for part in parts if part.size)
    return Foreign(_ARCHITECTURES.get(machine, f"machine {machine:#x}"), found, bool(symbols and rows))


def _section(file: Bytes, at: int, strings: int) -> FilePart:
    _, _, size, offset, _, _, _, _, flags = file.row("<6I2HI", at + 8, "the section table")
    name = _name(file, bytes(file.view[at : at + 8]).rstrip(b"\0"), strings)
    stored = 0 if flags & _ZEROED and not offset else size
    file.check(f"section {name}", offset if stored else 0, stored)
    return FilePart(name, offset, stored, _kind(name, flags))


def _name(file: Bytes, short: bytes, strings: int) -> str:
    """Give a section's name; one of more than 8 bytes stands among the symbols' names."""
    if strings and short[:1] == b"/" and short[1:].isdigit():
        at = strings + int(short[1:])
        short = bytes(file.view[at : at + _LONGEST_NAME]).partition(b"\0")[0]
    return short.decode(errors="replace")


def _symbols(file: Bytes, symbols: int, strings: int) -> Iterator[FilePart]:
    if symbols:
        file.check("the symbol table", symbols, strings - symbols)
        yield FilePart("symbol table", symbols, strings - symbols, "symbols")
        (size,) = file.row("<I", strings, "the names of symbols")
        file.check("the names of symbols", strings, size)
        yield FilePart("symbol names", strings, size, "symbols")


def _certificates(file: Bytes, at: int, size: int) -> Iterator[FilePart]:
    """Find the signature: the one directory that gives a place in the file."""
    magic = file.row("<H", at, "the optional header")[0] if size else 0
    place = _DIRECTORIES.get(magic, size) + 8 * _CERTIFICATES
    if place + 8 <= size:
        offset, length = file.row("<2I", at + place, "the optional header")
        file.check("the signature", offset, length)
        yield FilePart("signature", offset, length, "headers")


def _kind(name: str, flags: int) -> str:
    if name.startswith((".debug_", ".zdebug_")):
        return "debug"
    if name == ".symtab":
        return "symbols"
    if name in {".idata", ".edata", ".reloc"}:
        return "linking"
    if flags & _CODE:
        return "code"
    return "data" if flags & _WRITE else "rodata"
