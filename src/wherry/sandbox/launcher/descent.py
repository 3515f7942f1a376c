"""The folder that a layer's entries are being written into, kept open, and what the layers below have there.

Going to a folder costs a few system calls for each name that differs from the folder before it, so a layer costs what
its entries have of new names, not what they have of depth. Each name is asked of a lower layer once a folder.

Source: Linux 6.18, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

import os
import stat

from wherry.sandbox.layer_stack import is_opaque, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class FoundLower:
    """What the layers below show at a path, whose folders are no links there."""

    def __init__(self, layer: str, path: str, status: os.stat_result) -> None:
        self._layer, self._path = layer, path
        self.status = status

    def link(self) -> str:
        """Read where it points, a link."""
        layer = _opened(self._layer)
        try:
            return os.readlink(self._path, dir_fd=layer)
        finally:
            os.close(layer)

    def open(self) -> int:
        """Open it, a regular file, for reading."""
        layer = _opened(self._layer)
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=layer)
        finally:
            os.close(layer)


class Descent:
    """The way down to a folder of a layer.

    Raises (all methods):
        OSError: a layer's folder can't be read.
    """

    def __init__(self, root: int, below: "Sequence[str]") -> None:
        """Start at a layer's root, which is open and stays so.

        Args:
            root: the layer's own folder.
            below: the folders of the layers below, base first.
        """
        self._root = root
        self._below = tuple(reversed(below))
        self.path: list[str] = []
        """The names on the way to the open folder, none of which is a link in this layer."""
        self.folder = os.dup(root)
        self._shown = [self._shown_at_root()]
        """For each folder on the way, the root first: the layers below that have a part in it, topmost first."""

    def close(self) -> None:
        """Close the folder."""
        os.close(self.folder)

    def restart(self) -> None:
        """Go back to the root, after folders were deleted."""
        self.climb(0)
        self._shown = [self._shown_at_root()]

    def climb(self, depth: int) -> None:
        """Go up until only so many names are left."""
        if depth < len(self.path):
            folder = os.open("/".join(self.path[:depth]) or ".", _FOLDER, dir_fd=self._root)
            os.close(self.folder)
            self.folder = folder
            del self.path[depth:], self._shown[depth + 1 :]

    def enter(self, name: str) -> None:
        """Go down into a folder that this layer has."""
        folder = os.open(name, _FOLDER, dir_fd=self.folder)
        os.close(self.folder)
        self.folder = folder
        above = self._shown[-1]
        self.path.append(name)
        self._shown.append(() if not above or is_opaque(folder) else self._shown_below(above, "/".join(self.path)))

    def hide(self) -> None:
        """Take note that the open folder hides those below it now."""
        self._shown[-1] = ()

    def find(self, name: str) -> "FoundLower | None":
        """Find what the layers below show at a name in the open folder; None where nothing does."""
        path = "/".join((*self.path, name))
        for layer in self._shown[-1]:
            status = _status(layer, path)
            if status is not None:
                return None if is_whiteout(status) else FoundLower(layer, path, status)
        return None

    def _shown_at_root(self) -> "tuple[str, ...]":
        return () if is_opaque(self._root) else self._shown_below(self._below, "")

    def _shown_below(self, above: "Sequence[str]", path: str) -> "tuple[str, ...]":
        shown = []
        for layer in above:
            status, hides = _part(layer, path)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):  # a deletion too
                break
            shown.append(layer)
            if hides:
                break
        return tuple(shown)


def _opened(layer: str) -> int:
    return os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _status(layer: str, path: str) -> "os.stat_result | None":
    root = _opened(layer)
    try:
        return os.stat(path, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return None
    finally:
        os.close(root)


def _part(layer: str, path: str) -> "tuple[os.stat_result | None, bool]":
    """Describe what one layer has at a path, and whether it hides what is further below."""
    root = _opened(layer)
    try:
        place = os.open(path or ".", _PLACE, dir_fd=root)
    except FileNotFoundError:
        return None, False
    finally:
        os.close(root)
    try:
        return os.fstat(place), is_opaque(place)
    finally:
        os.close(place)
