"""The layers of an image with their files, for the size document.

Source: OCI image-spec v1.1.1, layer.md.
"""

import heapq
import re
from collections.abc import Callable, Iterator

import msgspec

from wherry.analysis.history import made_by
from wherry.analysis.size import FileSize, LayerSize
from wherry.layer.decompress import open_layer
from wherry.layer.tar import read_tar
from wherry.oci.image import Image
from wherry.store.contract import BlobSource

_MOST_FILES = 200
"""Files of a layer that are named; what the others take together is one row."""


_OURS = re.compile(r"wherry build (?!--add$)\S+")
_OUR_FILES = "wherry build --add"
_KO = re.compile(r"ko build ko://\S+")


def base_layers(image: Image) -> int | None:
    """Count the layers that an image's base brought; None where the history does not tell.

    wherry puts one layer with a program on a base, and below it one with files, where there are any. ko puts files
    below the program, both under one name. Of a Dockerfile the history is that of all stages it was built from.
    """
    steps = made_by(image)
    if steps and _OURS.fullmatch(steps[-1]):
        return len(steps) - (2 if steps[-2:-1] == (_OUR_FILES,) else 1)
    own = 0
    while own < len(steps) and _KO.fullmatch(steps[len(steps) - own - 1]):
        own += 1
    return len(steps) - own if own else None


def layer_sizes(source: BlobSource, image: Image) -> Iterator[LayerSize]:
    """Measure each layer of an image, base first.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.

    Cost: every layer is decompressed once; memory for the files' names of one.
    """
    for number, layer in enumerate(layers_weighed(image, lambda _: 0)):
        files = _sizes(source, image, number)
        unpacked = sum(size for size, _ in files)
        yield msgspec.structs.replace(layer, unpacked=unpacked, files=tuple(_files(files)))


def layers_weighed(image: Image, unpacked: Callable[[int], int]) -> Iterator[LayerSize]:
    """Measure each layer of an image without its files.

    Args:
        image: its documents.
        unpacked: gives the bytes of the files of a layer, by its place; it may cache them.
    """
    below, made = base_layers(image), made_by(image)
    for number, blob in enumerate(image.manifest.stack):
        yield LayerSize(
            platform=str(image.platform),
            digest=str(blob.digest),
            media_type=blob.media_type,
            pulled=blob.size,
            unpacked=unpacked(number),
            base=None if below is None else number < below,
            made_by=made[number],
        )


def unpacked_of(source: BlobSource, image: Image, number: int) -> int:
    """Add up the files of a layer; it is decompressed for that."""
    return sum(size for size, _ in _sizes(source, image, number))


def _sizes(source: BlobSource, image: Image, number: int) -> list[tuple[int, str]]:
    blob = image.manifest.stack[number]
    opened = open_layer(source, blob, image.config.diff_ids[number])
    return [(entry.size, f"/{entry.path}") for entry, _ in read_tar(opened, f"layer {blob.digest}") if entry.size]


def _files(sizes: list[tuple[int, str]]) -> Iterator[FileSize]:
    named = heapq.nsmallest(_MOST_FILES, sizes, key=lambda row: (-row[0], row[1]))
    yield from (FileSize(path=path, bytes=size) for size, path in named)
    rest = sum(size for size, _ in sizes) - sum(size for size, _ in named)
    if rest:
        yield FileSize(path=f"({len(sizes) - len(named)} smaller files)", bytes=rest)
