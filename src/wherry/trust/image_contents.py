"""What a scan asks of an image: its Go programs and its Debian packages, in one pass over its layers.

A program is written to a file, read, and the file deleted, so memory does not grow with it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from wherry.digest import Digest
from wherry.errors import InvalidDocument

if TYPE_CHECKING:
    from wherry.golang.buildinfo import BuildInfo
    from wherry.layer.entry import Entry
    from wherry.layer.tar import TarBody
    from wherry.oci.image import Image
    from wherry.store.contract import BlobSource
    from wherry.trust.programs import CannotScan, Program

_BLOCK: Final = 1 << 20
_LONGEST_MAGIC: Final = 4
_MOST_PROGRAMS: Final = 1000
_MOST_PACKAGE_FILES: Final = 20_000
_LARGEST_PROGRAM: Final = 4 << 30
_SMALLEST: Final = 1 << 12
"""Bytes of the smallest file that can be a program with build info."""


class PackedProgram(msgspec.Struct, frozen=True):
    """A Go program of an image; the names of its functions are compressed."""

    path: str
    layer: int
    """1 is the base's first."""
    digest: Digest
    size: int = 0
    info: "BuildInfo | None" = None
    """None: it is known, and was not read again."""
    names: bytes = b""
    """zstd."""
    unreadable: str = ""

    def program(self, name: str) -> "Program":
        """Give it as a scan reads it."""
        import zstandard

        from wherry.trust.programs import Program

        assert self.info is not None  # noqa: S101 - only one that is known is not asked for
        return Program(name, self.info, zstandard.decompress(self.names), self.unreadable)


class ImageContents(msgspec.Struct, frozen=True):
    """What a container of an image sees."""

    programs: tuple[PackedProgram, ...]
    unscanned: tuple[tuple[str, str, str], ...]
    """Programs that nothing can be said of: path, reason, what to do."""
    files: dict[str, bytes]
    """Those that say which Debian packages are installed, by path."""
    others: int
    """Programs that were not built by Go."""


def read_contents(source: "BlobSource", image: "Image", folder: Path) -> ImageContents:
    """Read an image.

    Args:
        source: where its blobs are.
        image: its documents.
        folder: where a program can be put while it is read.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.

    Cost: every layer is decompressed once.
    """
    from wherry.layer.changes import FileTree
    from wherry.layer.decompress import open_layer
    from wherry.layer.entry import EntryKind
    from wherry.layer.tar import read_tar

    tree = FileTree()
    reader = _Reader(folder)
    for number, blob in enumerate(image.manifest.stack):
        opened = open_layer(source, blob, image.config.diff_ids[number])
        tree.apply(reader.reading(read_tar(opened, f"layer {blob.digest}"), number))
    contents = _Contents()
    for path, node in tree.walk():
        if node.entry.kind is EntryKind.FILE:
            contents.take(path, reader.programs.get((node.layer, node.place), ...), node.layer)
            if (node.layer, node.place) in reader.files:
                contents.files[path] = reader.files[node.layer, node.place]
    return contents.whole()


@dataclass
class _Contents:
    programs: dict[Digest, PackedProgram] = field(default_factory=dict)
    unscanned: list[tuple[str, str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    others: int = 0

    def take(self, path: str, found: "PackedProgram | CannotScan | object", layer: int) -> None:
        from msgspec.structs import replace

        from wherry.trust.programs import CannotScan

        if isinstance(found, PackedProgram):
            self.programs.setdefault(found.digest, replace(found, path=f"/{path}", layer=layer + 1))
        elif isinstance(found, CannotScan):
            self.unscanned.append((f"/{path}", found.reason, found.hint))
        elif found is None:
            self.others += 1

    def whole(self) -> ImageContents:
        ordered = sorted(self.programs.values(), key=lambda one: (-one.size, one.path))
        return ImageContents(tuple(ordered), tuple(sorted(self.unscanned)), self.files, self.others)


@dataclass
class _Reader:
    """Reads files of layers while they pass."""

    folder: Path
    programs: "dict[tuple[int, int], PackedProgram | CannotScan | None]" = field(default_factory=dict)
    files: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def reading(self, entries: "Iterator[tuple[Entry, TarBody]]", layer: int) -> "Iterator[Entry]":
        from wherry.analysis.subjects import starts_as_program
        from wherry.layer.entry import EntryKind
        from wherry.trust.distribution import LARGEST_LIST, is_package_file

        for place, (entry, body) in enumerate(entries):
            if entry.kind is EntryKind.FILE:
                if is_package_file(entry.path) and entry.size <= LARGEST_LIST:
                    self._keep(layer, place, body.read())
                elif entry.size >= _SMALLEST:
                    start = _start(body)
                    if starts_as_program(start):
                        self.programs[layer, place] = self._program(entry, start, body)
            yield entry

    def _keep(self, layer: int, place: int, content: bytes) -> None:
        if len(self.files) >= _MOST_PACKAGE_FILES:
            raise InvalidDocument(f"layer {layer + 1}", f"more than {_MOST_PACKAGE_FILES} files of packages")
        self.files[layer, place] = content

    def _program(self, entry: "Entry", start: bytes, body: "TarBody") -> "PackedProgram | CannotScan | None":
        from wherry.trust.programs import CannotScan

        if entry.size > _LARGEST_PROGRAM:
            return CannotScan(
                entry.path, f"it has {entry.size} bytes; the limit is {_LARGEST_PROGRAM}", "scan it alone"
            )
        file = self.folder / "program"
        state = hashlib.sha256(start)
        with file.open("wb") as out:
            out.write(start)
            while chunk := body.read(_BLOCK):
                state.update(chunk)
                out.write(chunk)
        try:
            found = _read(file, entry.path)
        except CannotScan as error:
            return error
        if found is None:
            return None
        if sum(isinstance(one, PackedProgram) for one in self.programs.values()) >= _MOST_PROGRAMS:
            return CannotScan(entry.path, f"the image has more than {_MOST_PROGRAMS} Go programs", "scan it by itself")
        return packed(found, Digest.from_hash(state), entry.size)


def packed(program: "Program", digest: Digest, size: int) -> PackedProgram:
    """Compress what a scan needs of a program."""
    import zstandard

    names = zstandard.ZstdCompressor(level=1).compress(program.functions)
    return PackedProgram("", 0, digest, size, program.info, names, program.unreadable)


def _read(file: Path, name: str) -> "Program | None":
    from wherry.analysis.mapped import map_file
    from wherry.trust.programs import CannotScan, read_program

    view = memoryview(map_file(file, name)).toreadonly()
    try:
        return read_program(view, name)
    except CannotScan:
        raise
    except InvalidDocument as error:
        raise CannotScan(name, error.problem, error.hint or "build it again") from error


def _start(body: "TarBody") -> bytes:
    start = b""
    while len(start) < _LONGEST_MAGIC and (chunk := body.read(_LONGEST_MAGIC - len(start))):
        start += chunk
    return start
