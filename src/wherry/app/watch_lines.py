"""A file of figures that watches append to: each line is written whole, by one write, so that two may share a file."""

import os
from pathlib import Path
from typing import Final, Self

import msgspec

from wherry.errors import CannotWrite, InvalidDocument
from wherry.history.entry import LARGEST, CallFigures
from wherry.history.exchange import MOST, MOST_BYTES, header_line
from wherry.typed import from_json

MOST_LINES: Final = MOST - 1000
"""Of a file, before the next one is begun: fewer than an import takes, as another watch may write to it too."""
_HINT: Final = "name a new file, or one that `wherry watch -o FILE` wrote"


class _Known(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: str = ""
    container: "_KnownEnd | None" = None
    wherry_history: int = 0


class _KnownEnd(msgspec.Struct, frozen=True, kw_only=True):
    restarts: int = 0


class FigureFile:
    """A history in a file that grows; figures that it has are not written again."""

    def __init__(self, path: Path, machine: str, now: float) -> None:
        """Open it, or make it; the first line says what it is.

        Args:
            path: the file.
            machine: whose figures they are, see `watched_machine`.
            now: seconds since the epoch.

        Raises:
            InvalidDocument: the file is something else; it stays as it is.
            CannotWrite: it can't be opened.
        """
        self.path = path
        self._header = header_line(machine, now)
        self._known: dict[str, int] = {}
        self._lines = 0
        self._file = self._opened()
        try:
            self._read()
            self._begin()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        """Use it in a `with` statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        os.close(self._file)

    def add(self, entry: CallFigures) -> bool:
        """Append a figure, unless the file has it; report whether it did.

        Raises:
            CannotWrite: the disk is full, or the file system went away.
        """
        restarts = entry.container.restarts if entry.container is not None else 0
        if self._known.get(entry.id, -1) >= restarts:
            return False
        if self._lines >= MOST_LINES or os.fstat(self._file).st_size > MOST_BYTES - 2 * LARGEST:
            self._turn()
        self._write(entry.encoded() + b"\n")
        self._known[entry.id] = restarts
        return True

    def _opened(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CannotWrite(f"{self.path}: {error.strerror}", hint="name another file with -o") from error

    def _begin(self) -> None:
        if os.fstat(self._file).st_size == 0:
            self._write(self._header)

    def _turn(self) -> None:
        """Begin a new file, as an import takes no larger one; the full one is FILE.1, in place of an older one."""
        try:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        except OSError as error:
            raise CannotWrite(f"{self.path}: {error.strerror}", hint="name another file with -o") from error
        made = self._opened()
        os.close(self._file)
        self._file, self._lines, self._known = made, 0, {}
        self._begin()

    def _write(self, line: bytes) -> None:
        try:
            done = os.write(self._file, line)
        except OSError as error:
            raise CannotWrite(f"{self.path}: {error.strerror}", hint="make room, then watch again") from error
        self._lines += 1
        if done != len(line):
            raise CannotWrite(f"{self.path}: only a part of a line was written", hint="make room, then watch again")

    def _read(self) -> None:
        """Note what is there; a line that was cut off at the end, by a full disk, is removed."""
        size = end = 0
        with os.fdopen(os.dup(self._file), "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LARGEST + 2), b""), 1):
                size += len(line)
                if not line.endswith(b"\n"):
                    break
                end = size
                self._note(line, number)
        if end < size:
            if not end:
                raise InvalidDocument(str(self.path), "not a history", hint=_HINT)
            os.ftruncate(self._file, end)

    def _note(self, line: bytes, number: int) -> None:
        try:
            found = from_json(line, _Known)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidDocument(str(self.path), f"line {number}: not a history: {error}", hint=_HINT) from error
        self._lines = number
        if number == 1 and not found.wherry_history:
            raise InvalidDocument(str(self.path), "line 1: not a history", hint=_HINT)
        if found.id:
            restarts = found.container.restarts if found.container is not None else 0
            self._known[found.id] = max(self._known.get(found.id, 0), restarts)
