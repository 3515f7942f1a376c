"""Unpacking makes what the archive says, and nothing outside of its folder."""

import io
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import SMALL, file, folder, hard, link, opener, tar_of
from needs import need, need_root
from wherry.errors import CannotWrite, WherryError
from wherry.layer.changes import flatten
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind
from wherry.layer.header import InvalidArchive
from wherry.layer.tar import read_tar
from wherry.layer.unpack import Unpacked, unpack


def unpacked(place: Path, *entries: Entry, **options: object) -> Unpacked:
    """Unpack entries as they come."""
    return unpack(read_tar(io.BytesIO(tar_of(*entries))), place, **options)


def snapshot(place: Path) -> dict[str, tuple[object, ...]]:
    """All that lies in a folder: mode, time, and bytes or target."""
    found = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        inside = str(path.readlink()) if kind == stat.S_IFLNK else path.read_bytes() if kind == stat.S_IFREG else b""
        mode = "" if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(place))] = (kind, mode, int(status.st_mtime), inside)
    return found


def test_as_gnu_tar_does(tmp_path):
    """Modes with setuid, times, links, hard links and pipes are what GNU tar makes of the same archive."""
    done = unpacked(tmp_path / "ours", *SMALL)
    (tmp_path / "theirs").mkdir()
    options = ["--preserve-permissions", "--no-same-owner", "--delay-directory-restore", "-C", str(tmp_path / "theirs")]
    subprocess.run(
        [need("tar"), "--extract", "--file=-", *options], input=tar_of(*SMALL), check=True, capture_output=True
    )

    assert snapshot(tmp_path / "ours") == snapshot(tmp_path / "theirs")
    assert (tmp_path / "ours/bin/again").stat().st_ino == (tmp_path / "ours/etc/motd").stat().st_ino
    assert done.entries == len(SMALL)
    assert done.size == sum(entry.size for entry in SMALL)


HOSTILE = {
    "a link up, and through it": [link("up", ".."), file("up/out", b"x")],
    "an absolute link, and through it": [link("up", "{outside}"), file("up/out", b"x")],
    "a link to a link out": [link("a", "b"), link("b", "../.."), file("a/out", b"x")],
    "a file over a link out": [link("out", "{outside}/out"), file("out", b"x")],
    "a folder over a link out": [link("out", "{outside}"), folder("out", mode=0o777), file("out/out", b"x")],
    "a hard link to a link out, and over it": [link("l", "{outside}/out"), hard("h", "l"), file("h", b"x")],
    "a deep link up": [folder("a/b"), link("a/b/up", "../../../.."), file("a/b/up/out", b"x")],
    "a folder's mode through a link": [folder("d", mode=0o777), file("d/x"), link("d", "{outside}")],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_outside(case, tmp_path):
    """Whatever the links say, what is around the folder stays as it was."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "kept").write_bytes(b"kept")
    os.utime(outside, (5, 5))
    entries = [replace(entry, target=entry.target.format(outside=outside)) for entry in HOSTILE[case]]
    unpacked(tmp_path / "box" / "in", *entries)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["box", "outside"]
    assert [path.name for path in (tmp_path / "box").iterdir()] == ["in"]
    assert snapshot(outside) == {"kept": (stat.S_IFREG, 0o644, int((outside / "kept").stat().st_mtime), b"kept")}
    assert (stat.S_IMODE(outside.stat().st_mode), outside.stat().st_mtime) == (0o750, 5)


@pytest.mark.parametrize(
    "entries",
    [
        [hard("a", "gone")],
        [folder("d"), hard("a", "d")],
        [link("a", "b"), link("b", "a"), file("a/x")],
        [file("d/.wh.x")],
        [hard("a", "l/x"), link("l", "/etc")],
    ],
)
def test_refused(entries, tmp_path):
    """Links to nothing or in circles, and whiteouts that nobody applied."""
    with pytest.raises(InvalidArchive) as caught:
        unpacked(tmp_path / "in", *entries)

    assert caught.value.hint


def test_limits(tmp_path):
    """More entries or bytes than accepted stop it."""
    for limits in (ArchiveLimits(entries=1), ArchiveLimits(size=1000)):
        with pytest.raises(InvalidArchive):
            unpacked(tmp_path / "in", file("a", b"x" * 600), file("b", b"x" * 600), limits=limits)


def test_devices_are_skipped(tmp_path):
    """No root, no nodes; the notice names them."""
    done = unpacked(tmp_path / "in", Entry(path="dev/null", kind=EntryKind.CHAR, device=(1, 3)), file("a"))

    assert done.skipped == ["dev/null: a device node"]
    assert not (tmp_path / "in/dev/null").exists()


@pytest.mark.parametrize(
    "name", ["trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.x", "user.overlay.opaque"]
)
def test_attributes_that_the_kernel_acts_on(tmp_path, name):
    """An image tells no overlay of this machine what to show, not even where root unpacks it; other attributes stay."""
    hostile = replace(file("a", b"x"), xattrs={name: b"/etc", "user.kept": b"y"})
    done = unpacked(tmp_path / "in", replace(folder("d"), xattrs={name: b"y"}), hostile)

    assert [line.partition(": ")[0] for line in done.skipped] == ["a", "d"]
    assert os.listxattr(tmp_path / "in/a") == ["user.kept"]
    assert os.listxattr(tmp_path / "in/d") == []


def test_folders_that_may_not_be_written(tmp_path):
    """A read-only folder is filled first; folders have the times of the archive, not of the filling."""
    unpacked(tmp_path / "in", folder("d", mode=0o555, mtime=7), folder("d/e", mode=0o500, mtime=8), file("d/e/a", b"x"))

    assert (tmp_path / "in/d/e/a").read_bytes() == b"x"
    assert stat.S_IMODE((tmp_path / "in/d").stat().st_mode) == 0o555
    assert (tmp_path / "in/d").stat().st_mtime == 7
    assert (tmp_path / "in/d/e").stat().st_mtime == 8
    (tmp_path / "in/d/e").chmod(0o700)
    (tmp_path / "in/d").chmod(0o700)


def test_owners(tmp_path):
    """Root can keep owners, and setuid with them."""
    need_root()
    unpacked(tmp_path / "in", file("a", b"x", uid=7, gid=8, mode=0o6755), link("l", "a"), owners=True)
    status = (tmp_path / "in/a").stat()

    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o6755)


def test_a_stack(tmp_path):
    """Layers are flattened, then unpacked: what is hidden is never there."""
    layers = [opener(file("etc/a", b"1"), file("etc/b", b"1")), opener(file("etc/.wh.a"), hard("c", "etc/b"))]
    unpack(flatten(layers), tmp_path / "in")

    assert sorted(path.name for path in (tmp_path / "in").rglob("*")) == ["b", "c", "etc"]
    assert (tmp_path / "in/c").read_bytes() == b"1"


def test_a_place_that_cannot_be(tmp_path):
    """A file where the folder should be is the user's to move."""
    (tmp_path / "in").write_bytes(b"")
    with pytest.raises(CannotWrite) as caught:
        unpacked(tmp_path / "in", file("a"))

    assert caught.value.hint


_parts = st.sampled_from(["a", "b", "c", "a/b", "b/c", "a/b/c"])
_targets = st.sampled_from(["..", "../..", "/", "/a", "a", "b/..", "../b", "c", "a/../../../x", "."])
_hostile = st.lists(
    st.builds(file, _parts, st.just(b"x"))
    | st.builds(folder, _parts)
    | st.builds(link, _parts, _targets)
    | st.builds(hard, _parts, _parts),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(_hostile)
def test_any_mix_of_links(tmp_path_factory, entries):
    """Random links, files and folders over each other: nothing beside the folder, no traceback."""
    place = tmp_path_factory.mktemp("any")
    try:
        unpacked(place / "box" / "in", *entries)
    except WherryError as error:
        assert error.message  # noqa: PT017 - it may be raised, and need not
    finally:
        assert [path.name for path in place.iterdir()] == ["box"]
        assert [path.name for path in (place / "box").iterdir()] == ["in"]
