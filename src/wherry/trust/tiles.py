"""Tiles: the hashes of a log in files of 256, which any web server or folder can hold.

Source: golang.org/x/mod v0.30, sumdb/tlog/tile.go; C2SP tlog-tiles.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wherry.errors import InvalidDocument
from wherry.trust.tlog import HASH, node_hash

HEIGHT = 8
"""Levels of the tree in one tile."""
WIDTH = 1 << HEIGHT
_DIGITS = 1000
ReadTile = Callable[["LogTile"], bytes]


@dataclass(frozen=True, slots=True)
class LogTile:
    """Some hashes of a log that stand next to each other on one level."""

    level: int
    """The tile's: its hashes are of the tree's level 8 times this."""
    number: int
    width: int = WIDTH
    """Fewer at the right edge of a tree."""

    @property
    def path(self) -> str:
        """Its place on a server: `tile/8/0/x001/234`, a partial one `….p/17`."""
        digits = f"{self.number % _DIGITS:03d}"
        rest = self.number // _DIGITS
        while rest:
            digits = f"x{rest % _DIGITS:03d}/{digits}"
            rest //= _DIGITS
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{HEIGHT}/{self.level}/{digits}{partial}"

    @property
    def whole(self) -> "LogTile":
        """The same one when it is full."""
        return LogTile(self.level, self.number)


def tile_for(size: int, level: int, number: int) -> tuple[LogTile, int, int]:
    """Find the tile of a tree that holds a hash, or what it is made of.

    Args:
        size: records of the tree.
        level: of the hash.
        number: of the hash on its level.

    Returns:
        The tile as it is in a tree of that size, and the first and last (excluded) of its hashes to take.
    """
    above = level % HEIGHT
    first = number << above
    tile_number, start = divmod(first, WIDTH)
    there = (size >> HEIGHT * (level // HEIGHT)) - tile_number * WIDTH
    return LogTile(level // HEIGHT, tile_number, max(min(WIDTH, there), 1)), start, start + (1 << above)


def hash_in(content: bytes, start: int, end: int, name: str) -> bytes:
    """Give the hash of a subtree that a tile's hashes from `start` to `end` are the leaves of.

    Raises:
        InvalidDocument: the tile is too short.
    """
    if len(content) < end * HASH:
        raise InvalidDocument(name, f"{len(content)} bytes; hash {end} is not in it")
    row = [content[at * HASH : (at + 1) * HASH] for at in range(start, end)]
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def reader(size: int, read: ReadTile) -> Callable[[int, int], bytes]:
    """Make what finds hashes of a tree in its tiles."""

    def hash_at(level: int, number: int) -> bytes:
        tile, start, end = tile_for(size, level, number)
        return hash_in(read(tile), start, end, tile.path)

    return hash_at
