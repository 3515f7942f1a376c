"""A file's bytes and attributes, read and copied."""

import errno
import os

from wherry.sandbox.launcher.owners import OWNER

_CHUNK = 1 << 20
_SMALL = 1 << 16


def attributes_of(root: int, path: str) -> "dict[str, bytes]":
    """Give a file's extended attributes, but for the overlay's and our own."""
    whole = f"/proc/self/fd/{root}/{path}"
    return {name: os.getxattr(whole, name, follow_symlinks=False) for name in kept_names(whole)}


def kept_names(path: "str | int") -> "list[str]":
    """Name the attributes of a file that are copied with it."""
    try:
        names = os.listxattr(path) if isinstance(path, int) else os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []
    return [
        name
        for name in names
        if name.startswith(("user.", "security.capability")) and not name.startswith(("user.overlay.", OWNER))
    ]


def copy_attributes(source: int, copied: int) -> None:
    """Give a file the attributes of another."""
    for name in kept_names(source):
        set_attribute(copied, name, os.getxattr(source, name))


def set_attribute(path: "str | int", name: str, value: bytes) -> None:
    """Set an attribute; as in BuildKit, it is not an error if the disk keeps none or only root may set it."""
    try:
        os.setxattr(path, name, value)
    except OSError:
        return


def copy_bytes(source: int, copied: int, size: int) -> None:
    """Copy a file's bytes: shared where the disk can, else in the kernel."""
    if size <= _SMALL:
        while chunk := os.read(source, _SMALL):
            _write(copied, chunk)
        return
    try:
        while os.copy_file_range(source, copied, _CHUNK << 6):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            raise
        while os.sendfile(copied, source, None, _CHUNK):
            pass


def _write(file: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(file, chunk) :]
