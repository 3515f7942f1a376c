"""Sizes of images, to be committed with the source as the baseline for growth.

The same measures give the same bytes, so a commit changes the file only where a figure changed.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from wherry.errors import InvalidDocument
from wherry.typed import from_json

SCHEMA = "wherry.figures/1"
_MOST_MODULES = 10

Bytes = Annotated[int, msgspec.Meta(ge=0)]


class Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What an image weighs on one platform."""

    unpacked: Bytes
    pulled: Bytes
    media_type: str = ""
    """Of the layers; several are joined by a comma."""
    level: int | None = None
    """Compression level of the image's own layers, where the image tells."""
    binary: Bytes = 0
    """Of the biggest program's file; 0 where there is none."""
    modules: dict[str, int] = {}
    """The biggest ones' own bytes, by path."""


class FiguresDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    schema: str = SCHEMA
    images: dict[str, dict[str, Figures]] = {}
    """By service, or by the image's name; then by platform."""

    @classmethod
    def parse(cls, text: bytes, name: str) -> "FiguresDocument":
        """Read the file.

        Raises:
            InvalidDocument: it is invalid, or of another schema.
        """
        try:
            found = from_json(text, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidDocument(name, str(error)) from error
        if found.schema != SCHEMA:
            raise InvalidDocument(name, f"unsupported schema {found.schema!r}; this wherry reads {SCHEMA!r}")
        return found

    def with_images(self, images: Mapping[str, Mapping[str, Figures]]) -> "FiguresDocument":
        """Put in, or replace, the figures of some images."""
        joined = {**self.images, **{name: dict(figures) for name, figures in images.items()}}
        return FiguresDocument(images=joined)

    def encoded(self) -> bytes:
        """Write it down, one value a line, keys in order."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"


def biggest(modules: Mapping[str, int]) -> dict[str, int]:
    """Take the modules that are worth a line."""
    rows = sorted(((path, size) for path, size in modules.items() if path), key=lambda row: (-row[1], row[0]))
    return dict(rows[:_MOST_MODULES])
