"""An image's files as programs see them: one pass over the layers, in which only the tables of ELF files are kept."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wherry.analysis.deps.facts import SCRIPT_START, ElfFacts, Facts, script_facts
from wherry.analysis.deps.root import LARGEST_TEXT, RootProgram, file_facts
from wherry.analysis.image import index as kinds
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.union import Union
from wherry.elf.loader_cache import PATH as LOADER_CACHE
from wherry.elf.reader import MAGIC
from wherry.layer.changes import is_bookkeeping
from wherry.layer.decompress import open_layer
from wherry.layer.entry import encode_path
from wherry.layer.tar import TarBody, read_tar
from wherry.oci.image import Image
from wherry.store.contract import BlobSource

_EXECUTABLE = 0o111
_SIZE, _MODE = 0, 3
_BLOCK = 1 << 20
_MOST_KNOWN, _LONGEST_KNOWN = 50_000, 256
"""Paths that are remembered, and their length; together about 20 MB."""


class ImageRoot:
    """What the layers of an image make."""

    def __init__(self, union: Union, files: Mapping[int, Facts], texts: Mapping[int, bytes], image: Image) -> None:
        """Take what was read; see `read_root`."""
        self._union, self._files, self._texts = union, files, texts
        self._environment = image.config.runtime.environment
        self._known: dict[str, tuple[bytes, int] | None] = {}
        self._modes = tuple(layer.column(_MODE) for layer in union.layers)

    def find(self, path: str) -> str | None:
        """See `ProgramRoot.find`."""
        found = self._found(path)
        return None if found is None else "/" + found[0].decode(errors="surrogateescape")

    def facts(self, path: str) -> Facts | None:
        """See `ProgramRoot.facts`."""
        found = self._found(path)
        return None if found is None else self._files.get(found[1])

    def text(self, path: str) -> bytes | None:
        """See `ProgramRoot.text`."""
        found = self._found(path)
        return None if found is None else self._texts.get(found[1])

    def environment(self) -> Mapping[str, str]:
        """See `ProgramRoot.environment`."""
        return self._environment

    def layer_of(self, path: str) -> int:
        """Give the layer that a file is of, 0 is the base's first; -1: a folder, or nothing."""
        found = self._found(path)
        return -1 if found is None or found[1] < 0 else self._union.place(found[1])[0]

    def programs(self) -> Iterator[RootProgram]:
        """Give every executable ELF file and script; of a hard-linked one each name."""
        for path, number, facts in self._walk():
            layer, row = self._union.place(number)
            if self._modes[layer][row] & _EXECUTABLE:
                yield RootProgram(path, facts)

    def libraries(self) -> Iterator[RootProgram]:
        """Give every ELF file that a dynamic linker can load and the kernel cannot start, of any mode."""
        for path, _, facts in self._walk():
            if isinstance(facts, ElfFacts) and facts.dynamic.present and not facts.executable:
                yield RootProgram(path, facts)

    def files(self) -> dict[str, tuple[int, int]]:
        """Give every visible regular file by its path: its number, the same for all its names, and its bytes."""
        sizes = [layer.column(_SIZE) for layer in self._union.layers]
        found = {}
        for path, _, number in self._union.walk():
            layer, row = self._union.place(number)
            if self._union.layers[layer].kinds[row] == kinds.FILE:
                found["/" + path.decode(errors="surrogateescape")] = (number, sizes[layer][row])
        return found

    def number(self, path: str) -> int:
        """Give the number of the file that a path names; -1: a folder, or nothing."""
        found = self._found(path)
        return -1 if found is None else found[1]

    def _found(self, path: str) -> tuple[bytes, int] | None:
        """Follow a path once: programs of an image look for the same libraries in the same folders."""
        if path in self._known:
            return self._known[path]
        found = self._union.find(encode_path(path))
        if len(self._known) < _MOST_KNOWN and len(path) < _LONGEST_KNOWN:
            self._known[path] = found
        return found

    def _walk(self) -> Iterator[tuple[str, int, Facts]]:
        for path, _, number in self._union.walk():
            if (facts := self._files.get(number)) is not None:
                yield "/" + path.decode(errors="surrogateescape"), number, facts


def read_root(source: BlobSource, image: Image, layers: Sequence[LayerIndex], folder: Path) -> ImageRoot:
    """Read the tables of an image's ELF files, the first lines of its scripts, and what configures loaders.

    Args:
        source: where its blobs are.
        image: its documents.
        layers: the indexes of its layers, base first.
        folder: where a file can be put; it holds one program at a time.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.

    Cost: every layer with visible files is decompressed once; about a kilobyte of memory for each ELF file.
    """
    union = Union(layers)
    visible = [set[int]() for _ in layers]
    wanted: set[int] = set()
    for path, _, number in union.walk():
        layer, row = union.place(number)
        if layers[layer].kinds[row] == kinds.FILE:
            visible[layer].add(row)
        if path == LOADER_CACHE.encode()[1:] or (path.startswith(b"etc/ld-musl-") and path.endswith(b".path")):
            found = union.find(path)
            wanted.add(found[1] if found else -1)
    files: dict[int, Facts] = {}
    texts: dict[int, bytes] = {}
    for number, rows in enumerate(visible):
        if rows:
            for row, body in _bodies(source, image, number, rows):
                place = union.firsts[number] + row
                if place in wanted:
                    texts[place] = _up_to(body, LARGEST_TEXT)
                elif facts := _facts(body, folder):
                    files[place] = facts
    return ImageRoot(union, files, texts, image)


def _bodies(source: BlobSource, image: Image, number: int, rows: set[int]) -> Iterator[tuple[int, TarBody]]:
    """Give the visible files of a layer by their row in its index, which passes over AUFS's notes."""
    blob = image.manifest.stack[number]
    row = -1
    for entry, body in read_tar(open_layer(source, blob), f"layer {blob.digest}", sparse=True):
        if is_bookkeeping(entry):
            continue
        row += 1
        if row in rows and entry.held < 0:  # a program is never stored with holes
            yield row, body


def _facts(body: TarBody, folder: Path) -> Facts | None:
    start = _up_to(body, SCRIPT_START)
    if not start.startswith(MAGIC):
        return script_facts(start)
    file = folder / "program"
    try:
        with file.open("wb") as out:
            out.write(start)
            shutil.copyfileobj(body, out, _BLOCK)
        return file_facts(file, "program")
    finally:
        file.unlink(missing_ok=True)


def _up_to(body: TarBody, most: int) -> bytes:
    found = b""
    while len(found) < most and (chunk := body.read(most - len(found))):
        found += chunk
    return found
