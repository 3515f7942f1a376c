"""Instructions of amd64: what a disassembler reads, side by side with what we step over."""

import re
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gobuild import PRINT, USER, go_binary
from needs import need
from wherry.analysis.amd64 import mentions
from wherry.analysis.mapped import map_elf
from wherry.analysis.program import AttributedProgram

_LINE = re.compile(r"^\s*([0-9a-f]+):\t.*\(%rip\).*# (?:0x)?([0-9a-f]+)", re.MULTILINE)


def disassembled(path: str, end: int) -> set[tuple[int, int]]:
    """Ask objdump which instructions mention which addresses."""
    words = [need("objdump"), "-d", "--no-show-raw-insn", "-w", "-j", ".text", path]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    pairs = ((int(found[1], 16), int(found[2], 16)) for found in _LINE.finditer(text))
    return {pair for pair in pairs if pair[0] < end}


@pytest.mark.slow
@pytest.mark.parametrize("source", [PRINT, USER])
def test_what_objdump_reads(source):
    """Nothing is made up, and of ten thousand mentions at most one is missed."""
    path = go_binary(source, "-ldflags=-s")
    program = AttributedProgram.of(map_elf(path))
    starts = program.functions.starts
    code = program.space.read_on(program.text)[: int(starts[-1])]

    places, targets = mentions(code, starts)

    ours = set(zip((places + program.text).tolist(), (targets + program.text).tolist(), strict=True))
    theirs = disassembled(str(path), program.text + len(code))
    assert len(theirs) > 5000
    assert ours <= theirs
    assert len(theirs - ours) <= len(theirs) // 10_000


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_stepped_through(code):
    """What is no code ends too, and places stay inside it."""
    places, targets = mentions(memoryview(code), np.array([0, len(code)]))

    assert len(places) == len(targets)
    assert all(0 <= place < len(code) for place in places.tolist())
