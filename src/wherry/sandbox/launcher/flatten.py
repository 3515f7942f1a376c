"""Layers copied together into one folder: for kernels that give no overlay to users (before Linux 5.11)."""

import os
import stat

from wherry.sandbox.launcher.links import hard_link
from wherry.sandbox.launcher.trash import delete_folder
from wherry.sandbox.layer_stack import is_opaque, is_whiteout

_CHUNK = 1 << 20
_CAPABILITY = "security.capability"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def flatten(layers: "list[str]", into: str) -> None:
    """Copy layers, base first, over each other.

    Args:
        layers: folders as overlayfs wants them.
        into: an empty folder; folders that are deleted on the way are moved next to it first.
    """
    trash = f"{into}.trash"
    os.mkdir(trash)
    for layer in layers:
        copy = _Copy(layer, into, trash)
        waiting = [""]
        while waiting:
            waiting += copy.folder(waiting.pop())
    os.rmdir(trash)


class _Copy:
    """One layer on its way over those below."""

    def __init__(self, layer: str, into: str, trash: str) -> None:
        self._layer = layer
        self._into = into
        self._trash = trash
        self._first: dict[int, str] = {}
        """Where a file with several names was put first, by inode."""

    def folder(self, path: str) -> list[str]:
        """Copy what is directly in one folder; give the folders in it."""
        source = os.open(f"{self._layer}/{path}", _FOLDER)
        target = os.open(f"{self._into}/{path}", _FOLDER)
        try:
            there = set(os.listdir(target))
            if is_opaque(source):
                for name in there:
                    self._clear(target, f"{path}/{name}", name)
                there.clear()
            names = os.listdir(source)
            folders = [name for name in names if self._entry(source, target, path, name, there=name in there)]
            _describe(os.fstat(source), target)
        finally:
            os.close(source)
            os.close(target)
        return [f"{path}/{name}" if path else name for name in folders]

    def _entry(self, source: int, target: int, path: str, name: str, *, there: bool) -> bool:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        is_folder = stat.S_ISDIR(status.st_mode)
        if there and not (is_folder and stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode)):
            self._clear(target, f"{path}/{name}", name)
            there = False
        if is_folder:
            if not there:
                os.mkdir(name, dir_fd=target)
        elif not is_whiteout(status):
            self._file(source, target, f"{path}/{name}", status)
        return is_folder

    def _file(self, source: int, target: int, path: str, status: os.stat_result) -> None:
        name = path.rpartition("/")[2]
        first = self._first.setdefault(status.st_ino, path)
        if first != path:
            hard_link(f"{self._into}/{first}", name, None, target)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
            _time(status, target, name)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(source, target, name, status)
        elif stat.S_ISFIFO(status.st_mode):
            os.mkfifo(name, 0o600, dir_fd=target)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target)
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
            _time(status, target, name)

    def _clear(self, folder: int, path: str, name: str) -> None:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            delete_folder(f"{self._into}/{path}", self._trash)
        else:
            os.unlink(name, dir_fd=folder)


def _copy_file(source: int, target: int, name: str, status: os.stat_result) -> None:
    read = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    written = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while os.sendfile(written, read, None, _CHUNK):
            pass
        _describe(status, written)
        for attribute, value in attributes(read).items():
            os.setxattr(written, attribute, value)
    finally:
        os.close(read)
        os.close(written)


def _time(status: os.stat_result, folder: int, name: str) -> None:
    """Give a link or pipe its time: with another, it would be in the layer of every step."""
    times = status.st_mtime_ns, status.st_mtime_ns
    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)


def attributes(opened: "int | str") -> "dict[str, bytes]":
    """Give what a copy of a file has besides owner, mode and times: the capabilities of a program."""
    try:
        return {_CAPABILITY: os.getxattr(opened, _CAPABILITY)}
    except OSError:
        return {}


def _describe(status: os.stat_result, opened: int) -> None:
    os.fchown(opened, status.st_uid, status.st_gid)
    os.fchmod(opened, stat.S_IMODE(status.st_mode))
    os.utime(opened, ns=(status.st_mtime_ns, status.st_mtime_ns))
