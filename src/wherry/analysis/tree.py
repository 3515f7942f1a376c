"""The files a container sees, their bytes counted."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from wherry.layer.changes import FileTree, Inode
from wherry.layer.entry import EntryKind


@dataclass(frozen=True, slots=True)
class VisibleFile:
    """A regular file of the final root."""

    path: str
    """Absolute, in the image."""
    size: int
    """Bytes; 0 for the second and later names of a hard-linked file."""
    layer: int
    """Which layer its bytes come from; 0 is the base."""
    place: int
    """Which entry of that layer it is."""
    executable: bool
    """Whether anybody may run it."""
    elf: bool
    """Whether it starts as an ELF file does."""


def visible_files(tree: FileTree, elves: Container[tuple[int, int]] = ()) -> Iterator[VisibleFile]:
    """Give every file of a tree, in the order of paths.

    Args:
        tree: what the layers make.
        elves: layer and place of those that start as ELF files do.
    """
    seen: set[Inode] = set()
    for path, node in tree.walk():
        if node.entry.kind is EntryKind.FILE:
            size = 0 if node in seen else node.entry.size
            seen.add(node)
            executable = bool(node.entry.mode & 0o111)
            yield VisibleFile(f"/{path}", size, node.layer, node.place, executable, (node.layer, node.place) in elves)
