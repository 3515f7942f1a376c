"""Which step gave which result, in SQLite. It is a cache: it can be deleted at any time.

Each format has a file of its own, so that two versions of wherry can share a cache: neither deletes what the other has.

A damaged or foreign file is set aside and a new one begun. Damage that SQLite does not see, within a value, is found
by a checksum that each row carries; such a row is deleted.

Source: sqlite.org, "Result and Error Codes"; "How To Corrupt An SQLite Database File".
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import TypeVar

import msgspec

from wherry.errors import CannotWrite
from wherry.typed import from_plain

_FORMAT = 3
RESULTS = f"results-{_FORMAT}.sqlite"
_EVERY = "results*.sqlite*"
"""Of any format, with SQLite's own files, and those set aside; the first formats shared a file without a number."""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS results (
    definition TEXT NOT NULL,
    content TEXT NOT NULL,
    slot TEXT NOT NULL,
    used REAL NOT NULL,
    defined BLOB NOT NULL,
    observed BLOB NOT NULL,
    result BLOB NOT NULL,
    PRIMARY KEY (definition, content)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_slot ON results (slot, used);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_FORMAT};
"""


class StepRecord(msgspec.Struct, frozen=True):
    """One outcome: keys, what was defined, what was observed, what came of it."""

    definition: str
    content: str
    slot: str
    """The place the step has in builds of the same thing; a miss is compared with the slot's last record."""
    used: float
    defined: bytes
    """The definition's fields, msgpack."""
    observed: bytes
    """What the step read, in the form its action chose."""
    result: bytes


_COLUMNS = "definition, content, slot, used, defined, observed, result"
_DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH))
"""What SQLite says of a file with other bytes than it wrote; SQLITE_ERROR where the damage is in the schema."""
_CHECK = 8
"""Bytes of a checksum: against damage, not against an attacker, who could write the whole file."""
_MOST = 2000
"""Records that are searched for those of one build."""
T = TypeVar("T")


class Results:
    """The records and small facts of a cache folder."""

    def __init__(self, folder: Path, warned: Callable[[str], None] | None = None) -> None:
        """Take the folder; the file in it is made when first used.

        Args:
            folder: the cache.
            warned: is given a line where the file was damaged and is set aside.
        """
        self._path = folder / RESULTS
        self._warned = warned or (lambda _line: None)
        self._database: sqlite3.Connection | None = None
        self._turn = RLock()  # steps run on threads, and they share one connection

    def latest(self, definition: str) -> StepRecord | None:
        """Give the record last used under a definition key."""
        return self._one("WHERE definition = ? ORDER BY used DESC LIMIT 1", definition)

    def find(self, definition: str, content: str) -> StepRecord | None:
        """Give the record of both keys."""
        return self._one("WHERE definition = ? AND content = ?", definition, content)

    def previous(self, slot: str) -> StepRecord | None:
        """Give the record last used in a slot, whatever its keys."""
        return self._one("WHERE slot = ? ORDER BY used DESC LIMIT 1", _text(slot))

    def scope(self, prefix: str) -> list[StepRecord]:
        """Give the record last used in each slot whose name begins with a text; a cache's few hundred at most."""
        statement = (
            f"SELECT {_COLUMNS} FROM results WHERE slot >= ? AND slot < ? "  # noqa: S608 - constants
            f"ORDER BY used DESC LIMIT {_MOST}"
        )
        first = _text(prefix)
        values = first, f"{first}\U0010ffff"
        rows = self._do(lambda database: database.execute(statement, values).fetchall())
        found: dict[str, StepRecord] = {}
        for record in filter(None, map(_record_of, rows)):
            found.setdefault(record.slot, record)
        return list(found.values())

    def put(self, record: StepRecord) -> None:
        """Remember an outcome; a cache that cannot be written is not an error."""
        record = msgspec.structs.replace(record, slot=_text(record.slot))
        values = (*msgspec.structs.astuple(record)[:-1], record.result + _check_of(record))
        statement = f"INSERT OR REPLACE INTO results ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
        self._write(lambda database: database.execute(statement, values))

    def forget_unused(self, before: float) -> int:
        """Drop records not used since a moment (seconds since the epoch); give how many."""

        def forget(database: sqlite3.Connection) -> int:
            with database:
                return database.execute("DELETE FROM results WHERE used < ?", (before,)).rowcount

        return self._do(forget)

    def fact(self, name: str) -> str | None:
        """Give a fact that never changes once known, such as a commit's time."""
        statement = "SELECT value FROM facts WHERE name = ?"
        row = self._do(lambda database: database.execute(statement, (name,)).fetchone())
        value, _, check = str(row[0]).rpartition("\n") if row else ("", "", "")
        return value if row and check == _check_of_fact(name, value) else None

    def put_fact(self, name: str, value: str) -> None:
        """Remember such a fact."""
        self.put_facts({name: value})

    def put_facts(self, facts: Mapping[str, str]) -> None:
        """Remember several, all of them or none."""
        rows = [(name, f"{value}\n{_check_of_fact(name, value)}") for name, value in facts.items()]
        self._write(lambda database: database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows))

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _one(self, condition: str, *values: str) -> StepRecord | None:
        statement = f"SELECT {_COLUMNS} FROM results {condition}"  # noqa: S608 - constants
        row = self._do(lambda database: database.execute(statement, values).fetchone())
        record = _record_of(row) if row else None
        if row and record is None:
            self._write(lambda it: it.execute("DELETE FROM results WHERE definition = ? AND content = ?", row[:2]))
        return record

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Change something; a cache that can't be written (read-only, full, locked for long) is not an error."""

        def write(database: sqlite3.Connection) -> None:
            try:
                with database:
                    work(database)
            except sqlite3.OperationalError as error:
                if _is_damage(error):
                    raise

        self._do(write)

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the database; one that proves to be damaged is set aside, and a new one begun."""
        with self._turn:
            try:
                return work(self._open())
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                return work(self._open())

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        self.close()
        aside = self._path.with_name(f"{self._path.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            self._path.replace(aside)
        for leftover in self._path.parent.glob(f"{self._path.name}-*"):
            leftover.unlink(missing_ok=True)
        self._warned(f"{self._path} is damaged ({error}); renamed to {aside.name}, and steps run again")

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(
                f"{self._path.parent}: {error.strerror}", hint="use another directory with --cache or $WHERRY_CACHE"
            ) from error
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if not self._path.is_dir() and not (self._path.exists() and _is_damage(error)):
                raise CannotWrite(
                    f"{self._path}: {error}",
                    hint="free disk space there (or raise `ulimit -f`), or use another directory with --cache",
                ) from error
            self._set_aside(error)
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        # It has how programs were built, values of -X included, so only its owner may read it and SQLite's own files.
        with suppress(OSError):
            os.close(os.open(self._path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
            if self._path.stat().st_mode & 0o077:
                self._path.chmod(0o600)
        database = sqlite3.connect(self._path, timeout=30, check_same_thread=False)
        try:
            found = database.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, _FORMAT):
                raise _Foreign(f"its format is {found}")
            if found == 0:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
            database.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database


def forget_other_formats(folder: Path, before: float) -> None:
    """Delete the files of other formats, and those set aside, that no version has written since a moment.

    Args:
        folder: the cache.
        before: seconds since the epoch.
    """
    own = (RESULTS, f"{RESULTS}-wal", f"{RESULTS}-shm")
    files: dict[str, list[Path]] = {}
    for path in folder.glob(_EVERY):
        if path.name not in own:
            files.setdefault(path.name.removesuffix("-wal").removesuffix("-shm"), []).append(path)
    for together in files.values():
        with suppress(OSError):
            if all(path.stat().st_mtime < before for path in together):
                for path in together:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


class _Foreign(sqlite3.DatabaseError):
    """A file under our format's name is of another."""


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    if isinstance(error, _Foreign):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by Python's module itself, such as for text that is not UTF-8
        return "decode" in str(error)
    return code & 0xFF in _DAMAGED


def _record_of(row: tuple[object, ...]) -> StepRecord | None:
    """Make a record of a row; None where it is not as it was written."""
    try:
        found = from_plain(dict(zip(StepRecord.__struct_fields__, row, strict=True)), StepRecord)
    except msgspec.ValidationError:
        return None
    record = msgspec.structs.replace(found, result=found.result[:-_CHECK])
    return record if found.result[-_CHECK:] == _check_of(record) else None


def _check_of(record: StepRecord) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(record), digest_size=_CHECK).digest()


def _check_of_fact(name: str, value: str) -> str:
    return hashlib.blake2b(f"{name}\0{value}".encode(errors="surrogateescape"), digest_size=_CHECK).hexdigest()


def _text(slot: str) -> str:
    """Write a slot as UTF-8; a Dockerfile may name a step by other bytes."""
    return slot.encode(errors="surrogateescape").decode(errors="backslashreplace")
