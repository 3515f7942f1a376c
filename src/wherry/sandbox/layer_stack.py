"""What a stack of layers shows, read without mounting it.

A layer here is a folder as overlayfs wants it: a deleted name is a character device 0/0, a folder
that hides what is below has the attribute `user.overlay.opaque`.

Source: Linux 6.18, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

import errno
import os
import stat

OPAQUE = "user.overlay.opaque"
WHITEOUT = 0
"""The device number of a deleted name."""
_LINKS = 40
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def is_whiteout(status: os.stat_result) -> bool:
    """Report whether a file stands for a deleted name."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT


def is_opaque(folder: int) -> bool:
    """Report whether an open folder hides the folders below it; one that can't be read does not."""
    try:
        return os.getxattr(f"/proc/self/fd/{folder}", OPAQUE) in (b"y", b"x")
    except OSError:
        return False


class LayerStack:
    """A stack of layers as one tree.

    Raises (all methods):
        OSError: a layer's folder can't be read.
    """

    def __init__(self, layers: "list[str]") -> None:
        """Take the layers' folders, base first."""
        self._layers = list(reversed(layers))

    def status(self, path: str) -> "os.stat_result | None":
        """Describe what is at a path, itself not followed if it is a link; None where nothing is."""
        found = self._resolve(path, last=False)
        if found is None:
            return None
        os.close(found[0])
        return found[1]

    def link(self, path: str) -> str:
        """Read where the link at a path points; nothing where none is."""
        found = self._resolve(path, last=False)
        if found is None:
            return ""
        try:
            return os.readlink("", dir_fd=found[0]) if stat.S_ISLNK(found[1].st_mode) else ""
        finally:
            os.close(found[0])

    def open(self, path: str) -> "int | None":
        """Open a regular file for reading, links followed; None where none is."""
        found = self._resolve(path, last=True)
        if found is None:
            return None
        place, status = found
        try:
            if not stat.S_ISREG(status.st_mode):
                return None
            return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)

    def read(self, path: str, limit: int) -> bytes:
        """Read a small file; nothing where there is none.

        Raises:
            OSError: it has more than `limit` bytes, or may not be read.
        """
        file = self.open(path)
        if file is None:
            return b""
        with os.fdopen(file, "rb") as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"has more than {limit} bytes", path)
        return content

    def _resolve(self, path: str, *, last: bool) -> "tuple[int, os.stat_result] | None":
        """Follow links from the root, the last one too if `last`; give the place (open) and its status."""
        todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
        done: list[str] = []
        followed = 0
        found = self._at(done)
        while todo and found is not None:
            os.close(found[0])
            name = todo.pop()
            done = done[:-1] if name == ".." else [*done, name]
            found = self._at(done)
            if found is None or not stat.S_ISLNK(found[1].st_mode) or not (todo or last):
                continue
            target = os.readlink("", dir_fd=found[0])
            followed += 1
            if followed > _LINKS:
                os.close(found[0])
                return None
            done = [] if target.startswith("/") else done[:-1]
            todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            os.close(found[0])
            found = self._at(done)
        return found

    def _at(self, names: "list[str]") -> "tuple[int, os.stat_result] | None":
        """Open the topmost thing at a path whose folders are no links; None where it is hidden or missing."""
        for layer in self._layers:
            place, hidden = _descend(layer, names)
            if place is not None:
                return place, os.fstat(place)
            if hidden:
                return None
        return None


def _descend(layer: str, names: "list[str]") -> "tuple[int | None, bool]":
    """Walk down one layer: the open place or None, and whether this layer hides what is below it."""
    place = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    hidden = False
    for name in names:
        hidden = hidden or is_opaque(place)
        try:
            below = os.open(name, _PLACE, dir_fd=place)
        except (FileNotFoundError, NotADirectoryError):
            return None, hidden
        finally:
            os.close(place)
        place = below
        status = os.fstat(place)
        if is_whiteout(status):
            os.close(place)
            return None, True
        hidden = hidden or not stat.S_ISDIR(status.st_mode)
    return place, hidden
