"""`wherry trace` as a user calls it: a running process, an image, a command; and what is refused."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import people
from traced import actor, put_actor

pytestmark = pytest.mark.slow

ASKS = "while :; do read -r line < /etc/hostname; sleep 0.05; done"


def traced(wherry: Shell, *words: str, code: int = 0) -> list[dict]:
    """Trace; give the lines."""
    return [json.loads(line) for line in wherry("trace", *words, code=code)]


@pytest.fixture
def wherry(tmp_path) -> Shell:
    """A shell with an empty store."""
    return Shell(tmp_path / "shell")


def test_a_command(wherry):
    """Files, programs, sockets and signals of a command and its children; its exit code is ours."""
    lines = traced(wherry, "--", str(actor()), "files", code=0)

    events = {(line["event"], line.get("path") or line.get("address") or line.get("signal", "")) for line in lines}
    assert {("file", f"/etc/thread{number}") for number in range(8)} < events
    assert ("socket", "unix:/run/none.sock") in events
    assert ("signal", "SIGUSR1") in events
    assert lines[0]["event"] == "exec"
    assert (lines[-1]["event"], lines[-1]["code"]) == ("exit", 0)
    assert {line["signal"] for line in lines if line["event"] == "signal"}.isdisjoint({"SIGURG"})

    assert traced(wherry, "--", str(actor()), "exit", code=3)[-1]["code"] == 3
    assert traced(wherry, "--for", "1s", "--", "sleep", "60", code=143)[-1]["code"] == -signal.SIGTERM


def test_an_image(wherry):
    """An image runs in the sandbox."""
    put_actor(wherry.store)

    lines = traced(wherry, "actor:dev", "exit", code=3)

    assert [line["path"] for line in lines if line.get("error") == "ENOENT"] == ["/etc/first", "/etc/rel/last"]
    assert "usage: actor needs a config" in wherry.err


def test_a_process_runs_on_after_the_trace(wherry):
    """It is traced with its children for a while, then let go: no tracer, not stopped."""
    with subprocess.Popen(["sh", "-c", ASKS]) as process:
        try:
            lines = traced(wherry, "--for", "1s", str(process.pid))
            state = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.kill()

    assert any(line.get("path") == "/etc/hostname" and line["pid"] == process.pid for line in lines)
    assert any(line["event"] == "exec" and line["path"].endswith("/sleep") for line in lines)
    assert "TracerPid:\t0" in state
    assert "(stopped)" not in state


def test_the_target_ends(wherry):
    """Its end is the end of the trace."""
    with subprocess.Popen(["sleep", "0.7"]) as process:
        lines = traced(wherry, str(process.pid))

    assert lines[-1] == {**lines[-1], "event": "exit", "code": 0}


def test_plain_users_and_kills():
    """A plain user traces a process of its own; wherry is killed, and the process runs on; another's is refused."""
    with people() as persons, subprocess.Popen(["sleep", "60"]) as ours:
        for person in persons.values():
            own = ["setpriv", f"--reuid={person.name}", f"--regid={person.name}", "--init-groups"]
            plain = person.uid != os.geteuid()
            with subprocess.Popen([*(own if plain else []), "sh", "-c", ASKS]) as process:
                started = person.start("trace", str(process.pid))
                assert "/etc/hostname" in started.stdout.readline() + started.stdout.readline()
                started.kill()
                started.communicate(timeout=30)
                assert _free(process.pid)
                process.kill()
            if plain:
                refused = person.run("trace", str(ours.pid))
                assert refused.returncode != 0
                assert "belongs to user 0" in refused.stderr
        ours.kill()


@pytest.mark.parametrize(
    ("words", "code"), [(("4194303",), 69), (("no-such-command-here",), 66), (("--for", "x", "ls"), 64)]
)
def test_refused(wherry, words, code):
    """What is not there is said plainly."""
    wherry("trace", *words, code=code)

    assert "hint:" in wherry.err


def _free(process: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        status = Path(f"/proc/{process}/status").read_text()
        if "TracerPid:\t0" in status and "stop" not in status:
            return True
        time.sleep(0.02)
    return False
