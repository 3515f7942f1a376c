"""What the layers below show of a folder, and whether a file of a layer changes anything there.

A folder is asked for by the folder above it, so that a name costs one look at most: the names that a layer has are
read once a folder.

Sources: Linux 6.18, overlayfs.rst; BuildKit 0.34, util/overlay (`sameDirent`) for what counts as the same: kind, mode,
owner, capabilities, and of all but folders size, time and content.
"""

import os
import stat

from wherry.sandbox.launcher.owners import read_owner
from wherry.sandbox.launcher.paths import open_real
from wherry.sandbox.layer_stack import is_opaque, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 18
_CAPABILITY = "security.capability"


class FoundBelow:
    """What the layers below have at a path."""

    def __init__(self, layer: int, path: str, status: os.stat_result) -> None:
        self.layer = layer
        """The layer it is in, open."""
        self.path = path
        self.status = status

    def open(self) -> int:
        """Open it, a regular file, for reading."""
        return open_real(self.layer, self.path, _FILE)


class BelowFolder:
    """A folder as the layers below show it; one that they don't have is empty."""

    def __init__(self, path: str, parts: "list[tuple[int, frozenset[str]]]") -> None:
        """Take its path and, topmost first, the layers that it is made of, each with the names it has there."""
        self._path = path
        self._parts = parts

    def find(self, name: str) -> "FoundBelow | None":
        """Find what has a name in it; None where nothing does."""
        path = f"{self._path}/{name}" if self._path else name
        for layer, names in self._parts:
            if name in names:
                status = os.stat(path, dir_fd=layer, follow_symlinks=False)
                return None if is_whiteout(status) else FoundBelow(layer, path, status)
        return None

    def names(self) -> "set[str]":
        """Name all that is in it."""
        return {name for _, names in self._parts for name in names if self.find(name) is not None}

    def enter(self, name: str) -> "BelowFolder":
        """Give a folder in it."""
        path = f"{self._path}/{name}" if self._path else name
        parts: list[tuple[int, frozenset[str]]] = []
        for layer, names in self._parts:
            if name not in names:
                continue
            try:
                opened = open_real(layer, path, _FOLDER)
            except NotADirectoryError:  # something else is there, or a deletion: it hides what is further below
                break
            except OSError:
                if not stat.S_ISLNK(os.stat(path, dir_fd=layer, follow_symlinks=False).st_mode):
                    raise
                break
            parts.append((layer, frozenset(os.listdir(opened))))
            hides = is_opaque(opened)
            os.close(opened)
            if hides:
                break
        return BelowFolder(path, parts)


class Below:
    """The layers below, open."""

    def __init__(self, layers: "list[str]") -> None:
        """Open the layers' folders, base first."""
        self._opened = [os.open(layer, _FOLDER) for layer in reversed(layers)]

    def root(self) -> BelowFolder:
        """Give what they show at the root."""
        parts: list[tuple[int, frozenset[str]]] = []
        for layer in self._opened:
            parts.append((layer, frozenset(os.listdir(layer))))
            if is_opaque(layer):
                break
        return BelowFolder("", parts)

    def close(self) -> None:
        """Close them."""
        for layer in self._opened:
            os.close(layer)


def is_same(
    folder: int, name: str, status: os.stat_result, found: "FoundBelow | None", shown: "Callable[[os.stat_result], int]"
) -> bool:
    """Report whether what has a name in a layer's folder is what the layers below have there.

    Args:
        folder: the layer's folder, open.
        name: of something in it.
        status: of that.
        found: what the layers below have.
        shown: gives the seconds that a tar has for a file's time; nothing else of it is shipped.

    Raises:
        OSError: one of the two can't be read.
    """
    if found is None:
        return False
    before = found.status
    owner, its_owner = read_owner(folder, name, status), read_owner(found.layer, found.path, before)
    if (status.st_mode, status.st_rdev, *owner) != (before.st_mode, before.st_rdev, *its_owner):
        return False
    if stat.S_ISDIR(status.st_mode):
        return True
    if (shown(status), status.st_size) != (shown(before), before.st_size):
        return False
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name, dir_fd=folder) == os.readlink(found.path, dir_fd=found.layer)
    return not stat.S_ISREG(status.st_mode) or _content_same(folder, name, found)


def same_links(root: int, below: BelowFolder, shown: "Callable[[os.stat_result], int]") -> "set[tuple[int, int]]":
    """Find the files with several names in a layer that are one file with the same names in the layers below too.

    Args:
        root: the layer's folder, open.
        below: what the layers below show at their root.
        shown: see `is_same`.

    Returns:
        Their devices and inodes.
    """
    files: dict[tuple[int, int], set[tuple[int, int] | None]] = {}
    waiting = [("", below)]
    while waiting:
        path, there = waiting.pop()
        opened = open_real(root, path)
        try:
            for name in os.listdir(opened):
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((f"{path}/{name}" if path else name, there.enter(name)))
                elif status.st_nlink > 1 and not is_whiteout(status):
                    found = there.find(name)
                    same = found is not None and is_same(opened, name, status, found, shown)
                    one = (found.status.st_dev, found.status.st_ino) if found is not None and same else None
                    files.setdefault((status.st_dev, status.st_ino), set()).add(one)
        finally:
            os.close(opened)
    return {file for file, found in files.items() if len(found) == 1 and None not in found}


def _content_same(folder: int, name: str, found: FoundBelow) -> bool:
    ours = os.open(name, _FILE, dir_fd=folder)
    try:
        theirs = found.open()
        try:
            if _capability(ours) != _capability(theirs):
                return False
            while chunk := os.read(ours, _CHUNK):
                if os.read(theirs, len(chunk)) != chunk:
                    return False
            return not os.read(theirs, 1)
        finally:
            os.close(theirs)
    finally:
        os.close(ours)


def _capability(opened: int) -> bytes:
    try:
        return os.getxattr(opened, _CAPABILITY)
    except OSError:
        return b""
