"""A PIE of Go starts without a dynamic linker, at another address each time; what is not understood is refused."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gobuild import HELLO, go_binary
from made_elf import made_elf
from needs import need
from wherry.build.linking import NoStaticPie, make_static
from wherry.elf.reader import Elf
from wherry.elf.static_pie import _MACHINES, ARCHITECTURES, static_pie
from wherry.errors import InvalidDocument

STUBS = Path(__file__).resolve().parents[2] / "src" / "wherry" / "elf" / "stubs"
MOVES = 'package main\n\nvar word = 1\nvar place = &word\n\nfunc main() { println(place, *place, "hello") }\n'
LOW = "-ldflags=-s -T 0x1000"
"""Linked from address 0 on, so that qemu-user, which does not randomize, puts it elsewhere too."""


def made_static(place: Path, arch: str, *flags: str) -> Path:
    """Build a PIE and make it static."""
    program = place / f"moves-{arch}"
    shutil.copy(go_binary(MOVES, "-buildmode=pie", *flags, arch=arch), program)
    make_static(program)
    return program


@pytest.fixture(scope="module")
def amd64(tmp_path_factory) -> Path:
    """A static PIE for x86-64."""
    return made_static(tmp_path_factory.mktemp("pie"), "amd64", "-ldflags=-s")


def printed(*words: str | Path) -> tuple[int, str]:
    """Run it; give the address that it prints, and the rest."""
    said = subprocess.run(words, capture_output=True, check=True, text=True).stderr
    address, _, rest = said.strip().partition(" ")
    return int(address, 16), rest


@pytest.mark.slow
def test_it_moves(amd64):
    """It needs no dynamic linker, its words are relocated, and each start has another address (ASLR)."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs a machine that runs amd64")
    elf = Elf.parse(amd64.read_bytes(), "moves")

    seen = [printed(amd64) for _ in range(4)]

    assert not elf.interpreter
    assert {rest for _, rest in seen} == {"1 hello"}
    assert len({address for address, _ in seen}) > 1


@pytest.mark.slow
def test_it_moves_on_arm64(tmp_path):
    """The same by qemu-user; it is loaded elsewhere than it was linked for."""
    qemu = need("qemu-aarch64-static")
    program = made_static(tmp_path, "arm64", LOW)
    top = max(segment.address + segment.size for segment in Elf.parse(program.read_bytes(), "moves").segments)

    address, rest = printed(qemu, program)

    assert rest == "1 hello"
    assert address > top


@pytest.mark.slow
def test_what_is_relocated_is_read_only(amd64):
    """Constants are protected once they are relocated, as a dynamic linker would have done."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs a machine that runs amd64")
    program = amd64.with_name("maps")
    source = (
        'package main\n\nimport "syscall"\n\nfunc main() {\n\tf, _ := syscall.Open("/proc/self/maps", 0, 0)\n'
        "\tb := make([]byte, 1<<16)\n\tn, _ := syscall.Read(f, b)\n\tsyscall.Write(1, b[:n])\n}\n"
    )
    shutil.copy(go_binary(source, "-buildmode=pie", "-ldflags=-s"), program)
    make_static(program)

    maps = subprocess.run([program], capture_output=True, check=True, text=True).stdout.splitlines()

    own = [line.split()[1] for line in maps if line.endswith("/maps")]
    assert own == ["r-xp", "r--p", "r--p", "rw-p", "r-xp"]


@pytest.mark.slow
def test_what_is_not_a_pie_of_go_is_refused(amd64, tmp_path):
    """An ordinary program, one that is static already, and one that needs a library."""
    plain = tmp_path / "plain"
    shutil.copy(go_binary(HELLO), plain)
    before = plain.read_bytes()

    for program in (plain, amd64):
        with pytest.raises(NoStaticPie):
            make_static(program)
    with pytest.raises(InvalidDocument, match="DT_NEEDED"):
        static_pie(Elf.parse(made_elf((1, 1), texts=b"\0libc.so.6\0", interpreter="/lib64/ld.so"), "made"))
    with pytest.raises(InvalidDocument, match="DT_RELA"):
        static_pie(Elf.parse(made_elf(interpreter="/lib64/ld.so"), "made"))
    assert plain.read_bytes() == before


@given(st.lists(st.tuples(st.integers(0, 1 << 12), st.integers(0, 255)), max_size=6))
def test_damage_is_refused_or_patched_inside_and_behind_the_file(changes):
    """Whatever its tables say, there is an error of ours or patches that lie in the header or behind the file's end."""
    made = bytearray(made_elf((7, 0x400000), (8, 0), (9, 24), interpreter="/lib64/ld.so"))
    for place, value in changes:
        made[place % len(made)] = value
    try:
        patches = static_pie(Elf.parse(bytes(made), "made"))
    except InvalidDocument:
        return
    assert all(patch.offset >= 0 and len(patch.content) < 1 << 20 for patch in patches)


@pytest.mark.slow
def test_the_bytes_are_those_of_the_source(tmp_path):
    """The stub for amd64 is what binutils makes of its source; docs say how, and the second ring has that for arm64."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs an assembler for amd64")
    need("readelf")
    subprocess.run(["as", "-o", tmp_path / "stub.o", STUBS / "static_pie_amd64.S"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "stub.o", tmp_path / "stub"], check=True)

    made = (tmp_path / "stub").read_bytes()

    assert made[: len(_MACHINES["amd64"].code)] == _MACHINES["amd64"].code
    assert len(made) == len(_MACHINES["amd64"].code) + 6 * 8


def test_there_is_a_source_for_each_machine():
    """No stub is bytes alone."""
    assert {file.name for file in STUBS.iterdir()} == {f"static_pie_{arch}.S" for arch in ARCHITECTURES}
