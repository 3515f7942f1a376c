"""The trees that a reader goes through: what a layer changes, and the file system as it is after a layer.

A tree is made for one layer at a time, from the indexes; no layer is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from wherry.analysis.image import index as kinds
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.union import Fate, Union


class Sign(Enum):
    """What a layer does to a path; the value is how it is shown."""

    SAME = " "
    ADDED = "+"
    CHANGED = "~"
    REMOVED = "-"


@dataclass(slots=True, eq=False)
class TreeEntry:
    """A path in a tree."""

    name: bytes
    kind: int
    """As `Row.kind`; a folder without an entry is a `FOLDER`."""
    sign: Sign
    size: int = 0
    """Bytes; of a folder, of all that is in it."""
    wasted: int = 0
    """Of `size`: what no container of the whole image sees."""
    layer: int = -1
    """Which layer has its content, 0 is the base's first; -1: none."""
    row: int = -1
    children: "dict[bytes, TreeEntry] | None" = None

    @property
    def is_folder(self) -> bool:
        """Whether there can be something in it."""
        return self.kind == kinds.FOLDER

    def below(self) -> "Sequence[TreeEntry]":
        """Give what is in it."""
        return tuple((self.children or {}).values())


class Explorer:
    """An image's layers, to be looked at one after the other."""

    def __init__(self, layers: Sequence[LayerIndex]) -> None:
        """Take the indexes, base first.

        Raises:
            InvalidArchive: the layers do not fit on each other.
        """
        self.layers = tuple(layers)
        self.whole = Union(layers)
        self._sizes = tuple(layer.column(0) for layer in layers)

    def changes(self, number: int) -> TreeEntry:
        """Give what one layer adds, changes and removes."""
        root = TreeEntry(b"", kinds.FOLDER, Sign.SAME, children={})
        before = self._before(number)
        layer = self.layers[number]
        pairs = zip(layer.kinds, layer.each_path(), layer.each_target(), strict=True)
        for row, (kind, path, _) in enumerate(pairs):
            if kind == kinds.OPAQUE or not path:
                continue
            if kind == kinds.WHITEOUT:
                self._put(root, path, TreeEntry(b"", before.get(path, kinds.FILE), Sign.REMOVED))
                continue
            sign = Sign.CHANGED if path in before else Sign.ADDED
            if kind == kinds.FOLDER and path in before:
                sign = Sign.SAME
            self._put(root, path, self._entry(kind, sign, number, row))
        _sum_up(root)
        return root

    def after(self, number: int) -> TreeEntry:
        """Give the file system after a layer, with the signs of what that layer did."""
        root = TreeEntry(b"", kinds.FOLDER, Sign.SAME, children={})
        union = self.whole if number + 1 == len(self.layers) else Union(self.layers[: number + 1])
        before = self._before(number)
        linked: set[int] = set()
        for path, entry, is_folder in union.walk_all():
            kind_before = before.pop(path, None)
            if entry < 0:
                self._put(root, path, TreeEntry(b"", kinds.FOLDER, Sign.SAME))
                continue
            layer, row = union.place(union.target_of(entry))
            own, own_row = union.place(entry)
            sign = Sign.SAME
            if own == number:
                sign = Sign.ADDED if kind_before is None else Sign.CHANGED
                sign = Sign.SAME if is_folder and kind_before is not None else sign
            kind = kinds.FOLDER if is_folder else self.layers[layer].kinds[row]
            if (number_of := union.target_of(entry)) in union.linked and not is_folder:
                if number_of in linked:  # a further name of a file that is there already
                    layer, row, kind = own, own_row, kinds.HARDLINK
                linked.add(number_of)
            self._put(root, path, self._entry(kind, sign, layer, row))
        for path, kind in before.items():
            self._put(root, path, TreeEntry(b"", kind, Sign.REMOVED))
        _sum_up(root)
        return root

    def details(self, entry: TreeEntry) -> str:
        """Give mode and owner, as `ls -l` has them; empty where a path has no entry."""
        if entry.layer < 0:
            return ""
        layer = self.layers[entry.layer]
        mode, uid, gid = (layer.column(number)[entry.row] for number in (3, 4, 5))
        return f"{_mode(entry.kind, mode)} {uid}:{gid}"

    def target(self, entry: TreeEntry) -> bytes:
        """Give what a link points at; empty for all else."""
        if entry.kind not in (kinds.SYMLINK, kinds.HARDLINK) or entry.layer < 0:
            return b""
        return next(text for row, text in enumerate(self.layers[entry.layer].each_target()) if row == entry.row)

    def _before(self, number: int) -> dict[bytes, int]:
        """Give the kind of each path that is visible below a layer."""
        return _names(Union(self.layers[:number])) if number else {}

    def _entry(self, kind: int, sign: Sign, layer: int, row: int) -> TreeEntry:
        if kind == kinds.FOLDER:
            return TreeEntry(b"", kind, sign, layer=layer, row=row)
        number = self.whole.firsts[layer] + row
        size = self._sizes[layer][row] if kind == kinds.FILE else 0
        wasted = size if self.whole.fate(number) is not Fate.VISIBLE else 0
        return TreeEntry(b"", kind, sign, size, wasted, layer, row)

    def _put(self, root: TreeEntry, path: bytes, entry: TreeEntry) -> None:
        folder = root
        *above, last = path.split(b"/")
        for name in above:
            assert folder.children is not None  # noqa: S101 - only folders are gone through
            there = folder.children.get(name)
            if there is None or there.children is None:
                there = folder.children[name] = TreeEntry(name, kinds.FOLDER, Sign.SAME, children={})
            folder = there
        assert folder.children is not None  # noqa: S101 - as above
        entry.name = last
        if entry.is_folder:
            there = folder.children.get(last)
            entry.children = there.children if there and there.children is not None else {}
        folder.children[last] = entry


def _names(union: Union) -> dict[bytes, int]:
    """Give the kind of each visible path."""
    found = {}
    for path, entry, is_folder in union.walk_all():
        if is_folder or entry < 0:
            found[path] = kinds.FOLDER
        else:
            layer, row = union.place(union.target_of(entry))
            found[path] = union.layers[layer].kinds[row]
    return found


def _sum_up(root: TreeEntry) -> None:
    """Give folders the bytes of what is in them; one in which something differs is changed."""
    folders = list(_folders(root))
    for folder in reversed(folders):
        below = folder.below()
        folder.size = sum(one.size for one in below)
        folder.wasted = sum(one.wasted for one in below)
        if folder.sign is Sign.SAME and any(one.sign is not Sign.SAME for one in below):
            folder.sign = Sign.CHANGED


def _folders(root: TreeEntry) -> Iterator[TreeEntry]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting += [one for one in folder.below() if one.is_folder]


def _mode(kind: int, mode: int) -> str:
    letter = {kinds.FOLDER: "d", kinds.SYMLINK: "l", kinds.CHAR: "c", kinds.BLOCK: "b", kinds.FIFO: "p"}.get(kind, "-")
    text = "".join("rwx"[place % 3] if mode & 1 << (8 - place) else "-" for place in range(9))
    for bit, place, letters in ((0o4000, 2, "sS"), (0o2000, 5, "sS"), (0o1000, 8, "tT")):
        if mode & bit:
            text = text[:place] + letters[text[place] == "-"] + text[place + 1 :]
    return letter + text
