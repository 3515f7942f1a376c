"""Packed programs: run as they did, on two architectures; refused where they can't be; damaged ones end at once."""

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gobuild import go_binary
from needs import need
from wherry.elf.packing import PackableProgram, packed_program, unpacked_image
from wherry.errors import InvalidDocument, InvalidUsage, WherryError

STUBS = Path(__file__).resolve().parents[2] / "src/wherry/lab/stubs"
SELF = """package main

import (
	"fmt"
	"os"
)

func main() {
	self, _ := os.Executable()
	fmt.Println(os.Args[1:], os.Getenv("A"), self)
	os.Exit(7)
}
"""


def stub(architecture: str) -> bytes:
    """Read the package's stub."""
    return (STUBS / f"pack-{architecture}").read_bytes()


@pytest.fixture(scope="module", params=["amd64", "arm64"])
def packed(request, tmp_path_factory) -> tuple[str, Path]:
    """A packed program of each architecture."""
    program = go_binary(SELF, "-ldflags=-s", arch=request.param).read_bytes()
    place = tmp_path_factory.mktemp("packed") / "p"
    place.write_bytes(packed_program(program, stub(request.param), "p"))
    place.chmod(0o755)
    assert place.stat().st_size < len(program) * 0.45
    assert unpacked_image(place.read_bytes(), "p") == PackableProgram.of(program, "p").image(program)
    return request.param, place


def ran(packed: tuple[str, Path], *words: str) -> subprocess.CompletedProcess[str]:
    """Run it, by qemu where it is another architecture's."""
    architecture, place = packed
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    emulator = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}[architecture]
    before = [] if architecture == machine else [need(emulator)]
    return subprocess.run([*before, str(place), *words], env={"A": "b"}, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_runs_as_before(packed):
    """Arguments, environment, exit code, and its own path."""
    done = ran(packed, "x", "y z")

    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == f"[x y z] b {packed[1]}\n"


@pytest.mark.slow
def test_a_damaged_payload(packed, tmp_path):
    """It ends with a word, and starts nothing."""
    architecture, place = packed
    content = bytearray(place.read_bytes())
    content[5000:5100] = bytes(100)
    (tmp_path / "p").write_bytes(content)
    (tmp_path / "p").chmod(0o755)

    done = ran((architecture, tmp_path / "p"))

    assert done.returncode == 127
    assert done.stderr == "packed program: damaged\n"
    with pytest.raises(InvalidDocument):
        unpacked_image(bytes(content[:-10]), "p")


def elf(*rows: tuple[int, int, int, int, int, int], kind: int = 2, machine: int = 62, entry: int = 0x400100) -> bytes:
    """Make a program of segments: type, flags, offset, address, stored, memory."""
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, 64, 0, 0, 64, 56, len(rows), 0, 0, 0)
    table = b"".join(struct.pack("<IIQQQQQQ", *row[:4], row[3], *row[4:], 4096) for row in rows)
    return (head + table).ljust(0x3000, b"x")


TEXT = (1, 5, 0, 0x400000, 0x1000, 0x1000)


def test_a_small_one():
    """Segments of whole pages with their protection; what is not stored is memory."""
    found = PackableProgram.of(elf(TEXT, (1, 6, 0x1000, 0x402000, 0x10, 0x2000)), "p")

    assert found.segments() == [(0x400000, 0x1000, 5), (0x402000, 0x2000, 3)]
    assert (found.base, found.size, found.memory) == (0x400000, 0x2010, 0x4000)


@pytest.mark.parametrize(
    "program",
    [
        elf(TEXT, kind=3), elf(TEXT, (3, 4, 0, 0, 1, 1)), elf(TEXT, machine=40), elf(), elf(*[TEXT] * 9),
        elf((1, 5, 0, 0x70000000, 0x1000, 0x1000), entry=0x70000000), elf((1, 5, 16, 0x400010, 0x1000, 0x1000)),
        elf(TEXT, (1, 6, 0x1000, 0x400800, 0x10, 0x10)), elf((1, 5, 0, 0x400000, 0x1000, 1 << 40)),
        elf(TEXT, entry=1), elf((1, 5, 0, 0x400000, 0x9000, 0x9000)), b"MZ", b"\x7fELF\x02\x01\x01",
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_packed(program):
    """Each is refused with the program's name."""
    with pytest.raises((InvalidUsage, InvalidDocument), match=r"^p: "):
        PackableProgram.of(program, "p")


@given(st.binary(max_size=300), st.integers(0, 300))
def test_hostile_headers(noise, at):
    """Whatever is in the headers, it is read or refused."""
    program = bytearray(elf(TEXT))
    program[at : at + len(noise)] = noise
    try:
        found = PackableProgram.of(bytes(program), "p")
    except WherryError:
        return
    assert len(found.image(bytes(program))) == found.size <= found.memory
