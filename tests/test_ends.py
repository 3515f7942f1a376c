"""The suite ends, whatever it was started from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFTEST = Path(__file__).with_name("conftest.py")
HANGS = "import os, sys, subprocess\n\n\ndef test_it():\n    os.read(os.pipe()[0], 1)\n"
ASKS = """\
import signal, subprocess, sys


def test_it():
    said = subprocess.run(
        [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"],
        capture_output=True, text=True, check=True,
    )
    assert said.stdout == "False\\n"
"""


def suite(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a suite of one test with the conftest of this one, as a background job of a shell would be."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_one.py").write_text(text)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *words],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "WHERRY_TEST_LONGEST": "1"},
    )  # fmt: skip


def test_a_test_that_waits_for_ever_fails(tmp_path):
    """It is named, and the suite goes on to its end."""
    done = suite(tmp_path, HANGS)

    assert done.returncode == 1
    assert "did not end within 1 s" in done.stdout


def test_sigint_is_not_ignored(tmp_path):
    """A program that a test starts can be interrupted."""
    done = suite(tmp_path, ASKS)

    assert done.returncode == 0, done.stdout
