"""The launcher's work on trees: a layer's frames to a folder, their weight, and deletion."""

import marshal
import os

from wherry.sandbox.launcher.trash import delete_folder
from wherry.sandbox.launcher.unpack import LayerFolder

_BLOCK = 512
"""What st_blocks counts (stat(2))."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from wherry.sandbox.spec import Delete, Unpack, Weigh


def unpack(job: "Unpack", frames: "BinaryIO") -> "tuple[bool, int]":
    """Write one layer.

    Returns:
        Whether it came out as it did because of the layers below, and the bytes of its files.

    Raises:
        OSError: an entry can't be what it says, or the disk refuses.
    """
    layer = LayerFolder(job)
    while length := int.from_bytes(frames.read(4), "big"):
        layer.apply(marshal.loads(frames.read(length)), frames)  # noqa: S302 - the caller is our own process
    layer.finish()
    return layer.depends, layer.bytes


def delete(job: "Delete") -> None:
    """Delete folders whole."""
    for folder in job["folders"]:
        delete_folder(folder, job["trash"])


def weigh(job: "Weigh") -> "list[int]":
    """Give the bytes that each folder takes on the disk; a file of several names in it counts once."""
    return [_weight(folder) for folder in job["folders"]]


def _weight(folder: str) -> int:
    weight = 0
    counted: set[int] = set()
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                entries = list(found)
        except OSError:
            continue  # deeper than a path can say: what is there isn't counted
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if status.st_nlink == 1 or entry.inode() not in counted:
                weight += status.st_blocks * _BLOCK
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif status.st_nlink > 1:
                counted.add(entry.inode())
    return weight
