"""Files put into a rootfs: what COPY, ADD and WORKDIR do.

The rootfs is an overlay of this job alone, never attached anywhere, so what it takes is a layer. Paths are followed
inside it, as a container would see them; only names that are no links are handed to the kernel.

Source: Dockerfile reference, "COPY" and "ADD"; BuildKit's copy (fsutil) for what it leaves open: modes of folders that
are made on the way, times of folders that are there, what may replace what.
"""

import errno
import os
import stat

from wherry.dockerfile.modes import changed_mode
from wherry.sandbox.launcher import forkserver
from wherry.sandbox.launcher.file_content import attributes_of, copy_attributes, copy_bytes, kept_names, set_attribute
from wherry.sandbox.launcher.links import hard_link
from wherry.sandbox.launcher.overlays import overlay, overlay_to_read
from wherry.sandbox.launcher.owners import OwnerWriter, read_owner
from wherry.sandbox.launcher.paths import resolve
from wherry.sandbox.launcher.select_files import Choice, NotCopyable, SourceRoot, check_required, join, walk
from wherry.sandbox.launcher.trash import delete_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from wherry.sandbox.spec import ChangeFiles, CopySpec, Extract, FileOwner, MakeFolder, Measure, SourceTree

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def change(job: "ChangeFiles", frames: "BinaryIO") -> None:
    """Do the actions, in order.

    Raises:
        CannotCopy: one of them can't be done.
        OSError: the disk refuses.
    """
    os.umask(0)
    mounts = job["overlay"] and not forkserver.plain
    if not job["layers"]:
        root = os.open(f"{job['writable']}/tree", _FOLDER)  # nothing is below, so that it can be written unchanged
    elif mounts:
        root = overlay(job["layers"], job["writable"])
    else:
        from wherry.sandbox.launcher.flatten import flatten

        flatten(job["layers"], f"{job['writable']}/full")
        root = os.open(f"{job['writable']}/full", _FOLDER)
    changer = FileCopier(root, job)
    for action in job["actions"]:
        match action["action"]:
            case "folder":
                changer.folder(action)
            case "copy":
                changer.copy(action)
            case _:
                changer.extract(action, frames)
    os.close(root)
    changer.close()
    if job["layers"] and not mounts:
        from wherry.sandbox.launcher.diff_copy import settle

        settle(job["layers"], job["writable"])


def measure(job: "Measure") -> str:
    """Hash what copies would take: names, kinds, modes, owners, attributes, bytes; no times."""
    import hashlib

    origins = SourceTrees(job["stage"])
    state = hashlib.sha256()
    for action in job["copies"]:
        tops = origins.open(action["origin"])
        choice = Choice(action["only"], action["but"])
        for path in tops.matching(action):
            top = tops.real(path, last=action["follow"])
            state.update(f"\0\0{os.path.basename(path)}\0".encode(errors="surrogateescape"))
            for place, below, status in walk(tops, top, choice):
                state.update(_described(tops.root, place, below, status))
    origins.close()
    return state.hexdigest()


def _described(root: int, place: str, below: str, status: os.stat_result) -> bytes:
    uid, gid = read_owner(root, place, status)
    words = f"{below}\0{status.st_mode:o} {uid} {gid} "
    if stat.S_ISREG(status.st_mode):
        words += file_hash(root, place)
    elif stat.S_ISLNK(status.st_mode):
        words += os.readlink(place, dir_fd=root)
    attributes = repr(sorted(attributes_of(root, place).items())) if not stat.S_ISLNK(status.st_mode) else ""
    return f"{words} {attributes}\0".encode(errors="surrogateescape")


def file_hash(root: int, path: str) -> str:
    """Hash a file's bytes."""
    import hashlib

    with os.fdopen(os.open(path, _READ, dir_fd=root), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class SourceTrees:
    """Where files are copied from, each opened once."""

    def __init__(self, stage: str) -> None:
        """Take an empty folder."""
        self._stage = stage
        self._opened: dict[str, SourceRoot] = {}
        self._copies: list[str] = []

    def open(self, origin: "SourceTree") -> SourceRoot:
        """Open one."""
        name = repr((origin["kind"], origin["folder"], origin["layers"]))
        if name not in self._opened:
            if origin["kind"] == "folder":
                root = os.open(origin["folder"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            elif forkserver.plain:
                root = self._copied(origin["layers"])
            else:
                root = overlay_to_read(origin["layers"], self._stage)
            self._opened[name] = SourceRoot(root, frozenset(origin["left_out"]))
        return self._opened[name]

    def close(self) -> None:
        """Delete what had to be copied together."""
        for folder in self._copies:
            delete_folder(folder, os.path.dirname(folder))
        self._copies.clear()

    def _copied(self, layers: "list[str]") -> int:
        from wherry.sandbox.launcher.flatten import flatten

        folder = f"{os.path.dirname(self._stage)}/making/origin-{os.getpid()}-{len(self._copies)}"
        os.mkdir(folder, 0o755)
        self._copies.append(folder)
        flatten(layers, folder)
        return os.open(folder, _FOLDER)


class FileCopier:
    """A rootfs that files are put into."""

    def __init__(self, root: int, job: "ChangeFiles") -> None:
        self._root = root
        self._owners = OwnerWriter(job["ids"])
        self._origins = SourceTrees(job["stage"])

    def close(self) -> None:
        """Let go of where files came from."""
        self._origins.close()

    def folder(self, action: "MakeFolder") -> None:
        """Make a folder, and those above it that are missing."""
        for made in self._folders(action["path"], action["mode"], action["owner"]):
            self._time(made, action["mtime"])

    def copy(self, action: "CopySpec") -> None:
        """Copy what one path means.

        Raises:
            CannotCopy: it is not there, or can't be put there.
        """
        tops = self._origins.open(action["origin"])
        check_required(tops, action)
        numeric = action["mode"].isdecimal()
        mode = int(action["mode"], 8) if numeric else 0o755
        for path in tops.matching(action):
            made = self._folders(action["destination"].rpartition("/")[0], mode, action["owner"])
            top = tops.real(path, last=action["follow"])
            status = tops.status(top)
            if status is None:
                raise NotCopyable(path, "does not exist", errno.ENOENT)
            target, more = self._target(action, path, status, mode)
            _Copying(self._root, self._owners, tops, action).copy(top, target)
            for name in (*made, *more):
                self._time(name, action["mtime"])

    def extract(self, action: "Extract", frames: "BinaryIO") -> None:
        """Unpack an archive's frames below a folder."""
        from wherry.sandbox.launcher.extract import Extraction

        self._folders(action["destination"], 0o755, action["owner"])
        folder = os.open("/".join(resolve(self._root, action["destination"])) or ".", _FOLDER, dir_fd=self._root)
        Extraction(folder, self._owners, action["owner"]).take(frames)
        os.close(folder)

    def _target(self, action: "CopySpec", path: str, status: os.stat_result, mode: int) -> "tuple[str, list[str]]":
        """Say where a thing goes, and make the folders above it."""
        target = "/".join(resolve(self._root, action["destination"]))
        there = _status(self._root, target)
        is_folder = stat.S_ISDIR(status.st_mode)
        into = there is not None and (stat.S_ISDIR(there.st_mode) if not is_folder else not action["contents"])
        if into:
            target = join(target, os.path.basename(path))
        above = target if is_folder and action["contents"] and there is None else target.rpartition("/")[0]
        return target, self._folders(above, mode, action["owner"])

    def _folders(self, path: str, mode: int, owner: "FileOwner | None") -> "list[str]":
        """Make a folder with those above it; give what was made."""
        made = []
        real = resolve(self._root, path)
        for end in range(1, len(real) + 1):
            name = "/".join(real[:end])
            status = _status(self._root, name)
            if status is None:
                os.mkdir(name, 0o700, dir_fd=self._root)
                self._owners.own_name(self._root, name, owner or {"uid": 0, "gid": 0})
                os.chmod(name, mode & 0o777, dir_fd=self._root)
                made.append(name)
            elif not stat.S_ISDIR(status.st_mode):
                raise NotCopyable(name, "exists and is not a directory", errno.ENOTDIR)
        return made

    def _time(self, name: str, mtime: int) -> None:
        if mtime >= 0:
            os.utime(name, ns=(mtime, mtime), dir_fd=self._root, follow_symlinks=False)


class _Copying:
    """One path on its way into the rootfs."""

    def __init__(self, root: int, owners: OwnerWriter, tops: SourceRoot, action: "CopySpec") -> None:
        self._root = root
        self._owners = owners
        self._tops = tops
        self._action = action
        self._foreign = action["origin"]["kind"] == "folder"
        self._first: dict[tuple[int, int], str] = {}
        """Where a file with several names was put first."""
        self._folders: list[tuple[str, str, os.stat_result]] = []
        """What was made or goes over: its times are set when all is in it."""
        self._made: set[str] = set()
        """Folders below the target that are there."""

    def copy(self, top: str, target: str) -> None:
        """Copy what is at a path, with all below it that is asked for."""
        tops = self._tops
        for path, below, status in walk(tops, top, Choice(self._action["only"], self._action["but"])):
            place = join(target, below) if below else target
            if below:
                self._parents(top, target, below)
            if stat.S_ISDIR(status.st_mode):
                self._folder(path, place, status, over=bool(below))
            else:
                self._other(path, place, status)
        for path, place, status in reversed(self._folders):
            self._finish(path, place, status)

    def _parents(self, top: str, target: str, below: str) -> None:
        """See to it that the folders above are there: patterns may have passed them over."""
        parts = below.split("/")[:-1]
        for end in range(len(parts) + 1):
            inner = "/".join(parts[:end])
            place = join(target, inner) if inner else target
            if place in self._made or (not inner and not place):
                continue
            source = join(top, inner) if inner else top
            status = self._tops.status(source)
            assert status is not None  # noqa: S101 - it is above what was found
            self._folder(source, place, status, over=False)

    def _folder(self, path: str, place: str, status: os.stat_result, *, over: bool) -> None:
        if place in self._made:
            return
        self._made.add(place)
        there = _status(self._root, place)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            raise NotCopyable(
                place, "exists and is not a directory, so no directory can be copied to it", errno.ENOTDIR
            )
        if there is None:
            os.mkdir(place, 0o700, dir_fd=self._root)
        if there is None or over:
            self._folders.append((path, place, status))
        elif not self._action["mtime"] >= 0:
            os.utime(
                place or ".", ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=self._root, follow_symlinks=False
            )
        else:
            self._time(place, status)

    def _finish(self, path: str, place: str, status: os.stat_result) -> None:
        """Set a folder's metadata."""
        self._owners.own_name(self._root, place, self._owner(path, status))
        os.chmod(place or ".", self._mode(status), dir_fd=self._root)
        self._attributes(path, place)
        self._time(place, status)

    def _other(self, path: str, place: str, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        try:
            self._put(kind, path, place, status)
        except FileExistsError:
            self._make_room(place)
            self._put(kind, path, place, status)
        except NotADirectoryError as error:
            raise NotCopyable(place, "its parent is not a directory", errno.ENOTDIR) from error

    def _put(self, kind: int, path: str, place: str, status: os.stat_result) -> None:
        if kind == stat.S_IFREG:
            self._file(path, place, status)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(path, dir_fd=self._tops.root), place, dir_fd=self._root)
            self._owners.own_name(self._root, place, self._owner(path, status), link=True)
            self._time(place, status)
        else:
            self._special(path, place, status)

    def _file(self, path: str, place: str, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            first = self._first.setdefault((status.st_dev, status.st_ino), place)
            if first != place:
                hard_link(first, place, self._root, self._root)
                return
        source = os.open(path, _READ, dir_fd=self._tops.root)
        try:
            mode = self._mode(status)
            copied = os.open(place, _NEW, mode & 0o777, dir_fd=self._root)
            try:
                copy_bytes(source, copied, status.st_size)
                self._owners.own_open(copied, self._owner(path, status))
                if mode & 0o7000:
                    os.fchmod(copied, mode)
                copy_attributes(source, copied)
                now = self._action["mtime"]
                os.utime(copied, ns=(now, now) if now >= 0 else (status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(copied)
        finally:
            os.close(source)

    def _special(self, path: str, place: str, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        mode = self._mode(status)
        try:
            os.mknod(place, (kind if kind != stat.S_IFSOCK else stat.S_IFREG) | mode, status.st_rdev, dir_fd=self._root)
        except PermissionError as error:
            raise NotCopyable(path, "is a device, and only root can copy devices", errno.EPERM) from error
        self._owners.own_name(self._root, place, self._owner(path, status))
        os.chmod(place, mode, dir_fd=self._root)
        self._time(place, status)

    def _make_room(self, place: str) -> None:
        there = _status(self._root, place)
        if there is None:
            return
        if stat.S_ISDIR(there.st_mode):
            raise NotCopyable(place, "is a directory, and a file cannot replace it", errno.EISDIR)
        os.unlink(place, dir_fd=self._root)

    def _mode(self, status: os.stat_result) -> int:
        return changed_mode(stat.S_IMODE(status.st_mode), self._action["mode"], folder=stat.S_ISDIR(status.st_mode))

    def _owner(self, path: str, status: os.stat_result) -> "FileOwner":
        if self._action["owner"] is not None:
            return self._action["owner"]
        if self._foreign:
            return {"uid": 0, "gid": 0}
        uid, gid = read_owner(self._tops.root, path, status)
        return {"uid": uid, "gid": gid}

    def _attributes(self, path: str, place: str) -> None:
        source = f"/proc/self/fd/{self._tops.root}/{path}"
        for name in kept_names(source):
            set_attribute(f"/proc/self/fd/{self._root}/{place}", name, os.getxattr(source, name, follow_symlinks=False))

    def _time(self, place: str, status: os.stat_result) -> None:
        now = self._action["mtime"]
        times = (now, now) if now >= 0 else (status.st_atime_ns, status.st_mtime_ns)
        os.utime(place or ".", ns=times, dir_fd=self._root, follow_symlinks=False)


def _status(root: int, path: str) -> "os.stat_result | None":
    try:
        return os.stat(path or ".", dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise NotCopyable(path, "its parent is not a directory", errno.ENOTDIR) from error
