"""Files of a process's root that may be read and not entered, as a tar.

Source: openat2(2), RESOLVE_IN_ROOT: links of the target are resolved in its root, and lead nowhere else.
"""

import io
import os
import tarfile
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from wherry.sandbox.launcher import syscalls

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NOT_FOUND = 1


class _Sink(io.RawIOBase):
    """What tarfile writes to."""

    def __init__(self, out: Callable[[bytes], None]) -> None:
        super().__init__()
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, chunk: "Buffer", /) -> int:
        piece = bytes(chunk)
        self._out(piece)
        return len(piece)


def write_archive(
    process: int, folder: str, name: str, out: Callable[[bytes], None], *, hidden: Collection[str] = ()
) -> int:
    """Write a file or folder of a process's root as a tar; give 0, or 1 where it is not there or may not be read.

    Args:
        process: its id.
        folder: absolute, in its root.
        name: in the folder.
        out: takes the archive.
        hidden: what is left out where all of the root is taken.
    """
    root = os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = syscalls.open_below(root, folder, os.O_PATH | os.O_DIRECTORY, resolve=syscalls.IN_ROOT)
    except OSError:
        return _NOT_FOUND
    finally:
        os.close(root)
    left = {f"./{one}" for one in hidden} if name == "." else set()
    try:
        with tarfile.open(fileobj=_Sink(out), mode="w|", format=tarfile.PAX_FORMAT) as archive:
            archive.add(
                f"/proc/self/fd/{place}/{name}",
                arcname=name,
                filter=lambda entry: None if entry.name in left else entry,
            )
    except OSError:
        return _NOT_FOUND
    finally:
        os.close(place)
    return 0
