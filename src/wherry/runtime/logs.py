"""What a container printed: written by its supervisor, read by `wherry logs`.

Lines of JSON as Docker's json-file driver writes them, so that what reads those reads these: `log`, `stream` (stdout
or stderr) and `time`. A file of 10 MB becomes `log.1`, over the one before it: no container takes more than twice that.

Source: moby v28, daemon/logger/jsonfilelog and daemon/logger/copier.go (a line is cut after 16 KiB).
"""

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wherry.typed import from_json

LOG, BEFORE = "log", "log.1"
LARGEST = 10_000_000
_LINE = 16 << 10
_LONGEST = 8 * _LINE
"""Bytes of a line of JSON that is still read: each byte may have become six."""
_PAUSE = 0.1
"""Seconds between two looks at a log that is followed."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    log: str
    stream: str
    time: str
    """RFC 3339, UTC."""


class LogWriter:
    """The supervisor's end. A disk that takes no more loses lines, never the container; how many is said later."""

    def __init__(self, folder: Path, *, largest: int = LARGEST, clock: Callable[[], float] = time.time) -> None:
        """Begin a log in a container's folder."""
        self._folder = folder
        self._largest = largest
        self._clock = clock
        self._file = -1
        self._size = 0
        self._rest: dict[str, bytes] = {}
        """The beginnings of lines, by stream."""
        self._lost = 0
        self._problem = ""

    def write(self, stream: str, chunk: bytes) -> None:
        """Take what a stream gave; whole lines are written."""
        text = self._rest.pop(stream, b"") + chunk
        *lines, rest = text.split(b"\n")
        for line in lines:
            self._lines(stream, line + b"\n")
        while len(rest) >= _LINE:
            self._line(stream, rest[:_LINE])
            rest = rest[_LINE:]
        if rest:
            self._rest[stream] = rest

    def close(self) -> None:
        """Write what is left of lines without an end."""
        for stream, rest in self._rest.items():
            self._line(stream, rest)
        self._rest.clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lines(self, stream: str, line: bytes) -> None:
        for start in range(0, len(line), _LINE):
            self._line(stream, line[start : start + _LINE])

    def _line(self, stream: str, text: bytes) -> None:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat().replace("+00:00", "Z")
        if self._lost:
            words = f"wherry: {self._lost} lines were not kept: {self._problem}\n"
            if not self._append(LogLine(log=words, stream="stderr", time=at)):
                self._lost += 1
                return
            self._lost = 0
        if not self._append(LogLine(log=text.decode(errors="replace"), stream=stream, time=at)):
            self._lost += 1

    def _append(self, line: LogLine) -> bool:
        encoded = msgspec.json.encode(line) + b"\n"
        try:
            if self._file >= 0 and self._size + len(encoded) > self._largest:
                os.close(self._file)
                self._file = -1
                (self._folder / LOG).replace(self._folder / BEFORE)
            if self._file < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                self._file, self._size = os.open(self._folder / LOG, flags, 0o600), 0
            written = os.write(self._file, encoded)
            if written < len(encoded):
                os.ftruncate(self._file, self._size)  # half a line is none
                raise OSError(errno.ENOSPC, "No space left on device")  # noqa: TRY301 - one place that counts what is lost
        except OSError as error:
            self._problem = error.strerror or str(error)
            return False
        self._size += written
        return True


def read_log(
    folder: Path, *, tail: int | None = None, follow: Callable[[], bool] | None = None, since: float = 0.0
) -> Iterator[LogLine]:
    """Give the lines of a log.

    Args:
        folder: of the container.
        tail: the last so many; None: all.
        follow: go on with lines that come, as long as this says that there may be more.
        since: leave out what is older, in seconds since the epoch.

    A line that is not what a supervisor writes is left out.
    """
    reader = _Reader(folder)
    lines: Iterator[LogLine] = reader.there()
    if since:
        first = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
        lines = (line for line in lines if line.time >= first)
    yield from lines if tail is None else deque(lines, maxlen=tail)
    while follow is not None:
        more = follow()  # asked first: what is written before the end is read after it
        yield from reader.more()
        if not more:
            return
        time.sleep(_PAUSE)


class _Reader:
    """Reads two files as one, and goes on where a file is replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._rest = b""

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def there(self) -> Iterator[LogLine]:
        """Give the lines that are there."""
        with suppress(OSError):
            self._file = self._open(BEFORE)
            yield from self._lines()
        self._next()
        yield from self._lines()

    def more(self) -> Iterator[LogLine]:
        """Give the lines that came since."""
        yield from self._lines()
        if self._replaced():
            yield from self._lines()  # what came before it was moved
            self._next()
            yield from self._lines()

    def _open(self, name: str) -> int:
        file = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EINVAL, "is not a regular file")
        return file

    def _next(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self._rest = -1, b""
        with suppress(OSError):
            self._file = self._open(LOG)

    def _replaced(self) -> bool:
        try:
            now = (self._folder / LOG).stat()
        except OSError:
            return False
        return self._file < 0 or os.fstat(self._file).st_ino != now.st_ino

    def _lines(self) -> Iterator[LogLine]:
        while self._file >= 0 and (chunk := os.read(self._file, 1 << 16)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._rest = self._rest[-_LONGEST:]
            for line in lines:
                with suppress(msgspec.DecodeError):
                    yield from_json(line, LogLine)
