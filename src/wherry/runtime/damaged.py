"""Containers whose documents cannot be read: their supervisor is found by the lock that it holds.

Source: proc(5), /proc/locks.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wherry.errors import HostUnable
from wherry.store.locks import acquire

_LOCKS = Path("/proc/locks")
_TRIES, _PAUSE = 100, 0.05


def end_holders(lock: Path) -> None:
    """Kill what holds a lock; the kernel ends the container with its supervisor.

    Raises:
        HostUnable: it is held, and the system does not tell by what.
    """
    for _ in range(_TRIES):
        held = acquire(lock, alone=True, wait=False)
        if held is not None:
            held.release()
            return
        for process in _holders(lock):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(_PAUSE)
    raise HostUnable(f"{lock}: something holds it", hint=f"find it with `fuser {lock}`, and end it")


def _holders(lock: Path) -> Iterator[int]:
    found = lock.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in _LOCKS.read_text(errors="replace").splitlines():
        words = line.split()
        if "FLOCK" in words and place in words:
            process = words[words.index(place) - 1]
            if process.isdecimal() and int(process) not in {0, os.getpid()}:
                yield int(process)
