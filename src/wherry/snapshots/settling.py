"""Trees become settled: on the disk, so that they can be believed after a crash.

One call writes out the disk that they are on. A short build leaves that to a later one, or to `wherry gc`; a long one
does it next to its steps, and once more at its end, when little is left.

Source: syncfs(2).
"""

import ctypes
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

import msgspec

from wherry.snapshots.records import RECORD, SnapshotFolder
from wherry.store.files import replacing

_FIRST = 5.0
"""Seconds after which a build begins to settle trees next to its steps."""
_LONG = 10.0
"""Seconds after which a build settles all its trees at its end."""


def unsettled(trees: SnapshotFolder) -> tuple[str, ...]:
    """Name the trees that are not known to be on the disk."""
    return tuple(tree.name for tree in trees.stored() if (known := trees.record(tree.name)) and known.boot)


def write_out(folder: Path) -> None:
    """Wait until all of the disk that a folder is on is written.

    Raises:
        OSError: it could not be, or not all of it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(opened) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(opened)


def note_settled(trees: SnapshotFolder, names: Iterable[str]) -> None:
    """Take down that trees are on the disk; none may be deleted meanwhile, but may have been before."""
    for name in names:
        known, place = trees.record(name), trees.folder / name / RECORD
        if known is None:
            continue
        used = place.stat().st_mtime_ns
        with replacing(place) as file:
            file.write(msgspec.json.encode(msgspec.structs.replace(known, boot="")))
        os.utime(place, ns=(used, used))


class Settler:
    """Settles trees while a build is at work, if that takes long."""

    def __init__(self, settle_all: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        """Take what settles them; it may raise OSError, which leaves trees for a later build."""
        self._settle, self._clock = settle_all, clock
        self._began = clock()
        self._turn = Lock()
        self._thread: Thread | None = None

    def added(self) -> None:
        """Hear of one more tree."""
        with self._turn:
            at_work = self._thread is not None and self._thread.is_alive()
            if not at_work and self._clock() - self._began >= _FIRST:
                self._thread = Thread(target=self._try, name="settle", daemon=True)
                self._thread.start()

    def end(self, *, failed: bool) -> None:
        """Settle what is left, unless the build was short or it failed."""
        with self._turn:
            thread, self._thread = self._thread, None
        if failed:
            return
        if thread is not None:
            thread.join()
        if self._clock() - self._began >= _LONG:
            self._try()

    def _try(self) -> None:
        with suppress(OSError):
            self._settle()
