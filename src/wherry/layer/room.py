"""How much unpacking may write: a stated limit, and never what the disk does not have.

Sizes are those that entries declare, so that too much is refused before a byte of it is written. Ratios are not judged:
an image of zeros is a legitimate image, and a small one may be a bomb all the same.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from wherry.errors import CannotWrite
from wherry.layer.entry import ArchiveLimits
from wherry.layer.header import InvalidArchive

_RESERVE = 64 << 20
"""Bytes of a disk that stay free for records, databases and logs; of a small disk, a twentieth of it."""


class Sized(Protocol):
    """What is known of an entry before its bytes are read."""

    @property
    def path(self) -> str:
        """Where it goes."""

    @property
    def size(self) -> int:
        """Bytes of a file; 0 for all else."""


E = TypeVar("E", bound=Sized)
B = TypeVar("B")


def free_bytes(folder: Path) -> int:
    """Give the bytes of files that still go on a folder's disk; the folder may be missing."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    status = os.statvfs(folder)
    if not status.f_blocks:  # ramfs and some file systems of networks don't say
        return sys.maxsize
    reserve = min(_RESERVE, status.f_blocks * status.f_frsize // 20)
    return max(status.f_bavail * status.f_frsize - reserve, 0)


class Room:
    """What one command may unpack into one folder; threads share it."""

    def __init__(
        self,
        folder: Path,
        limit: int = ArchiveLimits().size,
        *,
        hint: str = "",
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        """Measure nothing yet.

        Args:
            folder: where files are written.
            limit: most bytes of files in all.
            hint: what to do where there are more.
            free: gives the free bytes of a folder's disk.
        """
        self._folder, self._limit, self._hint, self._free = folder, limit, hint, free
        self._taken = 0
        self._left = 0
        """Bytes that may be taken until the disk is asked again."""
        self._turn = threading.Lock()

    def bounded(self, entries: Iterable[tuple[E, B]]) -> Iterator[tuple[E, B]]:
        """Pass entries on, as long as they fit.

        Raises:
            InvalidArchive, CannotWrite: see `take`.
        """
        for entry, body in entries:
            self.take(entry.path, entry.size)
            yield entry, body

    def take(self, path: str, size: int) -> None:
        """Count a file before it is written.

        Raises:
            InvalidArchive: there are more bytes than the limit.
            CannotWrite: the disk has no room for them.
        """
        with self._turn:
            self._taken += size
            if self._taken > self._limit:
                raise InvalidArchive(path, f"more than {self._limit} bytes in total", hint=self._hint)
            if size > self._left:
                # Half of what is free, since what was counted may not be on the disk yet, and others write there too.
                free = self._free(self._folder)
                self._left = max(free // 2, size) if free >= size else 0
                if not self._left and size:
                    raise CannotWrite(
                        f"{path}: {size} bytes, but the disk of {self._folder} has {free} free",
                        hint="free disk space (`wherry gc` deletes unused blobs), or use a directory on another disk",
                    )
            self._left -= size
