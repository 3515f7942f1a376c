"""Binaries that were cut, changed or made up: sums that hold, or an error; never a crash, a hang or a gigabyte."""

import random
import resource
import struct
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from gobuild import HELLO, PRINT, go_binary
from mutated import mutations
from wherry.analysis.mapped import map_elf
from wherry.analysis.program import AttributedProgram
from wherry.analysis.sizing import MeasuredBinary, size_of
from wherry.elf.reader import Elf
from wherry.errors import WherryError

_MEASURED = MeasuredBinary("made.up", "")
_SLOWEST = 10.0
"""Seconds for one small binary, on a machine that does other things too."""


def measured(content: bytes) -> bool:
    """Measure a binary; tell whether it could be read at all, and check what has to hold then."""
    began = time.monotonic()
    try:
        found = size_of(Elf.parse(content, "made.up"), _MEASURED)
    except WherryError:
        return False
    finally:
        assert time.monotonic() - began < _SLOWEST
    for rows in (found.kinds, found.sections, *((found.modules, found.packages) if found.reading == "full" else ())):
        assert sum(row.bytes for row in rows) == len(content)
    assert sum(found.confidence.values()) == len(content)
    return True


def places(path: Path) -> list[tuple[int, int]]:
    """Name the ranges of a file that tables lie in, for these are what a reader believes."""
    elf = map_elf(path)
    wanted = {".gopclntab", ".typelink", ".itablink", ".go.buildinfo", ".go.module", ".rodata", ".data", ".symtab"}
    found = [(0, 0x200), (len(elf.view) - 0x600, len(elf.view))]
    found += [(one.offset, one.offset + min(one.stored, 0x4000)) for one in elf.sections if one.name in wanted]
    rows = elf.section(".gopclntab")
    assert rows
    return [*found, (rows.offset + rows.stored // 2, rows.offset + rows.stored)]


def changed(content: bytes, ranges: list[tuple[int, int]], chance: random.Random) -> bytes:
    """Change a few bytes, as a whole word often: to nothing, to all bits, or to another's."""
    made = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 64))):
        low, high = chance.choice(ranges)
        at = chance.randrange(low, high) & -chance.choice((1, 4, 8))
        width = chance.choice((1, 4, 8))
        other = chance.randrange(0, len(content) - 8)
        values = (bytes(width), b"\xff" * width, chance.randbytes(width), content[other : other + width])
        made[at : at + width] = chance.choice(values)
    return bytes(made[: len(content)])


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-ldflags=-s",), ("-buildmode=pie",)])
@pytest.mark.parametrize("seed", range(30))
def test_changed_tables(seed, flags):
    """Bytes of tables that are others than they were."""
    path = go_binary(PRINT, *flags)
    chance = random.Random(seed)  # noqa: S311 - the same cases each time

    measured(changed(path.read_bytes(), places(path), chance))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20


@pytest.mark.slow
def test_cut_short():
    """A file that ends anywhere."""
    content = go_binary(PRINT, "-ldflags=-s").read_bytes()
    lengths = [*range(0, 0x400, 37), *np.linspace(0x400, len(content) - 1, 25).astype(int).tolist()]

    assert not any(measured(content[:length]) for length in lengths if length < 64)
    for length in lengths:
        measured(content[:length])


@pytest.mark.slow
def test_a_go_that_is_not_known_yet():
    """Tables of a newer Go are not guessed at: sections are told, and why not more."""
    content = go_binary(PRINT, "-ldflags=-s").read_bytes()
    version = b"go1." + content.split(b"\xff Go buildinf:", 1)[1].split(b"go1.", 1)[1][:2]

    found = size_of(Elf.parse(content.replace(version, b"go1.98"), "made.up"), _MEASURED)

    assert found.reading == "sections"
    assert "Go 1.98 unknown: sections only" in found.notes[0]
    assert sum(row.bytes for row in found.sections) == len(content)


@pytest.fixture(scope="module")
def symbols() -> AttributedProgram:
    """A small program with its symbol table."""
    return AttributedProgram.of(map_elf(go_binary(HELLO, "-ldflags=-w")))


def filled(program: AttributedProgram, address: int, size: int, pattern: bytes) -> bytes:
    """Fill a range of a program's file with a pattern."""
    offset = program.space.offset(address)
    assert offset is not None
    content = bytearray(program.elf.view)
    content[offset : offset + size] = (pattern * (size // len(pattern) + 1))[:size]
    return bytes(content)


@pytest.mark.slow
def test_types_over_each_other(symbols):
    """Every word begins a type with two thousand methods: so many can't be, and no memory is taken for them."""
    start, end = symbols.module["types"], symbols.module["etypes"]

    measured(filled(symbols, start, end - start, bytes([8, 0, 0, 0, 1, 8, 8, 19])))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20


@pytest.mark.slow
def test_tables_that_never_end(symbols):
    """Every function's table of inlined code is all that follows."""
    table = symbols.functions.table

    measured(filled(symbols, symbols.pclntab_at + table.pcs_at, table.functab_at - table.pcs_at, b"\2\1"))


@pytest.mark.slow
def test_names_that_never_end(symbols):
    """No name of a function, a symbol or a file has an end."""
    table, strings = symbols.functions.table, symbols.elf.section(".strtab")
    assert strings
    names = filled(symbols, symbols.pclntab_at + table.funcname_at, table.units_at - table.funcname_at, b"a/")
    files = filled(symbols, symbols.pclntab_at + table.files_at, table.pcs_at - table.files_at, b"/a")
    texts = bytearray(symbols.elf.view)
    texts[strings.offset : strings.offset + strings.stored] = b"a" * strings.stored

    assert all(measured(made) for made in (names, files, bytes(texts)))


@pytest.mark.slow
def test_rows_of_embedded_files_without_end(symbols):
    """Each of thousands of rows names half a megabyte to hash."""
    data = next(one for one in symbols.elf.sections if one.name == ".data")
    rodata = next(one for one in symbols.elf.sections if one.name == ".rodata")
    row = struct.pack("<6Q", rodata.address, 1, rodata.address, rodata.stored, (1 << 64) - 1, (1 << 64) - 1)

    measured(filled(symbols, data.address, data.stored, row))


@pytest.mark.parametrize("what", ["sections", "segments"])
def test_parts_over_each_other(symbols, what):
    """Many parts of the file that each are nearly all of it would be walked for ever: they are refused."""
    elf, content = symbols.elf, bytearray(symbols.elf.view)
    count = 60000
    place, form, number = (40, "<IIQQQQIIQQ", 60) if what == "sections" else (32, "<IIQQQQQQ", 56)
    row = (0, 1, 2, 0, 0, len(content), 0, 0, 1, 0) if what == "sections" else (1, 4, 0, 0, 0, len(content), 0, 1)
    struct.pack_into("<Q", content, place, len(content))
    struct.pack_into("<H", content, number, count)
    names = struct.pack(form, *row[:2], 0, 0, 0, len(elf.view), *row[6:]) if what == "sections" else b""
    content += struct.pack(form, *row) * (count - bool(names)) + names
    if names:
        struct.pack_into("<H", content, 62, count - 1)

    found = size_of(Elf.parse(content, "made.up"), _MEASURED)

    assert found.reading == "sections"
    assert what in found.notes[0]


def test_packed(symbols):
    """What UPX packed is recognised by its mark, and what to do is told."""
    packed = bytearray(symbols.elf.view)
    struct.pack_into("<Q", packed, 40, 0)
    struct.pack_into("<3H", packed, 58, 0, 0, 0)
    packed += b"UPX!" + bytes(32)

    found = size_of(Elf.parse(packed, "made.up"), _MEASURED)

    assert found.reading == "sections"
    assert "packed by UPX" in found.notes[0]
    assert "upx -d" in found.notes[0]


def test_obfuscated(symbols):
    """A pclntab whose mark was changed is not read, and the likely reason is told."""
    found = size_of(Elf.parse(filled(symbols, symbols.pclntab_at, 4, b"\x12\x34\x56\xff"), "made.up"), _MEASURED)

    assert found.reading == "sections"
    assert "garble" in found.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_words_of_tables(symbols, seed):
    """Words of headers, tables, module data and types become others; a longer run is `tests/mutated.py`."""
    for _, content in islice(mutations(bytes(symbols.elf.view), seed), 25):
        measured(bytes(content))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20
