"""Packages to the entries of one layer: sorted, without times, without what no program reads.

Maintainer scripts are not run. Of the packages of a base, these are the effects that are made here instead: one file
of certificates (ca-certificates), accounts and nsswitch (base-files).

Sources: deb(5); distroless, for `status.d`, which scanners read; Debian policy 4.7, section 12.5 (copyright files).
"""

import hashlib
import io
import lzma
import posixpath
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from wherry.base.certificates import BUNDLE, read_certificates
from wherry.base.settings import DEFAULTS, BaseSettings
from wherry.debian.ar import ArMember, ar_members
from wherry.debian.control import parse_paragraph
from wherry.debian.scripts import SCRIPTS, script_effects
from wherry.errors import InvalidDocument
from wherry.layer.entry import BytesContent, Entry, EntryKind, Readable, sort_entries, with_parents
from wherry.layer.tar import read_tar

DROPPED: Mapping[str, str] = {
    "usr/share/doc/": "docs",
    "usr/share/info/": "docs",
    "usr/share/man/": "docs",
    "usr/share/lintian/": "docs",
    "usr/share/doc-base/": "docs",
    "usr/share/bug/": "docs",
    "usr/share/bash-completion/": "docs",
    "usr/share/locale/": "locales",
    "usr/share/i18n/": "locales",
    "usr/share/ca-certificates/": "certificates",
}
"""What is left out, by the start of its path; copyright files stay. `certificates` are in one file instead."""
_CERTIFICATES = "usr/share/ca-certificates/mozilla/"
_STATUS = "var/lib/dpkg/status.d"
_LARGEST_CONTROL = 8 << 20
_LARGEST_NAMES = 16384
_APPLETS = b"[\0[[\0"


@dataclass(frozen=True, slots=True)
class SpooledContent:
    """A part of a file that lasts as long as the base is packed."""

    path: Path
    offset: int
    size: int

    @contextmanager
    def open(self) -> Iterator["_Part"]:
        """Open it from its start."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            yield _Part(file, self.size)


class _Part:
    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int, /) -> bytes:
        chunk = self._file.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


@dataclass
class Assembled:
    """The entries of a base, and what was left out."""

    entries: list[Entry]
    dropped: Counter[str] = field(default_factory=Counter)
    """Bytes by group."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Bytes of files that are there, by package."""
    scripts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What maintainer scripts, which are not run, would have done; by package."""


def assemble(
    packages: Sequence[tuple[str, Path]],
    own: Iterable[Entry],
    spool: Path,
    *,
    settings: BaseSettings = DEFAULTS,
    debug: bool = False,
    links: bool = False,
) -> Assembled:
    """Unpack packages side by side, as values.

    Args:
        packages: each one's name and its archive, verified.
        own: entries that go before a package's: accounts and settings.
        spool: a file that is written, and has to stay until the entries are packed.
        settings: what differs from the defaults: certificates, and groups of `DROPPED` that stay.
        debug: put busybox into /busybox, with a link for each applet.
        links: make /bin, /lib and their like links into /usr, where no package does.

    Raises:
        InvalidDocument: an archive is damaged; it is named.
        InvalidUsage: two packages have different files at one path.
    """
    found = Assembled([])
    entries: dict[str, Entry] = {}
    certificates: list[bytes] = []
    with spool.open("wb") as bodies:
        for name, archive in sorted(packages):
            with archive.open("rb") as file:
                members = {one.name.partition(".tar")[0]: one for one in ar_members(file, name)}
                if "control" not in members or "data" not in members:
                    raise InvalidDocument(name, "has no control.tar or data.tar", hint="fetch the package again")
                for entry in _status(file, members["control"], name, found):
                    entries[entry.path] = entry
                before = bodies.tell()
                for entry, body in _tar(file, members["data"], name):
                    _take(entry, body, bodies, entries, certificates, found, frozenset(settings.keep))
                found.sizes[name] = bodies.tell() - before
    if settings.certificates:
        own_ones = b"".join(certificates)
        every = read_certificates(own_ones, "ca-certificates") if certificates and settings.roots is None else ()
        entries[BUNDLE] = _file(BUNDLE, settings.bundle(every))
    elif certificates:
        entries[BUNDLE] = _file(BUNDLE, b"".join(sorted(certificates)))
    if debug:
        _move_busybox(entries)
    if links:
        entries |= {one.path: one for one in _usr_links(entries)}
    for entry in own:
        entries[entry.path] = entry
    found.entries = sort_entries(with_parents(_through_links(entries)))
    return found


def _take(  # noqa: PLR0913, PLR0917 - one loop's body, with what it adds to
    entry: Entry,
    body: Readable,
    bodies: BinaryIO,
    entries: dict[str, Entry],
    certificates: list[bytes],
    found: Assembled,
    keep: frozenset[str],
) -> None:
    group = next((group for start, group in DROPPED.items() if entry.path.startswith(start)), "")
    if entry.path.startswith(_CERTIFICATES) and entry.kind is EntryKind.FILE:
        certificates.append(_whole(body).rstrip(b"\n") + b"\n")
    if group and group not in keep and not (group == "docs" and posixpath.basename(entry.path) == "copyright"):
        if entry.kind is EntryKind.FILE:
            found.dropped[group] += entry.size
        return
    if not entry.path or (entry.kind is EntryKind.FOLDER and entry.path in entries):
        return
    plain = replace(entry, mtime=0)
    if entry.kind is EntryKind.FILE:
        offset = bodies.tell()
        while chunk := body.read(1 << 20):
            bodies.write(chunk)
        plain = replace(plain, content=SpooledContent(Path(bodies.name), offset, entry.size))
    entries[entry.path] = plain


def _whole(body: Readable) -> bytes:
    return b"".join(iter(lambda: body.read(1 << 16), b""))


def _status(file: BinaryIO, control: ArMember, name: str, found: Assembled) -> Iterator[Entry]:
    """Give what scanners read of a package: its paragraph, and its files' checksums; note what its scripts would do."""
    scripts: dict[str, str] = {}
    for entry, body in _tar(file, control, name):
        if entry.kind is not EntryKind.FILE or entry.path not in {"control", "md5sums", *SCRIPTS}:
            continue
        if entry.size > _LARGEST_CONTROL:
            raise InvalidDocument(name, f"{entry.path}: {entry.size} bytes", hint="fetch the package again")
        content = _whole(body)
        if entry.path in SCRIPTS:
            scripts[entry.path] = content.decode(errors="replace")
        elif entry.path == "control":
            parse_paragraph(content.decode(errors="replace"), f"{name}: control")
            yield _file(f"{_STATUS}/{name}", content.rstrip(b"\n") + b"\nStatus: install ok installed\n")
        else:
            yield _file(f"{_STATUS}/{name}.md5sums", content)
    if effects := script_effects(scripts):
        found.scripts[name] = effects


def _tar(file: BinaryIO, member: ArMember, name: str) -> Iterator[tuple[Entry, Readable]]:
    file.seek(member.offset)
    with _decompressed(_Part(file, member.size), member.name, name) as stream:
        try:
            yield from read_tar(stream, f"{name}: {member.name}")
        except (lzma.LZMAError, zlib.error, EOFError, OSError) as error:
            raise InvalidDocument(name, f"{member.name}: {error}", hint="fetch the package again") from error


def _decompressed(part: _Part, member: str, name: str) -> AbstractContextManager[BinaryIO]:
    import gzip

    ending = member.rpartition(".")[2]
    raw = io.BufferedReader(_Raw(part))
    if ending == "xz":
        return lzma.open(raw)  # type: ignore[return-value] # opened to be read
    if ending == "gz":
        return gzip.open(raw)  # type: ignore[return-value] # as above
    if ending == "tar":
        return raw
    if ending == "zst":
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw)
    raise InvalidDocument(name, f"{member}: unknown compression", hint="use a package of Debian")


class _Raw(io.RawIOBase):
    def __init__(self, part: _Part) -> None:
        self._part = part

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "object") -> int:
        view = memoryview(buffer)  # type: ignore[arg-type] # what io gives
        chunk = self._part.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)


def _move_busybox(entries: dict[str, Entry]) -> None:
    at = next((path for path in ("usr/bin/busybox", "bin/busybox") if path in entries), None)
    if at is None:
        raise InvalidDocument("busybox-static", "has no busybox", hint="use another release of Debian")
    program = entries.pop(at)
    entries["busybox/busybox"] = replace(program, path="busybox/busybox", mode=0o755)
    content = program.content
    for applet in _applets(content) if isinstance(content, SpooledContent) else ():
        path = f"busybox/{applet}"
        entries[path] = Entry(path=path, kind=EntryKind.SYMLINK, mode=0o777, target="busybox")


def _applets(program: SpooledContent) -> Iterator[str]:
    """Read the names of applets in a busybox: a table of strings that starts with `[` and `[[`."""
    with program.open() as part:
        blob = part.read(program.size)
    start = blob.find(_APPLETS)
    if start < 0:
        return
    names = blob[start : start + _LARGEST_NAMES].split(b"\0")
    for name in names:
        if not name or not name.isascii() or b"/" in name:
            return
        if name != b"busybox":
            yield name.decode()


def _usr_links(entries: Mapping[str, Entry]) -> Iterator[Entry]:
    """Give the links of a merged /usr: Debian's programs name their loader by /lib64, and base-files may be absent."""
    for top in ("bin", "lib", "lib32", "lib64", "libx32", "sbin"):
        if top not in entries and any(path.startswith((f"{top}/", f"usr/{top}/")) for path in entries):
            yield Entry(path=top, kind=EntryKind.SYMLINK, mode=0o777, target=f"usr/{top}")


def _through_links(entries: Mapping[str, Entry]) -> list[Entry]:
    """Put files below a folder that is a link where the link points: `bin/x` to `usr/bin/x` of a merged /usr."""
    links = {path: entry.target for path, entry in entries.items() if entry.kind is EntryKind.SYMLINK}
    placed: dict[str, Entry] = {}
    for path, entry in entries.items():
        top, _, rest = path.partition("/")
        real = f"{links[top].strip('/')}/{rest}" if rest and top in links else path
        if entry.kind is EntryKind.FOLDER and real in placed:
            continue
        placed[real] = replace(entry, path=real) if real != path else entry
    return list(placed.values())


def _file(path: str, content: bytes) -> Entry:
    return Entry(path=path, kind=EntryKind.FILE, mode=0o644, size=len(content), content=BytesContent(content))


def digest_of(packages: Iterable[tuple[str, str]]) -> str:
    """Give one digest for a list of packages and their digests."""
    return hashlib.sha256("".join(f"{name} {sha}\n" for name, sha in sorted(packages)).encode()).hexdigest()
