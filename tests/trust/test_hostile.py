"""Notes, logs, zips, lists and texts that someone else wrote: a value or an error of ours."""

import io
import struct
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checksum_log import ChecksumLog, hashes_of
from wherry.errors import InvalidDocument, WherryError
from wherry.golang.gosum import parse_go_sum
from wherry.golang.modpath import escape, file_path_problem, matches, module_problem, unescape
from wherry.trust.constraint import could_build
from wherry.trust.distribution import installed
from wherry.trust.licences import known_licences, licence_of
from wherry.trust.module_zip import ModuleZip
from wherry.trust.note import NoteKey, open_note
from wherry.trust.tlog import (
    TreeHead,
    check_record,
    check_tree,
    parse_record,
    prove_record,
    prove_tree,
    record_hash,
    tree_hash,
)

LOG = ChecksumLog(filler=3)
KEY = NoteKey.parse(LOG.key)
MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files. The above copyright notice and this permission notice shall be included in all copies. "
    'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND'
)


def zipped(**files: bytes) -> bytes:
    """Make a small module zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"m@v1.0.0/{name}", content)
    return out.getvalue()


ZIP = zipped(**{"go.mod": b"module m\n", "a.go": b"package a\n" * 50, "LICENSE": MIT.encode()})


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Change some bytes, and cut some off."""
    changed = bytearray(original)
    for _ in range(draw(st.integers(0, 6))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(0, len(changed)))] if draw(st.booleans()) else changed)


@settings(deadline=None, max_examples=150)
@given(mutated(ZIP))
def test_zips(blob):
    """A changed zip is read, or refused with our error."""
    with suppress(WherryError):
        opened = ModuleZip(blob, "it")
        opened.h1()
        opened.checked("m@v1.0.0/")
        licence_of(opened, "m@v1.0.0/", ["a/b"])


@settings(deadline=None, max_examples=150)
@given(mutated(LOG.head()))
def test_notes(message):
    """A changed head verifies only where nothing that is signed was changed."""
    try:
        note = open_note(message, [KEY])
    except WherryError:
        return
    assert message.startswith(note.text.encode())
    assert LOG.head().startswith(note.text.encode())


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.data())
def test_proofs(size, data):
    """Each record of each tree is proved, each older tree too; another leaf or root is not."""
    hash_at = hashes_of([b"%d" % number for number in range(size)])
    head = TreeHead(size, tree_hash(size, hash_at))
    number = data.draw(st.integers(0, size - 1))
    proof = prove_record(size, number, hash_at)
    check_record(proof, head, number, record_hash(b"%d" % number))
    with pytest.raises(WherryError):
        check_record(proof, head, number, record_hash(b"x"))
    older = data.draw(st.integers(1, size))
    old = TreeHead(older, tree_hash(older, hash_at))
    growth = prove_tree(size, older, hash_at)
    check_tree(growth, head, old)
    with pytest.raises(WherryError):
        check_tree(growth, head, TreeHead(older, bytes(32)))
    with pytest.raises(WherryError):
        check_tree([*growth, bytes(32)], head, old)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=60), st.binary(max_size=60))
def test_texts(text, blob):
    """No text makes a reader fail in its own way."""
    assert unescape(escape(text.replace("!", ""))) == text.replace("!", "")
    file_path_problem(text)
    module_problem(text, text)
    matches(text, "example.com/a/b")
    could_build(blob)
    could_build(f"//go:build {text}\n\npackage x\n".encode(errors="replace"))
    known_licences(blob)
    list(installed("var/lib/dpkg/status", blob))
    list(installed("lib/apk/db/installed", blob))
    for read in (lambda: parse_go_sum(text, "go.sum"), lambda: parse_record(blob)):
        with suppress(WherryError):
            read()


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("ignore", False), ("!ignore", True), ("ignore && linux", False), ("ignore || linux", True),
        ("!(ignore || x)", True), ("!(!ignore)", False), ("linux && !windows", True), ("(" * 500 + "a", True),
        ("", True),
    ],
)  # fmt: skip
def test_constraints(expression, holds):
    """Only what `ignore` keeps out of every build is left out by `go mod vendor`."""
    assert could_build(f"// Copyright\n\n//go:build {expression}\n\npackage x\n".encode()) is holds


def test_zip_bombs_and_paths_that_leave():
    """Sizes above the limit, lengths that lie, and `..` are named."""
    bomb = bytearray(ZIP)
    at = bomb.rfind(b"PK\1\2")
    struct.pack_into("<L", bomb, at + 24, 600 << 20)
    with pytest.raises(InvalidDocument, match="at most"):
        ModuleZip(bytes(bomb), "bomb")
    struct.pack_into("<L", bomb, at + 24, 10)
    with pytest.raises(InvalidDocument, match="longer than"):
        ModuleZip(bytes(bomb), "liar").h1()
    escaping = ModuleZip(zipped(**{"../../etc/passwd": b"x"}), "it").checked("m@v1.0.0/")
    assert "invalid path element" in escaping.problem


def test_huge_and_altered_licences_are_unknown():
    """A text that is too long, or has a clause added, is not named; its hash is."""
    assert known_licences(MIT.encode()) == ("MIT",)
    assert known_licences((MIT + " “Commons Clause” License Condition v1.0").encode()) == ()
    opened = ModuleZip(zipped(LICENSE=MIT.encode() + b" " * (1 << 20)), "it")
    licence = licence_of(opened, "m@v1.0.0/")
    assert licence.expression == ""
    assert licence.unknown[0].startswith("LICENSE sha256:")
