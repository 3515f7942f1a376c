"""Folders for programs between link and layer: in the cache, one a build, locked as long as that build is at work.

A build that is killed leaves its folder; the next build deletes it, or `wherry gc`. Source: flock(2).
"""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

_PREFIX = "link-"
_OLD = 3600
"""Seconds after which a folder without a lock is a killed build's: one of an earlier release has none."""


@dataclass(frozen=True, slots=True)
class LinkFolder:
    """A build's own folder."""

    path: Path
    _lock: int

    @classmethod
    def make(cls, parent: Path) -> Self:
        """Make one, and delete what killed builds left next to it."""
        parent.mkdir(parents=True, exist_ok=True)
        delete_left(parent, time.time() - _OLD)
        path = Path(mkdtemp(prefix=_PREFIX, dir=parent))
        return cls(path, _locked(path))

    def delete(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)


def delete_left(parent: Path, before: float) -> int:
    """Delete the folders of killed builds; return how many those were.

    Args:
        parent: where such folders are.
        before: seconds since the epoch; younger ones are left alone, since one is locked just after it is made.
    """
    left = 0
    with suppress(OSError):
        for path in parent.glob(f"{_PREFIX}*"):
            if path.stat().st_mtime < before and (lock := _locked(path)) >= 0:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
                left += 1
    return left


def _locked(path: Path) -> int:
    """Lock a folder; give the descriptor that holds the lock, or -1 where another has it or there are no locks."""
    try:
        import fcntl

        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        return -1
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return -1
    return opened
