"""What a command about programs looks at: one file, or the programs of an image, each as a real file.

Sources: System V gABI, "ELF Identification"; Apple's mach-o/loader.h; Microsoft's PE format, "MS-DOS Stub".
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wherry.digest import Digest

if TYPE_CHECKING:
    from wherry.layer.entry import Entry
    from wherry.layer.tar import TarBody
    from wherry.oci.image import Image
    from wherry.store.contract import BlobSource

MAGICS: Final = (
    b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"MZ",
)  # fmt: skip
"""How ELF, Mach-O and PE files start."""
_LONGEST_MAGIC = 4
_BLOCK = 1 << 20
_MOST_PROGRAMS = 16
"""Programs of one image that are checked: of a service image all, of a distribution the biggest."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A program to look at."""

    name: str
    """What messages call it: the path as it was given, or `api:dev linux/amd64 /app/api`."""
    path: str
    """Absolute, inside the image; or the file as it was given."""
    file: Path
    """Where its bytes are; of an image's program a temporary file."""
    digest: Digest | None
    """None if not requested."""
    size: int
    platform: str
    """The image's, such as `linux/amd64`; empty for a bare file."""
    image: str
    """The image's name with its digest; empty for a bare file."""
    layer: int
    """1 is the base's first; 0 for a bare file."""


def starts_as_program(start: bytes) -> bool:
    """Tell from its first bytes whether a file is a program of a kind we know."""
    return start.startswith(MAGICS)


def file_subject(path: Path, name: str, *, hashed: bool = True) -> Subject:
    """Take a file on disk.

    Args:
        path: where it is.
        name: what it is called.
        hashed: whether its digest is wanted; reading it through takes longer than its tables do.

    Raises:
        OSError: it can't be read.
    """
    if not hashed:
        return Subject(name, name, path, None, path.stat().st_size, "", "", 0)
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_BLOCK):
            digest.update(chunk)
            size += len(chunk)
    return Subject(name, name, path, Digest(f"sha256:{digest.hexdigest()}"), size, "", "", 0)


def image_subjects(source: "BlobSource", image: "Image", name: str, folder: Path) -> Iterator[Subject]:
    """Take the programs of an image that a container sees, the biggest first.

    Args:
        source: where its blobs are.
        image: its documents.
        name: what it is called.
        folder: where files can be put; a program has its file there for as long as the folder is.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.

    Cost: every layer is decompressed once, and those with programs twice; a file's block at a time in memory.
    """
    found = _programs(source, image)
    files = _spooled(source, image, found, folder)
    for path, layer, place in found:
        taken = files[layer, place]
        reference = f"{name.partition('@')[0]}@{image.descriptor.digest}"
        label = f"{name} {image.platform} {path}"
        yield replace(taken, name=label, path=path, platform=str(image.platform), image=reference, layer=layer + 1)


def _programs(source: "BlobSource", image: "Image") -> list[tuple[str, int, int]]:
    """Find path, layer and place of the programs; of a hard-linked one the first name."""
    from wherry.layer.changes import FileTree
    from wherry.layer.decompress import open_layer
    from wherry.layer.entry import EntryKind
    from wherry.layer.tar import read_tar

    tree, marked = FileTree(), set[tuple[int, int]]()
    for number, blob in enumerate(image.manifest.stack):
        opened = open_layer(source, blob, image.config.diff_ids[number])
        tree.apply(_marking(read_tar(opened, f"layer {blob.digest}"), number, marked))
    sizes: dict[tuple[int, int], tuple[int, str]] = {}
    for path, node in tree.walk():
        key = (node.layer, node.place)
        if node.entry.kind is EntryKind.FILE and node.entry.mode & 0o111 and key in marked:
            sizes.setdefault(key, (node.entry.size, f"/{path}"))
    order = sorted(sizes.items(), key=lambda row: (-row[1][0], row[1][1]))[:_MOST_PROGRAMS]
    return [(path, layer, place) for (layer, place), (_, path) in order]


def _marking(entries: "Iterator[tuple[Entry, TarBody]]", layer: int, marked: set[tuple[int, int]]) -> "Iterator[Entry]":
    from wherry.layer.entry import EntryKind

    for place, (entry, body) in enumerate(entries):
        if entry.kind is EntryKind.FILE and starts_as_program(_start(body)):
            marked.add((layer, place))
        yield entry


def _start(body: "TarBody") -> bytes:
    start = b""
    while len(start) < _LONGEST_MAGIC and (chunk := body.read(_LONGEST_MAGIC - len(start))):
        start += chunk
    return start


def _spooled(
    source: "BlobSource", image: "Image", found: Sequence[tuple[str, int, int]], folder: Path
) -> dict[tuple[int, int], Subject]:
    from wherry.layer.decompress import open_layer
    from wherry.layer.tar import read_tar

    files: dict[tuple[int, int], Subject] = {}
    wanted = {(layer, place) for _, layer, place in found}
    for layer in sorted({layer for layer, _ in wanted}):
        blob = image.manifest.stack[layer]
        for place, (_, body) in enumerate(read_tar(open_layer(source, blob), f"layer {blob.digest}")):
            if (layer, place) in wanted:
                file = folder / f"{image.descriptor.digest[-16:]}-{layer}-{place}"
                with file.open("xb") as out:
                    shutil.copyfileobj(body, out, _BLOCK)
                taken = file_subject(file, "")
                files[layer, place] = taken
    return files
