"""Hashes kept between builds: when one is trusted, and when a file is read again."""

import os
import time
from pathlib import Path

import pytest

from wherry.build.file_hashes import FileHashes, PathLog

OLD = time.time_ns() - 3600 * 10**9


class Disk:
    """One file that is old enough to be trusted, and counts how often it is read."""

    def __init__(self) -> None:
        self.content = b"first"
        self.reads = 0
        self.size, self.changed, self.inode, self.mode = 5, OLD, 7, 0o100644

    def status(self) -> os.stat_result:
        """Describe it, with the times that `stamp` reads."""
        return Status(self)  # type: ignore[return-value]  # as much of one as is read

    def read(self) -> bytes:
        """Hash it."""
        self.reads += 1
        return self.content.ljust(32)


class Status:
    """As much of a status as a stamp has."""

    def __init__(self, disk: Disk) -> None:
        self.st_size, self.st_ino, self.st_mode = disk.size, disk.inode, disk.mode
        self.st_mtime_ns = self.st_ctime_ns = disk.changed


@pytest.fixture
def disk() -> Disk:
    """An old file."""
    return Disk()


def ask(hashes: FileHashes, disk: Disk, folder: str = "src", name: str = "a") -> bytes:
    """Ask for its hash."""
    return hashes.content(folder, name, disk.status(), disk.read)


def test_a_file_is_read_once(disk, tmp_path):
    """In one build, and in the next."""
    for _ in range(2):
        hashes = FileHashes(tmp_path / "memory")
        assert [ask(hashes, disk), ask(hashes, disk)] == [b"first".ljust(32)] * 2
        hashes.close()

    assert disk.reads == 1


@pytest.mark.parametrize("what", ["size", "changed", "inode", "mode"])
def test_another_stamp_is_read_again(disk, tmp_path, what):
    """Each part of it counts."""
    hashes = FileHashes(tmp_path / "memory")
    ask(hashes, disk)
    setattr(disk, what, getattr(disk, what) + 1)
    disk.content = b"second"

    assert ask(hashes, disk) == b"second".ljust(32)


def test_a_file_of_this_moment_is_not_trusted_later(disk, tmp_path):
    """It may be written again within the clock's tick: the next build reads it again, this one does not."""
    disk.changed = time.time_ns() + 3600 * 10**9
    for reads in (1, 2):
        hashes = FileHashes(tmp_path / "memory")
        ask(hashes, disk)
        ask(hashes, disk)
        hashes.close()
        assert disk.reads == reads


def test_folders_and_names_are_told_apart(disk, tmp_path):
    """The same name elsewhere is another file."""
    hashes = FileHashes(tmp_path / "memory")
    for folder, name in (("src", "a"), ("src", "b"), ("", "a"), ("src/a", "")):
        ask(hashes, disk, folder, name)

    assert disk.reads == 4


def test_more_folders_than_are_kept_in_memory(disk, tmp_path):
    """They go to the disk meanwhile."""
    hashes = FileHashes(tmp_path / "memory")
    for _ in range(2):
        for number in range(100):
            ask(hashes, disk, f"folder{number}")

    assert disk.reads == 100


def test_without_a_file_nothing_outlives_the_build(disk):
    """But within it all is remembered."""
    for reads in (1, 2):
        hashes = FileHashes(None)
        ask(hashes, disk)
        ask(hashes, disk)
        hashes.close()
        assert disk.reads == reads


@pytest.mark.parametrize("damage", [b"", b"no database, but long enough to be taken for one " * 50])
def test_a_damaged_memory_is_begun_again(disk, tmp_path, damage):
    """It costs a hash, never a build."""
    for reads in (1, 2):
        hashes = FileHashes(tmp_path / "memory")
        assert ask(hashes, disk) == b"first".ljust(32)
        hashes.close()
        assert disk.reads == reads
        files = list(tmp_path.glob("memory*"))  # a format has a file of its own
        assert files
        for file in files:
            file.write_bytes(damage)


@pytest.mark.parametrize("name", ["é", "\udcff", "a\nb", "'; DROP TABLE folders; --"])
def test_any_name(disk, tmp_path, name):
    """Those that are no UTF-8 are hashed by every build; no name hurts the others."""
    for _ in range(2):
        hashes = FileHashes(tmp_path / "memory")
        ask(hashes, disk, name, name)
        ask(hashes, disk, name, "other")
        hashes.close()

    assert disk.reads == (3 if name == "\udcff" else 2)


class TestLooked:
    """What a choice hung on."""

    def test_all_of_it_is_given_back(self, tmp_path):
        """Also what went to the disk meanwhile, and a second time."""
        looked = PathLog(tmp_path)
        for number in range(3000):
            looked.note(f"f{number}", None)
        (tmp_path / "a").touch()
        looked.note("", tmp_path.stat())
        for _ in range(2):
            found = [one for chunk in looked.chunks() for one in chunk]

            assert len(found) == 3001
            assert found[0] == (f"{tmp_path}/f0", None)
            assert found[-1][0] == str(tmp_path)
            assert found[-1][1] is not None
        assert looked._file is not None  # it went to the disk
        looked._file.close()

    @pytest.mark.parametrize(
        ("changed", "settled"), [(OLD, True), (time.time_ns() + 3600 * 10**9, False)], ids=["old", "young"]
    )
    def test_whether_it_can_be_trusted(self, disk, changed, settled):
        """One young file is enough that it can't."""
        looked = PathLog(Path("/context"))
        looked.note("gone", None)
        disk.changed = OLD
        looked.note("old", disk.status())
        disk.changed = changed
        looked.note("a", disk.status())

        assert looked.settled == settled
