"""ELF headers, sections, segments and notes, against readelf and against mangled files."""

import re
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gobuild import HELLO, go_binary, go_said
from needs import need
from wherry.elf.dynamic import Dynamic
from wherry.elf.machine import architecture
from wherry.elf.reader import ET_DYN, ET_EXEC, Elf
from wherry.errors import InvalidDocument

ARCHITECTURES = ("amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x", "loong64")


def stripped(arch: str = "amd64") -> Path:
    """Build a small program for an architecture."""
    return go_binary(HELLO, "-trimpath", "-ldflags=-s", arch=arch)


def readelf(option: str, binary: Path) -> str:
    """Ask the oracle."""
    done = subprocess.run([need("readelf"), option, binary], capture_output=True, check=True, text=True, env={})
    return done.stdout


def patched(blob: bytes, offset: int, form: str, value: int) -> bytes:
    """Write one field over."""
    changed = bytearray(blob)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_reads_what_readelf_reads(arch):
    """Header, sections and segments of every architecture are those that readelf shows."""
    binary = stripped(arch)
    header = dict(re.findall(r"^\s*(.+?):\s+(.+)$", readelf("-hW", binary), re.MULTILINE))
    sections = re.findall(
        r"^\s*\[\s*\d+\] (\.\S+)\s+\S+\s+([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)", readelf("-SW", binary), re.MULTILINE
    )
    segments = re.findall(
        r"^\s+[A-Z_]+\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+) ",
        readelf("-lW", binary), re.MULTILINE,
    )  # fmt: skip

    elf = Elf.parse(binary.read_bytes(), "hello")

    assert architecture(elf) == arch
    assert elf.bits == (64 if header["Class"] == "ELF64" else 32)
    assert elf.order == ("<" if "little" in header["Data"] else ">")
    assert elf.entry == int(header["Entry point address"], 16)
    assert elf.flags == int(header["Flags"].split(",")[0], 16)
    named = [(one.name, one.address, one.offset, one.size) for one in elf.sections if one.name]
    assert named == [(name, *(int(word, 16) for word in words)) for name, *words in sections]
    loaded = [(one.offset, one.address, one.stored, one.size) for one in elf.segments]
    assert loaded == [tuple(int(word, 16) for word in words) for words in segments]


def test_build_ids():
    """Both build ids are found, as `go tool buildid` and readelf show them."""
    binary = stripped()

    elf = Elf.parse(binary.read_bytes(), "hello")

    assert elf.go_build_id == go_said("tool", "buildid", str(binary)).strip()
    assert f"Build ID: {elf.gnu_build_id}" in readelf("-nW", binary)


def test_address_space():
    """What a section holds is what lies at its address."""
    elf = Elf.parse(stripped().read_bytes(), "hello")
    section = elf.section(".gopclntab")
    assert section

    assert elf.read(section.address, section.size) == elf.content(section)
    assert elf.segment_at(elf.entry)
    with pytest.raises(InvalidDocument):
        elf.read(section.address, 1 << 40)
    with pytest.raises(InvalidDocument):
        elf.read(1, 1)


def test_a_static_program_has_no_interpreter():
    """The kernel loads it, nothing else."""
    elf = Elf.parse(stripped().read_bytes(), "hello")

    assert elf.type == ET_EXEC
    assert elf.interpreter == ""
    assert elf.section(".symtab") is None
    assert not Dynamic.of(elf).present


def test_a_pie_asks_for_an_interpreter():
    """Without cgo it needs the dynamic linker, and no library."""
    elf = Elf.parse(go_binary(HELLO, "-buildmode=pie").read_bytes(), "hello")

    assert elf.type == ET_DYN
    assert elf.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert Dynamic.of(elf).present
    assert Dynamic.of(elf).needed == ()


def test_works_without_sections():
    """A section table is for linkers; a program whose table was cut off is read by its segments."""
    blob = patched(stripped().read_bytes(), 40, "<Q", 0)

    elf = Elf.parse(blob, "hello")

    assert elf.sections == ()
    assert elf.segment_at(elf.entry)
    assert elf.go_build_id


@pytest.mark.parametrize(
    ("offset", "form", "value", "field"),
    [
        (4, "B", 3, "e_ident"),
        (5, "B", 0, "e_ident"),
        (32, "<Q", 1 << 63, "e_phoff"),
        (54, "<H", 55, "e_phoff"),
        (56, "<H", 0xFFFE, "e_phoff"),
        (40, "<Q", 1 << 63, "e_shoff"),
        (58, "<H", 1, "e_shoff"),
        (60, "<H", 0xFFFE, "e_shoff"),
        (62, "<H", 0xFFF0, "e_shstrndx"),
    ],
)
def test_names_the_wrong_field(offset, form, value, field):
    """A header that points outside the file is refused by the field's name."""
    blob = patched(stripped().read_bytes(), offset, form, value)

    with pytest.raises(InvalidDocument) as caught:
        Elf.parse(blob, "hello")

    assert caught.value.problem.startswith(field)


@pytest.mark.parametrize("count", [0xFFFF_FFFF_FFFF_FFFF, 1 << 40, 70_000])
def test_huge_counts_in_the_first_section(count):
    """Where e_shnum is 0 the first section's size counts the sections; a made-up one is refused at once."""
    blob = stripped().read_bytes()
    (shoff,) = struct.unpack_from("<Q", blob, 40)
    blob = patched(patched(blob, 60, "<H", 0), shoff + 32, "<Q", count)

    with pytest.raises(InvalidDocument):
        Elf.parse(blob, "hello")


@pytest.mark.parametrize("length", [0, 3, 4, 15, 16, 63, 64, 500, 0x1000, 0x80000])
def test_cut_short(length):
    """A file that was cut short anywhere is refused."""
    with pytest.raises(InvalidDocument):
        Elf.parse(stripped().read_bytes()[:length], "hello")


def test_a_name_outside_its_table():
    """A section whose name is nowhere is refused."""
    blob = stripped().read_bytes()
    (shoff,) = struct.unpack_from("<Q", blob, 40)

    with pytest.raises(InvalidDocument) as caught:
        Elf.parse(patched(blob, shoff + 64, "<I", 0xFFFFFFF0), "hello")

    assert caught.value.problem.startswith("section 1")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mangled_files_end_in_an_error_or_a_value(data):
    """Whatever bytes of the tables are changed, reading ends, soon, and with nothing but our own error."""
    pie = data.draw(st.booleans())
    blob = bytearray((go_binary(HELLO, "-buildmode=pie") if pie else stripped()).read_bytes())
    elf = Elf.parse(bytes(blob), "sound")
    dynamic = elf.section(".dynamic")
    places = st.integers(0, 0x1000) | (st.integers(dynamic.offset, dynamic.offset + 0xC0) if dynamic else st.nothing())
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        blob[place] = data.draw(st.sampled_from((0, 1, 2, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))

    with suppress(InvalidDocument):
        mangled = Elf.parse(bytes(blob), "mangled")
        Dynamic.of(mangled)
        assert len(mangled.interpreter) <= 4096
        assert len(mangled.notes) <= 256
        assert all(len(mangled.content(section)) == section.stored for section in mangled.sections)
