"""What both formats give: named ranges of a file, and for what."""

import struct
from dataclasses import dataclass

from wherry.errors import InvalidDocument


@dataclass(frozen=True, slots=True)
class FilePart:
    """A named range of the file; ranges of a broken file may overlap."""

    name: str
    offset: int
    size: int
    """Bytes in the file."""
    kind: str
    """What it is for: code, pclntab, rodata, data, debug, symbols, linking, headers."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An executable of another system."""

    architecture: str
    """As GOARCH says it."""
    parts: tuple[FilePart, ...]
    """Those that the file has bytes for, in the order of its tables."""
    symbols: bool
    """Whether it has a symbol table with rows."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A file, read by fields; reading outside of it is an error with its place."""

    view: memoryview
    name: str

    def row(self, form: str, offset: int, part: str) -> tuple[int, ...]:
        """Read numbers.

        Raises:
            InvalidDocument: they go past the end of the file.
        """
        row = struct.Struct(form)
        self.check(part, offset, row.size)
        return row.unpack_from(self.view, offset)

    def check(self, part: str, offset: int, size: int) -> None:
        """Hold a range against the file.

        Raises:
            InvalidDocument: it goes past its end.
        """
        if offset + size > len(self.view):
            raise InvalidDocument(
                self.name,
                f"{part}: {size} bytes at offset {offset} exceed the file ({len(self.view)} bytes)",
                hint="the file is truncated; copy it again",
            )
