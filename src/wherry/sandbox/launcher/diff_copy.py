"""What a job changed in a copy of all layers, put apart as a layer: for machines that give no overlay.

Everything is compared with the layers it was copied from; what is the same stays behind.

Source: Linux 6.18, Documentation/filesystems/overlayfs.rst, for the form of a layer.
"""

import os
import stat

from wherry.sandbox.launcher.flatten import attributes
from wherry.sandbox.launcher.paths import open_real
from wherry.sandbox.layer_stack import OPAQUE, WHITEOUT, LayerStack

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SAME = ("st_mode", "st_uid", "st_gid", "st_mtime_ns")


def settle(layers: "list[str]", writable: str) -> None:
    """Move what differs from `full` to `tree`, both folders of `writable`.

    Args:
        layers: what `full` was copied from, base first.
        writable: has both.

    Raises:
        OSError: the disk refuses.
    """
    settling = _Settling(layers, f"{writable}/full", f"{writable}/tree")
    try:
        settling.folder("")
    finally:
        settling.close()


class _Settling:
    """A copy on its way to a layer; both trees are walked from open folders, and no link in them is followed."""

    def __init__(self, layers: "list[str]", full: str, tree: str) -> None:
        self._below = LayerStack(layers)
        self._layers = layers
        self._full = os.open(full, _FOLDER)
        self._tree = os.open(tree, _FOLDER)

    def close(self) -> None:
        """Let go of the two trees."""
        os.close(self._full)
        os.close(self._tree)

    def folder(self, path: str) -> None:
        """Settle what is in a folder."""
        opened = open_real(self._full, path)
        try:
            status = os.fstat(opened)  # taking files out of it will change its time
            names = set(os.listdir(opened))
        finally:
            os.close(opened)
        for name in sorted(names | self._names_below(path)):
            inner = f"{path}/{name}" if path else name
            if name in names:
                self._one(path, name, inner)
            elif self._below.status(inner) is not None:
                above = self._above(path)
                os.mknod(name, stat.S_IFCHR, WHITEOUT, dir_fd=above)
                os.close(above)
        if path:
            self._dress(path, status)

    def _one(self, above: str, name: str, path: str) -> None:
        folder = open_real(self._full, above)
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            before = self._below.status(path)
            if not stat.S_ISDIR(status.st_mode):
                if before is None or not _same(status, before) or not self._content_same(folder, name, path, before):
                    target = self._above(above)
                    os.rename(name, name, src_dir_fd=folder, dst_dir_fd=target)
                    os.close(target)
                return
        finally:
            os.close(folder)
        fresh = before is None or not stat.S_ISDIR(before.st_mode)
        if fresh or (before is not None and not _same(status, before)):
            target = self._above(path)
            if fresh and before is not None:
                os.setxattr(target, OPAQUE, b"y")
            os.close(target)
        self.folder(path)

    def _content_same(self, folder: int, name: str, path: str, before: os.stat_result) -> bool:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=folder) == self._below.link(path)
        if status.st_size != before.st_size:
            return False
        opened = self._below.open(path) if stat.S_ISREG(status.st_mode) else None
        if opened is None:
            return True
        own = os.open(name, _FILE, dir_fd=folder)
        try:
            return attributes(own) == attributes(opened)
        finally:
            os.close(own)
            os.close(opened)

    def _above(self, path: str) -> int:
        """Have a folder in the tree, with those above it; give it, open."""
        here = os.dup(self._tree)
        for name in path.split("/") if path else ():
            try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
                os.mkdir(name, 0o700, dir_fd=here)
            except FileExistsError:
                pass
            below = os.open(name, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        return here

    def _dress(self, path: str, status: os.stat_result) -> None:
        """Give a folder of the tree what the copy had, once all is in it."""
        try:
            opened = open_real(self._tree, path)
        except (FileNotFoundError, NotADirectoryError):
            return  # nothing in it changed
        try:
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(opened, status.st_uid, status.st_gid)
            os.fchmod(opened, stat.S_IMODE(status.st_mode))
            os.utime(opened, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(opened)

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
