"""Images put together so that their waste is known, judged, with every sum checked."""

import random

from archives import file
from built_images import put_layers
from wherry.analysis.image.analyze import analyzed
from wherry.analysis.image.base import base_of
from wherry.analysis.image.document import AnalyzedPlatform
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.read import read_index
from wherry.layer.compress import Encoding
from wherry.layer.entry import Entry
from wherry.oci.config import History
from wherry.oci.image import Image
from wherry.store.contract import BlobSource
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore

ENCODINGS = [Encoding("gzip", 5), Encoding("zstd", 3), Encoding("none", 0)]


def noise(size: int, seed: int = 1) -> bytes:
    """Give bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - no secret


def whiteout(path: str) -> Entry:
    """Hide a path of lower layers."""
    above, _, last = path.rpartition("/")
    return file(f"{above}/.wh.{last}" if above else f".wh.{last}")


def opaque(path: str) -> Entry:
    """Hide what lower layers have in a folder."""
    return file(f"{path}/.wh..wh..opq")


def indexes(source: BlobSource, image: Image) -> list[LayerIndex]:
    """Read every layer."""
    pairs = zip(image.manifest.stack, image.config.diff_ids, strict=True)
    return [read_index(source, blob, diff_id) for blob, diff_id in pairs]


def judged(*layers: list[Entry], encoding: Encoding | None = None, history: tuple[str, ...] = ()) -> AnalyzedPlatform:
    """Analyse an image of layers, and check that its sums reconcile."""
    store = MemoryStore()
    steps = tuple(History(created_by=text) for text in history)
    image = read_image(store, put_layers(store, layers, history=steps, encoding=encoding))
    read = indexes(store, image)
    found = analyzed(image, read, base_of(image))
    reconciled(found, read)
    return found


def reconciled(found: AnalyzedPlatform, read: list[LayerIndex]) -> None:
    """Check every sum that the document promises."""
    waste = found.waste
    assert found.unpacked == found.visible + waste.bytes
    assert sum(waste.causes.values()) == waste.bytes == sum(group.bytes for group in waste.groups)
    assert waste.pulled == sum(group.pulled for group in waste.groups)
    assert waste.bytes == sum(layer.hidden for layer in found.layers)
    assert waste.bytes == sum(file.bytes for file in waste.files) + waste.more_bytes
    assert waste.duplicate_bytes >= sum(one.wasted for one in found.duplicates)
    assert found.unpacked == sum(layer.unpacked for layer in found.layers)
    assert waste.duplicate_bytes <= found.visible
    for layer, index in zip(found.layers, read, strict=True):
        assert layer.stored == index.blob_size >= sum(index.column(2))
        assert layer.tar == index.tar_size == layer.overhead + index.bodies
        assert 0 <= layer.hidden <= layer.unpacked
