"""Binaries that were cut, changed or made up: sums that hold, or an error; never a crash, a hang or a gigabyte."""

import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from gobuild import PRINT, go_binary
from wherry.analysis.mapped import map_elf
from wherry.analysis.sizing import Measured, size_of
from wherry.elf.reader import Elf
from wherry.errors import WherryError

_MEASURED = Measured("made.up", "")
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
