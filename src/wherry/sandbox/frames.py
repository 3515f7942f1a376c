"""A layer's entries as frames for the launcher.

Only what a plain user may make is handed over: device nodes are left out (an image has no use for them,
the runtime brings /dev), and extended attributes other than `user.…` too, since nothing in a sandbox
gains privileges by them.

Sources: OCI image-spec v1.1.1, layer.md "Whiteouts"; POSIX.1-2017, pax, "ustar" type flags.
"""

import marshal
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Protocol

from wherry.sandbox.spec import Frame
from wherry.sandbox.start import BadLayer

_CHUNK = 1 << 20
_KINDS = {b"0": "file", b"1": "hardlink", b"2": "symlink", b"5": "folder", b"6": "fifo"}
_DELETED = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_KEPT = ("user.", "security.capability")
_OURS = ("user.overlay.", "user.wherry.")
"""What only we may say to the overlay, and to ourselves."""
_SECOND = 1_000_000_000


class FrameKind(Protocol):
    """What an entry is."""

    @property
    def value(self) -> bytes:
        """Its type flag in a tar."""


class FrameEntry(Protocol):
    """One thing in a layer, as `wherry.layer.tar` reads it."""

    @property
    def path(self) -> str:
        """Relative, no `..`; empty is the root."""

    @property
    def kind(self) -> FrameKind:
        """What it is."""

    @property
    def mode(self) -> int:
        """Permission bits."""

    @property
    def uid(self) -> int:
        """Its owner."""

    @property
    def gid(self) -> int:
        """Its group."""

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""

    @property
    def size(self) -> int:
        """Bytes of a file."""

    @property
    def target(self) -> str:
        """Where a link points."""

    @property
    def xattrs(self) -> Mapping[str, bytes]:
        """Extended attributes."""


class FrameBody(Protocol):
    """The bytes of a file."""

    def read(self, size: int, /) -> bytes:
        """Give at most so many; none at the end."""


def write_frames(
    entries: Iterable[tuple[FrameEntry, FrameBody]], stream: BinaryIO, *, close: bool = True, plain: bool = False
) -> None:
    """Write entries as frames, each file's bytes behind its frame, and close the stream.

    Args:
        entries: read once.
        stream: where to.
        close: whether nothing comes after them.
        plain: whether they are an archive's, in which no name means a deletion.

    Raises:
        BadLayer: an entry makes no sense.
        BrokenPipeError: the launcher gave up; it says why.
    """
    for entry, body in entries:
        frame = frame_of(entry, plain=plain)
        if frame is None:
            continue
        document = marshal.dumps(frame)  # type: ignore[arg-type] # a TypedDict is a dict
        stream.write(len(document).to_bytes(4, "big") + document)
        left = frame["size"]
        while left:
            chunk = body.read(min(left, _CHUNK))
            stream.write(chunk)
            left -= len(chunk)
    stream.write(bytes(4))
    stream.close() if close else stream.flush()


def frame_of(entry: FrameEntry, *, plain: bool = False) -> Frame | None:
    """Give the launcher's task for an entry; None for nothing.

    Args:
        entry: what is in a layer.
        plain: whether it is an archive's instead, in which no name means a deletion.

    Raises:
        BadLayer: it deletes what is not a name.
    """
    folder, _, name = entry.path.rpartition("/")
    kind, path = _KINDS.get(entry.kind.value), entry.path
    if plain:
        pass
    elif name == _OPAQUE:
        kind, path = "opaque", folder
    elif any(part.startswith(_RESERVED) for part in entry.path.split("/")):
        kind = None
    elif name.startswith(_DELETED):
        kind, path = "whiteout", f"{folder}/{_deleted(entry)}"
    if kind is None:
        return None
    return Frame(
        path=path,
        kind=kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=entry.mtime * _SECOND,
        size=entry.size if kind == "file" else 0,
        target=entry.target,
        attributes={
            key: value for key, value in entry.xattrs.items() if key.startswith(_KEPT) and not key.startswith(_OURS)
        },
    )


def _deleted(entry: FrameEntry) -> str:
    name = entry.path.rpartition("/")[2].removeprefix(_DELETED)
    if name in {"", ".", ".."}:
        raise BadLayer(f"{entry.path}: whiteout without a name", hint="the layer is damaged; build the image again")
    return name
