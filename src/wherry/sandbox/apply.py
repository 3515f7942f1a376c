"""One layer's entries, written so that overlayfs can use them.

Only the layer's own folder is written, through open folders and never through a link, so an entry can
go nowhere else. What a layer leaves out (the folders above its files) it takes from the layers below.

Sources: OCI image-spec v1.1.1, layer.md "Applying Changesets"; Linux 6.18, overlayfs.rst.
"""

import errno
import os
import stat

from wherry.sandbox.places import Misplaced
from wherry.sandbox.trash import delete_folder
from wherry.sandbox.view import OPAQUE, WHITEOUT, View, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from wherry.sandbox.spec import Frame, Ids, Unpack

_CHUNK = 1 << 20
_LINKS = 40
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOBODY = 65534


class LayerFolder:
    """A layer on its way to disk."""

    def __init__(self, job: "Unpack") -> None:
        self._root = os.open(job["into"], _FOLDER)
        self._trash = job["trash"]
        self._view = View(job["below"])
        self._ids = job["ids"]
        self._times: dict[str, int] = {}
        self.depends = False
        self.bytes = 0

    def apply(self, frame: "Frame", stream: "BinaryIO") -> None:
        """Write one entry; its bytes are next in the stream."""
        names = [name for name in frame["path"].split("/") if name not in ("", ".")]
        if ".." in names:
            raise Misplaced(frame["path"], "leads out of the layer")
        if not names and frame["kind"] not in ("folder", "opaque"):
            raise Misplaced(frame["path"], f"is a {frame['kind']} in the place of the root")
        if frame["kind"] == "opaque" or not names:
            self._folder_itself(names, frame)
            return
        folder, real = self._parent(names[:-1])
        try:
            self._entry(folder, [*real, names[-1]], frame, stream)
        finally:
            os.close(folder)

    def finish(self) -> None:
        """Set the folders' times, which making their files changed."""
        for path, time in self._times.items():
            os.utime(path or ".", ns=(time, time), dir_fd=self._root, follow_symlinks=False)
        os.close(self._root)

    def _folder_itself(self, names: "list[str]", frame: "Frame") -> None:
        folder, real = self._parent(names)
        try:
            if frame["kind"] == "opaque":
                self.depends = True
                _hide_below(folder)
            elif frame["kind"] == "folder":
                self._describe(folder, frame)
                self._times["/".join(real)] = frame["mtime"]
        finally:
            os.close(folder)

    def _entry(self, folder: int, real: "list[str]", frame: "Frame", stream: "BinaryIO") -> None:
        name, kind = real[-1], frame["kind"]
        if kind == "whiteout":
            self._whiteout(folder, real)
            return
        if kind == "folder":
            self._folder(folder, real, frame)
            return
        source = self._link_source(frame) if kind == "hardlink" else None
        self._clear(folder, name)
        match kind:
            case "file":
                self._file(folder, name, frame, stream)
            case "symlink":
                os.symlink(frame["target"], name, dir_fd=folder)
                self._own(folder, name, frame)
                os.utime(name, ns=(frame["mtime"], frame["mtime"]), dir_fd=folder, follow_symlinks=False)
            case "fifo":
                os.mkfifo(name, 0o600, dir_fd=folder)
                self._own(folder, name, frame)
                os.chmod(name, frame["mode"], dir_fd=folder)
                os.utime(name, ns=(frame["mtime"], frame["mtime"]), dir_fd=folder)
            case "hardlink" if source is not None:
                self._link(source, folder, name)

    def _whiteout(self, folder: int, real: "list[str]") -> None:
        self.depends = True
        status = _status(folder, real[-1])
        if status is None:
            if self._view.status("/".join(real)) is not None:
                os.mknod(real[-1], stat.S_IFCHR, WHITEOUT, dir_fd=folder)
        elif stat.S_ISDIR(status.st_mode):
            opened = os.open(real[-1], _FOLDER, dir_fd=folder)
            _hide_below(opened)
            os.close(opened)

    def _folder(self, folder: int, real: "list[str]", frame: "Frame") -> None:
        status = _status(folder, real[-1])
        fresh = status is None or not stat.S_ISDIR(status.st_mode)
        if fresh and status is not None:
            os.unlink(real[-1], dir_fd=folder)
        if fresh:
            os.mkdir(real[-1], 0o700, dir_fd=folder)
        opened = os.open(real[-1], _FOLDER, dir_fd=folder)
        try:
            if fresh and status is not None:
                _hide_below(opened)
            self._describe(opened, frame)
        finally:
            os.close(opened)
        self._times["/".join(real)] = frame["mtime"]

    def _file(self, folder: int, name: str, frame: "Frame", stream: "BinaryIO") -> None:
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            left = frame["size"]
            while left:
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(errno.EPIPE, "the layer ends in the middle of it", frame["path"])
                _write(opened, chunk)
                left -= len(chunk)
            self.bytes += frame["size"]
            self._describe(opened, frame)
            os.utime(opened, ns=(frame["mtime"], frame["mtime"]))
        finally:
            os.close(opened)

    def _link_source(self, frame: "Frame") -> "tuple[int, str]":
        """Open the folder of what a hard link means, copied up from below where it is there."""
        names = [name for name in frame["target"].split("/") if name not in ("", ".")]
        if not names or ".." in names:
            raise Misplaced(frame["path"], f"is a hard link to {frame['target']!r}, which leads out of the layer")
        folder, real = self._parent(names[:-1])
        name = names[-1]
        status = _status(folder, name)
        if status is None:
            self.depends = True
            self._copy_up(folder, name, "/".join([*real, name]), frame)
        elif stat.S_ISDIR(status.st_mode) or is_whiteout(status):
            raise Misplaced(frame["path"], f"is a hard link to {frame['target']!r}, which is no file")
        return folder, name

    def _link(self, source: "tuple[int, str]", folder: int, name: str) -> None:
        try:
            os.link(source[1], name, src_dir_fd=source[0], dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source[0])

    def _copy_up(self, folder: int, name: str, path: str, frame: "Frame") -> None:
        status = self._view.status(path)
        file = self._view.open(path) if status is not None and stat.S_ISREG(status.st_mode) else None
        if status is None or file is None:
            raise Misplaced(frame["path"], f"is a hard link to {frame['target']!r}, which is not there")
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            while os.sendfile(opened, file, None, _CHUNK):
                pass
            os.fchown(opened, status.st_uid, status.st_gid)
            os.fchmod(opened, stat.S_IMODE(status.st_mode))
            os.utime(opened, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(opened)
            os.close(file)

    def _parent(self, names: "list[str]") -> "tuple[int, list[str]]":
        """Open a folder of the layer, made as the layers below have it; give its real path too."""
        todo, done = list(reversed(names)), list[str]()
        folder = os.open(".", _FOLDER, dir_fd=self._root)
        followed = 0
        while todo:
            name = todo.pop()
            if name == "..":
                done = done[:-1]
            else:
                target = self._enter(folder, [*done, name])
                if target is None:
                    done = [*done, name]
                else:
                    followed += 1
                    if followed > _LINKS:
                        os.close(folder)
                        raise Misplaced("/".join(names), "goes through too many links")
                    done = [] if target.startswith("/") else done
                    todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            os.close(folder)
            folder = os.open("/".join(done) or ".", _FOLDER, dir_fd=self._root)
        return folder, done

    def _enter(self, folder: int, real: "list[str]") -> "str | None":
        """See to it that a folder is there to go into; give a link's target instead where one is."""
        status = _status(folder, real[-1])
        if status is None or is_whiteout(status):
            return self._make_implied(folder, real, deleted=status is not None)
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(real[-1], dir_fd=folder)
        if not stat.S_ISDIR(status.st_mode):
            raise Misplaced("/".join(real), "is a file, and others are said to be in it")
        return None

    def _make_implied(self, folder: int, real: "list[str]", *, deleted: bool) -> "str | None":
        self.depends = True
        below = None if deleted else self._view.status("/".join(real))
        if below is not None and stat.S_ISLNK(below.st_mode):
            return self._view.link("/".join(real))
        if deleted:
            os.unlink(real[-1], dir_fd=folder)
        os.mkdir(real[-1], 0o755, dir_fd=folder)
        opened = os.open(real[-1], _FOLDER, dir_fd=folder)
        try:
            if deleted:
                _hide_below(opened)
            if below is not None and stat.S_ISDIR(below.st_mode):
                os.fchown(opened, below.st_uid, below.st_gid)
                os.fchmod(opened, stat.S_IMODE(below.st_mode))
        finally:
            os.close(opened)
        return None

    def _clear(self, folder: int, name: str) -> None:
        status = _status(folder, name)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            delete_folder(f"/proc/self/fd/{folder}/{name}", self._trash)
        else:
            os.unlink(name, dir_fd=folder)

    def _describe(self, opened: int, frame: "Frame") -> None:
        """Give an open file or folder its owner, mode and attributes."""
        if not _is_single(self._ids):
            os.fchown(opened, _mapped(frame["uid"], self._ids, "uids"), _mapped(frame["gid"], self._ids, "gids"))
        os.fchmod(opened, frame["mode"])
        for name, value in frame["attributes"].items():
            if name.startswith("user.") and not name.startswith("user.overlay."):
                os.setxattr(opened, name, value)

    def _own(self, folder: int, name: str, frame: "Frame") -> None:
        if not _is_single(self._ids):
            uid, gid = _mapped(frame["uid"], self._ids, "uids"), _mapped(frame["gid"], self._ids, "gids")
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)


def _is_single(ids: "Ids | None") -> bool:
    return ids is not None and ids["single"]


def _mapped(number: int, ids: "Ids | None", kind: str) -> int:
    """Give an id that the sandbox has: the one asked for, or nobody's."""
    runs = [] if ids is None else ids["uids"] if kind == "uids" else ids["gids"]
    if ids is None or any(inside <= number < inside + count for inside, _, count in runs):
        return number
    return _NOBODY if any(inside <= _NOBODY < inside + count for inside, _, count in runs) else 0


def _hide_below(folder: int) -> None:
    try:
        os.setxattr(folder, OPAQUE, b"y")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        raise OSError(
            error.errno, "the disk of the cache keeps no user attributes, which deleted folders need"
        ) from error


def _status(folder: int, name: str) -> "os.stat_result | None":
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _write(file: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(file, chunk) :]
