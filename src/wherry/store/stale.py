"""Files that killed writers left in a store's own folder, and when they are deleted.

A blob that is fetched waits under `part-ALGORITHM-DIGEST`, so that the next pull goes on where a killed one was; all
else that is written waits under `tmp-…`, and is of no use to anybody once its writer is dead.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wherry.digest import Digest
from wherry.errors import CannotWrite
from wherry.store.locks import acquire

TEMPORARY, PARTIAL = "tmp-", "part-"
_KEPT = {TEMPORARY: 24 * 3600.0, PARTIAL: 7 * 24 * 3600.0}
"""Seconds after its last write that the next command that writes deletes such a file; `wherry gc` does at once."""


def partial_name(digest: Digest) -> str:
    """Name the file that a blob waits in while it is fetched."""
    return f"{PARTIAL}{digest.algorithm}-{digest.encoded}"


def leftovers(own: Path) -> Iterator[tuple[Path, int, float]]:
    """Yield files on their way in, with their bytes and the seconds since the epoch of their last write."""
    try:
        with os.scandir(own) as entries:
            for entry in entries:
                if entry.name.startswith((TEMPORARY, PARTIAL)):
                    with suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        yield Path(entry.path), found.st_size, found.st_mtime
    except FileNotFoundError:
        return


def clear_stale(own: Path, now: float | None = None) -> None:
    """Delete what was not written to for so long that no one goes on with it; what is locked stays."""
    moment = time.time() if now is None else now
    for path, _, written in leftovers(own):
        kept = _KEPT[PARTIAL if path.name.startswith(PARTIAL) else TEMPORARY]
        if moment - written < kept:
            continue
        with suppress(OSError, CannotWrite):
            lock = acquire(path, alone=True, wait=False)
            if lock:
                path.unlink()
                lock.release()
