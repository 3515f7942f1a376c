"""Entries of layers as the launcher reads them: what is handed over, what is left out, what is refused."""

import io
import marshal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers import file, folder
from wherry.layer.entry import Entry, EntryKind
from wherry.sandbox.frames import frame_of, write_frames
from wherry.sandbox.start import BadLayer


def read(stream: io.BytesIO) -> list[tuple[dict[str, object], bytes]]:
    """Read frames back, each with the bytes behind it."""
    found = []
    while length := int.from_bytes(stream.read(4), "big"):
        frame = marshal.loads(stream.read(length))  # noqa: S302 - the test wrote it
        found.append((frame, stream.read(frame["size"])))
    assert stream.read() == b""
    return found


def written(*entries: Entry, plain: bool = False) -> list[tuple[dict[str, object], bytes]]:
    """Write entries as frames and read them back."""
    stream = io.BytesIO()
    bodies = ((entry, entry.content.open() if entry.content else io.BytesIO()) for entry in entries)
    write_frames(bodies, stream, close=False, plain=plain)
    stream.seek(0)
    return read(stream)


def test_files_have_their_bytes_behind_them():
    """An empty one has none, and the next frame follows."""
    found = written(file("a", b"hello", mode=0o600, uid=1, gid=2), file("b", b""), folder("c"))

    assert [(frame["path"], frame["kind"], body) for frame, body in found] == [
        ("a", "file", b"hello"),
        ("b", "file", b""),
        ("c", "folder", b""),
    ]
    assert {name: found[0][0][name] for name in ("mode", "uid", "gid")} == {"mode": 0o600, "uid": 1, "gid": 2}


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_whatever_files_hold(contents):
    """Zeros and lengths among the bytes end nothing."""
    entries = [file(f"f{number}", content) for number, content in enumerate(contents)]

    assert [body for _, body in written(*entries)] == contents


def test_a_large_file_goes_in_pieces():
    """More than one piece of it is at hand at no time."""
    sizes = []

    class Body:
        def read(self, size: int, /) -> bytes:
            sizes.append(size)
            return bytes(size)

    entry = Entry(path="a", kind=EntryKind.FILE, mode=0o644, size=(1 << 20) + 5)
    stream = io.BytesIO()
    write_frames([(entry, Body())], stream)

    assert sizes == [1 << 20, 5]
    assert stream.closed


@pytest.mark.parametrize(
    ("path", "kind", "shown"),
    [
        ("a/.wh.b", "whiteout", "a/b"),
        (".wh.b", "whiteout", "/b"),
        ("a/.wh..wh..opq", "opaque", "a"),
        (".wh..wh..opq", "opaque", ""),
        ("a/.whb", "file", "a/.whb"),
    ],
)
def test_deletions(path, kind, shown):
    """Names that stand for one, as the image spec has them."""
    frame = frame_of(file(path, b""))

    assert frame is not None
    assert (frame["kind"], frame["path"]) == (kind, shown)


@pytest.mark.parametrize("path", [".wh..wh.aufs", "a/.wh..wh.plnk/b"])
def test_reserved_names_are_left_out(path):
    """They are bookkeeping of a file system."""
    assert frame_of(file(path, b"")) is None


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_a_deletion_of_no_name(name):
    """It would reach the folder itself, or the one above."""
    with pytest.raises(BadLayer):
        frame_of(file(f"a/{name}", b""))


@pytest.mark.parametrize("path", ["a/.wh.b", "a/.wh..wh..opq", ".wh.."])
def test_in_an_archive_no_name_is_special(path):
    """ADD unpacks what there is."""
    frame = frame_of(file(path, b""), plain=True)

    assert frame is not None
    assert (frame["kind"], frame["path"]) == ("file", path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (EntryKind.SYMLINK, "symlink"),
        (EntryKind.HARDLINK, "hardlink"),
        (EntryKind.FOLDER, "folder"),
        (EntryKind.FIFO, "fifo"),
    ],
)
def test_kinds(kind, name):
    """What is no file has no bytes, whatever its size says."""
    frame = frame_of(Entry(path="a", kind=kind, mode=0o755, target="b"))

    assert frame is not None
    assert (frame["kind"], frame["size"], frame["target"]) == (name, 0, "b")


@pytest.mark.parametrize("kind", [EntryKind.CHAR, EntryKind.BLOCK])
def test_devices_are_left_out(kind):
    """The runtime brings /dev, and a device of an image could be the host's disk."""
    assert frame_of(Entry(path="dev/sda", kind=kind, mode=0o666)) is None


def test_attributes_that_give_rights_are_left_out():
    """But for file capabilities, which are the image's."""
    entry = Entry(
        path="a",
        kind=EntryKind.FILE,
        mode=0o755,
        xattrs={"user.a": b"1", "security.capability": b"2", "trusted.overlay.opaque": b"y", "security.selinux": b"3"},
    )
    frame = frame_of(entry)

    assert frame is not None
    assert frame["attributes"] == {"user.a": b"1", "security.capability": b"2"}


def test_times_are_nanoseconds():
    """A layer has seconds, before the epoch too."""
    entry = Entry(path="a", kind=EntryKind.SYMLINK, mode=0o777, mtime=-2, target="b")
    frame = frame_of(entry)

    assert frame is not None
    assert frame["mtime"] == -2_000_000_000
