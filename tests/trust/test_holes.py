"""Evidence by level, on programs with and without a symbol table: both give the same."""

import struct
from pathlib import Path

import pytest

from vulnerable import MODULE, entry, program, write_database
from wherry.analysis.mapped import map_file
from wherry.errors import InvalidDocument
from wherry.foreign.macho import architectures
from wherry.golang.modfile import parse_go_mod
from wherry.trust.holes import go_mod_holes, program_holes
from wherry.trust.known_holes import EvidenceLevel, HoleStatus
from wherry.trust.linked import linked_symbols
from wherry.trust.osv_files import DatabaseFiles
from wherry.trust.programs import CannotScan, read_program

PLAIN: tuple[str, ...] = ()
STRIPPED = ("-trimpath", "-ldflags=-s -w")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The made-up database."""
    return DatabaseFiles(write_database(tmp_path_factory.mktemp("osv")), "osv").index()


def read(path: Path):
    """Read a program as a scan does."""
    return read_program(memoryview(map_file(path)).toreadonly(), path.name)


@pytest.mark.parametrize(
    ("flags", "system", "arch"),
    [(PLAIN, "linux", "amd64"), (STRIPPED, "linux", "amd64"), (STRIPPED, "darwin", "arm64"),
     (STRIPPED, "windows", "amd64")],
)  # fmt: skip
def test_levels(index, flags, system, arch):
    """The strongest evidence that holds, for functions of every kind, stripped or not, on every system."""
    found = program_holes(read(program(*flags, system=system, arch=arch)), index)
    by_id = {hole.id: hole for hole in found.holes}

    windows = {"GO-4-WINDOWS": EvidenceLevel.SYMBOL} if system == "windows" else {}
    assert {name: hole.level for name, hole in by_id.items()} == windows | {
        "GO-1-FUNCTION": EvidenceLevel.SYMBOL,
        "GO-1-INLINED": EvidenceLevel.SYMBOL,
        "GO-1-GENERIC": EvidenceLevel.SYMBOL,
        "GO-1-DOTTED": EvidenceLevel.SYMBOL,
        "GO-1-WHOLE": EvidenceLevel.SYMBOL,
        "GO-2-DROPPED": EvidenceLevel.PACKAGE,
        "GO-3-IDLE": EvidenceLevel.MODULE,
        "GO-5-UNREVIEWED": EvidenceLevel.SYMBOL,
        "GO-6-REPLACED": EvidenceLevel.SYMBOL,
        "GO-7-STDLIB": EvidenceLevel.SYMBOL,
    }
    assert by_id["GO-1-GENERIC"].symbols == (f"{MODULE}/used.Reader.Read",)
    assert by_id["GO-1-INLINED"].symbols == (f"{MODULE}/used.inner",)
    assert by_id["GO-6-REPLACED"].required_as == "example.com/second"
    assert by_id["GO-7-STDLIB"].fixed == "go99.1.0"
    assert [hole.id for hole in found.withdrawn] == ["GO-4-WITHDRAWN"]


def test_what_vex_says(index):
    """What is not linked does not affect the program; what is, does."""
    by_id = {hole.id: hole for hole in program_holes(read(program(*STRIPPED)), index).holes}

    assert by_id["GO-1-FUNCTION"].status is HoleStatus.AFFECTED
    assert by_id["GO-1-FUNCTION"].fixed == "v1.3.0"
    assert by_id["GO-1-FUNCTION"].aliases == ("CVE-1-1", "GHSA-1")
    for name in ("GO-2-DROPPED", "GO-3-IDLE"):
        assert by_id[name].status is HoleStatus.NOT_AFFECTED
        assert by_id[name].justification == "vulnerable_code_not_present"
    assert by_id["GO-5-UNREVIEWED"].reviewed is False
    assert by_id["GO-5-UNREVIEWED"].severity.level == "unknown"


def test_names_that_cannot_be_read(index, tmp_path):
    """Without the table of functions a hole is of its module, and nobody says that it is not there."""
    broken = bytearray(program(*STRIPPED).read_bytes())
    from wherry.elf.reader import Elf

    at = Elf.parse(bytes(broken), "it").section(".gopclntab").offset
    broken[at : at + 4] = b"\0\0\0\0"
    (tmp_path / "broken").write_bytes(broken)
    found = program_holes(read(tmp_path / "broken"), index)

    assert {hole.level for hole in found.holes} == {EvidenceLevel.MODULE}
    assert {hole.status for hole in found.holes} == {HoleStatus.INVESTIGATED}
    assert any("which functions are linked" in line for line in found.unknown)


@pytest.mark.parametrize("wide", [False, True])
def test_universal_binaries(wide):
    """Programs of several architectures in one file are taken apart; what lies about them, or is of Java, is not."""
    one = program(*STRIPPED, system="darwin", arch="arm64").read_bytes()
    magic, row = (b"\xca\xfe\xba\xbf", ">2I2Q2I") if wide else (b"\xca\xfe\xba\xbe", ">5I")
    more = (14, 0) if wide else (14,)
    rows = b"".join(struct.pack(row, 0x0100000C, 0, 4096 + at * len(one), len(one), *more) for at in range(2))
    header = magic + struct.pack(">I", 2) + rows
    view = memoryview(header + bytes(4096 - len(header)) + one + one)

    assert [bytes(found) == one for found in architectures(view, "it")] == [True, True]
    assert read_program(architectures(view, "it")[1], "it").info.settings["GOARCH"] == "arm64"
    with pytest.raises(InvalidDocument):
        architectures(view[:-1], "it")
    assert architectures(memoryview(magic + struct.pack(">I", 52) + bytes(500)), "Main.class") == ()


def test_packed(tmp_path):
    """A packed program cannot be scanned; that is no empty list."""
    packed = bytearray(program(*STRIPPED).read_bytes()[: 1 << 20])
    packed[0x28:0x30] = bytes(8)  # no section table
    packed[0x3A:0x40] = bytes(6)
    start = packed.find(b"\xff Go buildinf:")
    while start >= 0:
        packed[start : start + 14] = bytes(14)
        start = packed.find(b"\xff Go buildinf:")
    packed[0xEC:0xF0] = b"UPX!"
    (tmp_path / "packed").write_bytes(packed)

    with pytest.raises(CannotScan) as caught:
        read(tmp_path / "packed")
    assert caught.value.exit_code == 5


def test_go_mod(index):
    """A go.mod has required modules; with the imports known, packages too."""
    text = f"module example.com/app\n\ngo 1.26.0\n\nrequire {MODULE} v1.2.0\n"
    found = go_mod_holes(parse_go_mod(text, "go.mod"), index)

    assert {hole.level for hole in found.holes} == {EvidenceLevel.MODULE}
    assert {hole.status for hole in found.holes} == {HoleStatus.INVESTIGATED}
    known = go_mod_holes(parse_go_mod(text, "go.mod"), index, frozenset({f"{MODULE}/used"}))
    levels = {hole.id: (hole.level, hole.status) for hole in known.holes}
    assert levels["GO-1-FUNCTION"] == (EvidenceLevel.PACKAGE, HoleStatus.INVESTIGATED)
    assert levels["GO-3-IDLE"] == (EvidenceLevel.MODULE, HoleStatus.NOT_AFFECTED)


def test_a_module_in_another(tmp_path):
    """An unreviewed entry of a module does not count for another one in a directory of it."""
    documents = [entry("GO-1", "example.com", database_specific={"review_status": "UNREVIEWED"})]
    index = DatabaseFiles(write_database(tmp_path / "osv", documents), "osv").index()
    from dataclasses import replace

    from wherry.golang.buildinfo import Module

    made = read(program(*STRIPPED))
    info = replace(made.info, modules=(*made.info.modules, Module("example.com", "v1.0.0")))
    (hole,) = program_holes(replace(made, info=info), index).holes

    assert hole.level is EvidenceLevel.MODULE
    assert hole.status is HoleStatus.NOT_AFFECTED


def test_names_of_the_linker():
    """Closures, wrappers, generics, promoted methods and dots in paths; as many questions as an entry may ask."""
    names = [
        "a/b.F.func1", "a/b.(*T).M-fm", "a/b.T.c.io/d.m", "a/b.(*G[go.shape.struct { x/y.z int }]).N", "a/bc.Other",
        "gopkg.in/yaml%2ev3.Parse", "main.run", "a/b.Long" + "x" * 2000,
    ]  # fmt: skip
    many = [f"S{number}" for number in range(3000)]
    wanted = {"a/b": ["F", "T.M", "G.N", "T", "None", *many], "gopkg.in/yaml.v3": ["Parse"], "cmd/it": ["run"],
              "a": ["b"], "a/bc": [], **{f"a/{name}": many[:2] for name in many}}  # fmt: skip
    found = linked_symbols("\0".join([*names * 200, ""]).encode(), wanted, "cmd/it")

    assert found == {
        "a/b": {"F", "T.M", "G.N"}, "a/bc": set(), "gopkg.in/yaml.v3": {"Parse"}, "cmd/it": {"run"},
    }  # fmt: skip
