"""Type data, a table at a time: which bytes a type has, what it is made of, which names it uses.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, internal/abi/type.go and runtime/type.go (fields, and
`DescriptorSize`), internal/abi/map.go, map_swiss.go and map_noswiss.go, cmd/compile/internal/reflectdata/reflect.go
(what follows them, and `dgcprog`).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherry.golang.columns import Ints, members

Flags = NDArray[np.bool_]
Words = NDArray[np.unsignedinteger[Any]]

(
    ARRAY, CHAN, FUNC, INTERFACE, MAP, POINTER, SLICE, STRING, STRUCT, UNSAFE,
) = range(17, 27)  # fmt: skip
PROGRAM = -1
"""In place of the size of a mask: a program that makes the mask, whose length stands before it in 4 bytes."""

_KINDS = 27
_KIND_MASK = 31
"""What is above was flags, until Go 1.25."""
_BY_PROGRAM = 64
"""Such a flag: the garbage collector's mask is made by a program. Go 1.24 makes masks of large types when asked for."""
_UNCOMMON, _NAMED, _ON_DEMAND = 1, 4, 16
_SWISS, _SPREAD = 24, 27
"""Go 1.24 brought other maps, and Go 1.27 says more of their groups."""
_MOST_LISTED = 1 << 16
"""Fields, parameters or methods of one type."""
_UNCOMMON_SIZE = 16
_METHOD = 16
_IMETHOD = 8


def map_size(minor: int, pointer: int, experiments: Collection[str] = ()) -> int:
    """Report how many bytes a map type has behind what all types begin with.

    Args:
        minor: the Go: 26 is Go 1.26.
        pointer: bytes of an address.
        experiments: what the build switched on or off; Go 1.24 and 1.25 have the old maps with `noswissmap`.
    """
    if minor < _SWISS or "noswissmap" in experiments:
        return 4 * pointer + 8
    words = 7 if minor < _SPREAD else 10
    return words * pointer + 4 + -4 % pointer


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
class Batch:
    """Types that were read in one go, a row a type, and what is known of them; places count from the region."""

    start: Ints
    end: Ints
    kind: Ints
    named: Flags
    package: Ints
    listed: Ints
    members: Ints
    """What it lists, and its methods."""
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


@dataclass(slots=True)
class Reader:
    """Reads types by columns: all of one kind at a time."""

    region: Region
    minor: int
    experiments: Collection[str] = ()
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

    def read(self, places: Ints, room: int) -> Batch:
        """Read the types at places; those that can't be any are passed over.

        Args:
            places: sorted, each once.
            room: how many fields, parameters and methods all may list together; more are those of a made-up file.
        """
        start = self.plausible(places)
        pointer = self.region.pointer
        kind = self._kinds(start)
        flags = self._flags(start)
        uncommon = (flags & _UNCOMMON) != 0
        fixed = self.base + self._extra()[kind]
        methods = np.where(uncommon, self._pairs_at(start + fixed + 4), 0)
        listed, width = self._listed(start, kind)
        end = start + fixed + _UNCOMMON_SIZE * uncommon + listed * width + _METHOD * methods
        inside = end <= len(self.region.content)
        inside &= np.cumsum(np.where(inside, listed + methods, 0)) <= room
        start, kind, flags, uncommon, fixed, methods, listed, width, end = (
            column[inside] for column in (start, kind, flags, uncommon, fixed, methods, listed, width, end)
        )
        behind = start + fixed + _UNCOMMON_SIZE * uncommon
        package = np.where(uncommon, self._quads_at(start + np.where(uncommon, fixed, 0)), 0)
        whole, part = self._parts(start, kind, behind, listed)
        methods_at = behind + listed * width
        owner, number = members(methods)
        method = methods_at[owner] + _METHOD * number
        method_types = self._quads_at(method + 4)
        users, places = self._names(start, kind, package, [
            *self._member_names(start, kind, behind, listed), (start[owner], self._quads_at(method))
        ])  # fmt: skip
        masks = self._pointers_at(start + 3 * pointer + 8)
        reached = np.concatenate([part, method_types, self._quads_at(start + self.base - 4)])
        return Batch(
            start, end, kind, (flags & _NAMED) != 0, package, listed, listed + methods, self._mask_sizes(start), whole,
            part, reached, users, places, start, masks,
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
        good &= self._pointers_at(places + pointer) <= self._pointers_at(places)
        name = self._quads_at(places + self.base - 8)
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
        """Report how many bytes the type at a place has; 0 where there is none."""
        pointer, quads, pairs = self.region.pointer, self.quads, self.pairs
        tail = at + 2 * pointer + 4
        kind = int(self.octets[tail + 3]) & _KIND_MASK
        if not 0 < kind < _KINDS or self.octets[tail + 1] not in {1, 2, 4, 8} or not quads[(at + self.base - 8) // 4]:
            return 0
        size = self.base + extra[kind]
        listed = 0
        if kind in {STRUCT, INTERFACE}:
            listed = int(self.pointers[(at + self.base) // pointer + 2]) * (3 * pointer if kind == STRUCT else 8)
        elif kind == FUNC:
            place = (at + self.base) // 2
            listed = (int(pairs[place]) + (int(pairs[place + 1]) & 0x7FFF)) * pointer
        if self.octets[tail] & _UNCOMMON:
            listed += _UNCOMMON_SIZE + _METHOD * int(pairs[(at + size + 4) // 2])
        return size + listed if 0 <= listed <= len(self.region.content) - at else 0

    def _kinds(self, start: Ints) -> Ints:
        return (self.octets[start + 2 * self.region.pointer + 7] & _KIND_MASK).astype(np.int64)

    def _flags(self, start: Ints) -> Ints:
        return self.octets[start + 2 * self.region.pointer + 4].astype(np.int64)

    def _pointers_at(self, places: Ints) -> Ints:
        return self.pointers[np.clip(places // self.region.pointer, 0, len(self.pointers) - 1)].astype(np.int64)

    def _quads_at(self, places: Ints) -> Ints:
        return self.quads[np.clip(places // 4, 0, len(self.quads) - 1)].astype(np.int64)

    def _pairs_at(self, places: Ints) -> Ints:
        return self.pairs[np.clip(places // 2, 0, len(self.pairs) - 1)].astype(np.int64)

    def _extra(self) -> Ints:
        """Bytes between what all types begin with and the uncommon part, by kind."""
        pointer = self.region.pointer
        sizes = np.zeros(_KINDS, np.int64)
        sizes[[ARRAY, CHAN]] = 3 * pointer, 2 * pointer
        sizes[[POINTER, SLICE]] = pointer
        sizes[[STRUCT, INTERFACE]] = 4 * pointer
        sizes[FUNC] = pointer
        sizes[MAP] = map_size(self.minor, pointer, self.experiments)
        return sizes

    def _mask_sizes(self, start: Ints) -> Ints:
        pointer = self.region.pointer
        sizes = (self._pointers_at(start + pointer) // pointer + 7) // 8
        if self.minor < _SWISS:
            raw = self.octets[start + 2 * pointer + 7]
            return np.where((raw & _BY_PROGRAM) != 0, PROGRAM, sizes)
        return np.where((self._flags(start) & _ON_DEMAND) != 0, 0, sizes)

    def _listed(self, start: Ints, kind: Ints) -> tuple[Ints, Ints]:
        """Report how many fields, methods or parameters follow each, and how wide they are."""
        pointer = self.region.pointer
        count = np.zeros(len(start), np.int64)
        width = np.zeros(len(start), np.int64)
        slices = (kind == STRUCT) | (kind == INTERFACE)
        count[slices] = self._pointers_at(start[slices] + self.base + 2 * pointer)
        width[kind == STRUCT] = 3 * pointer
        width[kind == INTERFACE] = _IMETHOD
        functions = kind == FUNC
        at = start[functions] + self.base
        count[functions] = self._pairs_at(at) + (self._pairs_at(at + 2) & 0x7FFF)
        width[functions] = pointer
        # A count from a broken file may be anything: such a type ends outside the region, and is passed over.
        return np.where((count < 0) | (count > _MOST_LISTED), len(self.region.content), count), width

    def _parts(self, start: Ints, kind: Ints, behind: Ints, listed: Ints) -> tuple[Ints, Ints]:
        """Give each type with those it is made of."""
        pointer, base, address = self.region.pointer, self.base, self.region.address
        wholes: list[Ints] = []
        parts: list[Ints] = []
        for place, which in enumerate(((ARRAY, CHAN, POINTER, SLICE, MAP), (ARRAY, MAP), (MAP,))):
            some = start[np.isin(kind, which)]
            wholes.append(some)
            parts.append(self._pointers_at(some + base + place * pointer) - address)
        owner, number = members(np.where(kind == STRUCT, listed, 0))
        wholes.append(start[owner])
        parts.append(self._pointers_at(behind[owner] + (3 * number + 1) * pointer) - address)
        owner, number = members(np.where(kind == FUNC, listed, 0))
        wholes.append(start[owner])
        parts.append(self._pointers_at(behind[owner] + number * pointer) - address)
        owner, number = members(np.where(kind == INTERFACE, listed, 0))
        wholes.append(start[owner])
        parts.append(self._quads_at(behind[owner] + _IMETHOD * number + 4))
        whole, part = np.concatenate(wholes), np.concatenate(parts)
        real = (part > 0) & (part < len(self.region.content))
        return whole[real], part[real]

    def _names(self, start: Ints, kind: Ints, package: Ints, members: Iterable[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
        """Give types with the places of all names they use: their own, their package's, those of members."""
        bound = start[np.isin(kind, (STRUCT, INTERFACE))]
        pairs = [
            (start, self._quads_at(start + self.base - 8)),
            (start[package > 0], package[package > 0]),
            (bound, self._pointers_at(bound + self.base) - self.region.address),
            *members,
        ]
        users, places = (np.concatenate(column) for column in zip(*pairs, strict=True))
        real = (places > 0) & (places < len(self.region.content) - 2)
        return users[real], places[real]

    def _member_names(self, start: Ints, kind: Ints, behind: Ints, listed: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Give structs and interfaces with the places of their fields' and methods' names."""
        pointer = self.region.pointer
        owner, number = members(np.where(kind == STRUCT, listed, 0))
        yield start[owner], self._pointers_at(behind[owner] + 3 * number * pointer) - self.region.address
        owner, number = members(np.where(kind == INTERFACE, listed, 0))
        yield start[owner], self._quads_at(behind[owner] + _IMETHOD * number)
