"""Which files ADD unpacks, by their bytes."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from pathlib import Path

import pytest
import zstandard

from wherry.build.archives import is_archive, open_archive
from wherry.build.copy_sources import name_in
from wherry.layer.header import InvalidArchive


def tar(*names: str) -> bytes:
    """Make an archive of small files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


COMPRESSORS = {
    "none": lambda content: content,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: zstandard.ZstdCompressor().compress(content),
}


@pytest.mark.parametrize("name", COMPRESSORS)
def test_archives_are_read(tmp_path, name):
    """Whatever the file is called."""
    file = tmp_path / "picture.png"
    file.write_bytes(COMPRESSORS[name](tar("a", "b/c")))

    assert is_archive(file)
    with open_archive(file) as entries:
        assert [(entry.path, body.read(100)) for entry, body in entries] == [("a", b"a"), ("b/c", b"b/c")]


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("content", [b"", b"text" * 300, bytes(1024)[:511]], ids=["empty", "text", "short"])
def test_other_files_are_not(tmp_path, name, content):
    """A compressed text is copied as it is."""
    file = tmp_path / "a.tar.gz"
    file.write_bytes(COMPRESSORS[name](content))

    assert not is_archive(file)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd"])
def test_a_file_that_only_begins_like_one(tmp_path, name):
    """Its first bytes are right, the rest is not."""
    file = tmp_path / "a"
    file.write_bytes(COMPRESSORS[name](tar("a"))[:6] + b"garbage" * 100)

    assert not is_archive(file)


def read_all(file: Path) -> None:
    """Read an archive to its end."""
    with open_archive(file) as entries:
        for _, body in entries:
            while body.read(1 << 16):
                pass


@pytest.mark.parametrize("cut", [600, 700])
def test_an_archive_that_is_cut_short(tmp_path: Path, cut):
    """An error, not half of it without a word."""
    file = tmp_path / "a"
    file.write_bytes(tar("a" * 90, "b")[:cut])

    with pytest.raises(InvalidArchive):
        read_all(file)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("gzip", "middle"),
        ("gzip", "end"),
        ("bzip2", "middle"),
        ("bzip2", "end"),
        ("xz", "middle"),
        ("xz", "end"),
        ("zstd", "middle"),
    ],
)
def test_an_archive_that_is_damaged(tmp_path: Path, name, damage):
    """Behind a beginning that is sound: an error with the file's name, whatever the compression."""
    content = COMPRESSORS[name](tar(*(hashlib.sha256(bytes([number])).hexdigest() for number in range(250))))
    middle = len(content) // 2
    file = tmp_path / "a"
    file.write_bytes(content[:middle] + (b"\xff" * 2000 + content[middle + 2000 :] if damage == "middle" else b""))

    with pytest.raises(InvalidArchive) as caught:
        read_all(file)
    assert caught.value.name == "a"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/b.tgz", "b.tgz"),
        ("https://example.com/b.tgz?x=/y#z", "b.tgz"),
        ("https://example.com", "__unnamed__"),
        ("https://example.com/a/", "__unnamed__"),
        ("https://example.com/a/..", "__unnamed__"),
    ],
)
def test_names_of_fetched_files(url, name):
    """The last part of the path, if it is a name."""
    assert name_in(url) == name
