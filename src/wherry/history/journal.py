"""The journal, read: which lines were not folded into the database yet, and when a full one is put aside.

A journal is read from where it was read last, by the file's inode, in the transaction that keeps the lines: each line
counts once. One that is full is renamed and read once more before it is deleted, since a call may have opened it just
before.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from wherry.history.append import JOURNAL
from wherry.history.entry import LARGEST, CallFigures

FULL: Final = 1 << 20
"""Bytes after which a journal that was read to its end is put aside."""
_OLD: Final = "journal.old.jsonl"
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)  # as `append` has it
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO would be waited for
    | getattr(os, "O_BINARY", 0)
)
_REST: Final = 60.0
"""Seconds for which a journal that was put aside is kept after it was written last."""


@dataclass(frozen=True, slots=True)
class JournalLines:
    """Lines that are new, and how far their journal is read with them."""

    file: str
    done: int
    entries: tuple[CallFigures, ...]
    whole: bool
    """Whether nothing is left behind them."""


def unread(database: sqlite3.Connection, folder: Path, limit: int | None = None) -> Iterator[JournalLines]:
    """Give the new lines of each journal, the old one's first; lines that are none are passed over.

    Args:
        database: knows how far each was read.
        folder: where the journals are.
        limit: lines that are read at most; None: all.
    """
    for name in (_OLD, JOURNAL):
        try:
            with os.fdopen(os.open(folder / name, _FLAGS), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    continue
                key = f"{found.st_dev}:{found.st_ino}"
                row = database.execute("SELECT done FROM journals WHERE file = ?", (key,)).fetchone()
                done = min(row[0], found.st_size) if row else 0
                if done < found.st_size:
                    file.seek(done)
                    yield _read(file, key, done, limit)
        except OSError:
            continue


def _read(file: BinaryIO, key: str, done: int, limit: int | None) -> JournalLines:
    entries: list[CallFigures] = []
    while limit is None or len(entries) < limit:
        line = file.readline(LARGEST + 2)
        if not line.endswith(b"\n"):
            if len(line) <= LARGEST:  # its end, or a line that is being written
                return JournalLines(key, done, tuple(entries), whole=not line)
            done += len(line)
            continue
        done += len(line)
        with suppress(msgspec.DecodeError):
            if line.strip():
                entries.append(CallFigures.parse(line))
    return JournalLines(key, done, tuple(entries), whole=False)


def put_aside(folder: Path, now: float) -> None:
    """Begin a new journal where this one is full and was read to its end; called by who holds the database."""
    journal, old = folder / JOURNAL, folder / _OLD
    with suppress(OSError):
        if journal.stat().st_size < FULL:
            return
        if old.exists() and now - old.stat().st_mtime < _REST:
            return
        journal.replace(old)
