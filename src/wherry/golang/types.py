"""Type data: what the runtime and reflect know of each type, where it lies and whose it is.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, internal/abi/type.go and runtime/type.go (fields),
internal/abi/map.go, map_swiss.go and map_noswiss.go, cmd/compile/internal/reflectdata/reflect.go (what follows them).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.unsignedinteger[Any]]

(
    _ARRAY, _CHAN, _FUNC, _INTERFACE, _MAP, _POINTER, _SLICE, _STRING, _STRUCT, _UNSAFE,
) = range(17, 27)  # fmt: skip
_KINDS = 27
_KIND_MASK = 31
"""What is above was flags, until Go 1.25."""
_UNCOMMON, _NAMED = 1, 4
_SWISS = 24
"""Go 1.24 brought other maps."""
_HAS_TAG, _HAS_PACKAGE = 2, 4
_LONGEST_NAME = 1 << 16
_MOST_LISTED = 1 << 16
"""Fields, parameters or methods of one type."""
_UNCOMMON_SIZE = 16
_METHOD = 16
_IMETHOD = 8


@dataclass(frozen=True, slots=True)
class Region:
    """The bytes that have the type data, with the address of the first."""

    address: int
    content: memoryview
    order: str
    pointer: int
    """Bytes of an address."""

    def words(self, width: int) -> Words:
        """Give all as whole numbers of so many bytes."""
        return np.frombuffer(self.content, dtype=f"{self.order}u{width}", count=len(self.content) // width)


@dataclass(frozen=True, slots=True)
class Names:
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
    """Where the name of its package is, for types that have one of their own; 0 is none."""
    listed: Ints
    """How many fields, parameters or methods it lists, by its kind."""
    mask_size: Ints
    """Bytes of the garbage collector's mask of the type."""
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

    def names(self) -> tuple[Names, Ints, Ints]:
        """Give each name in use once, and for each use the row of the type and that of the name."""
        rows, places = self.name_uses
        unique, inverse = np.unique(places, return_inverse=True)
        ends = _name_ends(self.region, unique)
        return Names(unique, ends), rows, inverse


def read_types(region: Region, minor: int, roots: Ints, *, dense: int = 0) -> TypeTable:
    """Find all types that can be reached, and what they are made of.

    Args:
        region: where types lie; names are in it too.
        minor: the Go: 26 is Go 1.26.
        roots: places that may be types; those that can't be are passed over.
        dense: bytes at the start of the region in which types follow one another (Go 1.27 and newer); 0 is none.

    Cost: a few passes over all types found, as columns.
    """
    reader = _Reader(region, minor)
    seen: Ints = np.zeros(0, np.int64)
    frontier = np.unique(np.concatenate([roots, reader.walked(dense)]))
    batches: list[_Batch] = []
    while len(frontier):
        batch = reader.read(frontier)
        batches.append(batch)
        seen = np.union1d(seen, frontier)
        reached = batch.reached[(batch.reached > 0) & (batch.reached < len(region.content))]
        frontier = np.setdiff1d(reached, seen)
    return _table(region, batches)


@dataclass(frozen=True, slots=True)
class _Batch:
    start: Ints
    end: Ints
    kind: Ints
    named: Flags
    package: Ints
    listed: Ints
    mask_size: Ints
    whole: Ints
    """The place of the type that is made of…"""
    part: Ints
    """…this one, a row each."""
    reached: Ints
    """Places of all types that these name, whatever for."""
    name_of: Ints
    name: Ints
    mask_of: Ints
    mask: Ints


def _table(region: Region, batches: Iterable[_Batch]) -> TypeTable:
    joined = {name: np.concatenate([getattr(one, name) for one in batches] or [np.zeros(0, np.int64)])
              for name in _Batch.__dataclass_fields__}  # fmt: skip
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


@dataclass(slots=True)
class _Reader:
    """Reads types by columns: all of one kind at a time."""

    region: Region
    minor: int
    pointers: Words = field(init=False)
    quads: Words = field(init=False)
    pairs: Words = field(init=False)
    octets: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        region = self.region
        self.pointers = region.words(region.pointer)
        self.quads = region.words(4)
        self.pairs = region.words(2)
        self.octets = np.frombuffer(region.content, dtype=np.uint8)

    @property
    def base(self) -> int:
        """Bytes of what all types begin with."""
        return 4 * self.region.pointer + 16

    def read(self, places: Ints) -> _Batch:
        """Read the types at places; those that can't be any are passed over."""
        start = self.plausible(places)
        pointer = self.region.pointer
        kind = self.kinds(start)
        flags = self.flags(start)
        uncommon = (flags & _UNCOMMON) != 0
        fixed = self.base + self._extra()[kind]
        methods = np.where(uncommon, self.pairs_at(start + fixed + 4), 0)
        listed, width = self._listed(start, kind)
        end = start + fixed + _UNCOMMON_SIZE * uncommon + listed * width + _METHOD * methods
        inside = end <= len(self.region.content)
        start, kind, flags, uncommon, fixed, methods, listed, width, end = (
            column[inside] for column in (start, kind, flags, uncommon, fixed, methods, listed, width, end)
        )
        behind = start + fixed + _UNCOMMON_SIZE * uncommon
        package = np.where(uncommon, self.quads_at(start + np.where(uncommon, fixed, 0)), 0)
        whole, part = self._parts(start, kind, behind, listed)
        methods_at = behind + listed * width
        owner, number = _lists(methods)
        method = methods_at[owner] + _METHOD * number
        method_types = self.quads_at(method + 4)
        users, places = self._names(start, kind, package, [
            *self._member_names(start, kind, behind, listed), (start[owner], self.quads_at(method))
        ])  # fmt: skip
        masks = self.pointers_at(start + 3 * pointer + 8)
        mask_size = (self.pointers_at(start + pointer) // pointer + 7) // 8
        reached = np.concatenate([part, method_types, self.quads_at(start + self.base - 4)])
        return _Batch(
            start, end, kind, (flags & _NAMED) != 0, package, listed, mask_size, whole, part, reached,
            users, places, start, masks,
        )  # fmt: skip

    def plausible(self, places: Ints) -> Ints:
        """Leave out what can't be a type, by its size, alignment, kind and name."""
        pointer, size = self.region.pointer, len(self.region.content)
        places = places[(places >= 0) & (places % pointer == 0) & (places + self.base + pointer * 8 + 32 <= size)]
        if not len(places):
            return places
        octets = self.octets
        tail = places + 2 * pointer + 4
        align, field_align, kind = octets[tail + 1], octets[tail + 2], octets[tail + 3] & _KIND_MASK
        good = (kind > 0) & (kind < _KINDS) & (align == field_align) & np.isin(align, (1, 2, 4, 8))
        good &= (octets[tail] & 0xC0) == 0
        good &= self.pointers_at(places + pointer) <= self.pointers_at(places)
        name = self.quads_at(places + self.base - 8)
        good &= (name > 0) & (name < size - 3)
        good[good] = (octets[name[good]] & 0xF0) == 0
        plausible: Ints = places[good]
        return plausible

    def walked(self, dense: int) -> Ints:
        """Walk types that follow one another, each on a multiple of a pointer's size."""
        extra = self._extra().tolist()
        found: list[int] = []
        at, pointer, last = 0, self.region.pointer, min(dense, len(self.region.content) - 256)
        while at + self.base <= last:
            size = self._size(at, extra)
            if size:
                found.append(at)
            at += size + -size % pointer or pointer
        return np.array(found, dtype=np.int64)

    def _size(self, at: int, extra: list[int]) -> int:
        """Tell how many bytes the type at a place has; 0 where there is none."""
        pointer, quads, pairs = self.region.pointer, self.quads, self.pairs
        tail = at + 2 * pointer + 4
        kind = int(self.octets[tail + 3]) & _KIND_MASK
        if not 0 < kind < _KINDS or self.octets[tail + 1] not in {1, 2, 4, 8} or not quads[(at + self.base - 8) // 4]:
            return 0
        size = self.base + extra[kind]
        listed = 0
        if kind in {_STRUCT, _INTERFACE}:
            listed = int(self.pointers[(at + self.base) // pointer + 2]) * (3 * pointer if kind == _STRUCT else 8)
        elif kind == _FUNC:
            place = (at + self.base) // 2
            listed = (int(pairs[place]) + (int(pairs[place + 1]) & 0x7FFF)) * pointer
        if self.octets[tail] & _UNCOMMON:
            listed += _UNCOMMON_SIZE + _METHOD * int(pairs[(at + size + 4) // 2])
        return size + listed if 0 <= listed <= len(self.region.content) - at else 0

    def kinds(self, start: Ints) -> Ints:
        return (self.octets[start + 2 * self.region.pointer + 7] & _KIND_MASK).astype(np.int64)

    def flags(self, start: Ints) -> Ints:
        return self.octets[start + 2 * self.region.pointer + 4].astype(np.int64)

    def pointers_at(self, places: Ints) -> Ints:
        return self.pointers[np.clip(places // self.region.pointer, 0, len(self.pointers) - 1)].astype(np.int64)

    def quads_at(self, places: Ints) -> Ints:
        return self.quads[np.clip(places // 4, 0, len(self.quads) - 1)].astype(np.int64)

    def pairs_at(self, places: Ints) -> Ints:
        return self.pairs[np.clip(places // 2, 0, len(self.pairs) - 1)].astype(np.int64)

    def _extra(self) -> Ints:
        """Bytes between what all types begin with and the uncommon part, by kind."""
        pointer = self.region.pointer
        sizes = np.zeros(_KINDS, np.int64)
        sizes[[_ARRAY, _CHAN]] = 3 * pointer, 2 * pointer
        sizes[[_POINTER, _SLICE]] = pointer
        sizes[[_STRUCT, _INTERFACE]] = 4 * pointer
        sizes[_FUNC] = pointer
        sizes[_MAP] = (7 * pointer + 4 + -4 % pointer) if self.minor >= _SWISS else 4 * pointer + 8
        return sizes

    def _listed(self, start: Ints, kind: Ints) -> tuple[Ints, Ints]:
        """Tell how many fields, methods or parameters lie behind each, and how wide they are."""
        pointer = self.region.pointer
        count = np.zeros(len(start), np.int64)
        width = np.zeros(len(start), np.int64)
        slices = (kind == _STRUCT) | (kind == _INTERFACE)
        count[slices] = self.pointers_at(start[slices] + self.base + 2 * pointer)
        width[kind == _STRUCT] = 3 * pointer
        width[kind == _INTERFACE] = _IMETHOD
        functions = kind == _FUNC
        at = start[functions] + self.base
        count[functions] = self.pairs_at(at) + (self.pairs_at(at + 2) & 0x7FFF)
        width[functions] = pointer
        # A count from a broken file may be anything: such a type ends outside the region, and is passed over.
        return np.where((count < 0) | (count > _MOST_LISTED), len(self.region.content), count), width

    def _parts(self, start: Ints, kind: Ints, behind: Ints, listed: Ints) -> tuple[Ints, Ints]:
        """Give each type with those it is made of."""
        pointer, base, address = self.region.pointer, self.base, self.region.address
        wholes: list[Ints] = []
        parts: list[Ints] = []
        for place, which in enumerate(((_ARRAY, _CHAN, _POINTER, _SLICE, _MAP), (_ARRAY, _MAP), (_MAP,))):
            some = start[np.isin(kind, which)]
            wholes.append(some)
            parts.append(self.pointers_at(some + base + place * pointer) - address)
        owner, number = _lists(np.where(kind == _STRUCT, listed, 0))
        wholes.append(start[owner])
        parts.append(self.pointers_at(behind[owner] + (3 * number + 1) * pointer) - address)
        owner, number = _lists(np.where(kind == _FUNC, listed, 0))
        wholes.append(start[owner])
        parts.append(self.pointers_at(behind[owner] + number * pointer) - address)
        owner, number = _lists(np.where(kind == _INTERFACE, listed, 0))
        wholes.append(start[owner])
        parts.append(self.quads_at(behind[owner] + _IMETHOD * number + 4))
        whole, part = np.concatenate(wholes), np.concatenate(parts)
        real = (part > 0) & (part < len(self.region.content))
        return whole[real], part[real]

    def _names(self, start: Ints, kind: Ints, package: Ints, members: Iterable[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
        """Give types with the places of all names they use: their own, their package's, those of members."""
        bound = start[np.isin(kind, (_STRUCT, _INTERFACE))]
        pairs = [
            (start, self.quads_at(start + self.base - 8)),
            (start[package > 0], package[package > 0]),
            (bound, self.pointers_at(bound + self.base) - self.region.address),
            *members,
        ]
        users, places = (np.concatenate(column) for column in zip(*pairs, strict=True))
        real = (places > 0) & (places < len(self.region.content) - 2)
        return users[real], places[real]

    def _member_names(self, start: Ints, kind: Ints, behind: Ints, listed: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Give structs and interfaces with the places of their fields' and methods' names."""
        pointer = self.region.pointer
        owner, number = _lists(np.where(kind == _STRUCT, listed, 0))
        yield start[owner], self.pointers_at(behind[owner] + 3 * number * pointer) - self.region.address
        owner, number = _lists(np.where(kind == _INTERFACE, listed, 0))
        yield start[owner], self.quads_at(behind[owner] + _IMETHOD * number)


def _lists(counts: Ints) -> tuple[Ints, Ints]:
    """Number the members of lists: for each, its list and its place therein."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _name_ends(region: Region, starts: Ints) -> Ints:
    """Tell where names end: flags, length, text, and perhaps a tag with its length and a package's place."""
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
