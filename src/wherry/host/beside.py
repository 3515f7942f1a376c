"""Work done by a second process, which is this one forked: for what keeps the interpreter's lock too busy for threads.

Only what the work leaves on disk comes back. The child ends soon after us, if it asks often enough.

Source: fork(2) NOTES: a child of a process with several threads may call only what is async-signal-safe, so that none
is made where there are others.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(slots=True)
class Beside:
    """The other process; leaving its `with` block ends it."""

    _pid: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> None:
        """Wait until it has ended."""
        pid, self._pid = self._pid, 0
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def beside(work: Callable[[Callable[[], bool]], object]) -> Beside | None:
    """Have work done by a copy of this process; None where that cannot be, or has no use.

    Args:
        work: is given a function that reports whether this process is gone. What it raises is lost, so check that its
            result is there.
    """
    if not hasattr(os, "fork") or not hasattr(os, "sched_getaffinity"):
        return None
    if threading.active_count() > 1 or len(os.sched_getaffinity(0)) < 2:  # noqa: PLR2004 - one for each process
        return None
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        return None
    if pid:
        return Beside(pid)
    code = 1
    try:
        work(lambda: os.getppid() != parent)
        code = 0
    finally:
        os._exit(code)  # nothing of ours is flushed or closed twice


def detached(work: Callable[[int], object]) -> int:
    """Have work done by a copy of this process that outlives it, in a session of its own, without standard streams.

    No signal of our terminal reaches it, and nobody has to wait for it: its parent is the machine's first process.

    Args:
        work: is given the writing end of a pipe. What it raises is lost.

    Returns:
        The reading end of that pipe, which ends when the other process closes its end, or is gone.

    Raises:
        OSError: no process can be made.
    """
    read, write = os.pipe()
    first = os.fork()
    if first:
        os.close(write)
        os.waitpid(first, 0)
        return read
    try:
        os.close(read)
        os.setsid()
        os.chdir("/")
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(null, stream)
            os.close(null)
            work(write)
    finally:
        os._exit(0)  # nothing of ours is flushed or closed twice
