"""Entries: what a layer is made of, as values.

Source: OCI image-spec v1.1.1, layer.md.
"""

import io
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Protocol

from wherry.errors import InvalidUsage, NotFound


class EntryKind(Enum):
    """What an entry is; the value is its type flag in a tar."""

    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    CHAR = b"3"
    BLOCK = b"4"
    FOLDER = b"5"
    FIFO = b"6"


class Readable(Protocol):
    """Anything bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes; none at the end."""


class Content(Protocol):
    """The bytes of a file to be packed."""

    def open(self) -> AbstractContextManager[Readable]:
        """Open them from the start."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file of this machine."""

    path: Path

    def open(self) -> BinaryIO:
        """Open the file.

        Raises:
            NotFound: it is gone, or may not be read.
        """
        try:
            return self.path.open("rb", buffering=0)
        except OSError as error:
            raise NotFound(
                f"{self.path}: {error.strerror}", hint="check that the file exists and is readable"
            ) from error


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Bytes in memory."""

    blob: bytes

    def open(self) -> BinaryIO:
        """Wrap the bytes."""
        return io.BytesIO(self.blob)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a layer."""

    path: str
    """Relative, without `.`, `..` or a leading slash; empty is the root. Bytes that are no UTF-8 are surrogates."""
    kind: EntryKind
    mode: int = 0o755
    """Permission bits with setuid, setgid and sticky."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Seconds since the epoch."""
    size: int = 0
    """Bytes of a file; 0 for all else."""
    target: str = ""
    """Of a symbolic link: as written; of a hard link: a path like `path`."""
    content: Content | None = None
    """To be packed; None where the entry was read, for then the body is a separate value."""
    xattrs: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    device: tuple[int, int] = (0, 0)
    """Major and minor number."""
    held: int = -1
    """Of a file stored sparse: bytes that the archive has of it, its map among them where that is in the body."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What we accept of an archive from an untrusted source."""

    entries: int = 2_000_000
    size: int = 64 << 30
    """Bytes of all its files together."""


def sort_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Put entries in the one order: by path, so folders before what is in them; hard links after all they can name."""
    return sorted(entries, key=lambda entry: (entry.kind is EntryKind.HARDLINK, encode_path(entry.path)))


def with_parents(entries: Iterable[Entry], *, mtime: int = 0) -> list[Entry]:
    """Put in the folders that are missing: 0755, of root; the root itself is not added.

    Raises:
        InvalidUsage: two entries have one path, or one is below a path that is not a folder.
    """
    given = list(entries)
    kinds: dict[str, EntryKind] = {}
    for entry in given:
        if entry.path in kinds:
            raise InvalidUsage(f"/{entry.path}: two files have this path", hint="give each file its own path")
        kinds[entry.path] = entry.kind
    missing: dict[str, Entry] = {}
    for entry in given:
        parent = entry.path
        while parent := parent.rpartition("/")[0]:
            if kinds.setdefault(parent, EntryKind.FOLDER) is not EntryKind.FOLDER:
                raise InvalidUsage(
                    f"/{entry.path}: /{parent} is a file, not a directory",
                    hint="give one of them another path",
                )
            if parent in missing:
                break
            missing[parent] = Entry(path=parent, kind=EntryKind.FOLDER, mtime=mtime)
    present = {entry.path for entry in given}
    return [*(folder for path, folder in missing.items() if path not in present), *given]


def encode_path(path: str) -> bytes:
    """Give a path's bytes."""
    return path.encode("utf-8", "surrogateescape")


def decode_path(path: bytes) -> str:
    """Give a path's text; bytes that are no UTF-8 become surrogates and survive the way back."""
    return path.decode("utf-8", "surrogateescape")
