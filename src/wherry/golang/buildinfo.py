"""Build info: which Go, modules and settings made a binary, as the linker wrote it down.

Sources: Go 1.26, debug/buildinfo (the blob in section .go.buildinfo) and runtime/debug,
`ParseBuildInfo` (the text inside it).
"""

import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from wherry.errors import InvalidDocument
from wherry.golang.quote import literal, unquote

SECTION: Final = ".go.buildinfo"
MAGIC: Final = b"\xff Go buildinf:"

_ALIGNMENT = 16
_HEADER = 32
_FLAGS = 15
_INLINE = 2
_SENTINEL = 16
"""Bytes of the marks before and after the module text."""
_NEWLINE = 10
_LARGEST = 16 << 20
"""Bytes of the module text we read: 16 MiB are more than a hundred thousand modules."""
_LONGEST_VARINT = 10


@dataclass(frozen=True, slots=True)
class Module:
    """A module as a binary remembers it."""

    path: str
    version: str
    """`(devel)` where the main module's version was unknown."""
    sum: str = ""
    """Its h1 hash; empty for the main module, for replaced folders and in vendor mode."""
    replace: "Module | None" = None
    """What was built in its place."""


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What `go version -m` prints."""

    go_version: str = ""
    """Such as `go1.26.8`, with experiments after a space."""
    path: str = ""
    """The main package's import path."""
    main: Module | None = None
    modules: tuple[Module, ...] = ()
    """The dependencies, in the order of their paths."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Flags and environment, such as `-trimpath`, `GOARCH`, `vcs.revision`."""

    @staticmethod
    def parse(blob: bytes | memoryview, name: str) -> "BuildInfo":
        """Read the section's bytes.

        Args:
            blob: the section .go.buildinfo, or the file from `find` on.
            name: what the reader knows the binary by.

        Raises:
            InvalidDocument: it is cut short, has a text that does not parse, or was made by Go before 1.18.
        """
        if bytes(blob[: len(MAGIC)]) != MAGIC or len(blob) < _HEADER:
            raise InvalidDocument(name, f"{SECTION} has no Go build info header")
        if not blob[_FLAGS] & _INLINE:
            raise InvalidDocument(
                name,
                f"{SECTION} has the format of Go before 1.18, which is not supported",
                hint="build the program again with Go 1.18 or newer",
            )
        version, rest = _text(blob, _HEADER, name)
        marked, _ = _text(blob, rest, name)
        framed = len(marked) > 2 * _SENTINEL and marked[-_SENTINEL - 1] == _NEWLINE
        modinfo = marked[_SENTINEL:-_SENTINEL] if framed else b""
        return replace(
            parse_modinfo(modinfo.decode(errors="surrogateescape"), name), go_version=version.decode(errors="replace")
        )


def find(view: bytes | memoryview | mmap.mmap) -> int | None:
    """Find build info in a file or segment without a section table, by its mark at a multiple of 16."""
    for found in re.finditer(re.escape(MAGIC), view):
        if found.start() % _ALIGNMENT == 0:
            return found.start()
    return None


def parse_modinfo(text: str, name: str) -> BuildInfo:
    """Read the lines that `go version -m` prints after the version.

    Lines of a kind we do not know are passed over, as Go does.

    Raises:
        InvalidDocument: a line lacks a column, or its quotes do not close; the line is named.
    """
    path = ""
    main: list[Module] = []
    modules: list[Module] = []
    settings: dict[str, str] = {}
    last: list[Module] = []
    for number, line in enumerate(text.split("\n"), 1):
        kind, _, rest = line.partition("\t")
        try:
            match kind:
                case "path":
                    path = rest
                case "mod" | "dep":
                    last = main if kind == "mod" else modules
                    last.append(_module(rest))
                case "=>":
                    _replace(last, _module(rest))
                case "build":
                    settings.update([_setting(rest)])
        except ValueError as error:
            raise InvalidDocument(name, f"build info, line {number}: {error}") from error
    return BuildInfo("", path, main[-1] if main else None, tuple(modules), settings)


def _replace(modules: list[Module], by: Module) -> None:
    if not modules or modules[-1].replace:
        raise ValueError("=> without a module before it")
    modules[-1] = replace(modules[-1], replace=by)


def _module(columns: str) -> Module:
    match columns.split("\t"):
        case [path, version]:
            return Module(path, version)
        case [path, version, checksum]:
            return Module(path, version, checksum)
    raise ValueError("a module needs a path and a version, and may have a hash")


def _setting(text: str) -> tuple[str, str]:
    quoted = literal(text)
    key, equals, value = text[len(quoted) :].partition("=")
    if not equals or (quoted and key):
        raise ValueError("a setting is written key=value")
    key = unquote(quoted) if quoted else key
    if not key:
        raise ValueError("a setting has no name")
    return key, unquote(value) if value[:1] in {'"', "`"} else value


def _text(blob: bytes | memoryview, place: int, name: str) -> tuple[bytes, int]:
    """Read one length and its bytes; give where the next begins."""
    size = shift = 0
    for byte in blob[place : place + _LONGEST_VARINT]:
        size |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            break
    if size > _LARGEST or place + size > len(blob):
        raise InvalidDocument(name, f"{SECTION}: a string of {size} bytes exceeds the section ({len(blob)} bytes)")
    return bytes(blob[place : place + size]), place + size
