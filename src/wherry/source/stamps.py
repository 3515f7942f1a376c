"""A file's stamp: what differs once it was written again. Loads nothing, for those who must be quick."""

import os

Stamp = tuple[int, int, int, int, int]
"""Size, times of change (nanoseconds), inode, mode."""
Stamped = tuple[str, Stamp | None]
"""A path; None: nothing was there."""


def stamp(found: os.stat_result) -> "Stamp":
    """Give the stamp of a status."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode


def stamp_of(path: str) -> "Stamp | None":
    """Give the stamp of a path, no link followed; None where there is nothing."""
    try:
        return stamp(os.lstat(path))
    except OSError:
        return None
