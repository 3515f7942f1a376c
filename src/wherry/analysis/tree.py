"""The files a container sees: layers laid over each other, their bytes counted.

Source: OCI image-spec v1.1.1, layer.md "Applying Changesets", "Whiteouts".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wherry.layer.entry import Entry, Kind

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class VisibleFile:
    """A regular file of the final root."""

    path: str
    """Absolute, in the image."""
    size: int
    """Bytes; 0 for the second and later names of a hard-linked file."""
    layer: int
    """Which layer it comes from; 0 is the base."""
    executable: bool
    """Whether anybody may run it."""
    elf: bool
    """Whether it starts as an ELF file does."""


@dataclass(slots=True, eq=False)
class _Node:
    """A path of the root: a folder where it has `below`, else a file or something without bytes."""

    layer: int
    below: "dict[str, _Node] | None" = None
    floor: int = 0
    """Of what is below, the layers under this one are hidden."""
    size: int = 0
    regular: bool = False
    executable: bool = False
    elf: bool = False


class Root:
    """A root file system that layers are applied to, base first; it knows names and sizes, not contents."""

    def __init__(self) -> None:
        self._top = _Node(0, {})

    def apply(self, layer: int, entry: Entry, *, elf: bool) -> None:
        """Take in one entry of a layer; a whiteout hides what earlier layers put there, whatever its place."""
        *folders, name = entry.path.split("/")
        if not name:
            return
        parent = self._folder(folders, layer)
        below = parent.below if parent.below is not None else {}
        if name == _OPAQUE:
            parent.floor = layer
        elif name.startswith(_WHITEOUT):
            hidden = below.get(name.removeprefix(_WHITEOUT))
            if hidden and hidden.below is not None:
                hidden.floor = layer
            elif hidden and hidden.layer < layer:
                del below[name.removeprefix(_WHITEOUT)]
        elif entry.kind is Kind.FOLDER:
            self._folder([*folders, name], layer)
        else:
            below[name] = _Node(
                layer,
                size=entry.size,
                regular=entry.kind in {Kind.FILE, Kind.HARDLINK},
                executable=bool(entry.mode & 0o111),
                elf=elf,
            )

    def files(self) -> Iterator[VisibleFile]:
        """Give every file that a container sees, in no order."""
        waiting = [("", 0, self._top)]
        while waiting:
            path, floor, node = waiting.pop()
            if node.regular and node.layer >= floor:
                yield VisibleFile(path, node.size, node.layer, node.executable, node.elf)
            floor = max(floor, node.floor)
            waiting.extend((f"{path}/{name}", floor, child) for name, child in (node.below or {}).items())

    def _folder(self, names: list[str], layer: int) -> _Node:
        """Find a folder, making those that are missing; a file in the way makes place."""
        node = self._top
        for name in names:
            below = node.below if node.below is not None else {}
            child = below.get(name)
            if child is None or child.below is None:
                child = below[name] = _Node(layer, {})
            node = child
        return node
