"""Tar archives of entries: one fixed form written, every common form read.

Written: ustar, with PAX records in sorted order where ustar cannot say it (long names, large ids, names outside
ASCII, extended attributes); no user names; the same entries give the same bytes. Read: ustar, PAX, GNU long names.

Sources: OCI image-spec v1.1.1, layer.md; POSIX.1-2017, pax; GNU tar 1.35 manual, "Basic Tar Format".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from wherry.errors import WherryError
from wherry.layer import header
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind, Readable, decode_path, encode_path
from wherry.layer.header import BLOCK, LONGEST_PATH, Header, InvalidArchive, PlainHeader

CHUNK = 1 << 20
"""Bytes read or written at a time."""

DEEPEST = 400
"""Folders in folders that we go into."""

_EXTENSION = 1 << 20
_IDS = range((1 << 32) - 1)
_TIMES = range(-(1 << 40), 1 << 40)
_SIZES = range(1 << 62)
_DIGITS = 20

_XATTR = "SCHILY.xattr."
_SPARSE = "GNU.sparse"
_SPARSE_NAME = "GNU.sparse.name"
_FILE = EntryKind.FILE.value
_KINDS = {kind.value: kind for kind in EntryKind}
_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
_OLD_FLAGS = frozenset({b"\0", b"7"})
"""A file of before ustar, or a folder where its name ends in a slash; a contiguous file."""


class FileChanged(WherryError):
    """A file became longer or shorter while it was packed."""

    exit_code = 74  # EX_IOERR


def write_tar(entries: Iterable[Entry], write: Callable[[bytes], object]) -> None:
    """Write entries as a tar, in the order they come.

    Raises:
        FileChanged: a file has not the size its entry says.
        NotFound: a file cannot be read.
    """
    for entry in entries:
        write(_encoded(entry))
        if entry.kind is EntryKind.FILE and entry.size:
            _write_body(entry, write)
            write(header.padding(entry.size))
    write(bytes(2 * BLOCK))


class TarBody:
    """The bytes of one file of a tar that is being read; valid until the next entry is asked for."""

    def __init__(self, stream: Readable, size: int, name: str) -> None:
        self._stream = stream
        self._name = name
        self.left = size
        """Bytes still to come."""

    def read(self, size: int = -1, /) -> bytes:
        """Give at most so many bytes, or all that is left; none at the end.

        Raises:
            InvalidArchive: the archive ends before the file does.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        wanted = min(size, self.left)
        chunk = self._stream.read(wanted) if wanted else b""
        if wanted and not chunk:
            raise InvalidArchive(self._name, f"the archive ends {self.left} bytes before its file does")
        self.left -= len(chunk)
        return chunk

    def skip(self) -> None:
        """Read on to the end."""
        while self.read(CHUNK):
            pass


def read_tar(
    stream: Readable,
    name: str = "layer",
    limits: ArchiveLimits | None = None,
    *,
    nameless: bool = False,
    sparse: bool = False,
) -> Iterator[tuple[Entry, TarBody]]:
    """Read a tar, entry by entry, each with its body; the stream is read to its end.

    Args:
        stream: the uncompressed archive; it need not be seekable.
        name: what the reader knows it by; it starts the message.
        limits: how many entries and bytes to accept.
        nameless: whether a file without a name, which some programs write, is passed over and not refused.
        sparse: whether files stored sparse are given, with the bytes that the archive has as their body; else they are
            refused.

    Raises:
        InvalidArchive: it is not a tar, is cut short, names `..`, holds a sparse file, or breaks a limit.
    """
    for found, body in read_headers(stream, name, limits, nameless=nameless, sparse=sparse):
        yield found if isinstance(found, Entry) else plain_entry(found), body


def read_headers(
    stream: Readable,
    name: str,
    limits: ArchiveLimits | None = None,
    *,
    nameless: bool = False,
    sparse: bool = False,
) -> Iterator[tuple[PlainHeader | Entry, TarBody]]:
    """Read a tar as `read_tar`, but leave headers that are all there is of their entries as they are: that is faster.

    Raises:
        InvalidArchive: as `read_tar`.
    """
    limits = limits or ArchiveLimits()
    shared: dict[str, bytes] = {}
    count = total = pad = 0
    while block := _block_at(stream, name, pad):
        entry: PlainHeader | Entry
        plain = None if shared else header.decode_plain(block)
        if plain is not None:
            entry, size = plain, plain[5] if plain[0] == _FILE else 0
        else:
            found = _next_header(block, stream, name, shared)
            if found is None:
                break
            if nameless and not (found[1].get("path") or found[0].path):
                TarBody(stream, found[0].size, name).skip()
                pad = -found[0].size % BLOCK
                continue
            entry = _entry(*found, name, sparse=sparse)
            size = entry.size if entry.held < 0 else entry.held
        count, total = count + 1, total + size
        if count > limits.entries or total > limits.size:
            raise InvalidArchive(name, f"more than {limits.entries} entries or {limits.size} bytes")
        body = TarBody(stream, size, name)
        yield entry, body
        if body.left:
            body.skip()
        pad = -size % BLOCK
    while stream.read(CHUNK):
        pass


def _encoded(entry: Entry) -> bytes:
    inside = not entry.path or {"", ".", ".."}.isdisjoint(entry.path.split("/"))
    if not inside or "\0" in entry.path + entry.target:
        raise ValueError(f"{entry.path!r} is not a path inside a layer")
    path = encode_path(entry.path or ".") + (b"/" if entry.kind is EntryKind.FOLDER else b"")
    return header.encode(
        Header(
            path=path,
            flag=entry.kind.value,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            size=entry.size if entry.kind is EntryKind.FILE else 0,
            mtime=entry.mtime,
            target=encode_path(entry.target),
            device=entry.device,
        ),
        entry.xattrs,
    )


def _write_body(entry: Entry, write: Callable[[bytes], object]) -> None:
    if entry.content is None:
        raise ValueError(f"{entry.path} has no content to write")
    left = entry.size
    with entry.content.open() as body:
        while left and (chunk := body.read(min(CHUNK, left))):
            write(chunk)
            left -= len(chunk)
        if left or body.read(1):
            raise FileChanged(
                f"/{entry.path}: its size changed while it was packed, it had {entry.size} bytes",
                hint="stop the program that writes to the file, then build again",
            )


def plain_entry(found: PlainHeader) -> Entry:
    """Make the entry of a header that is all there is of it."""
    flag, path, mode, uid, gid, size, mtime = found
    file = flag == _FILE
    kind = EntryKind.FILE if file else EntryKind.FOLDER
    return Entry(decode_path(path), kind, mode, uid, gid, mtime, size if file else 0)


def _next_header(
    block: bytes, stream: Readable, name: str, shared: dict[str, bytes]
) -> tuple[Header, dict[str, bytes]] | None:
    own: dict[str, bytes] = {}
    read = 0
    while block and (found := header.decode(block, name)) is not None:
        if found.flag not in _EXTENSIONS:
            if found.extended:
                _skip_map(stream, name)
            return found, {**shared, **own} if shared else own
        read += found.size
        if found.size < 0 or read > _EXTENSION:
            raise InvalidArchive(name, f"extended headers of more than {_EXTENSION} bytes")
        body = _exactly(stream, found.size, name)
        _exactly(stream, -found.size % BLOCK, name)
        match found.flag:
            case b"L":
                own["path"] = body.partition(b"\0")[0]
            case b"K":
                own["linkpath"] = body.partition(b"\0")[0]
            case b"x":
                own |= header.parse_records(body, name)
            case _:
                shared |= header.parse_records(body, name)
                if sum(map(len, (*shared, *shared.values()))) > _EXTENSION:
                    raise InvalidArchive(name, f"global headers of more than {_EXTENSION} bytes")
        block = _block_at(stream, name)
    if own:
        raise InvalidArchive(name, "it ends after an extended header")
    return None


def _skip_map(stream: Readable, name: str) -> None:
    """Read over the blocks that continue the map of a sparse file."""
    for _ in range(_EXTENSION // BLOCK):
        if not _exactly(stream, BLOCK, name)[header.MAP_CONTINUES]:
            return
    raise InvalidArchive(name, f"the map of a sparse file has more than {_EXTENSION} bytes")


def _block_at(stream: Readable, name: str, pad: int = 0) -> bytes:
    """Read over padding, and then a header's block; nothing at the end."""
    block = stream.read(pad + BLOCK)
    if len(block) < pad + BLOCK:
        if len(block) < pad:
            block += _exactly(stream, pad - len(block), name)
        rest = b"" if len(block) > pad else stream.read(BLOCK)
        if len(block := block[pad:] + rest) in {0, BLOCK}:
            return block
        return block + _exactly(stream, BLOCK - len(block), name)
    return block[pad:] if pad else block


def _exactly(stream: Readable, size: int, name: str) -> bytes:
    chunk = stream.read(size) if size else b""
    if len(chunk) == size:
        return chunk
    chunks, size = [chunk], size - len(chunk) if chunk else size
    while size:
        chunk = stream.read(size)
        if not chunk:
            raise InvalidArchive(name, "the archive is cut short")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _entry(found: Header, records: dict[str, bytes], name: str, *, sparse: bool) -> Entry:
    path = records.get("path") or found.path
    if found.flag == b"S" or (records and any(key.startswith(_SPARSE) for key in records)):
        if not sparse:
            raise InvalidArchive(name, f"{_shown(path)} is stored sparse", hint="pack the layer without `tar --sparse`")
        return _sparse_entry(found, records, name)
    flag = found.flag
    if flag in _OLD_FLAGS:
        flag = b"5" if path.endswith(b"/") and flag != b"7" else b"0"
    kind = _KINDS.get(flag)
    if kind is None:
        raise InvalidArchive(name, f"{_shown(path)} has the unknown type {found.flag!r}")
    if records and any(key.startswith(_XATTR) and "\0" in key for key in records):
        raise InvalidArchive(name, f"{_shown(path)} has an extended attribute with a zero byte in its name")
    link = records.get("linkpath") or found.target
    entry = Entry(
        path=_clean(path, name),
        kind=kind,
        mode=found.mode,
        uid=_ranged(records, "uid", found.uid, _IDS, name),
        gid=_ranged(records, "gid", found.gid, _IDS, name),
        mtime=_ranged(records, "mtime", found.mtime, _TIMES, name),
        size=_ranged(records, "size", found.size, _SIZES, name) if kind is EntryKind.FILE else 0,
        xattrs=_xattrs(records) if records else {},
        device=found.device,
    )
    return _checked(_with_target(entry, link, name), name)


def _sparse_entry(found: Header, records: dict[str, bytes], name: str) -> Entry:
    """Read a file stored sparse: GNU's old form, or any of the three of its PAX records (GNU tar manual, D.2)."""
    plain = {key: text for key, text in records.items() if not key.startswith(_SPARSE)}
    if _SPARSE_NAME in records:
        plain["path"] = records[_SPARSE_NAME]
    entry = _entry(replace(found, flag=b"0"), plain, name, sparse=False)
    key = next((key for key in (f"{_SPARSE}.realsize", f"{_SPARSE}.size") if key in records), "")
    return replace(entry, size=_ranged(records, key, max(found.real, 0), _SIZES, name), held=entry.size)


def _xattrs(records: dict[str, bytes]) -> dict[str, bytes]:
    return {key.removeprefix(_XATTR): text for key, text in records.items() if key.startswith(_XATTR)}


def _with_target(entry: Entry, link: bytes, name: str) -> Entry:
    match entry.kind:
        case EntryKind.HARDLINK:
            return replace(entry, target=_clean(link, name))
        case EntryKind.SYMLINK if not link or b"\0" in link or len(link) > LONGEST_PATH:
            raise InvalidArchive(name, f"{entry.path} is a link without a target")
        case EntryKind.SYMLINK:
            return replace(entry, target=decode_path(link))
        case _:
            return entry


def _checked(entry: Entry, name: str) -> Entry:
    if not entry.path and entry.kind is not EntryKind.FOLDER:
        raise InvalidArchive(name, "its root is not a directory")
    if entry.kind is EntryKind.HARDLINK and not entry.target:
        raise InvalidArchive(name, f"{entry.path} is a hard link without a target")
    return entry


def _ranged(records: Mapping[str, bytes], key: str, otherwise: int, allowed: range, name: str) -> int:
    number = otherwise
    if (text := records.get(key)) and (whole := text.partition(b".")[0]):
        if len(whole) > _DIGITS or not whole.removeprefix(b"-").isdigit():
            raise InvalidArchive(name, f"a PAX header says {key} is {_shown(text)}")
        number = int(whole)
    if number not in allowed:
        raise InvalidArchive(name, f"{key} {number} is out of range")
    return number


def _without_dots(parts: Sequence[bytes]) -> list[bytes]:
    """Take `..` as it is written, before any link, as containerd and Docker do; one that leads out stays."""
    kept: list[bytes] = []
    for part in parts:
        if part == b".." and kept and kept[-1] != b"..":
            kept.pop()
        else:
            kept.append(part)
    return kept


def _clean(path: bytes, name: str) -> str:
    parts = path.split(b"/")
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in {b"", b"."}]
    if b".." in parts:
        parts = _without_dots(parts)
    if b".." in parts or b"\0" in path:
        raise InvalidArchive(name, f"{_shown(path)} is outside the archive")
    if len(path) > LONGEST_PATH or len(parts) > DEEPEST:
        raise InvalidArchive(name, f"a path of {len(path)} bytes and {len(parts)} directories is too long")
    return decode_path(b"/".join(parts))


def _shown(name: bytes) -> str:
    return repr(name[:100].decode("utf-8", "replace"))
