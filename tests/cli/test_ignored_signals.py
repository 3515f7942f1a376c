"""A caller that ignores signals, as nohup, jobs in the background and some CI runners do."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need

pytestmark = pytest.mark.slow
TESTS = str(Path(__file__).resolve().parents[1])
PROGRAM = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	for _, number := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM} {
		println(number.String(), signal.Ignored(number))
	}
}
"""


def test_a_container_ignores_none(tmp_path):
    """The program starts with the default actions, whatever the caller of `wherry run` ignores."""
    need("go")
    shell = Shell(tmp_path / "here")
    shell.module()
    shell.write("main.go", PROGRAM)
    shell("build", "-t", "signals:1")

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-m", "wherry", "run", "-q", "signals:1"],
        env=shell.environment, capture_output=True, text=True, check=True, timeout=300, preexec_fn=ignore,
    )  # fmt: skip

    assert [line.split()[-1] for line in done.stderr.splitlines()] == ["false"] * 4


def test_tests_can_interrupt():
    """Conftest restores what a run in the background is given, so that no test waits for a signal that is ignored."""
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        f"sys.path.insert(0, {TESTS!r}); import conftest; "
        "child = subprocess.Popen(['sleep', '60']); child.send_signal(signal.SIGINT); print(child.wait(20))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "-2"
