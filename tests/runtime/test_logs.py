"""A container's log: bounded, whole lines, and a full disk loses lines but says so."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.runtime.logs import LogLine, LogWriter, read_log


def texts(folder, **options: object) -> list[tuple[str, str]]:
    """Give what is in a log."""
    return [(line.stream, line.log) for line in read_log(folder, **options)]


def test_lines_and_streams(tmp_path):
    """Lines are whole however they come; what has no end is written at the end; a long line is cut."""
    log = LogWriter(tmp_path, clock=lambda: 0.0)
    for stream, chunk in (
        ("stdout", b"one\ntw"), ("stderr", b"err"), ("stdout", b"o\n\xff\x1b[2J\n"), ("stderr", b"or\n"),
        ("stdout", b"x" * 40_000), ("stdout", b"rest"),
    ):  # fmt: skip
        log.write(stream, chunk)
    log.close()

    found = texts(tmp_path)
    assert found[:4] == [("stdout", "one\n"), ("stdout", "two\n"), ("stdout", "\ufffd\x1b[2J\n"), ("stderr", "error\n")]
    assert "".join(text for _, text in found[4:]) == "x" * 40_000 + "rest"
    assert max(len(text) for _, text in found) == 16 << 10
    assert next(read_log(tmp_path)).time == "1970-01-01T00:00:00Z"
    assert texts(tmp_path, tail=1) == [found[-1]]
    assert texts(tmp_path, since=1.0) == []


def test_it_is_bounded(tmp_path):
    """No log takes more than twice its size; the last lines are there, and nothing is read twice."""
    log = LogWriter(tmp_path, largest=4096)
    for number in range(500):
        log.write("stdout", b"line %d\n" % number)
    log.close()

    assert sum((tmp_path / name).stat().st_size for name in ("log", "log.1")) <= 2 * 4096
    found = [text for _, text in texts(tmp_path)]
    assert found == [f"line {number}\n" for number in range(500 - len(found), 500)]
    assert len(found) > 50


def test_a_full_disk(tmp_path, monkeypatch):
    """Lines that find no room are counted, half a line is taken back, and the count is written when there is room."""
    log = LogWriter(tmp_path)
    log.write("stdout", b"before\n")
    written = os.write
    monkeypatch.setattr(os, "write", lambda file, text: written(file, text[:5]))
    log.write("stdout", b"half\n")

    def full(_file: int, _text: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log.write("stdout", b"lost\n" * 2)
    monkeypatch.setattr(os, "write", written)
    log.write("stdout", b"after\n")
    log.close()

    said = ("stderr", "wherry: 3 lines were not kept: No space left on device\n")
    assert texts(tmp_path) == [("stdout", "before\n"), said, ("stdout", "after\n")]


def test_following(tmp_path):
    """What comes later is given, over a change of files, to the end and not beyond it."""
    log = LogWriter(tmp_path, largest=200)
    log.write("stdout", b"first\n")
    turns = iter(range(4))

    def more() -> bool:
        turn = next(turns)
        log.write("stdout", b"turn %d\n" % turn)
        return turn < 3

    found = [line.log for line in read_log(tmp_path, follow=more)]
    log.close()
    assert found == ["first\n", "turn 0\n", "turn 1\n", "turn 2\n", "turn 3\n"]
    assert (tmp_path / "log.1").exists()


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_any_file(tmp_path_factory, content):
    """A log that is none has no lines; none is raised about."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "log").write_bytes(content)

    assert all(isinstance(line, LogLine) for line in read_log(folder))


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_no_file(tmp_path, kind):
    """What another put in its place is not waited for, nor followed."""
    if kind == "fifo":
        os.mkfifo(tmp_path / "log")
    elif kind == "link":
        (tmp_path / "log").symlink_to("/etc/passwd")
    else:
        (tmp_path / "log").mkdir()

    assert texts(tmp_path) == []
