"""An image to go through: its trees, layer by layer, and the files in them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from wherry.analysis.image.document import AnalyzedPlatform
from wherry.analysis.image.explore import Explorer, TreeEntry
from wherry.analysis.image.index import FILE
from wherry.analysis.size import BinarySize
from wherry.app.analyze import images_there
from wherry.app.images import OpenImage, open_image
from wherry.app.session import Session
from wherry.errors import InvalidUsage, NotFound
from wherry.layer.decompress import open_layer
from wherry.layer.tar import CHUNK, TarBody, read_tar
from wherry.oci.image import Image
from wherry.store.files import replacing

_SHOWN = 1 << 18
"""Bytes of a file that are shown."""


@dataclass(frozen=True, slots=True)
class ExploredImage:
    """One image of one platform, with what reads its files."""

    session: Session
    found: OpenImage
    image: Image
    analyzed: AnalyzedPlatform
    explorer: Explorer

    def start(self, entry: TreeEntry) -> bytes:
        """Read the start of a file.

        Raises:
            NotFound: no layer has it, or it is no file.
        """
        with self._opened(entry) as body:
            content = b""
            while len(content) < _SHOWN and (chunk := body.read(_SHOWN - len(content))):
                content += chunk
            return content

    def extract(self, entry: TreeEntry, target: Path) -> None:
        """Write a file's content to a path where nothing is.

        Raises:
            NotFound: no layer has it, or it is no file.
            InvalidUsage: something is there.
            CannotWrite: no space, or not allowed.
        """
        if os.path.lexists(target):
            raise InvalidUsage(f"{target}: exists", hint="move it away, or start wherry in another directory")
        with self._opened(entry) as body, replacing(target) as out:
            while chunk := body.read(CHUNK):
                out.write(chunk)

    def packages(self, entry: TreeEntry) -> BinarySize:
        """Measure a program, as `wherry size` does.

        Raises:
            NotFound: it is no program, or no file.
        """
        from wherry.app.sizes import size

        with TemporaryDirectory(prefix="wherry-") as folder:
            path = Path(folder) / "program"
            self.extract(entry, path)
            return size(self.session, str(path), functions=False).binaries[0]

    @contextmanager
    def _opened(self, entry: TreeEntry) -> Iterator[TarBody]:
        if entry.kind != FILE or entry.layer < 0:
            raise NotFound(f"{os.fsdecode(entry.name)}: not a file of a layer", hint="choose a regular file")
        blob = self.image.manifest.stack[entry.layer]
        stream = open_layer(self.found.source, blob, self.image.config.diff_ids[entry.layer])
        row = -1
        for place, body in _rows(read_tar(stream, f"layer {blob.digest}", sparse=True)):
            row = place
            if row == entry.row:
                yield body
                return
        raise NotFound(f"{os.fsdecode(entry.name)}: not in layer {entry.layer + 1}", hint="analyze the image again")


def _rows(entries: "Iterator[tuple[object, TarBody]]") -> Iterator[tuple[int, TarBody]]:
    """Number entries as an index does, which leaves out those that mean nothing."""
    from wherry.layer.changes import is_bookkeeping
    from wherry.layer.entry import Entry

    row = 0
    for entry, body in entries:
        if isinstance(entry, Entry) and is_bookkeeping(entry):
            continue
        yield row, body
        row += 1


def explore(session: Session, name: str, *, platform: str | None = None) -> ExploredImage:
    """Open an image to go through it.

    Args:
        session: where it is looked for.
        name: an image, as `open_image` takes it.
        platform: of an image with several, the one that is meant; None: the first.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
    """
    from wherry.analysis.image.analyze import analyzed
    from wherry.analysis.image.base import base_of
    from wherry.app.layer_indexes import LayerIndexes

    found = open_image(session, name)
    image = images_there(found, platform)[0]
    layers = LayerIndexes.of(session).of_image(found.source, image)
    return ExploredImage(session, found, image, analyzed(image, layers, base_of(image)), Explorer(layers))
