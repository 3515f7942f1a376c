"""OSV data where people keep it: a directory, a zip, a tar (also compressed), or JSON; read as a stream.

A directory may be a mirror of vuln.go.dev (`ID/*.json`, compressed or not, and `index/`), a checkout of the Go
vulnerability database, or flat. Sources: go.dev/security/vuln/database, "API"; OSV, "Data dumps" (all.zip).
"""

import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import msgspec

from wherry.errors import InvalidDocument, NotFound
from wherry.trust.database import DatabaseBuilder, VulnerabilityIndex
from wherry.trust.osv import LARGEST, parse_entry
from wherry.trust.osv_stamps import is_json, walk
from wherry.typed import from_json

ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip")
_LISTS = frozenset({"db.json", "modules.json", "vulns.json"})
_CHUNK = 1 << 18
_MOST_FILES = 2_000_000
_MOST_BYTES = 16 << 30
_LARGEST_LIST = 64 << 20


class _Marked(msgspec.Struct):
    id: str = ""


class _IndexDocument(msgspec.Struct):
    modified: str = ""


@dataclass
class DatabaseFiles:
    """The files of a database, and what reading them found."""

    path: Path
    name: str
    """What messages call it."""
    modified: str = ""
    """What `index/db.json` says; empty where there is none."""
    newest: float = 0
    """The newest time of its files, in seconds since the epoch."""
    digest: str = ""
    """Of names and content, once it is indexed."""
    _skipped: list[str] = field(default_factory=list)

    def index(self) -> VulnerabilityIndex:
        """Read all entries, and index them.

        Raises:
            NotFound: there is nothing of that name, or no entry in it.
            InvalidDocument, InvalidArchive: a file is not what it should be; it is named.

        Cost: one pass, one entry in memory at a time besides the index.
        """
        builder = DatabaseBuilder()
        state = hashlib.sha256()
        for name, content in self._documents():
            state.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
            state.update(content)
            if self._is_entry(name, content):
                builder.add(parse_entry(content, f"{self.name}: {name}"))
        index = builder.finish(self._skipped[:100])
        self.digest = f"sha256:{state.hexdigest()}"
        if not index.entries:
            raise NotFound(
                f"{self.name}: no OSV entries found",
                hint="give a directory or an archive with files such as GO-2023-1988.json",
            )
        return index

    def _is_entry(self, name: str, content: bytes) -> bool:
        """Tell entries from other JSON; what has no id is passed over and counted."""
        if name.rpartition("/")[2] in _LISTS and not name.rpartition("/")[2].startswith("GO-"):
            if name.endswith("db.json"):
                with suppress(msgspec.DecodeError, RecursionError):
                    self.modified = from_json(content, _IndexDocument).modified
            return False
        if b'"id"' in content[:4096] or b'"id"' in content:
            return True
        with suppress(msgspec.DecodeError, RecursionError):
            if not from_json(content, _Marked).id:
                self._skipped.append(name)
                return False
        return True

    def _documents(self) -> Iterator[tuple[str, bytes]]:
        if self.path.is_dir():
            yield from self._directory()
        elif self.path.name.endswith(".zip"):
            yield from self._zip()
        elif self.path.name.endswith(ARCHIVES):
            yield from self._tar()
        elif self.path.is_file():
            yield from self._json()
        else:
            raise NotFound(f"{self.name}: not found", hint="give a directory or an archive of OSV files with --db")

    def _directory(self) -> Iterator[tuple[str, bytes]]:
        for relative, entry in walk(self.path):
            with open(entry, "rb", buffering=0) as file:  # noqa: PTH123 - a DirEntry; thousands of them
                found = os.fstat(file.fileno())
                self.newest = max(self.newest, found.st_mtime)
                yield relative, self._whole(file, relative, found.st_size)

    def _whole(self, file: IO[bytes], name: str, size: int) -> bytes:
        """Read a file of a bounded size; one that is compressed, decompressed."""
        if size > LARGEST:
            raise _too_large(f"{self.name}: {name}", size)
        content = file.read(LARGEST + 1)
        while len(content) < size and (more := file.read(LARGEST + 1 - len(content))):
            content += more
        if len(content) > LARGEST:
            raise _too_large(f"{self.name}: {name}", len(content))
        return _gunzipped(content, f"{self.name}: {name}") if name.endswith(".gz") else content

    def _zip(self) -> Iterator[tuple[str, bytes]]:
        import zipfile

        self.newest = self.path.stat().st_mtime
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
                if len(members) > _MOST_FILES:
                    raise InvalidDocument(self.name, f"{len(members)} files; the limit is {_MOST_FILES}")
                for member in members:
                    if is_json(member.filename) and not member.is_dir():
                        with archive.open(member) as file:
                            yield member.filename, self._whole(file, member.filename, member.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise InvalidDocument(
                self.name, f"the zip archive is damaged: {str(error)[:200]}", hint="fetch it again"
            ) from error

    def _tar(self) -> Iterator[tuple[str, bytes]]:
        from wherry.layer.decompress import decompress
        from wherry.layer.entry import ArchiveLimits, EntryKind
        from wherry.layer.tar import read_tar

        self.newest = self.path.stat().st_mtime
        with self.path.open("rb") as file:
            algorithm = _compression(file.read(4))
            file.seek(0)
            chunks = decompress(iter(lambda: file.read(_CHUNK), b""), algorithm, name=self.name, limit=_MOST_BYTES)
            limits = ArchiveLimits(_MOST_FILES, _MOST_BYTES)
            for entry, body in read_tar(_Chunks(chunks), self.name, limits):
                if entry.kind is EntryKind.FILE and is_json(entry.path):
                    if entry.size > LARGEST:
                        raise _too_large(f"{self.name}: {entry.path}", entry.size)
                    content = body.read()
                    yield entry.path, _gunzipped(content, entry.path) if entry.path.endswith(".gz") else content

    def _json(self) -> Iterator[tuple[str, bytes]]:
        """Read one file: an entry, or a list of them."""
        found = self.path.stat()
        self.newest = found.st_mtime
        if found.st_size > _LARGEST_LIST:
            raise InvalidDocument(
                self.name,
                f"{found.st_size} bytes; a single JSON file may have {_LARGEST_LIST}",
                hint="give a directory, a zip or a tar with one file an entry",
            )
        content = self.path.read_bytes()
        if content.lstrip()[:1] != b"[":
            yield self.path.name, content
            return
        try:
            entries = from_json(content, list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidDocument(self.name, f"not JSON: {str(error)[:200]}") from error
        for number, entry in enumerate(entries):
            yield f"entry {number}", bytes(entry)


@dataclass(slots=True)
class _Chunks:
    """A stream of chunks as something to read from."""

    chunks: Iterator[bytes]
    _left: bytes = b""

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes; none at the end."""
        while not self._left:
            following = next(self.chunks, None)
            if following is None:
                return b""
            self._left = following
        part, self._left = self._left[:size], self._left[size:]
        return part


def _compression(start: bytes) -> str:
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if start == b"\x28\xb5\x2f\xfd" else "none"


def _gunzipped(content: bytes, name: str) -> bytes:
    inflate = zlib.decompressobj(31)
    try:
        found = inflate.decompress(content, LARGEST + 1)
    except zlib.error as error:
        raise InvalidDocument(name, f"its gzip stream is damaged ({error})") from error
    if len(found) > LARGEST:
        raise _too_large(name, len(found))
    if not inflate.eof:
        raise InvalidDocument(name, "its gzip stream is cut short")
    return found


def _too_large(name: str, size: int) -> InvalidDocument:
    return InvalidDocument(
        name, f"{size} bytes; an OSV entry may have {LARGEST}", hint="remove the file, or give other data"
    )
