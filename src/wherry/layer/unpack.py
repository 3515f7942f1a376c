"""Entries to files on disk, nothing ever outside of one folder.

Neither `..` nor links, absolute or planted by an earlier entry, lead out (`inside.py`). Whiteouts are no files:
`flatten` a stack of layers first.

Source: OCI image-spec v1.1.1, layer.md.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from wherry.errors import CannotWrite
from wherry.layer.changes import WHITEOUT
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind, Readable, encode_path
from wherry.layer.header import InvalidArchive
from wherry.layer.inside import Inside, LinksInCircle, Names
from wherry.layer.room import Room
from wherry.layer.tar import CHUNK

_KERNEL_STATE = ("trusted.", "user.overlay.")
"""Attributes that this machine's file systems act on: as root, trusted.overlay.* would tell an overlay that is mounted
over the folder what to show instead of its files (overlayfs.rst, "redirect_dir", "Metadata only copy up")."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Unpacked:
    """What came of it."""

    entries: int = 0
    size: int = 0
    """Bytes of files."""
    skipped: list[str] = field(default_factory=list)
    """What could not be made as in the archive, a line each: devices, extended attributes."""


def unpack(
    entries: Iterable[tuple[Entry, Readable]],
    folder: Path,
    *,
    owners: bool = False,
    devices: bool = False,
    limits: ArchiveLimits | None = None,
) -> Unpacked:
    """Make files of entries, in the order they come; later ones replace earlier ones.

    Args:
        entries: such as `flatten` gives.
        folder: made where it is missing; what is in it already stays, unless an entry is in its way.
        owners: give files the owners of their entries, which takes root; modes, setuid and times are always kept.
        devices: make device nodes, which takes root too; else they are skipped.
        limits: how many entries and bytes to accept.

    Raises:
        InvalidArchive: a hard link or a link on the way leads nowhere, a whiteout, or a limit is broken.
        CannotWrite: no space (known before a file is written), or not allowed. What was made by then stays; delete the
            folder.
    """
    limits, done = limits or ArchiveLimits(), Unpacked()
    with _opened(folder) as top, _Unpacker(top, done, owners=owners, devices=devices) as unpacker:
        for entry, body in Room(folder, limits.size).bounded(entries):
            done.entries += 1
            if done.entries > limits.entries:
                raise InvalidArchive(str(folder), f"more than {limits.entries} entries")
            with _translated(folder, entry.path):
                unpacker.put(entry, body)
        with _translated(folder, ""):
            unpacker.finish()
    return done


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    with _translated(folder, ""):
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            folder.chmod(0o755)  # an image's root, whatever the caller's umask is
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield top
    finally:
        os.close(top)


@contextmanager
def _translated(folder: Path, path: str) -> Iterator[None]:
    try:
        yield
    except LinksInCircle as error:
        raise InvalidArchive(path, "its path has a loop of symbolic links") from error
    except OSError as error:
        raise CannotWrite(
            f"{folder / path}: {error.strerror}", hint="free disk space or use another directory, then delete this one"
        ) from error


class _Unpacker:
    def __init__(self, top: int, done: Unpacked, *, owners: bool, devices: bool) -> None:
        self._top, self._done = top, done
        self._owners, self._devices = owners, devices
        self._folders: dict[Names, Entry] = {}
        self._here = Inside(top)
        self._path: list[bytes] | None = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._here.__exit__()

    def put(self, entry: Entry, body: Readable) -> None:
        """Make what an entry is."""
        *folders, last = encode_path(entry.path).split(b"/")
        if not last:
            self._folders[()] = entry
            return
        if last.startswith(WHITEOUT.encode()):
            raise InvalidArchive(
                entry.path, "a whiteout is not a file", hint="flatten the layers before you unpack them"
            )
        self._go(folders)
        if entry.kind is EntryKind.FOLDER:
            self._make_folder(entry, last)
            return
        self._clear(last)
        match entry.kind:
            case EntryKind.FILE:
                self._make_file(entry, body, last)
            case EntryKind.HARDLINK:
                self._make_link(entry, last)
            case _ if self._make_special(entry, last):
                self._dress_name(entry, last)

    def finish(self) -> None:
        """Give folders their modes and times, the deepest first: one that is read-only could not be filled."""
        for names in sorted(self._folders, key=len, reverse=True):
            with Inside(self._top) as folder:
                # Elsewhere or nowhere: a later entry took its place.
                if folder.go(names, make=False) and folder.names == names:
                    self._dress(self._folders[names], folder.opened)

    def _go(self, folders: list[bytes]) -> None:
        """Go to the folder that an entry is in; mostly it is the one of the entry before."""
        if folders != self._path:
            self._here.__exit__()
            self._here, self._path = Inside(self._top), folders
            self._here.go(folders, make=True)

    def _clear(self, last: bytes) -> None:
        if self._here.clear(last):
            # It may have been a link that led here.
            self._path = None

    def _make_folder(self, entry: Entry, last: bytes) -> None:
        status = self._here.status(last)
        if status is None or not stat.S_ISDIR(status.st_mode):
            self._clear(last)
            os.mkdir(last, 0o700, dir_fd=self._here.opened)
        self._folders[*self._here.names, last] = entry

    def _make_file(self, entry: Entry, body: Readable, last: bytes) -> None:
        opened = os.open(last, _NEW_FILE, 0o600, dir_fd=self._here.opened)
        with open(opened, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor is no path
            while chunk := body.read(CHUNK):
                self._done.size += len(chunk)
                while chunk := chunk[file.write(chunk) :]:
                    pass
            self._dress(entry, file.fileno())

    def _make_link(self, entry: Entry, last: bytes) -> None:
        *folders, name = encode_path(entry.target).split(b"/")
        with Inside(self._top) as there:
            status = there.status(name) if there.go(folders, make=False) else None
            if status is None or stat.S_ISDIR(status.st_mode):
                raise InvalidArchive(entry.path, f"a hard link to {entry.target}, which is not a file")
            os.link(name, last, src_dir_fd=there.opened, dst_dir_fd=self._here.opened, follow_symlinks=False)

    def _make_special(self, entry: Entry, last: bytes) -> bool:
        match entry.kind:
            case EntryKind.SYMLINK:
                os.symlink(encode_path(entry.target), last, dir_fd=self._here.opened)
            case EntryKind.FIFO:
                os.mkfifo(last, 0o600, dir_fd=self._here.opened)
            case _ if self._devices:
                kind = stat.S_IFCHR if entry.kind is EntryKind.CHAR else stat.S_IFBLK
                os.mknod(last, kind | 0o600, os.makedev(*entry.device), dir_fd=self._here.opened)
            case _:
                self._done.skipped.append(f"{entry.path}: a device node")
                return False
        return True

    def _dress(self, entry: Entry, opened: int) -> None:
        if self._owners:
            os.fchown(opened, entry.uid, entry.gid)
        os.fchmod(opened, entry.mode)
        for name, value in entry.xattrs.items():
            if name.startswith(_KERNEL_STATE):
                self._done.skipped.append(f"{entry.path}: extended attribute {name}: not for an image to set")
                continue
            try:
                os.setxattr(opened, name, value)
            except OSError as error:
                self._done.skipped.append(f"{entry.path}: extended attribute {name}: {error.strerror}")
        os.utime(opened, (entry.mtime, entry.mtime))

    def _dress_name(self, entry: Entry, last: bytes) -> None:
        here = self._here.opened
        if self._owners:
            os.chown(last, entry.uid, entry.gid, dir_fd=here, follow_symlinks=False)
        if entry.kind is not EntryKind.SYMLINK:
            os.chmod(last, entry.mode, dir_fd=here)
        os.utime(last, (entry.mtime, entry.mtime), dir_fd=here, follow_symlinks=False)
