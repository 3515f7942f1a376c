"""What an image is made of: its layers, the files a container sees, and the parts of its programs.

Source: OCI image-spec v1.1.1, layer.md.
"""

import heapq
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from wherry.analysis.binary import Binary
from wherry.analysis.history import made_by
from wherry.analysis.mapped import map_elf
from wherry.analysis.tree import VisibleFile, visible_files
from wherry.digest import Digest
from wherry.elf.reader import MAGIC
from wherry.errors import InvalidDocument
from wherry.layer.changes import FileTree
from wherry.layer.decompress import open_layer
from wherry.layer.entry import Entry, EntryKind
from wherry.layer.tar import TarBody, read_tar
from wherry.oci.image import Image
from wherry.store.contract import BlobSource

_MOST_FILES = 10
_LEAST_SHARE = 100
"""Unless a count is asked for, files with less than one part in so many are not named."""
_FOLDER_DEPTH = 2
_MOST_PROGRAMS = 8
"""Executables that are looked into: of a service image all, of a distribution the biggest."""


@dataclass(frozen=True, slots=True)
class LayerContent:
    """One layer, as stored and as unpacked."""

    digest: Digest
    media_type: str
    pulled: int
    """Bytes of the blob: what goes over the wire."""
    unpacked: int
    """Bytes of its files, without the tar's own."""
    files: int
    """How many of its entries are files, each hard link among them."""
    made_by: str
    """What the history says of it; empty where it says nothing."""


@dataclass(frozen=True, slots=True)
class ImageProgram:
    """An executable of the image that was looked into."""

    path: str
    binary: Binary | None
    """None if its tables are broken."""
    problem: str
    """What is broken, or empty."""


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The files below a folder that are not named one by one."""

    path: str
    """Two names deep at most, such as /usr/share."""
    files: int
    size: int
    """Their bytes."""


@dataclass(frozen=True, slots=True)
class ImageContent:
    """Where the bytes of one image are."""

    layers: tuple[LayerContent, ...]
    """Base first."""
    files: int
    """How many files a container sees."""
    size: int
    """Bytes of all the files a container sees; a hard-linked one counts once."""
    biggest: tuple[VisibleFile, ...]
    """Most bytes first."""
    folders: tuple[FolderContent, ...]
    """All other files; most bytes first."""
    programs: tuple[ImageProgram, ...]
    """The executables among the biggest files, and the one the image starts."""

    @property
    def pulled(self) -> int:
        """Bytes that go over the wire for all layers."""
        return sum(layer.pulled for layer in self.layers)

    @property
    def unpacked(self) -> int:
        """Bytes of all layers' files, those that later layers hide among them."""
        return sum(layer.unpacked for layer in self.layers)


def content_of(source: BlobSource, image: Image, *, biggest: int | None = None) -> ImageContent:
    """Read an image through, layer by layer.

    Args:
        source: where its blobs are.
        image: its documents.
        biggest: how many of the biggest files to name; None: up to ten that make a hundredth of all bytes each.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive, InvalidDocument: a layer is not what the
            image says.

    Cost: every layer is decompressed once, and those with programs once more; a program at a time rests in a
    temporary file.
    """
    tree, elves = FileTree(), set[tuple[int, int]]()
    layers = tuple(_read_layer(source, image, number, tree, elves) for number in range(len(image.manifest.stack)))
    seen = list(visible_files(tree, elves))
    size = sum(file.size for file in seen)
    most = heapq.nsmallest(biggest or _MOST_FILES, seen, key=lambda file: (-file.size, file.path))
    if biggest is None:
        most = [file for file in most if file.size * _LEAST_SHARE >= size]
    start = _started(image)
    executables = [file for file in most if file.elf and file.executable][:_MOST_PROGRAMS]
    executables += [file for file in seen if file.path == start and file.elf and file not in executables]
    return ImageContent(
        layers=layers,
        files=len(seen),
        size=size,
        biggest=tuple(most),
        folders=_by_folder(seen, {file.path for file in most}),
        programs=_programs(source, image, executables),
    )


def _read_layer(
    source: BlobSource, image: Image, number: int, tree: FileTree, elves: set[tuple[int, int]]
) -> LayerContent:
    """Put a layer on the tree; note which of its entries start as ELF files do."""
    blob = image.manifest.stack[number]
    size = files = 0

    def entries() -> Iterator[Entry]:
        nonlocal size, files
        opened = open_layer(source, blob, image.config.diff_ids[number])
        for place, (entry, body) in enumerate(read_tar(opened, f"layer {blob.digest}")):
            if entry.kind is EntryKind.FILE and _starts_as_elf(body):
                elves.add((number, place))
            size += entry.size
            files += entry.kind in (EntryKind.FILE, EntryKind.HARDLINK)
            yield entry

    tree.apply(entries())
    return LayerContent(blob.digest, blob.media_type, blob.size, size, files, made_by(image)[number])


def _by_folder(files: Iterable[VisibleFile], named: set[str]) -> tuple[FolderContent, ...]:
    sums: dict[str, tuple[int, int]] = {}
    for file in files:
        if file.path not in named:
            folder = "/".join(file.path.split("/")[:-1][: _FOLDER_DEPTH + 1]) or "/"
            count, size = sums.get(folder, (0, 0))
            sums[folder] = (count + 1, size + file.size)
    found = (FolderContent(path, count, size) for path, (count, size) in sums.items())
    return tuple(sorted(found, key=lambda folder: (-folder.size, folder.path)))


def _starts_as_elf(body: TarBody) -> bool:
    start = b""
    while len(start) < len(MAGIC) and (chunk := body.read(len(MAGIC) - len(start))):
        start += chunk
    return start == MAGIC


def _started(image: Image) -> str:
    """Return the file that a container starts, if it is an absolute path."""
    runtime = image.config.runtime
    words = (*(runtime.entrypoint or ()), *(runtime.cmd or ()))
    return words[0] if words and words[0].startswith("/") else ""


def _programs(source: BlobSource, image: Image, files: Sequence[VisibleFile]) -> tuple[ImageProgram, ...]:
    found: dict[tuple[int, int], ImageProgram] = {}
    for layer in sorted({file.layer for file in files}):
        wanted = {file.place: file.path for file in files if file.layer == layer}
        blob = image.manifest.stack[layer]
        for place, (_, body) in enumerate(read_tar(open_layer(source, blob), f"layer {blob.digest}")):
            if place in wanted:
                found[layer, place] = _program(wanted[place], body)
    # A hard-linked program may be among the files under two names.
    return tuple(found[key] for key in dict.fromkeys((file.layer, file.place) for file in files))


def _program(path: str, body: TarBody) -> ImageProgram:
    """Look into a file of a layer, by way of a temporary one."""
    with TemporaryDirectory(prefix="wherry-") as folder:
        spooled = Path(folder) / "program"
        with spooled.open("wb") as file:
            shutil.copyfileobj(body, file, 1 << 20)
        try:
            return ImageProgram(path, Binary.of(map_elf(spooled, path)), "")
        except InvalidDocument as error:
            return ImageProgram(path, None, error.problem)
