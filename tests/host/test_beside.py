"""A forked process does its work, or is not made, and does not stay."""

import os
import subprocess
import sys
import threading

import pytest

from wherry.host.beside import beside

_FORK = """
import os, sys, time
from wherry.host.beside import beside
def work(alone):
    if sys.argv[1] == "endless":
        open(sys.argv[2], "w").write(str(os.getpid()))
        while not alone():
            time.sleep(0.01)
        os.unlink(sys.argv[2])
        return
    if sys.argv[1] == "raises":
        raise ValueError
    open(sys.argv[2], "w").write("done")
print("before")
with beside(work) as other:
    if sys.argv[1] == "endless":
        while not os.path.exists(sys.argv[2]) or not open(sys.argv[2]).read():
            time.sleep(0.01)
        if sys.argv[3] == "die":
            os._exit(0)
    else:
        other.wait()
print("after", os.path.exists(sys.argv[2]))
"""
pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: no process is made")


def _run(*words: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", _FORK, *words], check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize(("how", "there"), [("works", "True"), ("raises", "False")])
def test_its_work_is_on_disk(tmp_path, how, there):
    """What it wrote is there, what it raised is not heard of, and nothing is printed twice."""
    assert _run(how, str(tmp_path / "done")) == ["before", "after", there]


def test_it_is_ended_with_its_block(tmp_path):
    """Leaving the block early, as on an error, ends it."""
    file = tmp_path / "pid"

    assert _run("endless", str(file), "leave") == ["before", "after", "True"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_it_learns_that_it_is_alone(tmp_path):
    """Where the first process dies, it stops by itself: its output closes, and it has tidied up."""
    file = tmp_path / "pid"
    _run("endless", str(file), "die")

    assert not file.exists()


def test_none_beside_threads():
    """A process with threads is not forked."""
    held = threading.Event()
    thread = threading.Thread(target=held.wait)
    thread.start()
    try:
        assert beside(lambda _: None) is None
    finally:
        held.set()
        thread.join()
