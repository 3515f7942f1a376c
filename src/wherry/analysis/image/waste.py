"""Waste of an image to the byte: what is hidden, there twice, or rarely needed; by layer and cause."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from wherry.analysis.image import index as kinds
from wherry.analysis.image.kinds import Unneeded, unneeded
from wherry.analysis.image.union import Fate, Union

_PATHS = 5
_START, _NUMBER = 3, 32
"""Bytes of a digest that files are sorted by, and bits of a file's number below them."""
_FOLDERS = 3


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a layer."""

    number: int
    """In the union."""
    path: str
    """Absolute."""
    layer: int
    """0 is the base's first."""
    size: int
    pulled: int


@dataclass(slots=True)
class FileGroup:
    """Files that have layer and cause or kind in common."""

    files: int = 0
    bytes: int = 0
    pulled: int = 0
    _most: list[tuple[int, int]] = field(default_factory=list)

    def add(self, number: int, size: int, pulled: int) -> None:
        """Count a file."""
        self.files += 1
        self.bytes += size
        self.pulled += pulled
        if len(self._most) < _PATHS:
            heapq.heappush(self._most, (size, -number))
        elif (size, -number) > self._most[0]:
            heapq.heapreplace(self._most, (size, -number))

    @property
    def biggest(self) -> tuple[int, ...]:
        """Numbers of the biggest files, most bytes first."""
        return tuple(-number for _, number in sorted(self._most, reverse=True))


@dataclass(frozen=True, slots=True)
class Sizes:
    """What each file of a union has, by its number."""

    union: Union
    wire: tuple[bool, ...]
    """Whether a layer's blob counts as pulled: of one that is there twice only the last."""
    _sizes: tuple[Sequence[int], ...]
    _pulled: tuple[Sequence[int], ...]

    @classmethod
    def of(cls, union: Union) -> "Sizes":
        """Read the columns once."""
        blobs = [layer.blob for layer in union.layers]
        return cls(
            union,
            tuple(blob not in blobs[number + 1 :] for number, blob in enumerate(blobs)),
            tuple(layer.column(0) for layer in union.layers),
            tuple(layer.column(2) for layer in union.layers),
        )

    def size(self, number: int) -> int:
        """Give the bytes of a file."""
        layer, row = self.union.place(number)
        return self._sizes[layer][row]

    def pulled(self, number: int) -> int:
        """Give its share of the pulled bytes."""
        layer, row = self.union.place(number)
        return self._pulled[layer][row] if self.wire[layer] else 0

    def unpacked(self, layer: int) -> int:
        """Give the bytes of all files of a layer."""
        return sum(self._sizes[layer])

    def found(self, numbers: Iterable[int]) -> dict[int, FoundFile]:
        """Name files by the paths that their layers have them under."""
        wanted = set(numbers)
        found = {}
        for layer, path_rows in enumerate(self.union.layers):
            first, last = self.union.firsts[layer], self.union.firsts[layer + 1]
            rows = {number - first for number in wanted if first <= number < last}
            if rows:
                for row, path in enumerate(path_rows.each_path()):
                    if row in rows:
                        number = first + row
                        found[number] = FoundFile(number, text(path), layer, self.size(number), self.pulled(number))
        return found


def text(path: bytes) -> str:
    """Write a path of a row as a reader knows it; bytes that are no UTF-8 are escaped, since JSON has only text."""
    return "/" + path.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class HiddenFiles:
    """All files that no container sees."""

    groups: Mapping[tuple[Fate, int, int], FileGroup]
    """By cause, the file's layer and the layer that hides it."""
    most: tuple[int, ...]
    """The biggest, by number."""

    @property
    def files(self) -> int:
        """How many there are."""
        return sum(group.files for group in self.groups.values())

    @property
    def bytes(self) -> int:
        """What they take, unpacked."""
        return sum(group.bytes for group in self.groups.values())

    @property
    def pulled(self) -> int:
        """What they take of the pulled bytes."""
        return sum(group.pulled for group in self.groups.values())


def hidden_files(sizes: Sizes, most: int) -> HiddenFiles:
    """Find what is shipped and cannot be seen; `most` of the biggest are named."""
    union = sizes.union
    groups: dict[tuple[Fate, int, int], FileGroup] = {}

    def each() -> Iterator[tuple[int, int]]:
        for number in union.hidden():
            layer, _ = union.place(number)
            size = sizes.size(number)
            key = (union.fate(number), layer, union.hider(number))
            groups.setdefault(key, FileGroup()).add(number, size, sizes.pulled(number))
            yield -size, number

    biggest = heapq.nsmallest(max(most, 1), each())  # of none it would go through none
    return HiddenFiles(groups, tuple(number for _, number in biggest[:most]))


@dataclass(frozen=True, slots=True)
class Copies:
    """A content that several visible files have."""

    digest: bytes
    size: int
    numbers: tuple[int, ...]
    """The files, the first stays."""
    pulled: int
    """Of all but the first."""

    @property
    def wasted(self) -> int:
        """Bytes of all but the first."""
        return self.size * (len(self.numbers) - 1)


@dataclass(frozen=True, slots=True)
class Visible:
    """What a container sees of an image's files."""

    files: int
    bytes: int
    duplicates: tuple[Copies, ...]
    """Those that were asked for, most wasted bytes first."""
    contents: int
    """All contents that several files have."""
    duplicate_bytes: int
    """Of all of them, but for the first file of each."""
    duplicate_pulled: int
    unneeded: Mapping[tuple[Unneeded, int], FileGroup]
    """By kind and layer."""
    folders: Mapping[tuple[Unneeded, int], tuple[str, ...]]
    """Folders that could be removed, most bytes first."""


def visible_files(sizes: Sizes, most: int) -> Visible:
    """Go through what a container sees; `most` of the largest duplicates are named.

    Cost: two passes over the tree; memory for the files that have another of the same size.
    """
    union = sizes.union
    seen = bytearray(-(-union.firsts[-1] // 8))
    counts: Counter[int] = Counter()
    files = total = 0
    judged = _Judged(sizes)
    linked: dict[int, bytes] = {}
    columns = [(layer.kinds, layer.column(0)) for layer in union.layers]
    for path, _, number in union.walk():
        layer, row = union.place(number)
        of_layer, sizes_of_layer = columns[layer]
        if of_layer[row] != kinds.FILE:
            continue
        if number in union.linked:
            # One with several names is needed where any of them is.
            if number not in linked or unneeded(path) is None:
                linked[number] = path
            if seen[number >> 3] & 1 << (number & 7):
                continue
        else:
            judged.add(path, number, layer, row)
        seen[number >> 3] |= 1 << (number & 7)
        files, size = files + 1, sizes_of_layer[row]
        total += size
        if size:
            counts[size] += 1
    for number, path in linked.items():
        judged.add(path, number, *union.place(number))
    several = {size for size, count in counts.items() if count > 1}
    return Visible(
        files,
        total,
        *_duplicates(sizes, seen, several, most),
        judged.groups,
        {key: _removable(counted) for key, counted in judged.folders.items()},
    )


@dataclass(slots=True)
class _Judged:
    """Visible files by the kind they are rarely needed for."""

    sizes: Sizes
    groups: dict[tuple[Unneeded, int], FileGroup] = field(default_factory=dict)
    folders: dict[tuple[Unneeded, int], "Counter[bytes]"] = field(default_factory=dict)
    _roots: dict[tuple[bytes, Unneeded], bytes] = field(default_factory=dict)

    def add(self, path: bytes, number: int, layer: int, row: int) -> None:
        """Count a file under its kind, if it has one, or what of it is for debuggers."""
        kind = unneeded(path)
        debug = 0 if kind else self.sizes.union.layers[layer].debug.get(row, 0)
        if kind is None and not debug:
            return
        size, pulled = self.sizes.size(number), self.sizes.pulled(number)
        if kind is None:
            kind, size, pulled = Unneeded.DEBUG, debug, pulled * debug // max(size, 1)
        key = (kind, layer)
        self.groups.setdefault(key, FileGroup()).add(number, size, pulled)
        if folder := self._folder_of(path.rpartition(b"/")[0], kind):
            self.folders.setdefault(key, Counter())[folder] += size

    def _folder_of(self, above: bytes, kind: Unneeded) -> bytes:
        """Give the highest folder in which everything is of the kind; empty where there is none."""
        key = (above, kind)
        if (known := self._roots.get(key)) is None:
            parts = above.split(b"/")
            prefixes = (b"/".join(parts[:count]) for count in range(1, len(parts) + 1))
            known = next((one for one in prefixes if one and unneeded(one + b"/x") is kind), b"")
            self._roots[key] = known
        return known


def _removable(counted: "Counter[bytes]") -> tuple[str, ...]:
    return tuple(text(folder) for folder, _ in counted.most_common(_FOLDERS))


def _duplicates(
    sizes: Sizes, seen: bytearray, several: set[int], most: int
) -> tuple[tuple[Copies, ...], int, int, int]:
    """Give the contents with most bytes twice, and of all of them: how many, their bytes and pulled bytes twice."""
    count = wasted = pulled = 0

    def each() -> Iterator[Copies]:
        nonlocal count, wasted, pulled
        for numbers in _same(sizes, seen, several):
            first, *others = numbers
            layer, row = sizes.union.place(first)
            digest = sizes.union.layers[layer].digest_of(row)
            found = Copies(digest, sizes.size(first), tuple(numbers), sum(map(sizes.pulled, others)))
            count, wasted, pulled = count + 1, wasted + found.wasted, pulled + found.pulled
            yield found

    largest = heapq.nsmallest(max(most, 1), each(), key=lambda one: (-one.wasted, one.numbers))
    return tuple(largest[:most]), count, wasted, pulled


def _same(sizes: Sizes, seen: bytearray, several: set[int]) -> Iterator[list[int]]:
    """Give the files of each content that several have: sorted by the digest's start, since a group each is large."""
    union = sizes.union
    keys: list[int] = []
    for layer, first in zip(union.layers, union.firsts, strict=False):
        columns = zip(layer.kinds, layer.column(0), strict=True)
        for number, (kind, size) in enumerate(columns, first):
            if kind == kinds.FILE and size in several and seen[number >> 3] & 1 << (number & 7):
                start = layer.digest_of(number - first)[:_START]
                keys.append(int.from_bytes(start, "big") << _NUMBER | number)
    keys.sort()
    for _, run in groupby(keys, key=lambda key: key >> _NUMBER):
        numbers = [key & (1 << _NUMBER) - 1 for key in run]
        if len(numbers) > 1:
            by_digest: dict[bytes, list[int]] = {}
            for number in numbers:
                layer_number, row = union.place(number)
                by_digest.setdefault(union.layers[layer_number].digest_of(row), []).append(number)
            yield from (group for group in by_digest.values() if len(group) > 1)
