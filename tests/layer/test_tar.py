"""Tars: one form written, every common form read, bad ones refused."""

import contextlib
import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import SMALL, entries, file, folder, hard, link, reread, tar_of
from needs import need
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.layer import header
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind, FileContent, sort_entries, with_parents
from wherry.layer.header import Header, InvalidArchive
from wherry.layer.tar import FileChanged, read_tar


@settings(max_examples=60, deadline=None)
@given(st.lists(entries(), max_size=4))
def test_what_is_written_is_read(written):
    """Every field of every kind comes back, bodies too."""
    read = [(entry, body.read()) for entry, body in read_tar(io.BytesIO(tar_of(*written)))]

    assert [replace(entry, content=None) for entry in written] == [entry for entry, _ in read]
    assert [entry.content.blob if entry.content else b"" for entry in written] == [body for _, body in read]


@settings(max_examples=60, deadline=None)
@given(st.lists(entries(), max_size=3))
def test_python_reads_it(written):
    """An independent reader sees the same names, numbers and bytes."""
    with tarfile.open(fileobj=io.BytesIO(tar_of(*written))) as archive:
        members = archive.getmembers()
        bodies = [body.read() if (body := archive.extractfile(member)) else b"" for member in members if member.isreg()]

    assert [entry.path for entry in written] == [member.name for member in members]
    assert [(entry.uid, entry.gid, entry.mode) for entry in written] == [(it.uid, it.gid, it.mode) for it in members]
    assert [entry.mtime for entry in written] == [int(member.mtime) for member in members]
    assert [entry.target for entry in written] == [member.linkname for member in members]
    assert bodies == [entry.content.blob for entry in written if entry.content]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_never_crashes(data):
    """Any bytes changed: a clear error or other entries, never a traceback, never more than the limits."""
    archive = bytearray(tar_of(*SMALL))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(archive) - 1))
        archive[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        header_at = data.draw(st.integers(0, len(archive) // 512 - 1)) * 512
        block = archive[header_at : header_at + 148] + b" " * 8 + archive[header_at + 156 : header_at + 512]
        archive[header_at + 148 : header_at + 156] = b"%06o\0 " % sum(block)
    cut = archive[: data.draw(st.integers(0, len(archive)))]
    try:
        read = list(read_tar(io.BytesIO(cut), limits=ArchiveLimits(entries=20, size=1 << 20)))
    except WherryError:
        return

    assert len(read) <= 20


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200), st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1, max_size=9), st.binary())
)
def test_pax_records(garbage, records):
    """Records come back; garbage is refused or is records."""
    records = {key.replace("=", "_"): value for key, value in records.items()}
    body = b"".join(header._record(key.encode(), value) for key, value in records.items())
    assert header.parse_records(body, "x") == records
    with contextlib.suppress(InvalidArchive):
        assert header.parse_records(garbage, "x") or not garbage


def test_same_entries_same_bytes():
    """Nothing of this machine or of this moment gets in."""
    assert tar_of(*SMALL) == tar_of(*SMALL)


def test_gnu_tar_lists_it():
    """GNU tar reads what we write, without a warning."""
    listing = subprocess.run(
        [need("tar"), "--list", "--verbose", "--numeric-owner", "--utc", "--quoting-style=literal", "--file=-"],
        input=tar_of(*SMALL),
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )

    assert listing.stderr == b""
    assert f"{1 << 24}/65532" in listing.stdout.decode()
    assert "srv/daß.txt" in listing.stdout.decode()
    assert "etc/motd" in listing.stdout.decode()


@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_gnu_tars_forms(form, tmp_path):
    """All that GNU tar writes is read."""
    (tmp_path / "a").mkdir()
    name = "b" * (90 if form == "v7" else 160)
    if form == "ustar":
        name = "b" * 95
    (tmp_path / "a" / name).write_bytes(b"x" * 700)
    (tmp_path / "link").symlink_to("a")
    made = subprocess.run(
        [need("tar"), f"--format={form}", "--create", "--file=-", "--sort=name", "./a", "link"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip

    assert reread(made.stdout) == {"a": EntryKind.FOLDER, f"a/{name}": b"x" * 700, "link": "-> a"}


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_sparse_is_refused(form, tmp_path):
    """A file with holes in tar's own form is no layer's; the error says how to do without."""
    with (tmp_path / "holes").open("wb") as holes:
        holes.truncate(1 << 20)
        holes.seek(1 << 19)
        holes.write(b"x")
    made = subprocess.run(
        [need("tar"), f"--format={form}", "--sparse", "--create", "--file=-", "holes"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    with pytest.raises(InvalidArchive) as caught:
        reread(made.stdout)

    assert "sparse" in caught.value.problem
    assert "--sparse" in caught.value.hint


def _block(path: bytes, flag: bytes = b"0", **values: object) -> bytes:
    return header._block(Header(path, flag, **values), b"")


@pytest.mark.parametrize(
    ("archive", "word"),
    [
        (_block(b"../up"), "is outside"),
        (_block(b"a/../../b"), "is outside"),
        (_block(b"a", b"1", target=b"../b"), "is outside"),
        (_block(b"a", b"1"), "hard link without a target"),
        (_block(b"a", b"2"), "link without a target"),
        (_block(b"./", b"0"), "root is not a directory"),
        (_block(b"a", b"M"), "unknown type"),
        (_block(b"a", size=10), "ends"),
        (_block(b"a", size=10) + b"x" * 4, "ends"),
        (_block(b"a")[:300], "cut short"),
        (_block(b"a", b"x", size=1 << 30), "extended headers"),
        (_block(b"a", b"L", size=1 << 30), "extended headers"),
        (_block(b"a")[:500] + b"x" * 12, "checksum"),
        (b"#!/bin/sh\n" * 60, "not octal"),
        (_block(b"a", b"x", size=11) + b"11 size=-1\n".ljust(512, b"\0") + _block(b"a"), "out of range"),
        (_block(b"a", b"x", size=10) + b"10 uid=no\n".ljust(512, b"\0") + _block(b"a"), "says uid is"),
        (_block(b"a", b"x", size=9) + b"9 uid=77\n".ljust(512, b"\0"), "ends after"),
        (_block(b"a", b"L", size=900) + (b"a/" * 450).ljust(1024, b"\0") + _block(b"a"), "too long"),
    ],
)  # fmt: skip
def test_refused(archive, word):
    """Each kind of nonsense has its word."""
    with pytest.raises(InvalidArchive) as caught:
        reread(archive)

    assert word in str(caught.value)
    assert caught.value.hint


def test_negative_size_of_an_extension():
    """A base-256 size below zero would be read to the end of the stream."""
    block = bytearray(_block(b"a", b"L"))
    block[124:136] = (-512).to_bytes(12, "big", signed=True)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(InvalidArchive):
        reread(bytes(block))


@pytest.mark.parametrize("name", ["/abs", "./abs", "//abs", "./././abs", "/./abs"])
def test_paths_are_made_relative(name):
    """Leading slashes and dots are no part of where a thing is."""
    assert reread(_block(name.encode())) == {"abs": b""}


def test_limits():
    """More entries or bytes than accepted stop the reader."""
    archive = tar_of(file("a", b"x" * 600), file("b", b"x" * 600))
    for limits in (ArchiveLimits(entries=1), ArchiveLimits(size=1000)):
        with pytest.raises(InvalidArchive):
            list(read_tar(io.BytesIO(archive), limits=limits))


def test_global_headers_hold_on():
    """A global PAX header counts for all that follows, an own one goes before it, and the lot is bounded."""
    shared = _block(b"g", b"g", size=12) + b"12 uid=1000\n" + bytes(500)
    own = _block(b"x", b"x", size=9) + b"9 uid=77\n" + bytes(503)
    read = [entry.uid for entry, _ in read_tar(io.BytesIO(shared + _block(b"a") + own + _block(b"b") + _block(b"c")))]

    assert read == [1000, 77, 1000]


def test_bodies_may_be_left_unread():
    """Asking for the next entry passes over what is left of a body."""
    archive = tar_of(file("a", b"x" * 5000), file("b", b"y"))
    parts = [body.read(3) for _, body in read_tar(io.BytesIO(archive))]

    assert parts == [b"xxx", b"y"]


@pytest.mark.parametrize("now", [b"short", b"longer than it was"])
def test_a_file_that_changes(tmp_path, now):
    """A file that grows or shrinks while it is packed would make a broken tar."""
    path = tmp_path / "app"
    path.write_bytes(now)
    with pytest.raises(FileChanged) as caught:
        tar_of(Entry(path="app", kind=EntryKind.FILE, size=10, content=FileContent(path)))

    assert caught.value.hint
    with pytest.raises(NotFound):
        tar_of(Entry(path="app", kind=EntryKind.FILE, size=10, content=FileContent(Path("gone"))))


@pytest.mark.parametrize("path", ["/abs", "a//b", "a/../b", "./a", "a\0b", ".."])
def test_paths_that_are_none(path):
    """The writer takes only what the reader would give."""
    with pytest.raises(ValueError, match="not a path"):
        tar_of(file(path))


def test_parents():
    """Missing folders come once and before what is in them; those that are there stay."""
    made = sort_entries(with_parents([file("a/b/c"), folder("a", mode=0o700), file("a/b/d")], mtime=7))

    assert [(entry.path, entry.mode, entry.mtime) for entry in made] == [
        ("a", 0o700, 0), ("a/b", 0o755, 7), ("a/b/c", 0o644, 0), ("a/b/d", 0o644, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("given_", [[file("a"), file("a")], [file("a"), file("a/b")], [link("a", "b"), file("a/b/c")]])
def test_paths_that_clash(given_):
    """Two things at one path, or a thing in a file: the user's mistake, said as such."""
    with pytest.raises(InvalidUsage):
        with_parents(given_)


def test_order():
    """Hard links come last, since they may name anything before them."""
    ordered = sort_entries([hard("a", "z"), file("z"), file("b/x"), folder("b"), file("b-")])

    assert [entry.path for entry in ordered] == ["b", "b-", "b/x", "z", "a"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_plain_headers_are_read_as_all_others(data):
    """The quick way to read a header gives what the whole way gives, and leaves to that what it has to refuse."""
    written = [*data.draw(st.lists(entries(), max_size=3)), *SMALL]
    archive = bytearray(tar_of(*written))
    headers = [at for at in range(0, len(archive), 512) if archive[at + 257 : at + 262] == b"ustar"]
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.sampled_from(headers))
        place = at + data.draw(st.integers(0, 511))
        archive[place] = data.draw(st.sampled_from([*b"\0 ./0578a", 0x80, 0xFF]))
        block = archive[at : at + 148] + b" " * 8 + archive[at + 156 : at + 512]
        archive[at + 148 : at + 156] = b"%06o\0 " % sum(block)

    def read() -> object:
        try:
            return reread(bytes(archive))
        except InvalidArchive as error:
            return error.problem

    quick = read()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(header, "decode_plain", lambda _: None)
        assert read() == quick


def test_most_headers_are_plain():
    """Files and folders as builders write them are read the quick way."""
    plain = header.decode_plain(_block(b"usr/share/x", mode=0o644, size=7, mtime=9))

    assert plain == (b"0", b"usr/share/x", 0o644, 0, 0, 7, 9)
    assert header.decode_plain(_block(b"usr/", b"5", mode=0o755)) == (b"5", b"usr", 0o755, 0, 0, 0, 0)
    assert header.decode_plain(_block(b"./usr/x")) == (b"0", b"usr/x", 0o644, 0, 0, 0, 0)
