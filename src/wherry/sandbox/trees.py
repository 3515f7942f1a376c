"""The launcher's work on trees: a layer's frames to a folder, and deletion."""

import marshal

from wherry.sandbox.apply import LayerFolder
from wherry.sandbox.trash import delete_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from wherry.sandbox.spec import Delete, Unpack


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
