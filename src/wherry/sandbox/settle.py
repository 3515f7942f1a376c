"""What a job changed in a copy of all layers, put apart as a layer: for machines that give no overlay.

Everything is compared with the layers it was copied from; what is the same stays behind.

Source: Linux 6.18, Documentation/filesystems/overlayfs.rst, for the form of a layer.
"""

import os
import stat

from wherry.sandbox.flatten import attributes
from wherry.sandbox.view import OPAQUE, WHITEOUT, View

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SAME = ("st_mode", "st_uid", "st_gid", "st_mtime_ns")


def settle(layers: "list[str]", writable: str) -> None:
    """Move what differs from `full` to `tree`, both folders of `writable`.

    Args:
        layers: what `full` was copied from, base first.
        writable: has both.

    Raises:
        OSError: the disk refuses.
    """
    _Settling(layers, f"{writable}/full", f"{writable}/tree").folder("")


class _Settling:
    """A copy on its way to a layer."""

    def __init__(self, layers: "list[str]", full: str, tree: str) -> None:
        self._below = View(layers)
        self._layers = layers
        self._full = full
        self._tree = tree

    def folder(self, path: str) -> None:
        """Settle what is in a folder."""
        status = os.lstat(f"{self._full}/{path}")  # taking files out of it will change its time
        opened = os.open(f"{self._full}/{path}", _FOLDER)
        try:
            names = set(os.listdir(opened))
        finally:
            os.close(opened)
        for name in sorted(names | self._names_below(path)):
            inner = f"{path}/{name}" if path else name
            if name in names:
                self._one(inner)
            elif self._below.status(inner) is not None:
                self._above(path)
                os.mknod(f"{self._tree}/{inner}", stat.S_IFCHR, WHITEOUT)
        if path:
            self._dress(path, status)

    def _one(self, path: str) -> None:
        status = os.lstat(f"{self._full}/{path}")
        before = self._below.status(path)
        if stat.S_ISDIR(status.st_mode):
            if before is None or not stat.S_ISDIR(before.st_mode):
                self._above(path)
                if before is not None:
                    os.setxattr(f"{self._tree}/{path}", OPAQUE, b"y")
            elif not _same(status, before):
                self._above(path)
            self.folder(path)
            return
        if before is not None and _same(status, before) and self._content_same(path, status, before):
            return
        self._above(path.rpartition("/")[0])
        os.rename(f"{self._full}/{path}", f"{self._tree}/{path}")

    def _content_same(self, path: str, status: os.stat_result, before: os.stat_result) -> bool:
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(f"{self._full}/{path}") == self._below.link(path)
        if status.st_size != before.st_size:
            return False
        opened = self._below.open(path) if stat.S_ISREG(status.st_mode) else None
        if opened is None:
            return True
        try:
            return attributes(f"{self._full}/{path}") == attributes(opened)
        finally:
            os.close(opened)

    def _above(self, path: str) -> None:
        """Have a folder in the tree, with those above it."""
        parts = path.split("/") if path else []
        for end in range(1, len(parts) + 1):
            place = "/".join(parts[:end])
            if not os.path.lexists(f"{self._tree}/{place}"):
                os.mkdir(f"{self._tree}/{place}", 0o700)

    def _dress(self, path: str, status: os.stat_result) -> None:
        """Give a folder of the tree what the copy had, once all is in it."""
        place = f"{self._tree}/{path}"
        if not os.path.isdir(place) or os.path.islink(place):
            return
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(place, status.st_uid, status.st_gid)
        os.chmod(place, stat.S_IMODE(status.st_mode))
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _names_below(self, path: str) -> "set[str]":
        """Name what the layers have in a folder; some of it may be deleted again."""
        names: set[str] = set()
        for layer in self._layers:
            try:
                opened = os.open(f"{layer}/{path}", _FOLDER)
            except OSError:
                continue
            try:
                names.update(os.listdir(opened))
            finally:
                os.close(opened)
        return names


def _same(status: os.stat_result, before: os.stat_result) -> bool:
    return all(getattr(status, name) == getattr(before, name) for name in _SAME)
