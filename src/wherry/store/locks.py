"""Locks between processes: many writers share a store, the collector takes it alone.

They are `flock`s: the kernel drops them when their process dies, however it dies. Source: flock(2).
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from wherry.errors import CannotWrite, HostUnable


class Lock(Protocol):
    """A lock that is held."""

    def release(self) -> None:
        """Let others in."""


class SharedLock:
    """A lock that all threads of a process hold together, re-entrant, beside other processes that share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._lock: Lock | None = None
        self.holders = 0

    @contextmanager
    def held(self, *, before: Callable[[], None]) -> Iterator[None]:
        """Hold the lock.

        Args:
            before: called before the first holder takes it, e.g. to make the folder it is in.
        """
        with self._mutex:
            if not self.holders:
                before()
                self._lock = acquire(self._path, alone=False)
            self.holders += 1
        try:
            yield
        finally:
            with self._mutex:
                self.holders -= 1
                if not self.holders and self._lock:
                    self._lock.release()
                    self._lock = None


class _FileLock:
    def __init__(self, file: int) -> None:
        self._file = file

    def release(self) -> None:
        os.close(self._file)


def acquire(path: Path, *, alone: bool, wait: bool = True) -> Lock | None:
    """Take a lock on a file, which is made where it is missing.

    Args:
        path: the file; nothing is ever written to it.
        alone: hold it exclusively; otherwise many may hold it at once.
        wait: until it is free; otherwise None is given where it is not.

    Raises:
        CannotWrite: the file can't be made, or its file system has no locks.
        HostUnable: this operating system has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise HostUnable(
            f"{path.parent}: this system has no flock, which keeps gc from deleting files of a build",
            hint="use Linux or macOS; on Windows, use WSL",
        ) from error
    mode = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    try:
        file = _opened(path)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        fcntl.flock(file, mode)
    except BlockingIOError:
        os.close(file)
        return None
    except OSError as error:
        os.close(file)
        raise _cannot(path, error) from error
    except BaseException:  # Ctrl-C while waiting
        os.close(file)
        raise
    return _FileLock(file)


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o666)
    except IsADirectoryError:
        path.rmdir()  # an empty folder that something else left in a lock's place
        return os.open(path, flags, 0o666)


@contextmanager
def alone(path: Path, waiting: Callable[[], AbstractContextManager[object]] | None = None) -> Iterator[None]:
    """Take a lock exclusively, for a moment.

    Args:
        path: the file.
        waiting: is entered while another holds it.
    """
    lock = acquire(path, alone=True, wait=waiting is None)
    if lock is None and waiting is not None:
        with waiting():
            lock = acquire(path, alone=True)
    try:
        yield
    finally:
        if lock:
            lock.release()


def _cannot(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"{path}: cannot lock: {error.strerror or error}",
        hint="use a store in your own directory, on a file system that supports locks",
    )
