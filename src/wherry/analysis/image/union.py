"""What a stack of layers makes: which files a container sees, and what hides each of the others.

A file is live while any of its names is in the final tree; hard links are names of one file. Links to folders are
followed inside the image, a whiteout hides what lower layers have, wherever in its layer it stands, and a name for
something that is not a folder hides all that was below it. Files are numbers: the layer's first number and the row.

Source: OCI image-spec v1.1.1, layer.md "Applying Changesets" and "Whiteouts".
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn, TypeAlias

from wherry.analysis.image import index as kinds
from wherry.analysis.image.index import LayerIndex
from wherry.layer.header import InvalidArchive
from wherry.layer.tar import DEEPEST

_MOST_LINKS = 40
_IMPLIED = -1
"""The number of a folder that no layer has an entry for."""


class Fate(IntEnum):
    """What became of a file."""

    VISIBLE = 0
    OVERWRITTEN = 1
    """A later entry has its name, and other content."""
    COPIED = 2
    """A later layer has the same content under its name: only mode, owner or time changed."""
    DELETED = 3
    """A whiteout names it, or a folder that it is in."""
    OPAQUE = 4
    """A folder that it is in was made opaque."""
    REPLACED = 5
    """Something that is not a folder has the name of a folder that it is in."""


@dataclass(slots=True)
class LayerChanges:
    """Names of files, links and devices that a layer changes; folders are not counted."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    """Names of lower layers that went."""
    opaque: int = 0
    """Folders that it empties of what lower layers have."""


class _Folder:
    __slots__ = ("children", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.children: dict[bytes, _Child] = {}


_Child: TypeAlias = "_Folder | int"


class Union:
    """The tree that layers make, and the fate of every entry below it."""

    def __init__(self, layers: Sequence[LayerIndex]) -> None:
        """Apply layers, base first.

        Raises:
            InvalidArchive: one has a hard link to what is not there, or links that go in circles.

        Cost: one pass over the rows; about 200 bytes of memory for each that is visible.
        """
        self.layers = tuple(layers)
        self.firsts = array("q", [0])
        for layer in self.layers:
            self.firsts.append(self.firsts[-1] + len(layer))
        self._starts = self.firsts.tolist()
        self._fates = bytearray(self.firsts[-1])
        self._hiders = array("H", bytes(2 * self.firsts[-1]))
        self._inodes: dict[int, int] = {}
        self._names: dict[int, int] = {}
        self._links: dict[int, bytes] = {}
        self._root = _Folder(_IMPLIED)
        self._layer = 0
        self._found: dict[bytes, _Folder] = {}
        self.changes = tuple(self._apply(number, layer) for number, layer in enumerate(self.layers))
        self._found = {}
        self.linked = frozenset(self._inodes.values())
        """Files with hard links."""

    def place(self, number: int) -> tuple[int, int]:
        """Give the layer and the row of a file's number."""
        layer = bisect_right(self._starts, number) - 1
        return layer, number - self._starts[layer]

    def fate(self, number: int) -> Fate:
        """Report what became of an entry that is a file."""
        return Fate(self._fates[number])

    def hider(self, number: int) -> int:
        """Give the layer that hides a file which is not visible."""
        return self._hiders[number]

    def hidden(self) -> Iterator[int]:
        """Give the numbers of all files that no container sees, in the order of layers and rows."""
        for first, layer in zip(self.firsts, self.layers, strict=False):
            for row, kind in enumerate(layer.kinds):
                if kind == kinds.FILE and self._fates[first + row]:
                    yield first + row

    def walk(self) -> Iterator[tuple[bytes, int, int]]:
        """Give every visible name but folders': path, number of the entry, number of the file it names."""
        for path, child in self._walk():
            if isinstance(child, int):
                yield path, child, self._inodes.get(child, child)

    def walk_all(self) -> Iterator[tuple[bytes, int, bool]]:
        """Give every visible name, folders first: path, number (-1: no entry), whether it is a folder."""
        for path, child in self._walk():
            if isinstance(child, int):
                yield path, child, False
            else:
                yield path, child.number, True

    def target_of(self, number: int) -> int:
        """Give the number of the file that an entry is a name of."""
        return self._inodes.get(number, number)

    def link_target(self, number: int) -> bytes:
        """Give what a symbolic link points at, as it is written."""
        return self._links.get(number, b"")

    def find(self, path: bytes) -> tuple[bytes, int] | None:
        """Follow a path and all links: the real path, and the number of its file (-1: a folder); None is nothing."""
        trail: list[tuple[bytes, _Child]] = [(b"", self._root)]
        todo, links = path.split(b"/")[::-1], 0
        while todo:
            part = todo.pop()
            here = trail[-1][1]
            if part in (b"", b".") and isinstance(here, _Folder):
                continue
            if not isinstance(here, _Folder):
                return None
            if part == b"..":
                del trail[max(len(trail) - 1, 1) :]
                continue
            child = here.children.get(part)
            if child is None:
                return None
            if isinstance(child, int) and child in self._links:
                links += 1
                if links > _MOST_LINKS:
                    return None
                target = self._links[child]
                if target.startswith(b"/"):
                    del trail[1:]
                todo += target.split(b"/")[::-1]
                continue
            trail.append((part, child))
        last = trail[-1][1]
        real = b"/".join(name for name, _ in trail[1:])
        return real, self._inodes.get(last, last) if isinstance(last, int) else -1

    def _walk(self) -> Iterator[tuple[bytes, _Child]]:
        folders = [(b"", self._root, iter(sorted(self._root.children)))]
        while folders:
            prefix, folder, names = folders[-1]
            name = next(names, None)
            if name is None:
                folders.pop()
                continue
            child = folder.children[name]
            yield prefix + name, child
            if isinstance(child, _Folder):
                folders.append((prefix + name + b"/", child, iter(sorted(child.children))))

    def _apply(self, number: int, layer: LayerIndex) -> LayerChanges:
        self._layer, self._found = number, {}
        changes = LayerChanges()
        if kinds.WHITEOUT in layer.kinds or kinds.OPAQUE in layer.kinds:
            self._hide_all(layer, changes)
        first = self.firsts[number]
        pairs = zip(layer.kinds, layer.each_path(), layer.each_target(), strict=True)
        for row, (kind, path, target) in enumerate(pairs, first):
            if kind == kinds.FOLDER:
                self._put_folder(path, row, changes)
            elif kind not in (kinds.WHITEOUT, kinds.OPAQUE):
                if kind == kinds.HARDLINK:
                    inode = self._linked(path, target)
                    self._inodes[row] = inode
                    if inode in self._links:
                        self._links[row] = self._links[inode]
                elif kind == kinds.SYMLINK:
                    self._links[row] = target
                self._put(path, row, changes)
        return changes

    def _hide_all(self, layer: LayerIndex, changes: LayerChanges) -> None:
        """Apply the whiteouts of a layer: they hide what lower layers have, and nothing of its own."""
        for kind, path in zip(layer.kinds, layer.each_path(), strict=True):
            if kind == kinds.OPAQUE:
                changes.opaque += 1
                folder = self._go(path, make=False)
                if folder is not None:
                    for child in folder.children.values():
                        changes.removed += self._drop(child, Fate.OPAQUE)
                    folder.children = {}
            elif kind == kinds.WHITEOUT:
                above, _, last = path.rpartition(b"/")
                folder = self._go(above, make=False)
                if folder is not None and last in folder.children:
                    changes.removed += self._drop(folder.children.pop(last), Fate.DELETED)
        self._found = {}

    def _put_folder(self, path: bytes, row: int, changes: LayerChanges) -> None:
        above, _, last = path.rpartition(b"/")
        if not last:
            self._root.number = row
            return
        parent = self._folder(above)
        there = parent.children.get(last)
        if isinstance(there, _Folder):
            there.number = row
            return
        if there is not None:
            changes.removed += self._drop(there, Fate.OVERWRITTEN)
            self._found = {}
        parent.children[last] = _Folder(row)

    def _put(self, path: bytes, row: int, changes: LayerChanges) -> None:
        above, _, last = path.rpartition(b"/")
        parent = self._folder(above)
        there = parent.children.get(last)
        inode = self._inodes.get(row, row)
        if inode != row or inode in self._names:
            self._names[inode] = self._names.get(inode, 1) + 1
        parent.children[last] = row
        if there is None:
            changes.added += 1
            return
        changes.changed += 1
        if isinstance(there, _Folder):
            changes.removed += self._drop(there, Fate.REPLACED)
            self._found = {}
        else:
            self._drop(there, Fate.COPIED if self._same(there, row) else Fate.OVERWRITTEN)
            self._found = {} if there in self._links or row in self._links else self._found

    def _same(self, old: int, new: int) -> bool:
        """Report whether two files of different layers have one content."""
        old, new = self._inodes.get(old, old), self._inodes.get(new, new)
        (layer, row), (other, below) = self.place(old), self.place(new)
        one, two = self.layers[layer], self.layers[other]
        return (
            layer != other
            and one.kinds[row] == two.kinds[below] == kinds.FILE
            and one.digest_of(row) == two.digest_of(below)
        )

    def _drop(self, child: _Child, fate: Fate) -> int:
        """Take names away; give how many. A file without a name is hidden from here on."""
        waiting, gone = [child], 0
        while waiting:
            one = waiting.pop()
            if isinstance(one, _Folder):
                waiting += one.children.values()
                continue
            gone += 1
            inode = self._inodes.get(one, one)
            left = self._names.get(inode, 1) - 1
            if left:
                self._names[inode] = left
                continue
            self._names.pop(inode, None)
            self._fates[inode] = fate
            self._hiders[inode] = self._layer
        return gone

    def _linked(self, path: bytes, target: bytes) -> int:
        self._folder(path.rpartition(b"/")[0])  # first, for what is in its way goes, and may be the target
        above, _, last = target.rpartition(b"/")
        folder = self._go(above, make=False)
        child = folder.children.get(last) if folder else None
        if not isinstance(child, int):
            return self._refuse(path, b"is a hard link to " + target + b", which is not a file in the image")
        return self._inodes.get(child, child)

    def _folder(self, path: bytes) -> _Folder:
        """Find a folder of the tree, made where it is missing."""
        found = self._found.get(path)
        if found is None:
            made = self._go(path, make=True)
            assert made is not None  # noqa: S101 - it is made where it is missing
            found = self._found[path] = made
        return found

    def _go(self, path: bytes, *, make: bool) -> _Folder | None:
        """Follow a path through folders and links to them; where it is to be made, what is in the way goes."""
        trail, todo, links = [self._root], path.split(b"/")[::-1], 0
        while todo:
            part = todo.pop()
            if part in (b"", b".", b".."):
                del trail[max(len(trail) - 1, 1) if part == b".." else len(trail) :]
                continue
            child = trail[-1].children.get(part)
            if isinstance(child, int) and child in self._links:
                links += 1
                if links > _MOST_LINKS:
                    return self._refuse(path, b"leads through links in a circle") if make else None
                target = self._links[child]
                if target.startswith(b"/"):
                    del trail[1:]
                todo += target.split(b"/")[::-1]
                continue
            if not isinstance(child, _Folder):
                if not make:
                    return None
                if child is not None:
                    self._drop(child, Fate.OVERWRITTEN)
                child = trail[-1].children[part] = _Folder(_IMPLIED)
            trail.append(child)
            if len(trail) > DEEPEST + 1:
                self._refuse(path, b"leads more than %d folders deep" % DEEPEST)
        return trail[-1]

    def _refuse(self, path: bytes, problem: bytes) -> NoReturn:
        words = (path + b" " + problem).decode(errors="replace")
        raise InvalidArchive(f"layer {self._layer + 1}", words)
