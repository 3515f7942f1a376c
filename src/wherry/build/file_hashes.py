"""What is kept of a context: hashes of its files between builds, and what was checked in this one; both on disk.

A context may have any number of files, so nothing here holds more than some folders of it.

Sources: sqlite.org, "WAL" and "PRAGMA synchronous": what is lost by a kill is a hash that is made again.
"""

import marshal
import os
import re
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import RLock
from time import time_ns
from typing import IO

import msgspec

from wherry.source.stamps import Stamped, settled, stamp

_FORMAT = 2
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY, files BLOB NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_FORMAT};
"""
_FOLDERS = 64
"""Kept in memory at once: those above the one that is checked, mostly."""
_CHUNK = 1024


_KNOWN = struct.Struct("<qqqQIQ32s")
"""A file as it was: its stamp, which build hashed it if no other may trust that (else 0), and the hash. Packed, since
one folder may have very many."""
_LONE = re.compile("[\udc80-\udcff]")
"""A byte of a name that is not UTF-8, as Python has it in text (PEP 383)."""
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class FileHashes:
    """Hashes of a context's files, by folder; safe to use from any thread."""

    def __init__(self, file: Path | None) -> None:
        """Take the database, which is made when first used; None: nothing outlives this build.

        Each format has a file of its own next to the name that is given: versions of wherry share a cache.
        """
        self._file = file.with_name(f"{file.stem}-{_FORMAT}{file.suffix}") if file else None
        self._build = time_ns()
        self._database: sqlite3.Connection | None = None
        self._folders: dict[str, dict[str, bytes]] = {}
        self._changed: set[str] = set()
        self._turn = RLock()

    def content(self, folder: str, name: str, status: os.stat_result, read: Callable[[], bytes]) -> bytes:
        """Give the hash of a file, as it was if its stamp is still the same.

        Args:
            folder: of the context.
            name: in it.
            status: the file's.
            read: hashes it.
        """
        now = stamp(status)
        with self._turn:
            known = self._folder(folder).get(name)
        if known is not None:
            *before, build, content = _KNOWN.unpack(known)
            if tuple(before) == now and build in (0, self._build):
                return bytes(content)
        began = time_ns()
        content = read()
        build = 0 if settled(now) < began else self._build
        with self._turn:
            self._folder(folder)[name] = _KNOWN.pack(*now, build, content)
            self._changed.add(folder)
        return content

    def close(self) -> None:
        """Write down what is new."""
        with self._turn:
            for folder in list(self._folders):
                self._drop(folder)
            if self._database is not None:
                self._database.close()
                self._database = None

    def _folder(self, path: str) -> dict[str, bytes]:
        known = self._folders.pop(path, None)
        if known is None:
            known = self._read(path)
            while len(self._folders) >= _FOLDERS:
                self._drop(next(iter(self._folders)))
        self._folders[path] = known  # the last one used comes last
        return known

    def _read(self, path: str) -> dict[str, bytes]:
        with suppress(sqlite3.Error, msgspec.DecodeError):
            row = self._open().execute("SELECT files FROM folders WHERE path = ?", (_bytes(path),)).fetchone()
            return _decode(row[0]) if row else {}
        return {}

    def _drop(self, path: str) -> None:
        known = self._folders.pop(path)
        if path in self._changed:
            self._changed.discard(path)
            with suppress(sqlite3.Error):  # another build writes, or the disk is full: it is hashed again next time
                values = _bytes(path), msgspec.msgpack.encode(_named_in_text(known))
                self._open().execute("INSERT OR REPLACE INTO folders VALUES (?, ?)", values)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            self._database = _opened(self._file)
        return self._database


def _opened(file: Path | None) -> sqlite3.Connection:
    """Open a database; one that is damaged, or of another format, is replaced."""
    for _ in range(2):
        database = sqlite3.connect(file or "", isolation_level=None, check_same_thread=False)
        try:
            found = database.execute("PRAGMA user_version").fetchone()[0]
            if found in (0, _FORMAT):
                database.executescript(_SCHEMA)
                return database
        except sqlite3.DatabaseError:
            pass
        database.close()
        if file is not None:
            for name in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
                name.unlink(missing_ok=True)
    return sqlite3.connect("", isolation_level=None, check_same_thread=False)


def _named_in_text(known: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out names that are no UTF-8: these files are hashed by every build."""
    return known if "".join(known).isascii() else {name: known[name] for name in known if not _LONE.search(name)}


def _bytes(path: str) -> bytes:
    return os.fsencode(path)


class PathLog:
    """Every path that a choice hung on, with its stamp when it was checked: in a file without a name."""

    def __init__(self, folder: Path) -> None:
        """Take the context's folder."""
        self._folder = str(folder)
        self._began = time_ns()
        self._file: IO[bytes] | None = None
        self._chunk: list[Stamped] = []
        self._chunks = 0
        self._newest = 0
        self._turn = RLock()

    def note(self, path: str, status: os.stat_result | None) -> None:
        """Take one down."""
        found = None if status is None else stamp(status)
        with self._turn:
            if found is not None:
                self._newest = max(self._newest, settled(found))
            self._chunk.append((f"{self._folder}/{path}" if path else self._folder, found))
            if len(self._chunk) >= _CHUNK:
                self._write()

    @property
    def settled(self) -> bool:
        """Whether everything was so old that whatever is written later gets another stamp."""
        return self._newest < self._began

    def chunks(self) -> Iterator[list[Stamped]]:
        """Give them, some at a time."""
        with self._turn:
            if self._file is not None:
                self._file.seek(0)
                for _ in range(self._chunks):
                    yield marshal.load(self._file)  # noqa: S302 - we wrote it, and nobody else can
                self._file.seek(0, os.SEEK_END)
            yield list(self._chunk)

    def _write(self) -> None:
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115 - it lives as long as we do
        marshal.dump(self._chunk, self._file)
        self._chunks += 1
        self._chunk.clear()
