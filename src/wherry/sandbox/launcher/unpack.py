"""One layer's entries, written so that overlayfs can use them.

Only the layer's own folder is written, through open folders and never through a link, so an entry can
go nowhere else. What a layer leaves out (the folders above its files) it takes from the layers below.

Sources: OCI image-spec v1.1.1, layer.md "Applying Changesets"; Linux 6.18, overlayfs.rst.
"""

import errno
import os
import stat

from wherry.sandbox.launcher.descent import Descent
from wherry.sandbox.launcher.links import hard_link
from wherry.sandbox.launcher.owners import OwnerWriter, hide_below
from wherry.sandbox.launcher.paths import UnsuitablePath
from wherry.sandbox.launcher.trash import delete_folder
from wherry.sandbox.layer_stack import WHITEOUT, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from wherry.sandbox.launcher.descent import FoundLower
    from wherry.sandbox.spec import Frame, Unpack

_CHUNK = 1 << 20
_LINKS = 40
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class _Nothing(Exception):
    """A path leads nowhere."""


class LayerFolder:
    """A layer on its way to disk."""

    def __init__(self, job: "Unpack") -> None:
        self._root = os.open(job["into"], _FOLDER)
        self._trash = job["trash"]
        self._held = f"{job['trash']}/link"
        self._here = Descent(self._root, job["below"])
        """Where the entry before was."""
        self._owners = OwnerWriter(job["ids"])
        self._times: dict[str, int] = {}
        self._only_deleted: set[str] = set()
        """Folders that are there for deletions in them only; no entry has put anything into them."""
        self.depends = False
        self.bytes = 0

    def apply(self, frame: "Frame", stream: "BinaryIO") -> None:
        """Write one entry; its bytes are next in the stream."""
        names = [name for name in frame["path"].split("/") if name not in ("", ".")]
        if ".." in names:
            raise UnsuitablePath(frame["path"], "is outside the layer")
        if not names and frame["kind"] not in ("folder", "opaque"):
            raise UnsuitablePath(frame["path"], f"is a {frame['kind']}, but the root must be a directory")
        whole = frame["kind"] == "opaque" or not names
        try:
            folder, real = self._parent(
                names if whole else names[:-1], make=frame["kind"] not in ("opaque", "whiteout")
            )
        except _Nothing:
            return
        try:
            if whole:
                self._folder_itself(folder, real, frame)
            else:
                self._entry(folder, [*real, names[-1]], frame, stream)
        finally:
            os.close(folder)

    def finish(self) -> None:
        """Set the folders' times, which making their files changed."""
        for path, time in self._times.items():
            os.utime(path or ".", ns=(time, time), dir_fd=self._root, follow_symlinks=False)
        self._here.close()
        os.close(self._root)

    def _folder_itself(self, folder: int, real: "list[str]", frame: "Frame") -> None:
        if frame["kind"] == "opaque":
            self.depends = True
            hide_below(folder)
            self._here.hide()
            self._forget_deletions(real)
        else:
            self._owners.describe(folder, frame)
            self._times["/".join(real)] = frame["mtime"]

    def _entry(self, folder: int, real: "list[str]", frame: "Frame", stream: "BinaryIO") -> None:
        name, kind = real[-1], frame["kind"]
        if kind == "whiteout":
            self._whiteout(folder, real)
            return
        self._holds(real)
        if kind == "folder":
            self._folder(folder, real, frame)
            return
        if kind == "hardlink":
            self._hold_link(frame)
        self._clear(folder, real)
        match kind:
            case "file":
                self._file(folder, name, frame, stream)
            case "symlink":
                os.symlink(frame["target"], name, dir_fd=folder)
                self._owners.own(folder, name, frame)
                os.utime(name, ns=(frame["mtime"], frame["mtime"]), dir_fd=folder, follow_symlinks=False)
            case "fifo":
                os.mkfifo(name, 0o600, dir_fd=folder)
                self._owners.own(folder, name, frame)
                os.chmod(name, frame["mode"], dir_fd=folder)
                os.utime(name, ns=(frame["mtime"], frame["mtime"]), dir_fd=folder)
            case "hardlink":
                os.rename(self._held, name, dst_dir_fd=folder)

    def _whiteout(self, folder: int, real: "list[str]") -> None:
        self.depends = True
        if "/".join(real) in self._only_deleted:
            self._clear(folder, real)
        status = _status(folder, real[-1])
        if status is None:
            if self._lower(real) is not None:
                os.mknod(real[-1], stat.S_IFCHR, WHITEOUT, dir_fd=folder)
        elif stat.S_ISDIR(status.st_mode):
            opened = os.open(real[-1], _FOLDER, dir_fd=folder)
            hide_below(opened)
            os.close(opened)
            self._forget_deletions(real)

    def _forget_deletions(self, real: "list[str]") -> None:
        """Take away what only says that something is deleted, in a folder below which all is hidden now.

        Where nothing is merged, overlayfs would list such names.
        """
        waiting = ["/".join(real)]
        while waiting:
            path = waiting.pop()
            opened = os.open(path or ".", _FOLDER, dir_fd=self._root)
            for name in os.listdir(opened):
                below = f"{path}/{name}" if path else name
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
                if is_whiteout(status):
                    os.unlink(name, dir_fd=opened)
                elif below in self._only_deleted:
                    self._clear(opened, below.split("/"))
                elif stat.S_ISDIR(status.st_mode):
                    waiting.append(below)
            os.close(opened)

    def _folder(self, folder: int, real: "list[str]", frame: "Frame") -> None:
        status = _status(folder, real[-1])
        fresh = status is None or not stat.S_ISDIR(status.st_mode)
        if fresh and status is not None:
            self._clear(folder, real)
        if fresh:
            os.mkdir(real[-1], 0o700, dir_fd=folder)
        opened = os.open(real[-1], _FOLDER, dir_fd=folder)
        try:
            if fresh and status is not None:
                hide_below(opened)
            self._owners.describe(opened, frame)
        finally:
            os.close(opened)
        self._times["/".join(real)] = frame["mtime"]

    def _file(self, folder: int, name: str, frame: "Frame", stream: "BinaryIO") -> None:
        opened = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            left = frame["size"]
            while left:
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(errno.EPIPE, "the layer is truncated", frame["path"])
                _write(opened, chunk)
                left -= len(chunk)
            self.bytes += frame["size"]
            self._owners.describe(opened, frame)
            os.utime(opened, ns=(frame["mtime"], frame["mtime"]))
        finally:
            os.close(opened)

    def _hold_link(self, frame: "Frame") -> None:
        """Give the file that a hard link means another name outside, for it may be in what the link replaces."""
        names = [name for name in frame["target"].split("/") if name not in ("", ".")]
        if not names or ".." in names:
            raise UnsuitablePath(frame["path"], f"is a hard link to {frame['target']!r}, which is outside the layer")
        try:
            folder, real = self._parent(names[:-1], make=False)
        except _Nothing:
            raise _no_target(frame) from None
        try:
            status = _status(folder, names[-1])
            if status is None:
                self.depends = True
                self._copy_up(folder, [*real, names[-1]], frame)
                self._holds(real)
            elif stat.S_ISDIR(status.st_mode) or is_whiteout(status):
                raise _no_target(frame)
            hard_link(names[-1], self._held, folder, None)
        finally:
            os.close(folder)

    def _holds(self, real: "list[str]") -> None:
        """Note that folders hold something now."""
        if self._only_deleted:
            self._only_deleted.difference_update("/".join(real[:end]) for end in range(1, len(real) + 1))

    def _copy_up(self, folder: int, real: "list[str]", frame: "Frame") -> None:
        """Bring a file of a layer below into this one, so that it can have another name."""
        found = self._lower(real)
        if found is not None and stat.S_ISLNK(found.status.st_mode):
            os.symlink(found.link(), real[-1], dir_fd=folder)
            return
        if found is None or not stat.S_ISREG(found.status.st_mode):
            raise _no_target(frame)
        status, file = found.status, found.open()
        opened = os.open(real[-1], _NEW_FILE, 0o600, dir_fd=folder)
        try:
            while os.sendfile(opened, file, None, _CHUNK):
                pass
            self._owners.resemble(opened, status)
            os.utime(opened, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(opened)
            os.close(file)

    def _parent(self, names: "list[str]", *, make: bool) -> "tuple[int, list[str]]":
        """Open a folder of the layer, made as the layers below have it; give its real path too.

        Raises:
            _Nothing: it is not there, nor in the layers below, and `make` is off.
        """
        here, todo = self._here, list(reversed(names))
        depth = followed = 0
        while todo:
            name = todo.pop()
            if name == "..":
                depth = max(0, depth - 1)
                continue
            if depth == len(here.path) or here.path[depth] != name:
                here.climb(depth)
                target = self._enter(name, make=make)
                if target is not None:
                    followed += 1
                    if followed > _LINKS and not make:
                        raise _Nothing
                    if followed > _LINKS:
                        raise UnsuitablePath("/".join(names), "has too many levels of symbolic links")
                    depth = 0 if target.startswith("/") else depth
                    todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                    continue
            depth += 1
        here.climb(depth)
        return os.dup(here.folder), list(here.path)

    def _enter(self, name: str, *, make: bool) -> "str | None":
        """Go down into a folder, made if need be; give a link's target instead where one is."""
        here = self._here
        status = _status(here.folder, name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=here.folder)
        if status is None or not stat.S_ISDIR(status.st_mode):
            found = None if status is not None else here.find(name)
            if found is not None and stat.S_ISLNK(found.status.st_mode):
                self.depends = True
                return found.link()
            below = None if found is None else found.status
            if not make and (below is None or not stat.S_ISDIR(below.st_mode)):
                raise _Nothing
            real = [*here.path, name]
            self._make_implied(here.folder, real, below, instead=status is not None)
            if not make:
                self._only_deleted.add("/".join(real))
        here.enter(name)
        return None

    def _lower(self, real: "list[str]") -> "FoundLower | None":
        """Find what the layers below show at a path that has no link in it."""
        if self._here.path != real[:-1]:
            os.close(self._parent(real[:-1], make=False)[0])
        return self._here.find(real[-1])

    def _make_implied(self, folder: int, real: "list[str]", below: "os.stat_result | None", *, instead: bool) -> None:
        """Make a folder that no entry speaks of, as the layers below have it."""
        self.depends = True
        if instead:
            os.unlink(real[-1], dir_fd=folder)
        os.mkdir(real[-1], 0o755, dir_fd=folder)
        opened = os.open(real[-1], _FOLDER, dir_fd=folder)
        try:
            if instead:
                hide_below(opened)
            if below is not None and stat.S_ISDIR(below.st_mode):
                self._owners.resemble(opened, below)
        finally:
            os.close(opened)
        self._times["/".join(real)] = 0 if below is None else below.st_mtime_ns

    def _clear(self, folder: int, real: "list[str]") -> None:
        """Make room for an entry."""
        status = _status(folder, real[-1])
        if status is None:
            return
        self._here.restart()
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(real[-1], dir_fd=folder)
            return
        delete_folder(f"/proc/self/fd/{folder}/{real[-1]}", self._trash)
        gone = "/".join(real)
        self._times = {path: at for path, at in self._times.items() if path != gone and not path.startswith(f"{gone}/")}


def _no_target(frame: "Frame") -> UnsuitablePath:
    return UnsuitablePath(
        frame["path"], f"is a hard link to {frame['target']!r}, which is not a file in this or a lower layer"
    )


def _status(folder: int, name: str) -> "os.stat_result | None":
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _write(file: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(file, chunk) :]
