"""What is kept of a checksum database: answers to lookups, tiles, the biggest tree head ever seen.

Everything in it is checked again whenever it is used, so a changed file costs a request and no trust. Go's own cache
has the same layout, and is read too.
Source: Go 1.26, cmd/go/internal/modfetch/sumdb.go (`ReadCache`, `ReadConfig`).
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import CannotWrite, InvalidDocument, NotPermitted
from wherry.store.files import read_regular, replacing

LARGEST_ANSWER = 1 << 20
"""Bytes of a lookup, a tile (8 KiB) or a head."""
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class SumCache:
    """Folders of one database."""

    own: Path
    """Where wherry keeps what it was given."""
    others: tuple[Path, ...] = ()
    """Folders of the Go command, which are only read."""

    def read(self, path: str) -> Iterator[bytes]:
        """Give what is kept under a path, ours first."""
        for folder in (self.own, *self.others):
            with suppress(InvalidDocument, NotPermitted, OSError, ValueError):
                content = read_regular(folder / path, LARGEST_ANSWER)
                if content:
                    yield content

    def write(self, path: str, content: bytes) -> None:
        """Keep something; a folder that cannot be written is not an error."""
        with suppress(CannotWrite, OSError):
            place = self.own / path
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as file:
                file.write(content)
