"""Programs that were cut, changed or made up: findings or a clear error; never a crash, a hang or a gigabyte."""

import random
import resource
import struct
import time
import zlib
from dataclasses import replace

import pytest

from gobuild import PRINT, go_binary
from made_elf import made_elf
from wherry.analysis.debug_text import SHF_COMPRESSED, DebugText
from wherry.analysis.leaks import Leaks, leaks_of
from wherry.analysis.mapped import map_elf
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument

_SLOWEST = 10.0
"""Seconds for one small binary, on a machine that does other things too."""


def looked_through(content: bytes) -> Leaks:
    """Look through a file; it takes its time and its memory, and no error ends it."""
    began = time.monotonic()
    found = leaks_of(content, "made.up")
    assert time.monotonic() - began < _SLOWEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20
    return found


def changed(content: bytes, ranges: list[tuple[int, int]], chance: random.Random) -> bytes:
    """Change a few words: to nothing, to all bits, to chance."""
    made = bytearray(content)
    for _ in range(chance.choice((1, 4, 32))):
        low, high = chance.choice(ranges)
        at, width = chance.randrange(low, high) & -chance.choice((1, 4, 8)), chance.choice((1, 4, 8))
        made[at : at + width] = chance.choice((bytes(width), b"\xff" * width, chance.randbytes(width)))
    return bytes(made[: len(content)])


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-trimpath", "-ldflags=-s"), ("-buildmode=pie",)], ids=["plain", "s", "pie"])
@pytest.mark.parametrize("seed", range(20))
def test_changed_tables(seed, flags):
    """Bytes of tables that are others than they were."""
    path = go_binary(PRINT, *flags)
    content, elf = path.read_bytes(), map_elf(path)
    wanted = (".gopclntab", ".go.buildinfo", ".dynamic", ".symtab", ".strtab", ".debug_line")
    ranges = [(0, 0x200), (len(content) - 0x600, len(content))]
    ranges += [(one.offset, one.offset + min(one.stored, 0x200)) for one in elf.sections if one.name in wanted]

    looked_through(changed(content, ranges, random.Random(seed)))  # noqa: S311 - the same cases each time


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.999, 0.9, 0.5, 0.1, 0.01])
def test_cut_short(part):
    """Of a file that was cut short the strings are searched, and it is told."""
    content = go_binary(PRINT).read_bytes()

    found = looked_through(content[: int(len(content) * part)])

    assert any(one.rule == "unread" for one in found.findings)


def test_no_program():
    """Bytes that are no program are searched."""
    assert looked_through(b"MZ" + bytes(100)).findings == ()


def compressed(content: bytes, kind: int = 1, size: int = 0) -> DebugText:
    """Make a compressed section."""
    elf = Elf.parse(made_elf(), "made.up")
    whole = struct.pack("<IIQQ", kind, 0, size, 1) + content
    section = replace(
        map_elf(go_binary()).sections[1], name=".debug_line", flags=SHF_COMPRESSED, offset=0, size=len(whole)
    )
    return DebugText(section, replace(elf, view=memoryview(whole)))


def test_a_bomb():
    """A gigabyte that is packed in a megabyte is not read on for ever, whatever size it says."""
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(8)) + packer.flush()

    assert sum(map(len, compressed(bomb, size=10).stream(1 << 24))) <= (1 << 24) + (1 << 20)


def test_zstd():
    """DWARF that was packed with zstd is read too."""
    import zstandard

    text = b"\0/opt/somewhere\0" * 1000

    assert b"".join(compressed(zstandard.compress(text), kind=2).stream(1 << 20)) == text


@pytest.mark.parametrize(("content", "kind"), [
    (b"no zlib", 1), (zlib.compress(bytes(1000))[:8], 1), (b"no zstd", 2), (b"", 9),
])  # fmt: skip
def test_broken_compression(content, kind):
    """It is an error that names the section."""
    with pytest.raises(InvalidDocument, match=r"\.debug_line"):
        list(compressed(content, kind).stream(1 << 20))
