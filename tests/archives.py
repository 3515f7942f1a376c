"""What the tests of this room share: entries by property, and small archives by hand."""

import io
from collections.abc import Callable, Iterable

from hypothesis import strategies as st

from wherry.layer.entry import BytesContent, Entry, EntryKind, Readable, sort_entries, with_parents
from wherry.layer.tar import read_tar, write_tar


def file(path: str, content: bytes = b"", **values: object) -> Entry:
    """A file of root's, 0644."""
    return Entry(
        **{
            "path": path,
            "kind": EntryKind.FILE,
            "mode": 0o644,
            "size": len(content),
            "content": BytesContent(content),
            **values,
        }
    )


def folder(path: str, **values: object) -> Entry:
    """A folder."""
    return Entry(path=path, kind=EntryKind.FOLDER, **values)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path=path, kind=EntryKind.SYMLINK, mode=0o777, target=target)


def hard(path: str, target: str) -> Entry:
    """A hard link."""
    return Entry(path=path, kind=EntryKind.HARDLINK, mode=0o644, target=target)


def tar_of(*entries: Entry) -> bytes:
    """A tar of entries as they come."""
    stream = io.BytesIO()
    write_tar(entries, stream.write)
    return stream.getvalue()


def opener(*entries: Entry) -> Callable[[], Readable]:
    """A layer that can be opened again and again."""
    archive = tar_of(*entries)
    return lambda: io.BytesIO(archive)


def contents(pairs: Iterable[tuple[Entry, Readable]]) -> dict[str, object]:
    """Give what a reader sees by path: bytes of a file, target of a link, else the kind."""
    found: dict[str, object] = {}
    for entry, body in pairs:
        match entry.kind:
            case EntryKind.FILE:
                found[entry.path] = body.read(-1)
            case EntryKind.SYMLINK:
                found[entry.path] = "-> " + entry.target
            case EntryKind.HARDLINK:
                found[entry.path] = "== " + entry.target
            case _:
                found[entry.path] = entry.kind
    return found


def reread(archive: bytes) -> dict[str, object]:
    """Read a tar."""
    return contents(read_tar(io.BytesIO(archive)))


_part = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=120).filter(
    lambda part: part not in {".", ".."}
)
_raw = st.binary(min_size=1, max_size=20).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)
_paths = st.lists(_part | _raw.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4).map("/".join)
_ids = st.integers(0, (1 << 32) - 2)
_xattrs = st.dictionaries(
    st.sampled_from(["user.a", "security.capability", "user.ä"]), st.binary(max_size=40), max_size=2
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry a layer can have."""
    kind = draw(st.sampled_from(EntryKind))
    content = draw(st.binary(max_size=1500)) if kind is EntryKind.FILE else b""
    target = draw(_paths) if kind in {EntryKind.SYMLINK, EntryKind.HARDLINK} else ""
    return Entry(
        path=draw(_paths),
        kind=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(_ids),
        gid=draw(_ids),
        mtime=draw(st.integers(-(1 << 40), (1 << 40) - 1)),
        size=len(content),
        target=target,
        content=BytesContent(content) if kind is EntryKind.FILE else None,
        xattrs=draw(_xattrs),
        device=draw(st.tuples(st.integers(0, 4095), st.integers(0, 1048575)))
        if kind in {EntryKind.CHAR, EntryKind.BLOCK}
        else (0, 0),
    )


SMALL = sort_entries(
    with_parents(
        [
            file("etc/motd", b"hello\n" * 100),
            file("bin/" + "long-name-" * 12, b"\x7fELF" + bytes(range(256)) * 40, mode=0o4755),
            file("srv/daß.txt", b"\xff" * 513, uid=1 << 24, gid=65532, mtime=1_700_000_000),
            link("etc/link", "../bin"),
            hard("bin/again", "etc/motd"),
            Entry(path="run/pipe", kind=EntryKind.FIFO, mode=0o600),
            folder("tmp", mode=0o1777, xattrs={"user.note": b"a\0b"}),
        ]
    )
)
"""One of each, and a bit of all that needs PAX."""
