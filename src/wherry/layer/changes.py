"""What layers change: whiteouts, and the file system that a stack of layers makes.

Where a layer names a path through a link of a lower layer (`lib/x` where `lib` is a link to `usr/lib`), the link is
followed, inside the image, as containerd and umoci do. A whiteout hides what lower layers have, never what its own
layer has, wherever in the layer it stands.

Source: OCI image-spec v1.1.1, layer.md "Applying Changesets" and "Whiteouts".
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, Self

from wherry.layer.decompress import open_layer
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind, Readable
from wherry.layer.header import InvalidArchive
from wherry.layer.tar import DEEPEST, read_tar
from wherry.oci.image import Image
from wherry.store.contract import BlobSource

WHITEOUT = ".wh."
"""Before a name: what lower layers have under that name is gone."""
OPAQUE = ".wh..wh..opq"
"""As a name: all that lower layers have in this folder is gone."""

_META = ".wh..wh."
_MOST_LINKS = 40

Opener = Callable[[], Readable]
"""Opens a layer's tar from its start, each time it is called."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a whiteout hides."""

    path: str
    whole: bool
    """The path itself, or only what is in it."""


def hidden_by(entry: Entry, name: str = "layer") -> Hidden | None:
    """Report what an entry hides, if it is a whiteout.

    Raises:
        InvalidArchive: it is a whiteout of `.`, `..` or nothing.
    """
    folder, _, last = entry.path.rpartition("/")
    if last == OPAQUE:
        return Hidden(folder, whole=False)
    if not last.startswith(WHITEOUT) or is_bookkeeping(entry):
        return None
    hidden = last.removeprefix(WHITEOUT)
    if hidden in {"", ".", ".."}:
        raise InvalidArchive(name, f"{entry.path} is a whiteout without a name")
    return Hidden(f"{folder}/{hidden}".lstrip("/"), whole=True)


def is_bookkeeping(entry: Entry) -> bool:
    """Report whether an entry is one of AUFS's own notes, which layers of old have and which mean nothing."""
    return any(part.startswith(_META) and part != OPAQUE for part in entry.path.split("/"))


class Inode:
    """A file, link or folder of a tree; names that are hard links of each other share one."""

    __slots__ = ("children", "entry", "layer", "place")

    def __init__(self, entry: Entry, layer: int, place: int) -> None:
        self.entry = entry
        """As its layer has it; its path may be another one than where it is in the tree."""
        self.layer = layer
        self.place = place
        """Which entry of its layer."""
        self.children: dict[str, tuple[Inode, int]] = {}
        """By name; the number is the layer that gave the name."""

    @property
    def is_folder(self) -> bool:
        """Report whether there can be something in it."""
        return self.entry.kind is EntryKind.FOLDER


class FileTree:
    """The file system that layers make, without the bytes of its files."""

    def __init__(self) -> None:
        self.root = Inode(Entry(path="", kind=EntryKind.FOLDER), -1, -1)
        self._layers = 0

    @classmethod
    def of(cls, layers: Iterable[Opener], limits: ArchiveLimits | None = None) -> Self:
        """Read layers, base first.

        Raises:
            InvalidArchive: one is not a tar, or has a hard link to what is not there.

        Cost: one pass over each; about a kilobyte of memory for each file.
        """
        tree = cls()
        for number, opened in enumerate(layers):
            tree.apply((entry for entry, _ in read_tar(opened(), f"layer {number + 1}", limits)))
        return tree

    def apply(self, entries: Iterable[Entry]) -> None:
        """Put a layer on top.

        Raises:
            InvalidArchive: it has a hard link to what is not there, or links that go in circles.
        """
        number = self._layers
        self._layers += 1
        for place, entry in enumerate(entries):
            if hidden := hidden_by(entry, f"layer {self._layers}"):
                self._hide(hidden, number)
            elif not is_bookkeeping(entry):
                self._put(Inode(entry, number, place))

    def find(self, path: str) -> Inode | None:
        """Find what is at a path, following links inside the tree to their end; None is nothing."""
        return self._go(path, None)

    def has(self, path: str) -> bool:
        """Report whether there is something at a path; a link to nothing is nothing."""
        return self.find(path) is not None

    def walk(self) -> Iterator[tuple[str, Inode]]:
        """Give all that is below the root with its path, parents first, names in order."""
        waiting = [("", self.root)]
        while waiting:
            path, node = waiting.pop()
            if path:
                yield path, node
            below = sorted(((name, child) for name, (child, _) in node.children.items()), reverse=True)
            waiting.extend((f"{path}/{name}" if path else name, child) for name, child in below)

    def _go(self, path: str, layer: int | None) -> Inode | None:
        """Follow a path; where a layer is given, make the folders that are missing in its name."""
        trail, todo, links = [self.root], path.split("/")[::-1], 0
        while todo:
            part = todo.pop()
            if part in {"", ".", ".."}:
                del trail[max(len(trail) - 1, 1) if part == ".." else len(trail) :]
                continue
            child, _ = trail[-1].children.get(part, (None, 0))
            if child and child.entry.kind is EntryKind.SYMLINK:
                links += 1
                if links > _MOST_LINKS:
                    return None if layer is None else self._refuse(f"{path} has a loop of symbolic links")
                if child.entry.target.startswith("/"):
                    del trail[1:]
                todo += child.entry.target.split("/")[::-1]
                continue
            if layer is not None and not (child and child.is_folder):
                child = Inode(Entry(path=part, kind=EntryKind.FOLDER), layer, -1)
                trail[-1].children[part] = (child, layer)
            if child is None:
                return None
            trail.append(child)
            if len(trail) > DEEPEST + 1:
                self._refuse(f"{path} is more than {DEEPEST} directories deep")
        return trail[-1]

    def _put(self, node: Inode) -> None:
        folder, _, last = node.entry.path.rpartition("/")
        if not last:
            self.root.entry, self.root.layer = node.entry, node.layer
            return
        parent = self._go(folder, node.layer)
        assert parent is not None  # noqa: S101 - it is made where it is missing
        if node.entry.kind is EntryKind.HARDLINK:
            node = self._linked(node)
        elif node.is_folder and (there := parent.children.get(last)) and there[0].is_folder:
            node.children = there[0].children
        parent.children[last] = (node, self._layers - 1)

    def _linked(self, link: Inode) -> Inode:
        folder, _, last = link.entry.target.rpartition("/")
        parent = self._go(folder, None)
        target, _ = parent.children.get(last, (None, 0)) if parent else (None, 0)
        if target is None or target.is_folder:
            return self._refuse(
                f"{link.entry.path} is a hard link to {link.entry.target}, which is not a file in the image"
            )
        return target

    def _hide(self, hidden: Hidden, layer: int) -> None:
        if not hidden.whole:
            if folder := self._go(hidden.path, None):
                _prune(folder, layer)
            return
        folder_path, _, last = hidden.path.rpartition("/")
        parent = self._go(folder_path, None)
        if parent is None or last not in parent.children:
            return
        node, named = parent.children[last]
        _prune(node, layer)
        if named < layer and not node.children:
            del parent.children[last]

    def _refuse(self, problem: str) -> NoReturn:
        raise InvalidArchive(f"layer {self._layers}", problem)


def flatten(layers: Sequence[Opener], limits: ArchiveLimits | None = None) -> Iterator[tuple[Entry, Readable]]:
    """Give the file system that layers make, as one stream: folders, then links and devices, files, hard links.

    Args:
        layers: base first; each is opened twice, since what a layer still contributes is known only after the last.
        limits: for each layer.

    Returns:
        Entries with their bodies; a body is valid until the next entry is asked for.

    Raises:
        InvalidArchive: as `FileTree.of`.

    Cost: as `FileTree.of`, and another pass over the layers whose files are still seen.
    """
    tree = FileTree.of(layers, limits)
    names: dict[Inode, list[str]] = {}
    for path, node in tree.walk():
        names.setdefault(node, []).append(path)
    if tree.root.layer >= 0:
        yield tree.root.entry, io.BytesIO()
    for folders in (True, False):
        for node, (path, *_) in names.items():
            if node.is_folder is folders and node.entry.kind is not EntryKind.FILE:
                yield replace(node.entry, path=path), io.BytesIO()
    yield from _files(layers, names, limits)
    for node, (first, *others) in names.items():
        for path in others:
            yield replace(node.entry, path=path, kind=EntryKind.HARDLINK, target=first, size=0), io.BytesIO()


def layers_of(source: BlobSource, image: Image) -> tuple[Opener, ...]:
    """Give the layers of an image, base first, to be opened one by one; diff ids are checked."""
    pairs = zip(image.manifest.stack, image.config.diff_ids, strict=True)
    return tuple(partial(open_layer, source, blob, diff_id) for blob, diff_id in pairs)


def packable(tree: Iterable[tuple[Entry, Readable]]) -> Iterator[Entry]:
    """Give the entries of a stream such as `flatten`'s, so that `write_tar` and `pack` take them with their bodies."""
    for entry, body in tree:
        yield replace(entry, content=_Passing(body))


@dataclass(frozen=True, slots=True)
class _Passing:
    """The body of an entry in a stream: it can be opened once, while the stream stands there."""

    body: Readable

    def open(self) -> AbstractContextManager[Readable]:
        return nullcontext(self.body)


def _prune(folder: Inode, layer: int) -> None:
    """Take away what layers below one have put into a folder."""
    for name, (child, named) in list(folder.children.items()):
        _prune(child, layer)
        if named < layer and not child.children:
            del folder.children[name]


def _files(
    layers: Sequence[Opener], names: Mapping[Inode, list[str]], limits: ArchiveLimits | None
) -> Iterator[tuple[Entry, Readable]]:
    wanted: dict[int, dict[int, str]] = {}
    for node, (path, *_) in names.items():
        if node.entry.kind is EntryKind.FILE:
            wanted.setdefault(node.layer, {})[node.place] = path
    for number, places in sorted(wanted.items()):
        for place, (entry, body) in enumerate(read_tar(layers[number](), f"layer {number + 1}", limits)):
            if place in places:
                yield replace(entry, path=places[place]), body
