"""Tables on a real terminal: they fit 80 and 120 columns, and are whole elsewhere or where that is asked for."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from cli_shell import Shell
from gobuild import PRINT, go_binary

pytestmark = pytest.mark.slow


def on_terminal(wherry: Shell, columns: int, *words: str) -> list[str]:
    """Give what a command prints on a terminal of a width, line by line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: text for name, text in wherry.environment.items() if name not in {"COLUMNS", "NO_COLOR"}}
    call = [sys.executable, "-m", "wherry", *words]
    written = b""
    with subprocess.Popen(call, stdout=theirs, cwd=wherry.root, env={**environment, "TERM": "xterm"}):
        os.close(theirs)
        with suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 1 << 16):
                written += part
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).replace("\r\n", "\n").splitlines()


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A shell next to a program with a long name."""
    shell = Shell(tmp_path / "here")
    (shell.root / ("program-with-a-name-" + "x" * 60)).write_bytes(go_binary(PRINT).read_bytes())
    return shell


def program(wherry: Shell) -> str:
    """Name the program."""
    return next(one.name for one in wherry.root.iterdir() if one.name.startswith("program"))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("way", ["module", "package", "function", "kind"])
def test_size_fits(wherry, columns, way):
    """No line of a table is wider than the terminal; words of other lines are whole."""
    lines = on_terminal(wherry, columns, "size", program(wherry), "--by", way)
    words = {word for line in wherry("size", program(wherry), "--by", way) for word in line.split()}

    assert len(lines) > 5
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines), lines
    assert {word for line in lines for word in line.split() if "…" not in word} <= words


def test_no_trunc_is_whole(wherry):
    """What would be shortened is not, where that is asked for; a pipe has the same lines."""
    whole = wherry("size", program(wherry), "--by", "function")

    assert on_terminal(wherry, 80, "size", program(wherry), "--by", "function", "--no-trunc") == whole
    assert on_terminal(wherry, 80, "size", program(wherry), "--by", "function") != whole


def test_kinds_are_shown_once(wherry):
    """`--by kind` has each kind in one line."""
    lines = wherry("size", program(wherry), "--by", "kind")

    assert len([line for line in lines if re.search(r"%  pclntab\b", line)]) == 1


def test_diff_folds_what_is_the_same(wherry):
    """A program that did not change takes a line."""
    lines = wherry("diff", program(wherry), program(wherry))

    assert len(lines) == 3
    assert lines[2].startswith("the same in both: ")


def test_doctor_breaks_between_words(wherry):
    """On 60 columns every word of what was found is there, in its order."""
    narrow = " ".join(on_terminal(wherry, 60, "doctor")).split()
    wide = " ".join(on_terminal(wherry, 400, "doctor")).split()

    assert [word for word in narrow if not word[0].isdigit()] == [word for word in wide if not word[0].isdigit()]
