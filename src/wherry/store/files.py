"""Files of a store: opened without trust, written whole or not at all; where the system's errors become ours."""

import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from wherry.errors import CannotWrite, DigestMismatch, InvalidDocument, NotPermitted, SizeMismatch

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
"""A link is not followed, and a pipe is not waited for."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_RESUME = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


_FEW = 2
"""Files that are synced one after the other: starting threads would take longer."""
_SYNCED = 32
"""Files synced at a time."""
_FLUSHED = 32 << 20
"""Bytes after which the disk is asked to take what it has."""


class ByteSink(Protocol):
    """Whatever takes bytes in order: a file, a pipe, a buffer."""

    def write(self, chunk: bytes, /) -> object:
        """Take all of the chunk."""


def open_regular(path: str | Path) -> int | None:
    """Open a file that another user may have put there; give its descriptor, or None where nothing is.

    Raises:
        InvalidDocument: it is a link, a folder, a pipe or a device.
        NotPermitted: we may not read it.
    """
    try:
        file = os.open(path, _READ)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise NotPermitted(f"{path}: permission denied", hint="run as its owner, or change its mode") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise _not_regular(path) from error
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise _not_regular(path)


def read_regular(path: str | Path, limit: int) -> bytes | None:
    """Read a small file that another user may have put there; None where nothing is.

    Raises:
        InvalidDocument: it is not a regular file, or has more bytes than the limit.
        NotPermitted: we may not read it.
    """
    file = open_regular(path)
    if file is None:
        return None
    with os.fdopen(file, "rb", buffering=0) as reader:
        content = reader.read(limit + 1) or b""
        while len(content) <= limit and (more := reader.read(limit + 1 - len(content))):
            content += more
    if len(content) > limit:
        raise InvalidDocument(str(path), f"more than {limit} bytes, too large for a document of a layout")
    return content


def cannot_write(path: str | Path, error: OSError) -> CannotWrite:
    """Say what stopped a write, and what to do about it."""
    if error.errno == errno.EFBIG:
        hint = "raise the file size limit (`ulimit -f unlimited`) and run it again; nothing was lost"
    elif error.errno in _FULL:
        hint = "free disk space (`wherry gc` deletes unused blobs) and run it again; nothing was lost"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        hint = "change the owner or mode of the directory, or use another one"
    elif error.errno == errno.EISDIR:
        hint = "name a file in that directory; nothing was changed"
    elif error.errno == errno.ENOENT:
        hint = "create the directory first (`mkdir -p`); nothing was changed"
    else:
        hint = "use another directory; nothing was changed"
    return CannotWrite(f"{path}: cannot write: {error.strerror or error}", hint=hint)


class Incoming:
    """A file under a name of its own, until `move` gives it the right one in one step."""

    def __init__(self, folder: Path, shown: Path, *, flush: bool = False, name: str = "") -> None:
        """Open it.

        Args:
            folder: where it waits.
            shown: what errors name.
            flush: have the disk take it while it is written.
            name: that another process may have begun it under; empty: one of its own.

        Raises:
            CannotWrite: it can't be made.
            BlockingIOError: another process writes the file of that name.
        """
        self._flush = flush
        self._named = bool(name)
        self._waiting = 0
        """Bytes written since the disk was last asked to take them."""
        self._flushing: threading.Thread | None = None
        self._failed: OSError | None = None
        """Why the disk did not take some of it: the system says so once only."""
        self._path = folder / (name or f"tmp-{os.getpid()}-{os.urandom(8).hex()}")
        self._shown = shown
        try:
            self._file = _taken(self._path) if name else os.open(self._path, _CREATE, 0o666)
        except BlockingIOError:
            raise
        except OSError as error:
            raise cannot_write(shown, error) from error
        self._open = True
        self._there = True

    def write(self, chunk: bytes, /) -> None:
        """Append all of the chunk.

        Raises:
            CannotWrite: no space, or not allowed.
        """
        _write_all(self._file, chunk, self._shown)
        self._waiting += len(chunk)
        if self._flush and self._waiting >= _FLUSHED and not (self._flushing and self._flushing.is_alive()):
            self._waiting = 0
            self._flushing = threading.Thread(target=self._flush_now, daemon=True)
            self._flushing.start()

    def written(self) -> Iterator[bytes]:
        """Yield what was written before this process opened it; writing goes on behind it."""
        if not self._named:
            return
        os.lseek(self._file, 0, os.SEEK_SET)
        while chunk := os.read(self._file, 1 << 20):
            yield chunk

    def empty(self) -> None:
        """Forget what was written."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)

    def leave(self) -> None:
        """Let the file lie under its name, for a later process to go on with; an empty one goes."""
        if self._there and os.fstat(self._file).st_size:
            self._close()
            self._there = False

    def keep_private(self) -> None:
        """Let only its owner read it."""
        os.fchmod(self._file, 0o600)

    def keep_mode(self, of: Path) -> None:
        """Let those read and write it who may read and write another; without another file, unchanged."""
        with suppress(FileNotFoundError):
            os.fchmod(self._file, stat.S_IMODE(of.stat().st_mode))

    def move(self, target: Path, *, durable: bool) -> None:
        """Put the file in its place, over whatever was there.

        Args:
            target: on the same file system.
            durable: wait until the bytes and the name would survive a loss of power.
        """
        try:
            if durable:
                os.fsync(self._file)
            self._close()
            if self._failed:
                raise self._failed
            self._path.replace(target)
            self._there = False
            if durable:
                sync(target.parent)
        except OSError as error:
            raise cannot_write(self._shown, error) from error

    @property
    def owner(self) -> tuple[int, int]:
        """Its user and group."""
        status = os.fstat(self._file)
        return status.st_uid, status.st_gid

    def pour(self, target: Path) -> None:
        """Write the content into a file that is there, which stays the file that it is.

        Raises:
            CannotWrite: no space, or not allowed; without space the file may be cut short.
        """
        try:
            self._close()
            with self._path.open("rb") as whole, target.open("r+b") as out:
                while chunk := whole.read(_FLUSHED):
                    out.write(chunk)
                out.truncate()
        except OSError as error:
            raise cannot_write(self._shown, error) from error

    def discard(self) -> None:
        """Forget the file, unless it has moved."""
        with suppress(OSError):
            self._close()
        if self._there:
            with suppress(OSError):
                self._path.unlink()
            self._there = False

    def _flush_now(self) -> None:
        try:
            _take(self._file)
        except OSError as error:
            self._failed = error

    def _close(self) -> None:
        if self._open:
            self._open = False
            if self._flushing:
                self._flushing.join()
            os.close(self._file)


@contextmanager
def incoming(folder: Path, shown: Path, *, flush: bool = False) -> Iterator[Incoming]:
    """Open a file on its way into a folder; leaving without `move` forgets it.

    Args:
        folder: where it waits under a name starting with `tmp-`.
        shown: what errors name.
        flush: have the disk take a large file while it is written, so that syncing it afterwards is short.
    """
    file = Incoming(folder, shown, flush=flush)
    try:
        yield file
    finally:
        file.discard()


@contextmanager
def resumable(folder: Path, shown: Path, name: str, *, flush: bool = True) -> Iterator[Incoming]:
    """Open a file that a killed or cut process may have begun; what ends this one early leaves what came.

    Args:
        folder: where it waits.
        shown: what errors name.
        name: of the file; while another process writes it, this one gets a file of its own and begins again.
        flush: as of `incoming`.
    """
    try:
        file = Incoming(folder, shown, flush=flush, name=name)
    except BlockingIOError:
        with incoming(folder, shown, flush=flush) as own:
            yield own
        return
    try:
        yield file
    except (CannotWrite, DigestMismatch, SizeMismatch):
        raise  # what is there is of no use, or too large
    except BaseException:
        file.leave()
        raise
    finally:
        file.discard()


def _taken(path: Path) -> int:
    """Open and lock a file, made where it is missing; one that was moved or deleted meanwhile is not it any more."""
    import fcntl

    while True:
        file = os.open(path, _RESUME, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here, there = os.fstat(file), os.lstat(path)
            if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) and stat.S_ISREG(here.st_mode):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


@contextmanager
def replacing(path: Path) -> Iterator[ByteSink]:
    """Write a file whole or not at all; what is there already stays until the new one is complete.

    A pipe or a device is written straight away.

    Raises:
        CannotWrite: no space, no folder, or not allowed.
    """
    if path.exists() and not path.is_file():
        try:
            file = path.open("wb", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error
        with file:
            yield _Device(file.fileno(), path)
        return
    with incoming(path.parent, path) as replacement:
        yield replacement
        replacement.move(path, durable=False)


class _Device:
    def __init__(self, file: int, shown: Path) -> None:
        self._file = file
        self._shown = shown

    def write(self, chunk: bytes, /) -> None:
        _write_all(self._file, chunk, self._shown)


def _write_all(file: int, chunk: bytes, shown: Path) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError as error:
        raise cannot_write(shown, error) from error


def sync(path: Path) -> None:
    """Wait until a file or a folder would survive a loss of power."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_all(paths: Sequence[str | Path]) -> None:
    """Wait until files would survive a loss of power, and then their folders.

    Files are synced side by side: a journalling file system then writes its journal and empties the disk's cache once
    for many of them, not once for each.

    Raises:
        CannotWrite: a file is gone, or the disk failed to take it.
    """

    def synced(path: str | Path) -> None:
        try:
            sync(Path(path))
        except OSError as error:
            raise cannot_write(path, error) from error

    if len(paths) <= _FEW:
        for path in paths:
            synced(path)
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(len(paths), _SYNCED)) as pool:
            for _ in pool.map(synced, paths):
                pass
    for folder in dict.fromkeys(Path(path).parent for path in paths):
        synced(folder)


class Writeback:
    """Has the disk take files some megabytes at a time, while others are still written: syncing them ends sooner."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: list[Path] = []
        self._bytes = 0
        self._at_work: list[threading.Thread] = []
        self._failed: CannotWrite | None = None

    def add(self, path: Path, size: int) -> None:
        """Take note of a file that was written; it may be deleted meanwhile."""
        with self._turn:
            self._waiting.append(path)
            self._bytes += size
            if self._bytes < _FLUSHED:
                return
            paths, self._waiting, self._bytes = self._waiting, [], 0
            thread = threading.Thread(target=self._write, args=(paths,), daemon=True)
            self._at_work = [*(one for one in self._at_work if one.is_alive()), thread]
            thread.start()

    def finish(self) -> None:
        """Wait for what was begun.

        Raises:
            CannotWrite: the disk failed to take a file, which the system says once only.
        """
        with self._turn:
            threads, self._at_work = self._at_work, []
            self._waiting, self._bytes = [], 0
        for thread in threads:
            thread.join()
        failed, self._failed = self._failed, None
        if failed:
            raise failed

    def _write(self, paths: Sequence[Path]) -> None:
        for path in paths:
            try:
                file = os.open(path, _READ)
            except OSError:  # collected, or another's damaged blob that was deleted
                continue
            try:
                _take(file)
            except OSError as error:
                self._failed = cannot_write(path, error)
            finally:
                os.close(file)


def _take(file: int) -> None:
    getattr(os, "fdatasync", os.fsync)(file)


def _not_regular(path: str | Path) -> InvalidDocument:
    return InvalidDocument(
        str(path),
        "is not a regular file",
        hint="give a regular file; a layout with links is copied with `cp -RL`",
    )
