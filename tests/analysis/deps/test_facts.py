"""What one file says: scripts' first lines, and ELF files of any bytes."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gobuild import PRINT, USER, go_binary
from made_elf import made_elf
from wherry.analysis.deps.facts import BrokenFile, ElfFacts, ScriptFacts, script_facts
from wherry.analysis.deps.root import file_facts


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"#!/bin/sh\n", ScriptFacts("/bin/sh", "")),
        (b"#! \t/bin/sh -e -u \t\nrest", ScriptFacts("/bin/sh", "-e -u")),
        (b"#!/usr/bin/env\tpython3\n", ScriptFacts("/usr/bin/env", "python3")),
        (b"#!/bin/sh", ScriptFacts("/bin/sh", "")),
        (b"#!" + b"/x" * 200, None),
        (b"#!/bin/sh " + b"x" * 300, ScriptFacts("/bin/sh", "x" * 246)),
        (b"#!\n", None),
        (b"#\n", None),
        (b"", None),
    ],
)
def test_first_lines(start, expected):
    """As the kernel reads them: 256 bytes, blanks off, one argument."""
    assert script_facts(start[:256]) == expected


@pytest.mark.slow
def test_programs_of_go(tmp_path):
    """The version and the functions that ask for files, with cgo and without."""
    plain, linked = (file_facts(go_binary(PRINT), "a"), file_facts(go_binary(USER, cgo=True), "b"))

    assert isinstance(plain, ElfFacts)
    assert isinstance(linked, ElfFacts)
    assert plain.go.startswith("go1.")
    assert not {name for name in plain.functions if name.startswith(("crypto/x509", "os/user"))}
    assert "os/user._C2func_getpwuid_r" in linked.functions or "os/user.Current" in linked.functions
    assert file_facts(tmp_path, "folder") is None
    assert file_facts(tmp_path / "none", "none") is None


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1 << 13), st.integers(0, 255)), max_size=24), st.integers(0, 1 << 16))
def test_any_elf_file(tmp_path, changes, cut):
    """One that was changed or cut gives facts, or is broken; never another error."""
    content = bytearray(Path("/bin/sh").resolve().read_bytes()[: (1 << 17) - cut])
    for at, value in changes:
        content[at % len(content)] = value
    file = tmp_path / "program"
    file.write_bytes(content)

    assert isinstance(file_facts(file, "program"), ElfFacts | BrokenFile | None)


def test_names_that_overlap_are_bounded(tmp_path):
    """A small file whose entries all point at one long name is refused, not kept sixteen million bytes large."""
    file = tmp_path / "program"
    file.write_bytes(made_elf(*[(1, 1)] * 4000, texts=b"\0" + b"x" * 4000 + b"\0"))

    assert isinstance(file_facts(file, "program"), BrokenFile)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1 << 40)), max_size=8), st.binary(max_size=100))
def test_any_dynamic_section(tmp_path_factory, entries, texts):
    """Tags of any values."""
    file = tmp_path_factory.mktemp("any") / "program"
    file.write_bytes(made_elf(*entries, texts=texts))

    assert isinstance(file_facts(file, "program"), ElfFacts | BrokenFile)
