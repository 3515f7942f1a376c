"""A file of figures that watches append to: each line is written whole, by one write, so that two may share a file."""

import os
from pathlib import Path
from typing import Final, Self

import msgspec

from wherry.errors import CannotWrite, InvalidDocument
from wherry.history.entry import LARGEST, CallFigures
from wherry.history.exchange import MOST_BYTES, header_line
from wherry.typed import from_json

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
        self._known: dict[str, int] = {}
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CannotWrite(f"{path}: {error.strerror}", hint="name another file with -o") from error
        try:
            self._read()
            if os.fstat(self._file).st_size == 0:
                self._write(header_line(machine, now))
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
        self._write(entry.encoded() + b"\n")
        self._known[entry.id] = restarts
        return True

    def _write(self, line: bytes) -> None:
        try:
            done = os.write(self._file, line)
        except OSError as error:
            raise CannotWrite(f"{self.path}: {error.strerror}", hint="make room, then watch again") from error
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
        if size > MOST_BYTES:
            raise InvalidDocument(str(self.path), "too large for a history", hint="name a new file")
        if end < size:
            if not end:
                raise InvalidDocument(str(self.path), "not a history", hint=_HINT)
            os.ftruncate(self._file, end)

    def _note(self, line: bytes, number: int) -> None:
        try:
            found = from_json(line, _Known)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidDocument(str(self.path), f"line {number}: not a history: {error}", hint=_HINT) from error
        if number == 1 and not found.wherry_history:
            raise InvalidDocument(str(self.path), "line 1: not a history", hint=_HINT)
        if found.id:
            restarts = found.container.restarts if found.container is not None else 0
            self._known[found.id] = max(self._known.get(found.id, 0), restarts)
