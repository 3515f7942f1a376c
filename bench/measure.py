"""One program run once: how long it took and how much memory it and what it started had at most.

Source: getrusage(2) and wait4(2) for the largest process of the tree; proc(5), `VmHWM`, for the program alone.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PAUSE = 0.004
"""Seconds between two looks at the program's own peak; it can grow unseen for as long before it ends."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run."""

    seconds: float
    own_peak: int
    """Bytes of memory (resident) that the program itself had at most."""
    tree_peak: int
    """Bytes that the largest process had at most: the program or one it started, such as the Go linker."""
    stdout: str
    cpu: float
    """Seconds of processors that it and what it started took."""


def measured(argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Sample:
    """Run a program to its end; a program that fails ends the benchmark with what it said."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(argv), cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        watch = _Watch(process.pid)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()  # we are being stopped: nothing of ours stays behind
            raise
        seconds = time.perf_counter() - start
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        said, complained = _text(stdout), _text(stderr)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} (in {cwd}) ended with {process.returncode}:\n{said}{complained}")
    return Sample(seconds, watch.peak, max(watch.peak, usage.ru_maxrss * 1024), said, usage.ru_utime + usage.ru_stime)


class _Watch(threading.Thread):
    """Looks at a process's own peak until the process has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.peak = 0

    def run(self) -> None:
        while seen := self._look():
            self.peak = max(self.peak, seen)
            time.sleep(_PAUSE)

    def _look(self) -> int:
        """Bytes at most so far; 0 where the process has ended."""
        try:
            lines = self._status.read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
