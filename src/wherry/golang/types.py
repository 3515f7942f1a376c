"""Type data: what the runtime and reflect know of each type, where it is and which package owns it.

Imported late: it needs numpy. Sources: those of `typereader.py`; Go 1.26, internal/abi/type.go (`Name`).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wherry.golang.columns import Ints
from wherry.golang.typereader import Batch, Flags, Reader, Region

_HAS_TAG, _HAS_PACKAGE = 2, 4
_LONGEST_NAME = 1 << 16
_DEEPEST = 256
"""How many steps types are followed from those that are listed; programs have some ten."""
_SMALLEST_MEMBER = 4
"""Bytes of a parameter, the smallest thing that a type lists, where addresses have 4."""


@dataclass(frozen=True, slots=True)
class TypeNames:
    """Names of types, fields, methods and packages, as the type data has them; places count from the region."""

    start: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class TypeTable:
    """Types that were found, a row a type; places count from the region's first byte."""

    region: Region
    start: Ints
    end: Ints
    """Behind fields, parameters and methods."""
    kind: Ints
    named: Flags
    package: Ints
    """Where the name of its package is, for types that have one of their own; 0: none."""
    listed: Ints
    """How many fields, parameters or methods it lists, by its kind."""
    mask_size: Ints
    """Bytes of the garbage collector's mask of the type; 0 where it has none in the file, `PROGRAM` for a program."""
    parts: tuple[Ints, Ints]
    """What types are made of: rows of the type, and of its element, key, field or parameter."""
    name_uses: tuple[Ints, Ints]
    """Which names types use: rows, and places of names."""
    mask_uses: tuple[Ints, Ints]
    """Where the garbage collector's masks of types are: rows, and addresses."""

    def __len__(self) -> int:
        return len(self.start)

    def rows_at(self, places: Ints) -> Ints:
        """Find types by where they begin; -1 where none does."""
        if not len(self):
            return np.full(len(places), -1)
        row = np.minimum(np.searchsorted(self.start, places), len(self) - 1)
        return np.where(self.start[row] == places, row, -1)

    def text(self, place: int) -> str:
        """Read a name."""
        content = self.region.content
        size, at = _varint(content, place + 1)
        return bytes(content[at : at + min(size, _LONGEST_NAME)]).decode(errors="replace")

    def texts(self, places: Ints) -> list[str]:
        """Read names; when they were more bytes than there are, the rest are empty."""
        left, found = len(self.region.content), list[str]()
        for place in places.tolist():
            text = self.text(place) if place and left > 0 else ""
            left -= len(text)
            found.append(text)
        return found

    def names(self) -> tuple[TypeNames, Ints, Ints]:
        """Give each name in use once, and for each use the row of the type and that of the name."""
        rows, places = self.name_uses
        unique, inverse = np.unique(places, return_inverse=True)
        ends = _name_ends(self.region, unique)
        return TypeNames(unique, ends), rows, inverse


def read_types(
    region: Region, minor: int, roots: Ints, *, dense: int = 0, experiments: Collection[str] = ()
) -> TypeTable:
    """Find all types that can be reached, and what they are made of.

    Args:
        region: the bytes of types; names are in it too.
        minor: the Go: 26 is Go 1.26.
        roots: places that may be types; those that can't be are passed over.
        dense: bytes at the start of the region in which types follow one another (Go 1.27 and newer); 0: none.
        experiments: what GOEXPERIMENT was when it was built.

    Returns:
        The types; where they would list more than the region has room for, they overlap on purpose, and
        those that are too many are left out.

    Cost: a few passes over all types found, as columns.
    """
    reader = Reader(region, minor, experiments)
    seen: Ints = np.zeros(0, np.int64)
    frontier = np.unique(np.concatenate([roots, reader.walked(dense)]))
    batches: list[Batch] = []
    room = len(region.content) // _SMALLEST_MEMBER
    for _ in range(_DEEPEST):
        if not len(frontier):
            break
        batch = reader.read(frontier, room)
        batches.append(batch)
        room -= int(batch.members.sum())
        seen = np.union1d(seen, frontier)
        reached = batch.reached[(batch.reached > 0) & (batch.reached < len(region.content))]
        frontier = np.setdiff1d(reached, seen)
    return _table(region, batches)


def _table(region: Region, batches: Iterable[Batch]) -> TypeTable:
    joined = {name: np.concatenate([getattr(one, name) for one in batches] or [np.zeros(0, np.int64)])
              for name in Batch.__dataclass_fields__}  # fmt: skip
    order = np.argsort(joined["start"])
    start = joined["start"][order]
    table = TypeTable(
        region, start, joined["end"][order], joined["kind"][order], joined["named"][order].astype(bool),
        joined["package"][order], joined["listed"][order], joined["mask_size"][order], _NO_PAIRS, _NO_PAIRS, _NO_PAIRS,
    )  # fmt: skip
    part = table.rows_at(joined["part"])
    return replace(
        table,
        parts=(table.rows_at(joined["whole"])[part >= 0], part[part >= 0]),
        name_uses=(table.rows_at(joined["name_of"]), joined["name"]),
        mask_uses=(table.rows_at(joined["mask_of"]), joined["mask"]),
    )


_NO_PAIRS: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _name_ends(region: Region, starts: Ints) -> Ints:
    """Report where names end: flags, length, text, and perhaps a tag with its length and a package's place."""
    octets = np.frombuffer(region.content, dtype=np.uint8)
    flags = octets[starts]
    at = _behind_text(octets, starts + 1)
    tagged = (flags & _HAS_TAG) != 0
    at = np.where(tagged, _behind_text(octets, at), at)
    return np.minimum(np.where((flags & _HAS_PACKAGE) != 0, at + 4, at), len(octets))


def _behind_text(octets: NDArray[np.uint8], places: Ints) -> Ints:
    """Step over texts that begin with their length as a varint of at most three bytes."""
    size = np.zeros(len(places), np.int64)
    at = np.minimum(places, len(octets) - 1)
    more = np.ones(len(places), dtype=bool)
    for shift in (0, 7, 14):
        byte = octets[at].astype(np.int64)
        size += np.where(more, (byte & 0x7F) << shift, 0)
        at = np.where(more, np.minimum(at + 1, len(octets) - 1), at)
        more &= byte >= 0x80  # noqa: PLR2004 - a varint goes on
    return np.minimum(at + size, len(octets))


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    size = shift = 0
    for byte in content[place : place + 3]:
        size |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            break
    return size, place
