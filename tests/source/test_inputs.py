"""Inputs: what changed is seen, what did not is not hashed again, and no race hides a change."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.source.inputs import (
    CHANGED_WHILE_BUILDING,
    NO_STAMP,
    Input,
    InputKind,
    InputReader,
    content_of,
    key_of_inputs,
    record,
)

LONG_AGO = 1_000_000_000


def settle(*paths: Path) -> int:
    """Pretend that the paths are old: give a start so far ahead that their ctimes are past the young span."""
    return max(path.stat().st_ctime_ns for path in paths) + 10_000_000_000


def recorded(path: Path, kind: InputKind) -> Input:
    """Record one path as a build that starts now would."""
    return record([(str(path), kind)], (), started=time.time_ns() + 60_000_000_000)[0]


def test_a_young_file_has_no_stamp(tmp_path):
    """What was just written could be written again within the same tick."""
    file = tmp_path / "a.go"
    file.write_text("package a")

    assert recorded(file, InputKind.FILE).stamp == NO_STAMP


def test_an_old_file_keeps_its_stamp(tmp_path, monkeypatch):
    """A file that has settled is known by its stamp."""
    file = tmp_path / "a.go"
    file.write_text("package a")
    later = settle(file)
    monkeypatch.setattr(time, "time_ns", lambda: later)

    entry = record([(str(file), InputKind.FILE)], (), started=later)[0]

    assert entry.stamp == (9, file.stat().st_mtime_ns, file.stat().st_ctime_ns, file.stat().st_ino)


def test_a_file_written_after_the_compiler_started_never_matches(tmp_path):
    """What the compiler read of it is unknown."""
    started = time.time_ns()
    file = tmp_path / "a.go"
    file.write_text("package a")

    entry = record([(str(file), InputKind.FILE)], (), started=started)[0]

    assert entry.content == CHANGED_WHILE_BUILDING
    assert InputReader().observe([entry]).changed


def test_a_stamp_that_holds_is_not_read_again(tmp_path):
    """The content hash is taken over; the file's bytes are not looked at."""
    file = tmp_path / "a.go"
    file.write_text("package a")
    stat = file.stat()
    known = Input(
        str(file), InputKind.FILE, b"taken over", (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    )

    assert record([(str(file), InputKind.FILE)], [known], started=time.time_ns()) == (known,)
    assert InputReader().observe([known]).changed == ()


@pytest.mark.parametrize("kind", [InputKind.FILE, InputKind.ABSENT])
def test_what_appears_is_a_change(tmp_path, kind):
    """go.work in a parent, default.pgo beside main.go: absent once, there now."""
    path = tmp_path / "go.work"
    entry = recorded(path, kind)
    assert InputReader().observe([entry]).changed == ()

    path.write_text("go 1.26")

    assert [changed.path for changed in InputReader().observe([entry]).changed] == [str(path)]


def test_same_bytes_under_new_times_are_no_change(tmp_path):
    """A checkout there and back, or `touch`, changes nothing that a compiler sees."""
    file = tmp_path / "a.go"
    file.write_text("package a")
    entry = recorded(file, InputKind.FILE)
    os.utime(file, (LONG_AGO, LONG_AGO))

    seen = InputReader().observe([entry])

    assert seen.changed == ()
    assert key_of_inputs(seen.current) == key_of_inputs([entry])


def test_an_edit_that_keeps_size_and_mtime_is_seen(tmp_path):
    """The ctime tells, and nobody can set it."""
    file = tmp_path / "a.go"
    file.write_text("var a = 1")
    before = file.stat()
    entry = recorded(file, InputKind.FILE)
    file.write_text("var a = 2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert InputReader().observe([entry]).changed


@pytest.mark.parametrize(
    ("name", "folder", "tree"),
    [
        ("b.go", True, True),
        ("README.md", False, True),
        (".b.go.swp", False, True),
        ("_b.go", False, True),
        ("x.syso", True, True),
    ],
)
def test_a_name_that_comes_counts_where_it_matters(tmp_path, name, folder, tree):
    """A package folder is known by the names Go looks at; what go:embed walks, by all of them."""
    (tmp_path / "a.go").write_text("package a")
    entries = [recorded(tmp_path, InputKind.FOLDER), recorded(tmp_path, InputKind.TREE)]

    (tmp_path / name).write_text("x")

    changed = {entry.kind for entry in InputReader().observe(entries).changed}
    assert changed == {kind for kind, counts in ((InputKind.FOLDER, folder), (InputKind.TREE, tree)) if counts}


def test_a_device_is_not_read(tmp_path):
    """A path that is no regular file has a content of its own; /dev/zero would never end."""
    os.mkfifo(tmp_path / "pipe")

    assert content_of("/dev/zero", InputKind.FILE) == b"special"


@given(
    st.lists(st.tuples(st.sampled_from(["a.go", "b.go", "data/x", "go.mod"]), st.binary(max_size=3)), max_size=6),
    st.lists(st.tuples(st.sampled_from(["a.go", "b.go", "data/x", "go.mod"]), st.binary(max_size=3)), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_equal_keys_are_equal_trees(tmp_path_factory, before, after):
    """Whatever is written, deleted or written back: the key is the same exactly where the contents are."""
    folder = tmp_path_factory.mktemp("tree")
    paths = [(str(folder / name), InputKind.FILE) for name in ("a.go", "b.go", "data/x", "go.mod")] + [
        (str(folder), InputKind.FOLDER)
    ]

    def write(files):
        for name in ("a.go", "b.go", "data/x", "go.mod"):
            (folder / name).unlink(missing_ok=True)
        for name, content in files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        return dict(files)

    first = write(before)
    entries = record(paths, (), started=time.time_ns() + 60_000_000_000)
    second = write(after)
    seen = InputReader().observe(entries)

    assert (key_of_inputs(seen.current) == key_of_inputs(entries)) == (first == second)
    assert bool(seen.changed) == (first != second)
