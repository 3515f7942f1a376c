"""Images flattened by tarfile alone, so that wherry's own readers judge nothing of what wherry writes.

Source: OCI image-spec v1.1.1, image-layout.md and layer.md.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import zstandard

Document = dict[str, Any]
"""JSON as it comes."""
_KEPT = 1 << 20
"""Contents up to so many bytes are kept; of longer ones the hash is."""


@dataclass(frozen=True, eq=False)
class Node:
    """What stands at one or, hard-linked, at several paths; nodes are the same only if they are one inode."""

    type: str
    """`file`, `dir`, `symlink`, `fifo`, `char` or `block`."""
    mode: int
    uid: int
    gid: int
    mtime: float
    size: int = 0
    sha256: str = ""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    """None where there is none, or too much of it."""


Tree = dict[str, Node]
"""Nodes by path, which has no slash at either end; the root is the empty path."""


class Blobs(Protocol):
    """Anything that blobs are read from."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file of the layout."""


@dataclass(frozen=True)
class FolderBlobs:
    """A layout as a folder."""

    root: Path

    def open(self, name: str) -> IO[bytes]:
        """Open a file below it."""
        return (self.root / name).open("rb")


@dataclass(frozen=True)
class ArchiveBlobs:
    """A layout as a tar archive."""

    archive: tarfile.TarFile

    def open(self, name: str) -> IO[bytes]:
        """Open a member."""
        found = self.archive.extractfile(name)
        assert found is not None, name
        return found


@dataclass(frozen=True)
class Image:
    """One image of one platform."""

    blobs: Blobs
    manifest: Document
    config: Document
    digest: str

    @property
    def runtime(self) -> Document:
        """What its containers are started with."""
        return self.config.get("config") or {}

    @property
    def history(self) -> Sequence[Document]:
        """How it was made."""
        return self.config.get("history") or []

    @property
    def layers(self) -> Sequence[Document]:
        """Descriptors, base first; BuildKit writes null where there are none."""
        return self.manifest.get("layers") or []

    @property
    def platform(self) -> str:
        """Such as linux/arm/v7."""
        parts = (self.config.get("os"), self.config.get("architecture"), self.config.get("variant"))
        return "/".join(part for part in parts if part)

    def tree(self) -> Tree:
        """Put the layers one over another."""
        tree: Tree = {}
        for layer in self.layers:
            with self.blobs.open(blob_name(layer["digest"])) as stream:
                apply(tree, layer_tar(stream))
        return tree


@dataclass(frozen=True)
class Layout:
    """An OCI layout as somebody wrote it."""

    blobs: Blobs

    @property
    def index(self) -> Document:
        """Its entry, index.json."""
        return _document(self.blobs, "index.json")

    def images(self) -> list[Image]:
        """Give the images, in the order of their index; attestations are none."""
        found: dict[str, Image] = {}
        for image in self._images(self.index):
            found.setdefault(image.digest, image)
        return list(found.values())

    def _images(self, index: Document) -> Iterator[Image]:
        for entry in index["manifests"]:
            document = _document(self.blobs, blob_name(entry["digest"]))
            if "manifests" in document:
                yield from self._images(document)
            elif (entry.get("platform") or {}).get("os") != "unknown":
                config = _document(self.blobs, blob_name(document["config"]["digest"]))
                yield Image(self.blobs, document, config, entry["digest"])


def opened(path: Path) -> Layout:
    """Open a layout: a folder, or an archive."""
    if path.is_dir():
        return Layout(FolderBlobs(path))
    return Layout(ArchiveBlobs(tarfile.open(path)))


def layer_tar(stream: IO[bytes]) -> tarfile.TarFile:
    """Open a layer, however it is compressed."""
    start = stream.read(4)
    stream.seek(0)
    if start == b"\x28\xb5\x2f\xfd":
        return tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(stream), mode="r|")
    return tarfile.open(fileobj=stream, mode="r|gz" if start[:2] == b"\x1f\x8b" else "r|")


def apply(tree: Tree, layer: tarfile.TarFile) -> None:
    """Change a tree as a layer says."""
    own: set[str] = set()
    for member in layer:
        path = normal(member.name)
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            remove_below(tree, folder, but=own)
        elif name.startswith(".wh."):
            remove(tree, f"{folder}/{name[4:]}".lstrip("/"))
        else:
            put(tree, path, node(tree, member, layer))
            own.add(path)


def put(tree: Tree, path: str, found: Node) -> None:
    """Put a node; what is there goes, except that a folder on a folder keeps what is in it."""
    if found.type != "dir":
        remove(tree, path)
    tree[path] = found


def node(tree: Tree, member: tarfile.TarInfo, layer: tarfile.TarFile) -> Node:
    """Make a node of a member."""
    if member.islnk():
        return tree[normal(member.linkname)]
    kept, size, digest = _content(layer.extractfile(member)) if member.isreg() else (None, 0, "")
    return Node(
        type=_type(member),
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        size=size,
        sha256=digest,
        target=member.linkname if member.issym() else "",
        device=(member.devmajor, member.devminor) if member.isdev() and not member.isfifo() else (0, 0),
        xattrs={
            key.removeprefix("SCHILY.xattr."): value
            for key, value in member.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        },
        content=kept,
    )


def _content(stream: IO[bytes] | None) -> tuple[bytes | None, int, str]:
    assert stream is not None
    kept, size, digest = io.BytesIO(), 0, hashlib.sha256()
    while chunk := stream.read(1 << 20):
        size += len(chunk)
        digest.update(chunk)
        if size <= _KEPT:
            kept.write(chunk)
    return (kept.getvalue() if size <= _KEPT else None), size, digest.hexdigest()


def _type(member: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.DIRTYPE: "dir",
        tarfile.SYMTYPE: "symlink",
        tarfile.FIFOTYPE: "fifo",
        tarfile.CHRTYPE: "char",
        tarfile.BLKTYPE: "block",
    }
    return kinds.get(member.type, "file")


def remove(tree: Tree, path: str) -> None:
    """Take a node away, and what is below it."""
    tree.pop(path, None)
    remove_below(tree, path)


def remove_below(tree: Tree, folder: str, but: set[str] | frozenset[str] = frozenset()) -> None:
    """Take away what is below a folder."""
    start = folder + "/" if folder else ""
    for path in [path for path in tree if path.startswith(start) and path and path not in but]:
        del tree[path]


def normal(path: str) -> str:
    """Give a path as trees have it."""
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def blob_name(digest: str) -> str:
    """Name the file of a layout that has a blob."""
    return "blobs/" + digest.replace(":", "/")


def _document(blobs: Blobs, name: str) -> Document:
    with blobs.open(name) as stream:
        found = json.load(stream)
    assert isinstance(found, dict)
    return found
