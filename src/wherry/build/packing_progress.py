"""How far the packing of a step's files is: their size is measured once it takes long enough to be watched."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from wherry.counted import Moved

_SOON = 0.3
"""Seconds after which files are measured: most layers are packed by then."""
_MOST = 20_000
"""Files that are measured, in about 50 ms; of more the size is not known."""


def packing(chunks: Iterable[bytes], moved: Moved, folder: str, soon: float = _SOON) -> Iterator[bytes]:
    """Count the bytes of a tar as they go by.

    Args:
        chunks: the tar, as it is made.
        moved: hears of them, and of the size of all files once that is known.
        folder: where the files are.
        soon: seconds after which they are measured.
    """
    began, done, total = time.monotonic(), 0, -1
    for chunk in chunks:
        done += len(chunk)
        if total < 0 and time.monotonic() - began > soon:
            total = _size_of(folder)
        moved(done, max(total, 0))
        yield chunk


def _size_of(folder: str) -> int:
    """Add up the files of a folder; 0 where there are too many, or some are another user's alone."""
    size = count = 0
    with suppress(OSError):
        waiting = [folder]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > _MOST:
                        return 0
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        size += entry.stat(follow_symlinks=False).st_size
        return size
    return 0
