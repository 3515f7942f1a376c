"""dive's figures, by dive's own formula, so that users of dive find the same numbers.

Over all layers, for each path that is a leaf of its layer's tree: `cumulative` adds up its sizes, `min` is the least.
Efficiency is the sum of all `min` over the sum of all `cumulative`; wasted bytes are the `cumulative` of each path that
is in two layers or more, its last and needed copy included. A whiteout is a leaf under the path it removes: of a folder
that had an entry of its own it has the size of what was in it, of all else 0. What follows: a deleted folder is never
waste, links and opaque folders are not known, and what is waste may be above all bytes.

Source: dive 0.13.1, dive/filetree/efficiency.go, file_tree.go (`Stack`, `AddPath`), dive/image/image.go.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wherry.analysis.image.index import FOLDER, OPAQUE, WHITEOUT, LayerIndex

_PREFIX = b".wh."


@dataclass(frozen=True, slots=True)
class DiveFile:
    """A path that dive counts as waste."""

    path: str
    count: int
    """Layers that have it."""
    bytes: int
    """Of all of them together."""


@dataclass(frozen=True, slots=True)
class DiveFigures:
    """What dive says of an image."""

    efficiency: float
    wasted_bytes: int
    user_wasted_percent: float | None
    """Wasted bytes over those of all layers but the first, from 0 on (1.0 is all); None where these have none."""
    files: tuple[DiveFile, ...]
    """Most bytes first."""


@dataclass(slots=True)
class _Seen:
    cumulative: int = 0
    least: int = -1
    count: int = 0


def dive_figures(layers: Sequence[LayerIndex]) -> DiveFigures:
    """Compute dive's figures.

    Cost: two passes over the rows; memory for the paths that are in several layers, and for what whiteouts remove.
    """
    parents = [_parents(layer) for layer in layers]
    hashes = [array("q", (hash(path) for path, _ in _of_layer(*pair))) for pair in zip(layers, parents, strict=True)]
    once = [WHITEOUT not in layer.kinds and not _repeated(own) for layer, own in zip(layers, hashes, strict=True)]
    if not all(once):
        hashes = [array("q", (hash(path) for path, _ in _leaves(layers, parents, once)))]
    repeated = _repeated(one for own in hashes for one in own)
    del hashes
    seen: dict[bytes, _Seen] = {}
    least = total = 0
    for path, size in _leaves(layers, parents, once):
        if hash(path) in repeated:
            one = seen.setdefault(path, _Seen())
            if size is not None:
                one.cumulative += size
                one.least = size if one.least < 0 else min(one.least, size)
                one.count += 1
        elif size is None:
            least -= 1  # dive meets a whiteout of nothing: the path stays with the -1 it began with
        else:
            least, total = least + size, total + size
    least += sum(one.least for one in seen.values())
    total += sum(one.cumulative for one in seen.values())
    wasted = [
        DiveFile("/" + path.decode(errors="surrogateescape"), one.count, one.cumulative)
        for path, one in seen.items()
        if one.count > 1
    ]
    bytes_ = sum(one.bytes for one in wasted)
    user = sum(sum(layer.column(0)) for layer in layers[1:])
    return DiveFigures(
        efficiency=least / total if total else 1.0,
        wasted_bytes=bytes_,
        user_wasted_percent=bytes_ / user if user else None,
        files=tuple(sorted(wasted, key=lambda file: (-file.bytes, file.path))),
    )


def _repeated(hashes: Iterable[int]) -> set[int]:
    """Give the hashes that come more than once; two paths with one hash do no harm."""
    found: set[int] = set()
    before: int | None = None
    for one in sorted(hashes):
        if one == before:
            found.add(one)
        before = one
    return found


def _leaves(
    layers: Sequence[LayerIndex], parents: Sequence[set[bytes]], plain: Sequence[bool]
) -> Iterator[tuple[bytes, int | None]]:
    """Give the leaves of each layer's tree as dive visits them; a size of None ends a layer, as an error does there.

    Args:
        layers: base first.
        parents: `_parents` of each.
        plain: of each, whether it has no whiteout and no path twice, so that its leaves are as they come.
    """
    stack = _Stack.of(layers)
    for number, layer in enumerate(layers):
        if number == 0:
            stack.add(layer)
        if plain[number]:
            yield from _of_layer(layer, parents[number])
            if number:
                stack.add(layer)
            continue
        leaves = dict(_of_layer(layer, parents[number]))
        whiteouts = [path for path, size in leaves.items() if size is None]
        missing = [path for path in whiteouts if stack.find(path[1:]) is None]
        stop = min(map(_order, missing), default=None)
        for leaf, size in leaves.items():
            if stop is not None and _order(leaf) >= stop:
                if _order(leaf) == stop:
                    yield leaf[1:], None
            elif size is None:
                yield leaf[1:], stack.size(leaf[1:])
            else:
                yield leaf, size
        if number:
            stack.add(layer)


def _parents(layer: LayerIndex) -> set[bytes]:
    """Give the paths of a layer that have others below them."""
    parents: set[bytes] = set()
    last = b""
    for path in layer.each_path():
        above = path.rpartition(b"/")[0]
        if above == last:
            continue
        last = above
        while above and above not in parents:
            parents.add(above)
            above = above.rpartition(b"/")[0]
    return parents


def _of_layer(layer: LayerIndex, parents: set[bytes]) -> Iterator[tuple[bytes, int | None]]:
    """Give the leaves of a layer; whiteouts have a zero byte before their path and no size."""
    for kind, path, size in zip(layer.kinds, layer.each_path(), layer.column(0), strict=True):
        if kind == WHITEOUT:
            yield b"\0" + path, None
        elif path and path not in parents:
            yield path, 0 if kind == OPAQUE else size


def _order(leaf: bytes) -> list[bytes]:
    """Give a leaf's place among those of its layer: dive goes by the names, a whiteout's with its prefix."""
    if not leaf.startswith(b"\0"):
        return leaf.split(b"/")
    *above, last = leaf[1:].split(b"/")
    return [*above, _PREFIX + last]


class _Node:
    __slots__ = ("children", "folder", "size")

    def __init__(self) -> None:
        self.size = 0
        self.folder = False
        self.children: dict[bytes, _Node] = {}


class _Stack:
    """The tree that dive stacks, as far as whiteouts need it: what they name and what is below that."""

    def __init__(self, wanted: set[bytes]) -> None:
        self._wanted = wanted
        self._root = _Node()
        self._known: dict[bytes, bool] = {b"": False}

    @classmethod
    def of(cls, layers: Sequence[LayerIndex]) -> "_Stack":
        """Make an empty tree that keeps what the whiteouts of these layers name."""
        return cls(
            {
                path
                for layer in layers
                if WHITEOUT in layer.kinds
                for kind, path in zip(layer.kinds, layer.each_path(), strict=True)
                if kind == WHITEOUT
            }
        )

    def add(self, layer: LayerIndex) -> None:
        """Put a layer on top: first what it removes, then what it has."""
        if not self._wanted:
            return
        for kind, path in zip(layer.kinds, layer.each_path(), strict=True):
            if kind == WHITEOUT:
                self._remove(path)
        implied: set[bytes] = set()
        own: set[bytes] = set()
        for kind, path, size in zip(layer.kinds, layer.each_path(), layer.column(0), strict=True):
            if kind == WHITEOUT or not self._keeps(path):
                continue
            node = self._root
            for part in path.split(b"/"):
                node = node.children.setdefault(part, _Node())
            if kind != OPAQUE:
                node.size, node.folder = size, kind == FOLDER
                own.add(path)
            above = path if kind == OPAQUE else path.rpartition(b"/")[0]
            while above and above not in implied:
                implied.add(above)
                above = above.rpartition(b"/")[0]
        self._imply(implied - own)

    def find(self, path: bytes) -> _Node | None:
        """Find what is at a path."""
        node: _Node | None = self._root
        for part in path.split(b"/"):
            node = node.children.get(part) if node else None
        return node

    def size(self, path: bytes) -> int:
        """Give what dive says that a whiteout removes."""
        found = self.find(path)
        if found is None or not found.folder:
            return 0
        total, waiting = 0, [found]
        while waiting:
            node = waiting.pop()
            total += node.size
            waiting += node.children.values()
        return total

    def _imply(self, paths: set[bytes]) -> None:
        """Take the entries of lower layers from folders that a layer has without one of its own."""
        for path in paths:
            if (found := self.find(path)) is not None:
                found.size, found.folder = 0, False

    def _remove(self, path: bytes) -> None:
        above, _, last = path.rpartition(b"/")
        parent = self.find(above) if above else self._root
        if parent is not None:
            parent.children.pop(last, None)

    def _keeps(self, path: bytes) -> bool:
        """Report whether a whiteout names a path, or a folder that it is in."""
        if path in self._wanted:
            return True
        above = path.rpartition(b"/")[0]
        found = self._known.get(above)
        if found is None:
            found = self._known[above] = self._keeps(above)
        return found
