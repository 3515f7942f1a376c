"""A file's stamp: what differs once it was written again. Loads nothing, for those who must be quick."""

import os

_SECOND = 1_000_000_000
_TICKS = 50_000_000
Stamp = tuple[int, int, int, int, int]
"""Size, times of change (nanoseconds), inode, mode."""
Stamped = tuple[str, tuple[int, ...] | None]
"""A path and its stamp, or its first figures; None: nothing was there."""


def stamp(found: os.stat_result) -> "Stamp":
    """Give the stamp of a status."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode


def stamp_of(path: str) -> "Stamp | None":
    """Give the stamp of a path, no link followed; None where there is nothing."""
    try:
        return stamp(os.lstat(path))
    except OSError:
        return None


def settled(found: tuple[int, ...]) -> int:
    """Say from when on (nanoseconds since the epoch) whatever is written to a file gives it another stamp.

    Each write sets the time of change, by a clock that goes in ticks of up to 10 ms. A file system that keeps whole
    seconds or less has a zero where others have nanoseconds.
    """
    changed = found[2]
    return changed + (_TICKS if changed % _SECOND else 2 * _SECOND)
