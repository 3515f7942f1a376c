"""The members of an untrusted tar: found by reading headers, never unpacked.

A member is a name and a place in the file, so a lying name can lead nowhere, and nothing is held in memory but
the table. Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar
Format".
"""

import os
import posixpath
import weakref
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from wherry.errors import InvalidDocument
from wherry.store.files import cannot_write, open_regular

BLOCK = 512
MOST_MEMBERS: Final = 65_536
"""An image of 127 layers, Docker's limit, for a hundred platforms has fewer blobs."""
LONGEST_EXTENSION: Final = 64 * 1024
"""Bytes of a pax or GNU header that holds a long name."""
MOST_INFLATION: Final = 200
"""How many times its size a compressed archive may unpack to; programs and text stay below 10."""
_SMALL: Final = 64 * 1024 * 1024
"""Bytes any compressed archive may unpack to."""
_LINKS: Final = 4
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive."""

    name: str
    offset: int
    size: int


class Members:
    """The files of a tar; compressed ones are unpacked into a temporary file of bounded size first."""

    def __init__(self, path: Path, scratch: Path | None = None, shown: str = "") -> None:
        """Open the archive and read its headers.

        Args:
            path: a tar, or one compressed with gzip or zstd; recognised by its content.
            scratch: folder for the temporary file; None: the system's.
            shown: what errors call it; empty: its path.

        Raises:
            InvalidDocument: it is no such archive, it is cut short, or it means harm.
            CannotWrite: there is no space to unpack it.
        """
        self.shown = shown or str(path)
        self._file = _open(path, scratch, self.shown)
        self._closing = weakref.finalize(self, self._file.close)
        self._size = self._file.seek(0, os.SEEK_END)
        self._files: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        try:
            self._scan()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; a temporary one goes with it."""
        self._closing()

    def names(self) -> tuple[str, ...]:
        """Give the names of the files and of the links to them."""
        return (*self._files, *self._links)

    def find(self, name: str) -> Member | None:
        """Find a file, through links that stay in the archive."""
        for _ in range(_LINKS):
            name = posixpath.normpath(name)
            if name in self._files or name not in self._links:
                return self._files.get(name)
            name = self._links[name]
        return None

    def read_at(self, offset: int, size: int) -> bytes:
        """Read bytes of the archive, fewer only at its end."""
        # Without a position that threads, or a forked process, would share.
        return os.pread(self._file.fileno(), size, offset)

    def document(self, name: str, limit: int) -> bytes | None:
        """Read a small file; None where there is none.

        Raises:
            InvalidDocument: it is larger than the limit.
        """
        member = self.find(name)
        if member is None:
            return None
        if member.size > limit:
            raise self._invalid(f"{name} has {member.size} bytes; the limit is {limit}")
        return self.read_at(member.offset, member.size)

    def _scan(self) -> None:
        place = 0
        extended: dict[str, str] = {}
        for _ in range(MOST_MEMBERS):
            header = self.read_at(place, BLOCK)
            if not header.strip(b"\0"):
                if not self._size:
                    raise self._invalid("is empty")
                return
            kind, name, link, size = self._parse(header, place)
            name, link = extended.get("path", name), extended.get("linkpath", link)
            size = _decimal(extended.get("size", ""), size)
            place += BLOCK
            if size > self._size - place:
                raise self._invalid(f"{name[:100]!r} has {size} bytes by its header, but {self._size - place} are left")
            if kind in b"xLK":
                extended |= self._extension(kind, place, size)
            elif kind != ord("g"):
                self._add(kind, name, link, Member(name, place, size))
                extended = {}
            place += -(-size // BLOCK) * BLOCK
        raise self._invalid(f"has more than {MOST_MEMBERS} members")

    def _parse(self, header: bytes, place: int) -> tuple[int, str, str, int]:
        if len(header) < BLOCK or not _checksum_holds(header):
            raise self._invalid(
                f"no tar header at byte {place}" if place else "is neither a tar archive nor a compressed one"
            )
        name = _text(header[:100])
        prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
        size = _number(header[124:136])
        if size is None or size < 0:
            raise self._invalid(f"{name[:100]!r} has no size")
        kind = header[156]
        if kind in b"\x007":
            kind = ord("5" if name.endswith("/") else "0")
        return kind, f"{prefix}/{name}" if prefix else name, _text(header[157:257]), 0 if kind in b"123456" else size

    def _extension(self, kind: int, place: int, size: int) -> dict[str, str]:
        if size > LONGEST_EXTENSION:
            raise self._invalid(f"a header of {size} bytes; the limit is {LONGEST_EXTENSION}")
        content = self.read_at(place, size)
        if kind != ord("x"):
            return {"path" if kind == ord("L") else "linkpath": _text(content)}
        return _records(content)

    def _add(self, kind: int, name: str, link: str, member: Member) -> None:
        if name.startswith("/") or ".." in name.split("/"):
            raise self._invalid(f"{name[:100]!r} is outside the archive")
        name = posixpath.normpath(name)
        if kind in b"012" and (name in self._files or name in self._links):
            raise self._invalid(f"{name[:100]!r} appears twice")
        if kind == ord("0"):
            self._files[name] = member
        elif kind == ord("1"):
            self._links[name] = link
        elif kind == ord("2"):
            self._links[name] = posixpath.join(posixpath.dirname(name), link)

    def _invalid(self, problem: str) -> InvalidDocument:
        return InvalidDocument(self.shown, problem, hint="recreate it with `docker save`, buildx or skopeo")


def _open(path: Path, scratch: Path | None, shown: str) -> IO[bytes]:
    file = open_regular(path.resolve())
    if file is None:
        raise InvalidDocument(shown, "does not exist")
    archive = os.fdopen(file, "rb", buffering=0)
    magic = archive.read(6)
    archive.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return _inflate(shown, archive, _gunzip(archive), scratch)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _inflate(shown, archive, _unzstd(archive), scratch)
    if magic.startswith((b"\xfd7zXZ\0", b"BZh")):
        archive.close()
        raise InvalidDocument(
            shown, "has an unsupported compression; only gzip and zstd are supported", hint="decompress it first"
        )
    return archive


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


def _gunzip(archive: IO[bytes]) -> _Readable:
    import gzip

    return gzip.GzipFile(fileobj=archive)


def _unzstd(archive: IO[bytes]) -> _Readable:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(archive, read_across_frames=True)


def _inflate(shown: str, archive: IO[bytes], unpacked: _Readable, scratch: Path | None) -> IO[bytes]:
    import tempfile
    import zlib

    import zstandard

    limit = max(_SMALL, MOST_INFLATION * os.fstat(archive.fileno()).st_size)
    target: IO[bytes] = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - `Members.close` closes it
    with ExitStack() as failing:
        failing.callback(target.close)
        try:
            with archive, closing(unpacked):
                whole = _pour(unpacked, target, limit)
        except (EOFError, zlib.error, zstandard.ZstdError) as error:
            raise InvalidDocument(shown, f"cannot decompress: {error}", hint="fetch it again") from error
        except OSError as error:
            if error.errno is None:  # gzip's own
                raise InvalidDocument(shown, f"cannot decompress: {error}", hint="fetch it again") from error
            raise cannot_write(scratch or tempfile.gettempdir(), error) from error
        if not whole:
            raise InvalidDocument(
                shown,
                f"unpacks to more than {limit} bytes, which is more than any image needs",
                hint="decompress it yourself if you trust it",
            )
        failing.pop_all()
    return target


def _pour(unpacked: _Readable, target: IO[bytes], limit: int) -> bool:
    while chunk := unpacked.read(_CHUNK):
        target.write(chunk)
        if target.tell() > limit:
            return False
    target.flush()
    return True


def _checksum_holds(header: bytes) -> bool:
    """Compare the sum of the header's bytes; old writers added them as signed."""
    promised = _number(header[148:156])
    rest = header[:148] + b" " * 8 + header[156:]
    return promised in {sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest)}  # noqa: PLR2004 - a byte's sign


def _number(field: bytes) -> int | None:
    """Read an octal number, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else None  # noqa: PLR2004 - others are negative
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return None


def _decimal(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else default  # noqa: PLR2004 - 64 bits


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _records(content: bytes) -> dict[str, str]:
    """Read pax records: `LENGTH KEY=VALUE` and a line feed each; what follows a broken one is not read."""
    records = {}
    while content:
        digits, space, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0  # noqa: PLR2004 - of at most 64 KiB
        if not space or length <= len(digits) + 1 or length > len(content):
            break
        key, _, value = content[len(digits) + 1 : length - 1].partition(b"=")
        records[_text(key)] = _text(value)
        content = content[length:]
    return records
