"""Files of the user's own, written over: what they are besides their bytes stays."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import CannotWrite
from wherry.store.files import ByteSink, cannot_write, incoming

_ANYBODY = 0o222
"""Who may write: anybody at all."""


@contextmanager
def editing(path: Path) -> Iterator[ByteSink]:
    """Write a user's own file as `replacing` does; a link to it stays a link, its mode and owner what they were.

    A file with several names, or of another owner, is written in place, so that all its names have the new content. One
    that nobody may write is refused, as `gofmt -w` does.

    Raises:
        CannotWrite: no space, no folder, or not allowed.
    """
    real = Path(os.path.realpath(path))
    there = _writable(real, path)
    with incoming(real.parent, path) as replacement:
        replacement.keep_mode(real)
        yield replacement
        if there and (there.st_nlink > 1 or (there.st_uid, there.st_gid) != replacement.owner):
            replacement.pour(real)
        else:
            replacement.move(real, durable=False)


def _writable(real: Path, shown: Path) -> os.stat_result | None:
    """Describe a file that is to be written over; None where there is none.

    Raises:
        CannotWrite: its mode lets nobody write it.
    """
    try:
        there = real.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_write(shown, error) from error
    if not there.st_mode & _ANYBODY:
        raise CannotWrite(f"{shown}: the file is read-only", hint=f"make it writable: chmod u+w {shown}")
    return there
