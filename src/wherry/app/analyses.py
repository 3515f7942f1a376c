"""Analyses of images, kept in the cache by the manifest's digest; another wherry, or another base, is another key."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wherry import __version__
from wherry.analysis.image.document import SCHEMA, AnalyzedPlatform
from wherry.analysis.image.index import FORMAT
from wherry.app.layer_indexes import FOLDER
from wherry.errors import CannotWrite, InvalidDocument, NotPermitted
from wherry.oci.image import Image
from wherry.store.files import read_regular, replacing
from wherry.typed import from_json

_METHOD = 1
"""Raised when something is judged in another way, so that nothing from before is taken."""
_LARGEST = 64 << 20
_CHECK = 16


@dataclass(frozen=True, slots=True)
class KeptAnalyses:
    """The analyses that a cache folder keeps."""

    cache: Path
    below: Sequence[Image]
    """Images that were named as bases."""
    most: int
    """How many files are named."""

    def get(self, image: Image) -> AnalyzedPlatform | None:
        """Give what is kept of an image; None where nothing is, or it is damaged."""
        path = self._path(image)
        try:
            kept = read_regular(path, _LARGEST)
        except (InvalidDocument, NotPermitted, OSError):
            return None
        if kept is None or hashlib.blake2b(kept[_CHECK:], digest_size=_CHECK).digest() != kept[:_CHECK]:
            return None
        try:
            found = from_json(kept[_CHECK:], AnalyzedPlatform)
        except msgspec.DecodeError:
            return None
        with suppress(OSError):
            os.utime(path)
        return found

    def put(self, image: Image, found: AnalyzedPlatform) -> None:
        """Keep an analysis; a cache that cannot be written is not an error."""
        path, document = self._path(image), msgspec.json.encode(found)
        with suppress(CannotWrite, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(hashlib.blake2b(document, digest_size=_CHECK).digest() + document)

    def _path(self, image: Image) -> Path:
        bases = [str(one.descriptor.digest) for one in self.below]
        words = repr((SCHEMA, __version__, _METHOD, FORMAT, self.most, bases, str(image.platform)))
        key = hashlib.sha256(words.encode()).hexdigest()[:16]
        return self.cache / FOLDER / f"{str(image.descriptor.digest).replace(':', '-')}-{key}.analysis"
