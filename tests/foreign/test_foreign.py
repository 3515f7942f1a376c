"""Mach-O and PE: real programs of Go for macOS and Windows, judged by LLVM's and binutils' tools; and broken ones."""

import json
import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gobuild import HELLO, go_module
from needs import need
from wherry.analysis.objects import ObjectFile, sections_of, whole
from wherry.errors import InvalidDocument, WherryError
from wherry.foreign import macho, pe
from wherry.foreign.parts import FilePart

SYSTEMS = [("darwin", "amd64"), ("darwin", "arm64"), ("windows", "amd64"), ("windows", "386"), ("windows", "arm64")]


def built(system: str, arch: str, *flags: str) -> Path:
    """Build a small program for another system."""
    return go_module({"main.go": HELLO}, *flags, arch=arch, system=system, module="example.com/hello")


def read(path: Path) -> ObjectFile:
    """Read its tables."""
    return sections_of(memoryview(path.read_bytes()), path.name)


@pytest.mark.slow
@pytest.mark.parametrize(("system", "arch"), SYSTEMS)
def test_programs_of_other_systems(system, arch):
    """Each byte is in one section; system, architecture, Go and whether symbols are left are told."""
    whole_, stripped = built(system, arch), built(system, arch, "-ldflags=-s")

    for path, is_stripped in ((whole_, False), (stripped, True)):
        found = read(path)
        assert sum(section.size for section in found.sections) == path.stat().st_size
        assert (found.system, found.architecture, found.stripped) == (system, arch, is_stripped)
        assert found.info
        assert found.info.path == "example.com/hello"
        assert found.info.settings["GOARCH"] == arch
        kinds = {section.kind for section in found.sections}
        assert {"code", "rodata", "data", "linking"} <= kinds
        assert ("debug" in kinds) is not is_stripped


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "386"])
def test_binutils_sees_the_same_sections_of_pe(arch):
    """Names, places and sizes are those that objdump prints."""
    path = built("windows", arch)
    said = subprocess.run([need("objdump"), "-h", path], capture_output=True, text=True, check=True).stdout

    rows = re.findall(r"^ +\d+ (\S+) +([0-9a-f]{8})  \S+  \S+  ([0-9a-f]{8})", said, re.MULTILINE)

    found = {part.name: (part.size, part.offset) for part in pe.parse(memoryview(path.read_bytes()), "x").parts}
    assert rows
    for name, size, offset in rows:
        stored, place = found[name]
        assert place == int(offset, 16)
        # The file has whole blocks of 512 bytes; of compressed DWARF objdump gives the size it would have.
        assert name.startswith(".zdebug") or 0 <= stored - int(size, 16) < 512


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_gos_own_reader_sees_the_same_sections_of_mach_o(arch, tmp_path):
    """Names, places and sizes are those that debug/macho of Go gives."""
    path = built("darwin", arch)
    judge = go_module({"main.go": JUDGE}, module="example.com/judge")
    said = json.loads(subprocess.run([judge, path], capture_output=True, check=True).stdout)

    found = {part.name: [part.offset, part.size] for part in macho.parse(memoryview(path.read_bytes()), "x").parts}

    assert said
    assert {name: found[name] for name in said} == said


JUDGE = """package main

import ("debug/macho"; "encoding/json"; "os")

func main() {
	file, err := macho.Open(os.Args[1])
	if err != nil { panic(err) }
	rows := map[string][2]uint64{}
	for _, one := range file.Sections {
		if one.Flags&0xff != 1 && one.Size > 0 { rows[one.Seg+","+one.Name] = [2]uint64{uint64(one.Offset), one.Size} }
	}
	json.NewEncoder(os.Stdout).Encode(rows)
}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("system", "arch"), [("darwin", "arm64"), ("windows", "amd64")])
def test_cut_and_changed(system, arch):
    """A broken file is an error with a place, or its sections still are the whole file."""
    original = built(system, arch, "-ldflags=-s").read_bytes()
    said = 0
    for at in range(0, 1024, 3):
        changed = bytearray(original[: 1 << 17] if at % 2 else original)
        changed[at : at + 4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f")[at % 3]
        try:
            found = sections_of(memoryview(changed), "changed")
        except WherryError:
            said += 1
        else:
            assert sum(section.size for section in found.sections) == len(changed)
    assert said


def test_what_is_something_else():
    """The message says what is read, and what to do."""
    with pytest.raises(InvalidDocument, match="universal binary"):
        sections_of(memoryview(b"\xca\xfe\xba\xbe" + bytes(64)), "fat")
    with pytest.raises(InvalidDocument, match="a DOS program"):
        sections_of(memoryview(b"MZ" + bytes(0x3A) + struct.pack("<I", 0x40) + bytes(64)), "dos")
    with pytest.raises(InvalidDocument, match="not a"):
        sections_of(memoryview(b"#!/bin/sh\n"), "script")


@given(st.binary(max_size=600), st.sampled_from([*macho.MAGICS, pe.MAGIC]))
def test_any_bytes(content, magic):
    """Whatever follows a magic number, it is read or refused."""
    try:
        found = sections_of(memoryview(magic + content), "made.up")
    except InvalidDocument:
        return
    assert sum(section.size for section in found.sections) == len(magic + content)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 300)), max_size=8), st.integers(0, 200))
def test_every_byte_once(ranges, size):
    """Whatever parts lie over each other, what is given covers the file in order, without a hole."""
    at = 0
    for part in whole([FilePart(str(number), *one, "data") for number, one in enumerate(ranges)], size):
        assert part.offset == at
        assert part.size > 0
        at += part.size
    assert at == size
