"""A module zip: its files read straight from the central directory, and its h1 hash.

A zip with the hash that go.sum has is the very file that Go accepted; what its names may be is judged where it has not.

Sources: golang.org/x/mod v0.30, sumdb/dirhash (Hash1) and zip/zip.go; PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

import base64
import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wherry.errors import InvalidDocument
from wherry.trust.module_files import (
    LARGEST,
    VCS,
    CheckedFiles,
    FileKind,
    ModuleFile,
    check_files,
    check_zip_names,
    go_minor_of,
    is_vendored,
)

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = (1 << 16) - 1
_STORED, _DEFLATED = 0, 8
_UTF8, _ENCRYPTED = 0x800, 1
_BIG = 0xFFFFFFFF
_MOST_FILES = 1 << 20
_RAW = -15


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """A file of a zip, by the central directory."""

    name: str
    method: int
    packed: int
    size: int
    offset: int
    """Of its local header."""


class ModuleZip:
    """A module's zip file, mapped; safe to use from several threads."""

    def __init__(self, view: "mmap.mmap | bytes", name: str) -> None:
        """Read the central directory.

        Args:
            view: the whole file.
            name: what the reader knows it by.

        Raises:
            InvalidDocument: it is no zip, is cut short, or holds more than a module may.
        """
        self.name, self._view = name, view
        self.entries = tuple(self._read_entries())
        total = sum(entry.size for entry in self.entries)
        if total > LARGEST:
            raise InvalidDocument(name, f"{total} bytes after unpacking; a module has at most {LARGEST}")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Map a file while it is used.

        Raises:
            InvalidDocument: as the constructor.
            OSError: it can't be read.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise InvalidDocument(str(path), "is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                yield cls(view, str(path))

    def checked(self, prefix: str) -> CheckedFiles:
        """Judge the names of its files; see `check_zip_names`."""
        return check_zip_names((ModuleFile(entry.name, entry.size) for entry in self.entries), prefix)

    def read(self, entry: ZipEntry) -> bytes:
        """Unpack a file.

        Raises:
            InvalidDocument: it is damaged, or longer than it says.
        """
        start = self._data(entry)
        packed = self._view[start : start + entry.packed]
        if entry.method == _STORED:
            content = packed
        else:
            from isal import isal_zlib

            try:
                unpacker = isal_zlib.decompressobj(_RAW)
                content = unpacker.decompress(packed, max(entry.size, 1))
                whole = unpacker.eof or not unpacker.decompress(unpacker.unconsumed_tail, 1)
            except isal_zlib.error as error:  # type: ignore[misc] # its stub types it as an instance
                raise self._wrong(f"{entry.name} is damaged: {error}") from error
            if not whole:
                raise self._wrong(f"{entry.name} is longer than the {entry.size} bytes that it says")
        if len(content) != entry.size:
            raise self._wrong(f"{entry.name} has {len(content)} bytes, the directory says {entry.size}")
        return bytes(content)

    def h1(self, see: "Callable[[ZipEntry, bytes], None] | None" = None) -> str:
        """Compute its hash, as go.sum has it.

        Args:
            see: is given each file with its content, so that nothing is unpacked twice.

        Raises:
            InvalidDocument: a file is damaged.
        """
        lines = []
        for entry in self.entries:
            content = self.read(entry)
            lines.append((entry.name, hashlib.sha256(content).hexdigest()))
            if see is not None:
                see(entry, content)
        return h1_of(lines)

    def _data(self, entry: ZipEntry) -> int:
        if entry.offset + _LOCAL.size > len(self._view):
            raise self._wrong(f"{entry.name} starts behind the end of the file")
        mark, *_, name, extra = _LOCAL.unpack_from(self._view, entry.offset)
        start: int = entry.offset + _LOCAL.size + name + extra
        if mark != b"PK\3\4" or start + entry.packed > len(self._view):
            raise self._wrong(f"{entry.name} has no local header, or is cut short")
        return start

    def _read_entries(self) -> Iterator[ZipEntry]:
        count, at = self._directory()
        if count > _MOST_FILES:
            raise self._wrong(f"{count} files; the limit is {_MOST_FILES}")
        for _ in range(count):
            if at + _CENTRAL.size > len(self._view):
                raise self._wrong("the directory is cut short")
            fields = _CENTRAL.unpack_from(self._view, at)
            mark, flags, method, packed, size = fields[0], fields[3], fields[4], fields[8], fields[9]
            length, extra, comment, offset = fields[10], fields[11], fields[12], fields[16]
            if mark != b"PK\1\2" or method not in {_STORED, _DEFLATED} or flags & _ENCRYPTED:
                raise self._wrong("the directory has an entry that no module zip has")
            if _BIG in {packed, size, offset}:
                raise self._wrong(f"it has a file of 4 GiB or more; a module has at most {LARGEST} bytes")
            at += _CENTRAL.size
            raw = self._view[at : at + length]
            try:
                name = raw.decode()
            except UnicodeDecodeError:
                raise self._wrong(f"{raw[:80]!r}: a file name is not UTF-8") from None
            if "\n" in name:
                raise self._wrong(f"{name[:80]!r}: a file name has a line break")
            yield ZipEntry(name, method, packed, size, offset)
            at += length + extra + comment

    def _directory(self) -> tuple[int, int]:
        """Find how many entries there are, and where they start."""
        view = self._view
        low = max(0, len(view) - _END.size - _LONGEST_COMMENT)
        at = view.rfind(b"PK\5\6", low)
        if at < 0 or at + _END.size > len(view):
            raise self._wrong("not a zip file, or cut short")
        _, _, _, _, count, _, offset, _ = _END.unpack_from(view, at)
        if count == 0xFFFF or offset == _BIG:  # noqa: PLR2004 - section 4.4.1.4: the value is in the other record
            return self._directory64(at)
        return count, offset

    def _directory64(self, end: int) -> tuple[int, int]:
        start = end - _LOCATOR64.size
        if start >= 0 and self._view[start : start + 4] == b"PK\6\7":
            at = _LOCATOR64.unpack_from(self._view, start)[2]
            if self._view[at : at + 4] == b"PK\6\6" and at + _END64.size <= len(self._view):
                fields = _END64.unpack_from(self._view, at)
                return fields[7], fields[9]
        raise self._wrong("its zip64 directory is missing or damaged")

    def _wrong(self, problem: str) -> InvalidDocument:
        return InvalidDocument(self.name, problem, hint="delete it, and download the module again")


def h1_of(files: Iterable[tuple[str, str]]) -> str:
    """Hash files, each by its name and the SHA-256 of its content in hexadecimal digits.

    Raises:
        InvalidDocument: a name has a line break.
    """
    ordered = sorted(files, key=lambda row: row[0].encode())
    if wrong := next((name for name, _ in ordered if "\n" in name), ""):
        raise InvalidDocument("module", f"{wrong[:80]!r}: a file name has a line break")
    listing = "".join(f"{digest}  {name}\n" for name, digest in ordered)
    return "h1:" + base64.b64encode(hashlib.sha256(listing.encode()).digest()).decode()


def go_mod_h1(content: bytes) -> str:
    """Hash a go.mod file alone, as the lines `VERSION/go.mod` of go.sum have it."""
    return h1_of([("go.mod", hashlib.sha256(content).hexdigest())])


def check_folder(folder: Path) -> CheckedFiles:
    """Sort the files of a folder into those that its module would publish, and others."""
    go_mod = folder / "go.mod"
    minor = go_minor_of(go_mod.read_text(errors="replace")[:LARGEST]) if go_mod.is_file() else 0
    files: list[ModuleFile] = []
    omitted: dict[str, str] = {}
    for path, kind, size in _listed(folder, "", minor, omitted):
        if kind is FileKind.FILE:
            files.append(ModuleFile(path, size))
        else:
            omitted[path] = "not a regular file"
    checked = check_files(files, minor)
    for path, why in omitted.items():
        checked.omit(path, why)
    return checked


def folder_h1(folder: Path, prefix: str) -> str:
    """Hash what a folder's module would publish; `prefix` is `MODULE@VERSION/`.

    Raises:
        InvalidDocument: it has a file that no module may have.
    """
    checked = check_folder(folder)
    if checked.problem:
        raise InvalidDocument(str(folder), checked.problem)
    return h1_of((prefix + path, hashlib.sha256((folder / path).read_bytes()).hexdigest()) for path in checked.valid)


def _listed(folder: Path, inside: str, minor: int, omitted: dict[str, str]) -> Iterator[tuple[str, FileKind, int]]:
    for entry in sorted(os.scandir(folder / inside), key=lambda one: one.name):
        path = f"{inside}{entry.name}"
        if is_vendored(path, minor):
            omitted[path] = "file is in vendor directory"
        elif entry.is_dir(follow_symlinks=False):
            if entry.name in VCS:
                omitted[path] = "directory is a version control repository"
            elif os.path.lexists(f"{entry.path}/go.mod") and not Path(entry.path, "go.mod").is_dir():
                omitted[path] = "directory is in another module"
            else:
                yield from _listed(folder, f"{path}/", minor, omitted)
        elif entry.is_file(follow_symlinks=False):
            yield path, FileKind.FILE, entry.stat(follow_symlinks=False).st_size
        else:
            yield path, FileKind.OTHER, 0


def digests_of(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Give what `h1_of` takes of files by name."""
    return ((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())
