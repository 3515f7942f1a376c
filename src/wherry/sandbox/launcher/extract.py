"""An archive's frames, unpacked into a folder of a rootfs: ADD of a tar.

Unlike a layer, an archive deletes nothing: names that begin with `.wh.` are files. What is there is replaced, except
a folder by a folder. Links on the way are followed inside the folder.

Source: Dockerfile reference, "ADD"; moby's archive package for what it leaves open.
"""

import errno
import marshal
import os
import stat

from wherry.sandbox.launcher.links import hard_link
from wherry.sandbox.launcher.paths import resolve
from wherry.sandbox.launcher.select_files import NotCopyable, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from wherry.sandbox.launcher.owners import OwnerWriter
    from wherry.sandbox.spec import FileOwner, Frame

_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Extraction:
    """An archive on its way into a rootfs."""

    def __init__(self, root: int, owners: "OwnerWriter", owner: "FileOwner | None") -> None:
        """Take the open folder, and the owner of everything (None: as in the archive). Links never lead out of it."""
        self._root = root
        self._owners = owners
        self._owner = owner
        self._times: dict[str, int] = {}

    def take(self, frames: "BinaryIO") -> None:
        """Unpack frame after frame.

        Raises:
            CannotCopy: an entry can't be what it says.
        """
        while length := int.from_bytes(frames.read(4), "big"):
            self._one(marshal.loads(frames.read(length)), frames)  # noqa: S302 - the caller is our own process
        for path, time in self._times.items():
            os.utime(path or ".", ns=(time, time), dir_fd=self._root, follow_symlinks=False)

    def _one(self, frame: "Frame", frames: "BinaryIO") -> None:
        names = [name for name in frame["path"].split("/") if name not in ("", ".")]
        if ".." in names:
            raise NotCopyable(frame["path"], "is outside the archive")
        place = self._place(names)
        if frame["kind"] == "folder":
            self._make_folder(place, frame)
            return
        if not names:
            return
        self._make_room(place)
        match frame["kind"]:
            case "file":
                self._file(place, frame, frames)
            case "symlink":
                os.symlink(frame["target"], place, dir_fd=self._root)
                self._owners.own_name(self._root, place, self._of(frame), link=True)
                self._time(place, frame)
            case "hardlink":
                source = self._place([name for name in frame["target"].split("/") if name not in ("", ".", "..")])
                hard_link(source, place, self._root, self._root)
                status = self._status(place)
                if status is not None and not stat.S_ISLNK(status.st_mode):
                    self._dress(place, frame)  # the file is what its last name says
            case "fifo":
                os.mkfifo(place, 0o600, dir_fd=self._root)
                self._dress(place, frame)

    def _place(self, names: "list[str]") -> str:
        """Say where something goes; the folders above it are made."""
        if not names:
            return ""
        above = ""
        for name in names[:-1]:
            above = "/".join(resolve(self._root, join(above, name)))
            if not above:
                continue
            try:
                os.mkdir(above, 0o755, dir_fd=self._root)
            except FileExistsError:
                continue
        return join(above, names[-1])

    def _make_folder(self, place: str, frame: "Frame") -> None:
        status = self._status(place)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            if stat.S_ISLNK(status.st_mode):
                real = "/".join(resolve(self._root, place))
                below = self._status(real)
                if below is not None and stat.S_ISDIR(below.st_mode):
                    return
            os.unlink(place, dir_fd=self._root)
            status = None
        if status is None:
            os.mkdir(place, 0o700, dir_fd=self._root)
        self._dress(place, frame)
        self._times[place] = frame["mtime"]

    def _file(self, place: str, frame: "Frame", frames: "BinaryIO") -> None:
        opened = os.open(place, _NEW, 0o600, dir_fd=self._root)
        try:
            left = frame["size"]
            while left:
                chunk = frames.read(min(left, _CHUNK))
                if not chunk:
                    raise NotCopyable(frame["path"], "the archive is truncated", errno.EPIPE)
                left -= len(chunk)
                while chunk:
                    chunk = chunk[os.write(opened, chunk) :]
        finally:
            os.close(opened)
        self._dress(place, frame)

    def _dress(self, place: str, frame: "Frame") -> None:
        self._owners.own_name(self._root, place or ".", self._of(frame))
        os.chmod(place or ".", frame["mode"], dir_fd=self._root)
        for name, value in frame["attributes"].items():
            try:
                os.setxattr(f"/proc/self/fd/{self._root}/{place}", name, value, follow_symlinks=False)
            except OSError:  # a disk that keeps none, or one that only root may set
                continue
        self._time(place, frame)

    def _make_room(self, place: str) -> None:
        status = self._status(place)
        if status is None:
            return
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(place, dir_fd=self._root)
            return
        opened = os.open(place, _FOLDER, dir_fd=self._root)
        names = os.listdir(opened)
        os.close(opened)
        for name in names:
            self._make_room(join(place, name))
        os.rmdir(place, dir_fd=self._root)

    def _of(self, frame: "Frame") -> "FileOwner":
        return self._owner or {"uid": frame["uid"], "gid": frame["gid"]}

    def _time(self, place: str, frame: "Frame") -> None:
        os.utime(place or ".", ns=(frame["mtime"], frame["mtime"]), dir_fd=self._root, follow_symlinks=False)

    def _status(self, place: str) -> "os.stat_result | None":
        try:
            return os.stat(place or ".", dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            return None
