"""A standard stream that is closed, full or not read: exit code and message as git has them, for every command."""

import contextlib
import fcntl
import io
import os
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from wherry.cli.main import COMMANDS, run
from wherry.cli.world import World

FULL = "error: write failure on standard output: No space left on device\n"
pytestmark = pytest.mark.slow


def called(folder: Path, words: list[str], redirections: str) -> subprocess.CompletedProcess[str]:
    """Call wherry through a shell that redirects its streams."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WHERRY")},
        "WHERRY_STORE": str(folder / "store"),
        "WHERRY_CACHE": str(folder / "cache"),
    }
    program = [sys.executable, "-m", "wherry", *words]
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirections}', "sh", *program],
        check=False, cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["images", "--json"], ["doctor"], ["completion", "bash"]])
def test_a_full_disk_is_told_once(tmp_path, words):
    """Git ends with 128 and one line."""
    done = called(tmp_path, words, ">/dev/full")

    assert (done.returncode, done.stderr.count("write failure")) == (128, 1)
    assert done.stderr.endswith(FULL)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_to_the_same_stdout(tmp_path, command):
    """Its help is written as all results are."""
    done = called(tmp_path, [command, "--help"], ">/dev/full")

    assert (done.returncode, done.stderr) == (128, FULL)


@pytest.mark.parametrize("words", [["--help"], ["images", "--json"]])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_none(tmp_path, words, closed):
    """Git takes /dev/null in its place."""
    done = called(tmp_path, words, closed)

    assert (done.returncode, done.stderr) == (0, "")


def test_stderr_that_is_full_loses_words_alone(tmp_path):
    """The exit code is that of the error."""
    assert called(tmp_path, ["rm", "nothing:here"], "2>/dev/full").returncode == 66


def test_a_reader_that_went_away(tmp_path):
    """128 and SIGPIPE, without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        program = [sys.executable, "-m", "wherry", "--help"]
        done = subprocess.run(program, check=False, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE)

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_build_and_its_replay(tmp_path):
    """Both write the reference; no file of the store gets its bytes where stdout is closed."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    words = ["build", "-t", "x:1", "--progress", "quiet"]
    for _ in range(2):
        assert called(tmp_path, words, ">/dev/full").stderr == FULL
        closed = called(tmp_path, words, ">&-")
        assert (closed.returncode, closed.stderr) == (0, "")

    assert called(tmp_path, words, "").stdout.startswith("x:1@sha256:")
    assert called(tmp_path, ["verify-store"], "").returncode == 0


@pytest.mark.parametrize("columns", [60, 80, 90, 100, 140])
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_what_click_would_print(word, columns):
    """Made beforehand or not: on a terminal of a width, it is the help of where COLUMNS says the same width."""
    program = [sys.executable, "-m", "wherry", word]
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    made = subprocess.check_output(program, env={**plain, "COLUMNS": str(columns)})
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(program, env=plain, stdout=theirs):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while chunk := os.read(ours, 1 << 16):
                shown += chunk
    os.close(ours)

    assert shown.replace(b"\r\n", b"\n") == made


def test_help_in_a_pipe_is_of_eighty_columns():
    """As everything is where nothing says how wide it may be."""
    program = [sys.executable, "-m", "wherry", "--help"]
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}

    made = subprocess.check_output(program, env={**plain, "COLUMNS": "80"})
    assert subprocess.check_output(program, env=plain) == made


class Interrupted(io.BytesIO):
    """A stream at which the user presses Ctrl-C."""

    def read(self, _size: int | None = -1, /) -> bytes:
        """Raise the signal."""
        signal.raise_signal(signal.SIGINT)
        return b""


def test_ctrl_c_says_cancelled(tmp_path):
    """A command that is interrupted says so in a word, and ends with 130."""
    stdin = io.TextIOWrapper(Interrupted())
    world = World(io.StringIO(), io.StringIO(), {"HOME": str(tmp_path)}, tmp_path, stdin=stdin)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = run(["report", "--from", "-"], world)
    finally:
        signal.signal(signal.SIGINT, before)

    assert code == 130
    assert world.stderr.getvalue() == "cancelled\n"
