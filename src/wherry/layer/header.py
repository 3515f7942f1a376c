"""Headers of tar archives: 512-byte blocks and extended records to values and back.

Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header";
GNU tar 1.35 manual, "Basic Tar Format" (base-256 numbers, magic); OCI image-spec v1.1.1, layer.md.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wherry.errors import WherryError

BLOCK = 512
"""Bytes that everything in a tar is padded to."""
LONGEST_PATH = 4096
"""Bytes of a path; Linux opens none that is longer (PATH_MAX in limits.h)."""

_USTAR = b"ustar\x0000"
_NAME = 100
_PREFIX = 155
_LARGEST_ID = 0o7777777
_LARGEST_SIZE = 0o77777777777
_REAL, _EXTENDED = slice(483, 495), 482
"""Of a sparse file of GNU tar: `realsize` and `isextended` of `oldgnu_header`."""
MAP_CONTINUES = 504
"""The same byte of a block that continues the map (`sparse_header.isextended`)."""
_PLAIN = struct.Struct("100s7sc7sc7sc11sc11sc6s2sc100x6s82x155s12x")
_PLAIN_FLAGS = b"05"
_UNCLEAN = frozenset({b"", b".", b"/"})
_ADLER = 65521
_LAYOUT = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")


PlainHeader = tuple[bytes, bytes, int, int, int, int, int]
"""Flag, path, mode, uid, gid, size, mtime; see `decode_plain`."""


class InvalidArchive(WherryError):
    """A tar or its compression is not what its format asks."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, name: str, problem: str, *, hint: str = "") -> None:
        super().__init__(
            f"{name}: {problem}",
            hint=hint or "fetch or build it again; if this does not help, report it to the publisher",
        )
        self.name = name
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Header:
    """What one header block says; names as bytes, since that is what they are on Linux."""

    path: bytes
    flag: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    real: int = -1
    """Of a file that GNU tar stored sparse: its bytes with the holes; -1 of all else."""
    extended: bool = False
    """Whether blocks with the rest of its map follow."""


def encode(header: Header, xattrs: Mapping[str, bytes]) -> bytes:
    """Write a header in its one form: ustar, and before it a PAX header for what ustar cannot say."""
    records = {f"SCHILY.xattr.{name}".encode(): value for name, value in xattrs.items()}
    name, prefix = _fit_path(header.path, records)
    fitted = replace(
        header,
        path=name,
        target=_fit_text(b"linkpath", header.target, records),
        uid=_fit_number(b"uid", header.uid, _LARGEST_ID, records),
        gid=_fit_number(b"gid", header.gid, _LARGEST_ID, records),
        size=_fit_number(b"size", header.size, _LARGEST_SIZE, records),
        mtime=_fit_number(b"mtime", header.mtime, _LARGEST_SIZE, records),
    )
    block = _block(fitted, prefix)
    return _extended(header.path, records) + block if records else block


def padding(size: int) -> bytes:
    """Give the zeros that fill a body's last block."""
    return bytes(-size % BLOCK)


def decode(block: bytes, name: str) -> Header | None:
    """Read one header block; None is a block of zeros, which ends an archive.

    Raises:
        InvalidArchive: it is not a header.
    """
    if not any(block):
        return None
    fields = _LAYOUT.unpack(block)
    _check(block, fields[6], name)
    path, magic = _text(fields[0]), block[257:265]
    if magic[:6] == _USTAR[:6] and (prefix := _text(fields[14])):
        path = prefix + b"/" + path
    devices = (_number(fields[12], name), _number(fields[13], name)) if fields[7] in b"34" else (0, 0)
    return Header(
        path,
        fields[7],
        _number(fields[1], name) & 0o7777,
        _number(fields[2], name),
        _number(fields[3], name),
        _number(fields[4], name),
        _number(fields[5], name),
        _text(fields[8]),
        devices,
        _number(block[_REAL], name) if fields[7] == b"S" else -1,
        fields[7] == b"S" and block[_EXTENDED] != 0,
    )


def decode_plain(block: bytes) -> PlainHeader | None:
    """Read a header that is all there is of its entry, as most are: of a file or folder, numbers octal, path clean.

    Returns:
        Flag, path (relative, without `.`, `..` or a slash at its end), mode, uid, gid, size, mtime; None of a header
        that `decode` has to read.

    Source: RFC 1950 section 8.2: the lower half of Adler-32 is a sum of bytes, here without its 1.

    Cost: a quarter of `decode`.
    """
    path, mode, end1, uid, end2, gid, end3, size, end4, mtime, end5, check, end6, flag, magic, prefix = _PLAIN.unpack(
        block
    )
    if flag not in _PLAIN_FLAGS or (end1 + end2 + end3 + end4 + end5 + end6).strip(b" \0"):
        return None
    path = path.partition(b"\0")[0]
    if magic == _USTAR[:6] and prefix[0]:
        path = prefix.partition(b"\0")[0] + b"/" + path
    if path[:2] == b"./":
        path = path[2:]
    if flag == b"5" and path[-1:] == b"/":
        path = path[:-1]
    if path[:1] in _UNCLEAN or path[-1:] == b"/" or b"//" in path or b"/." in path:
        return None
    if not (mode + uid + gid + size + mtime + check).isdigit():
        return None
    try:
        right = (zlib.adler32(block, 0) & 0xFFFF) + 8 * ord(" ") - sum(block[148:156]) - int(check, 8)
        numbers = int(mode, 8) & 0o7777, int(uid, 8), int(gid, 8), int(size, 8), int(mtime, 8)
    except ValueError:
        return None
    return None if right % _ADLER else (flag, path, *numbers)


def parse_records(body: bytes, name: str) -> dict[str, bytes]:
    """Read the records of a PAX header: `LENGTH KEY=VALUE` and a newline each.

    Raises:
        InvalidArchive: a length is wrong, or a key is not a text.
    """
    records: dict[str, bytes] = {}
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 20)
        digits = body[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if end <= space or end > len(body) or body[end - 1 : end] != b"\n" or not equals or not key:
            raise InvalidArchive(name, f"a PAX header has no record at byte {at}")
        records[key.decode("utf-8", "surrogateescape")] = value
        at = end
    return records


def _extended(path: bytes, records: dict[bytes, bytes]) -> bytes:
    if not all(_is_utf8(records.get(key, b"")) for key in (b"path", b"linkpath")):
        records[b"hdrcharset"] = b"BINARY"
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    name = b"PaxHeaders/" + _plain(path.rstrip(b"/").rpartition(b"/")[2])[:80]
    return _block(Header(name, b"x", size=len(body)), b"") + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _block(header: Header, prefix: bytes) -> bytes:
    block = _LAYOUT.pack(
        header.path,
        *(b"%07o" % number for number in (header.mode, header.uid, header.gid)),
        *(b"%011o" % number for number in (header.size, header.mtime)),
        b" " * 8,
        header.flag,
        header.target,
        _USTAR,
        b"",
        b"",
        *(b"%07o" % number for number in header.device),
        prefix,
    )
    return block[:148] + b"%06o\x00 " % sum(block) + block[156:]


def _fit_path(path: bytes, records: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    if path.isascii() and len(path) <= _NAME:
        return path, b""
    cut = path.rfind(b"/", 0, min(_PREFIX + 1, len(path) - 1))
    if path.isascii() and cut > 0 and len(path) - cut - 1 <= _NAME:
        return path[cut + 1 :], path[:cut]
    records[b"path"] = path
    return _plain(path)[:_NAME], b""


def _fit_text(key: bytes, text: bytes, records: dict[bytes, bytes]) -> bytes:
    if text.isascii() and len(text) <= _NAME:
        return text
    records[key] = text
    return _plain(text)[:_NAME]


def _fit_number(key: bytes, number: int, largest: int, records: dict[bytes, bytes]) -> int:
    if 0 <= number <= largest:
        return number
    records[key] = str(number).encode()
    return 0


def _plain(text: bytes) -> bytes:
    return text.decode("ascii", "replace").replace("\ufffd", "_").encode()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check(block: bytes, field: bytes, name: str) -> None:
    expected = _number(field, name)
    if expected == sum(block) - sum(block[148:156]) + 8 * ord(" "):
        return
    # Old writers added the bytes as signed numbers.
    if expected != sum(memoryview(block[:148] + b" " * 8 + block[156:]).cast("b")):
        raise InvalidArchive(name, "a header's checksum is wrong: not a tar archive, or a damaged one")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, name: str) -> int:
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:
            raise InvalidArchive(name, f"a header's number is {field[:12]!r}, not octal") from None
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    if field[:1] == b"\xff":
        return int.from_bytes(field, "big", signed=True)
    if digits:
        raise InvalidArchive(name, f"a header's number is {field[:12]!r}, not octal")
    return 0
