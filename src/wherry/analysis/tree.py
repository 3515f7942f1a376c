"""The files a container sees: layers laid over each other, their bytes counted.

Source: OCI image-spec v1.1.1, layer.md "Applying Changesets", "Whiteouts".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

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
class _File:
    """A file, or something without bytes such as a link."""

    layer: int
    size: int
    regular: bool
    executable: bool
    elf: bool


@dataclass(slots=True, eq=False)
class _Folder:
    """What is below a path."""

    below: "dict[str, _Folder | _File]" = field(default_factory=dict)
    floor: int = 0
    """Of what is below, the layers under this one are hidden."""


class Root:
    """A root file system that layers are applied to, base first; it knows names and sizes, not contents."""

    def __init__(self) -> None:
        self._top = _Folder()

    def apply(self, layer: int, entry: Entry, *, elf: bool) -> None:
        """Take in one entry of a layer; a whiteout hides what earlier layers put there, whatever its place."""
        *folders, name = entry.path.split("/")
        if name == _OPAQUE:
            self._hide(folders, layer)
        elif name.startswith(_WHITEOUT):
            self._hide([*folders, name.removeprefix(_WHITEOUT)], layer)
        elif entry.kind is Kind.FOLDER:
            self._folder([*folders, name])
        else:
            regular = entry.kind in {Kind.FILE, Kind.HARDLINK}
            self._folder(folders).below[name] = _File(layer, entry.size, regular, bool(entry.mode & 0o111), elf)

    def files(self) -> Iterator[VisibleFile]:
        """Give every file that a container sees, in no order."""
        waiting: list[tuple[str, int, _Folder | _File]] = [("", 0, self._top)]
        while waiting:
            path, floor, node = waiting.pop()
            if isinstance(node, _Folder):
                floor = max(floor, node.floor)
                waiting.extend((f"{path}/{name}", floor, child) for name, child in node.below.items())
            elif node.regular and node.layer >= floor:
                yield VisibleFile(path, node.size, node.layer, node.executable, node.elf)

    def _folder(self, names: list[str]) -> _Folder:
        """Find a folder, making those that are missing; a file in the way makes place."""
        node = self._top
        for name in filter(None, names):
            child = node.below.get(name)
            if not isinstance(child, _Folder):
                child = node.below[name] = _Folder()
            node = child
        return node

    def _hide(self, names: list[str], layer: int) -> None:
        """Hide what earlier layers have at a path, if they have anything there."""
        node: _Folder | _File | None = self._top
        holder = self._top
        for name in names:
            if not isinstance(node, _Folder):
                return
            holder, node = node, node.below.get(name)
        if isinstance(node, _Folder):
            node.floor = layer
        elif node and node.layer < layer:
            del holder.below[names[-1]]
