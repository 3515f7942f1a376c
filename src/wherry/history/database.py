"""The history in SQLite: what the journal had, what was imported, and what is asked for.

It may be damaged, locked by others, or in a folder that cannot be written: a damaged file is set aside and a new one
begun (the journal's lines come back); without leave to write, a copy in memory is read. Builds never wait for it.

Source: sqlite.org, "Result and Error Codes"; "Write-Ahead Logging", 5 "Read-Only Databases".
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from wherry.counted import counted
from wherry.errors import CannotWrite, WherryError
from wherry.history.entry import CallFigures
from wherry.history.journal import put_aside, unread
from wherry.history.rows import insert, unpacked_of
from wherry.history.schema import DATABASE, FORMAT, MORE, SCHEMA, TABLES

MOST: Final = 20_000
"""Calls that are kept; the oldest go first."""
OF_CLUSTERS: Final = 10_000
"""Of them, those about containers of clusters: many of them leave room for builds. Ends of containers stay longest."""
MOST_BYTES: Final = 64 << 20
"""Bytes of their documents."""
_PATIENCE: Final = 10.0
"""Seconds to wait for another process that writes."""
_DAMAGED: Final = frozenset(
    (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)
)
_BUSY: Final = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
_MACHINE: Final = "SELECT value FROM facts WHERE name = 'machine'"
Row = tuple[object, ...]


class HistoryDamaged(WherryError):
    """The file is damaged in a place that is found only when it is read."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, path: Path, error: sqlite3.DatabaseError) -> None:
        super().__init__(f"{path}: {error}", hint="move the file away: a new history begins with the journal")


class HistoryDatabase:
    """The history of one folder, open."""

    def __init__(
        self,
        folder: Path,
        warned: Callable[[str], None] = lambda _line: None,
        *,
        clock: Callable[[], float] = time.time,
        patience: float = _PATIENCE,
        checked: bool = False,
    ) -> None:
        """Open it; the file is made where there is none.

        Args:
            folder: where the journal and the database are.
            warned: is given a line where the database is damaged, locked or cannot be written.
            clock: seconds since the epoch.
            patience: seconds to wait for another process.
            checked: whether all of the file is looked through, at 6 ms a MB; see `_replaced`.

        Raises:
            CannotWrite: there is no history yet, and the folder cannot be written.
        """
        self._folder, self._warned, self._clock, self._patience = folder, warned, clock, patience
        self._checked = checked
        self._in_memory = False
        self.path = folder / DATABASE
        self._database = self._open()

    def __enter__(self) -> Self:
        """Use it in a `with` statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the file."""
        self._database.close()

    @property
    def machine(self) -> str:
        """The random name of this history: it tells its entries from those of others."""
        ((name,),) = self.ask(_MACHINE)
        return str(name)

    def fold(self, limit: int | None = None) -> int:
        """Take the journal's new lines in; give how many there were. One who reads calls it first.

        Args:
            limit: lines to take at most, for those who must not wait; None: all, and the oldest calls go.
        """
        try:
            with self._writing():
                added, whole = 0, True
                for lines in unread(self._database, self._folder, limit):
                    added += insert(self._database, lines.entries, self.machine)
                    values = (lines.file, lines.done)
                    self._database.execute("INSERT OR REPLACE INTO journals VALUES (?, ?)", values)
                    whole = whole and lines.whole
                if limit is None:
                    self._trim()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise HistoryDamaged(self.path, error) from error
            self._warned(f"{self.path}: {error}; the latest calls are not shown")
            return 0
        if whole:
            put_aside(self._folder, self._clock())
        return added

    def add(self, entries: Iterable[CallFigures]) -> int:
        """Take entries of others in; give how many were new.

        Raises:
            CannotWrite: the database is locked or cannot be written; nothing was added.
        """
        if self._in_memory:
            raise CannotWrite(f"{self._folder}: cannot be written", hint="name another folder with $WHERRY_HISTORY")
        try:
            with self._writing():
                added = insert(self._database, entries, self.machine)
                self._trim()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise HistoryDamaged(self.path, error) from error
            raise CannotWrite(f"{self.path}: {error}", hint=_hint(error)) from error
        return added

    def entries(self, since: float = 0.0) -> Iterator[CallFigures]:
        """Give all calls in order of time."""
        rows = self._rows("SELECT document FROM calls WHERE at >= ? ORDER BY at, id", (since,))
        return (entry for (document,) in rows if (entry := parsed(document)) is not None)

    def ask(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Give the rows of a statement.

        Raises:
            HistoryDamaged: they can't be read.
        """
        return list(self._rows(statement, values))

    def _rows(self, statement: str, values: Sequence[object]) -> Iterator[Row]:
        try:
            yield from self._database.execute(statement, values)
        except sqlite3.DatabaseError as error:
            raise HistoryDamaged(self.path, error) from error

    def unmeasured(self) -> dict[str, CallFigures]:
        """Give, by layer whose unpacked bytes are not known, a call that made an image with it."""
        rows = self.ask(
            "SELECT c.document FROM images i JOIN calls c ON c.id = i.call "
            "WHERE i.unpacked IS NULL AND i.base IS NOT NULL GROUP BY i.digest"
        )
        known = {str(row[0]) for row in self.ask("SELECT digest FROM layers")}
        found: dict[str, CallFigures] = {}
        for (document,) in rows:
            if (entry := parsed(document)) is None:
                continue
            for layer in (layer for image in entry.images for layer in image.layers):
                if layer.digest not in known:
                    found.setdefault(layer.digest, entry)
        return found

    def measured(self, layers: dict[str, int]) -> None:
        """Keep the unpacked bytes of layers, and sum up those of images."""
        with suppress(sqlite3.DatabaseError, HistoryDamaged), self._writing():
            self._database.executemany("INSERT OR IGNORE INTO layers VALUES (?, ?)", layers.items())
            rows = self.ask(
                "SELECT i.digest, c.document FROM images i JOIN calls c ON c.id = i.call "
                "WHERE i.unpacked IS NULL AND i.base IS NOT NULL GROUP BY i.digest"
            )
            for digest, document in rows:
                entry = parsed(document)
                for image in (one for one in (entry.images if entry else ()) if one.digest == digest):
                    values = (unpacked_of(self._database, image), digest)
                    self._database.execute("UPDATE images SET unpacked = ? WHERE digest = ?", values)

    def _trim(self) -> None:
        ((many,),) = self.ask("SELECT COUNT(*) FROM calls WHERE command = 'cluster'")
        assert isinstance(many, int)  # noqa: S101 - as SQL has it
        if many > OF_CLUSTERS:
            self._drop(
                "SELECT id FROM calls LEFT JOIN containers ON call = id WHERE command = 'cluster' "
                "ORDER BY call IS NOT NULL, calls.at, id LIMIT ?",
                many - OF_CLUSTERS,
            )
        ((count, size),) = self.ask("SELECT COUNT(*), COALESCE(SUM(LENGTH(document)), 0) FROM calls")
        assert isinstance(count, int)  # noqa: S101 - as SQL has it
        assert isinstance(size, int)  # noqa: S101 - as above
        surplus = count - MOST
        if size > MOST_BYTES:
            surplus = max(surplus, count - int(count * MOST_BYTES / size * 0.9))
        if surplus <= 0:
            return
        self._drop("SELECT id FROM calls ORDER BY at, id LIMIT ?", surplus)

    def _drop(self, gone: str, surplus: int) -> None:
        """Delete calls, and all rows that go with them."""
        names = self.ask(gone, (surplus,))
        for table in TABLES:
            self._database.executemany(f"DELETE FROM {table} WHERE call = ?", names)  # noqa: S608 - constants
        self._database.executemany("DELETE FROM calls WHERE id = ?", names)
        self._database.execute("DELETE FROM packages WHERE digest NOT IN (SELECT digest FROM images)")

    def _writing(self) -> "_Transaction":
        return _Transaction(self._database)

    def _open(self) -> sqlite3.Connection:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(self._folder, os.W_OK):
                return self._prepared()
        except OSError as error:
            raise CannotWrite(
                f"{self._folder}: {error.strerror or error}", hint="name another folder with $WHERRY_HISTORY"
            ) from error
        except sqlite3.DatabaseError as error:
            if not self.path.is_dir() and not _is_damage(error):
                raise CannotWrite(f"{self.path}: {error}", hint=_hint(error)) from error
            return self._replaced(error)
        return self._copied()

    def _prepared(self) -> sqlite3.Connection:
        with suppress(OSError):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None)
        database.text_factory = _lenient
        try:
            found = database.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                database.execute("PRAGMA journal_mode = WAL")
                with _Transaction(database):
                    if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                        _make(database)
            elif found != FORMAT:
                raise _OtherFormat(f"its format is {found}")
            else:
                _complete(database)
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_MACHINE).fetchone()
            if self._checked and (said := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _Broken(str(said).splitlines()[-1])
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _copied(self) -> sqlite3.Connection:
        """Read a database that cannot be written into memory, where the journal's lines can be added."""
        self._in_memory = True
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with suppress(sqlite3.DatabaseError):
            if self.path.exists():
                with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro&immutable=1", uri=True)) as found:
                    found.backup(copy)
        if copy.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            copy.close()
            copy = sqlite3.connect(":memory:", isolation_level=None)
            _make(copy)
        else:
            _complete(copy)
        return copy

    def _replaced(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Set a damaged file aside, and begin a new one with what can be read of it."""
        aside = self._set_aside()
        self._checked = False
        database = self._prepared()
        saved = 0
        with suppress(sqlite3.DatabaseError), _Transaction(database):
            for entry in _salvaged(aside, database):
                saved += insert(database, [entry], "")
        kept = f"a new one has {counted(saved, 'call')} of it" if saved else "a new history begins"
        self._warned(f"{self.path} is damaged ({error}); renamed to {aside.name}, and {kept}")
        return database

    def _set_aside(self) -> Path:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            self.path.replace(aside)
        for leftover in (f"{self.path}-wal", f"{self.path}-shm"):
            Path(leftover).unlink(missing_ok=True)
        return aside


class _Transaction:
    """All of it or nothing; other processes that write wait."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


class _OtherFormat(sqlite3.DatabaseError):
    """A file under our format's name is of another."""


class _Broken(sqlite3.DatabaseError):
    """A file has pages that are not what they should be."""


def parsed(document: object) -> CallFigures | None:
    """Read a call's document; None where it is none, as in a damaged file."""
    with suppress(msgspec.DecodeError, RecursionError):
        return CallFigures.parse(str(document).encode())
    return None


def _salvaged(aside: Path, into: sqlite3.Connection) -> Iterator[CallFigures]:
    """Read what can be read of a damaged file: from its start up to the damage, and from its end."""
    seen: set[str] = set()
    for order in ("ASC", "DESC"):
        with (
            suppress(sqlite3.DatabaseError),
            closing(sqlite3.connect(f"{aside.as_uri()}?mode=ro&immutable=1", uri=True)) as found,
        ):
            found.text_factory = _lenient
            for (machine,) in found.execute(_MACHINE):
                into.execute("UPDATE facts SET value = ? WHERE name = 'machine'", (str(machine),))
            for (document,) in found.execute(f"SELECT document FROM calls ORDER BY id {order}"):  # noqa: S608 - constants
                entry = parsed(document)
                if entry is not None and entry.id not in seen:
                    seen.add(entry.id)
                    yield entry


def _lenient(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _hint(error: sqlite3.DatabaseError) -> str:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
        return "run it again once no other wherry writes to it"
    return "name another folder with $WHERRY_HISTORY"


def _make(database: sqlite3.Connection) -> None:
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            database.execute(statement)
    database.execute("INSERT INTO facts VALUES ('machine', ?)", (os.urandom(8).hex(),))


def _complete(database: sqlite3.Connection) -> None:
    """Give a database the tables that an older wherry did not make."""
    if _tables(database).issuperset(TABLES):
        return
    with _Transaction(database):
        known = _tables(database)  # another process may have been here first
        for statement in filter(str.strip, MORE.split(";\n")):
            if statement.split()[2] not in known:
                database.execute(statement)


def _tables(database: sqlite3.Connection) -> set[str]:
    return {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    if isinstance(error, _OtherFormat | _Broken):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED
