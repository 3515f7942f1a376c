"""Which step gave which result, in SQLite. It is a cache: it can be deleted at any time.

A damaged or foreign file is put aside and a new one begun.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from threading import RLock

import msgspec

from wherry.errors import CannotWrite

_FORMAT = 2
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


class Record(msgspec.Struct, frozen=True):
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


class Results:
    """The records and small facts of a cache folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "results.sqlite"
        self._database: sqlite3.Connection | None = None
        self._turn = RLock()  # steps run on threads, and they share one connection

    def latest(self, definition: str) -> Record | None:
        """Give the record last used under a definition key."""
        return self._one("WHERE definition = ? ORDER BY used DESC LIMIT 1", definition)

    def find(self, definition: str, content: str) -> Record | None:
        """Give the record of both keys."""
        return self._one("WHERE definition = ? AND content = ?", definition, content)

    def previous(self, slot: str) -> Record | None:
        """Give the record last used in a slot, whatever its keys."""
        return self._one("WHERE slot = ? ORDER BY used DESC LIMIT 1", slot)

    def put(self, record: Record) -> None:
        """Remember an outcome; a cache that cannot be written is no error."""
        self._write(
            f"INSERT OR REPLACE INTO results ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
            *msgspec.structs.astuple(record),
        )

    def forget_unused(self, before: float) -> int:
        """Drop records not used since a moment (seconds since the epoch); give how many."""
        with self._turn, self._open() as database:
            return database.execute("DELETE FROM results WHERE used < ?", (before,)).rowcount

    def fact(self, name: str) -> str | None:
        """Give a fact that never changes once known, such as a commit's time."""
        with self._turn:
            row = self._open().execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def put_fact(self, name: str, value: str) -> None:
        """Remember such a fact."""
        self.put_facts({name: value})

    def put_facts(self, facts: Mapping[str, str]) -> None:
        """Remember several, all of them or none."""
        with self._turn, suppress(sqlite3.OperationalError), self._open() as database:
            database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _one(self, condition: str, *values: str) -> Record | None:
        with (
            self._turn,
            closing(
                self._open().execute(f"SELECT {_COLUMNS} FROM results {condition}", values)  # noqa: S608 - constants
            ) as rows,
        ):
            row = rows.fetchone()
        return Record(*row) if row else None

    def _write(self, statement: str, *values: object) -> None:
        with self._turn, suppress(sqlite3.OperationalError), self._open() as database:
            database.execute(statement, values)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(
                f"{self._path.parent}: {error.strerror}", hint="name another folder with --cache or $WHERRY_CACHE"
            ) from error
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not self._path.is_file():
                raise CannotWrite(
                    f"{self._path}: {error}", hint="name another folder with --cache or $WHERRY_CACHE"
                ) from error
            for leftover in (self._path, *self._path.parent.glob("results.sqlite-*")):
                leftover.unlink(missing_ok=True)
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=30, check_same_thread=False)
        try:
            if database.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                database.execute("DROP TABLE IF EXISTS results")
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
            database.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database
