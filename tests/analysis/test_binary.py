"""Whose bytes: every byte of a file counted once."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gobuild import HELLO, USER, go_binary, go_version
from made_elf import made_elf
from wherry.analysis.binary import MEANING, Binary, PartKind, parts_of
from wherry.analysis.mapped import map_elf
from wherry.elf.reader import Elf

STRIPPED = ("-trimpath", "-ldflags=-s")


def sizes(binary: Path) -> dict[PartKind, int]:
    """Give the bytes by kind."""
    return {part.kind: part.size for part in parts_of(map_elf(binary))}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x", "loong64"])
def test_the_sum_is_the_file(arch):
    """Whatever the architecture, no byte is lost or counted twice, and code and pclntab are most of it."""
    binary = go_binary(HELLO, *STRIPPED, arch=arch)

    found = sizes(binary)

    assert sum(found.values()) == binary.stat().st_size
    assert found[PartKind.CODE] + found[PartKind.PCLNTAB] > binary.stat().st_size / 2
    assert PartKind.SYMBOLS not in found


@pytest.mark.slow
def test_parts_are_the_sections():
    """Each kind has the bytes of the sections that make it."""
    elf = map_elf(go_binary(HELLO))
    stored = {section.name: section.stored for section in elf.sections}

    found = {part.kind: part.size for part in parts_of(elf)}

    assert found[PartKind.CODE] == stored[".text"]
    assert found[PartKind.PCLNTAB] == stored[".gopclntab"]
    assert found[PartKind.RODATA] == sum(stored[name] for name in (".rodata", ".typelink", ".itablink"))
    debug = sum(size for name, size in stored.items() if name.startswith(".debug"))
    assert found[PartKind.SYMBOLS] == debug + stored[".symtab"] + stored[".strtab"]
    assert sum(found.values()) == len(elf.view)


@pytest.mark.slow
def test_a_pie_has_relocations():
    """What only the dynamic linker reads has a kind of its own."""
    found = sizes(go_binary(HELLO, "-buildmode=pie"))

    assert found[PartKind.LINKING] > 50_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "symbols", "dwarf"), [(STRIPPED, False, False), ((), True, True), (("-ldflags=-w",), True, False)]
)
def test_what_is_left_in_it(flags, symbols, dwarf):
    """Symbols and DWARF are told apart."""
    binary = Binary.of(map_elf(go_binary(HELLO, *flags)))

    assert (binary.symbols, binary.dwarf) == (symbols, dwarf)
    assert binary.go
    assert binary.go.go_version == go_version()


@pytest.mark.slow
def test_a_program_linked_by_gcc():
    """So is one that gcc linked, with all its small sections."""
    path = go_binary(USER, cgo=True)
    binary = Binary.of(map_elf(path))

    assert sum(part.size for part in binary.parts) == binary.size == path.stat().st_size
    assert binary.interpreter
    assert binary.architecture == "amd64"


def test_without_sections():
    """A file without a section table is all `other`; it has no build info."""
    binary = Binary.of(Elf.parse(made_elf(), "made"))

    assert [part.kind for part in binary.parts] == [PartKind.OTHER]
    assert binary.go is None


def test_every_kind_has_a_meaning():
    """The words for people are complete."""
    assert set(MEANING) == set(PartKind)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.sampled_from((1, 8)), st.integers(0, 7)), max_size=8)
)
def test_overlapping_sections_count_once(ranges):
    """However sections lie over each other, the sum is the file's size."""
    names = b"\0.text\0"
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    size = 64 + 64 + len(names)
    rows = [
        struct.pack("<IIQQQQIIQQ", 1, kind, flags, 0, start, length, 0, 0, 1, 0)
        for start, length, kind, flags in ranges
    ]
    rows.append(struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 128, len(names), 0, 0, 1, 0))
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 1, 0, size, 0, 64, 56, 0, 64, len(rows), len(rows) - 1)
    blob = ident + head + bytes(64) + names + b"".join(rows)

    parts = parts_of(Elf.parse(blob, "made"))

    assert sum(part.size for part in parts) == len(blob)
    assert all(part.size > 0 for part in parts)
