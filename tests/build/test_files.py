"""Added files and the program as entries of a layer."""

import pytest

from wherry.build.files import entries_of
from wherry.layer.entry import EntryKind
from wherry.plan.graph import AddedFile


@pytest.fixture
def source(tmp_path):
    """A file that only its owner may read and run."""
    path = tmp_path / "file"
    path.write_bytes(b"text")
    path.chmod(0o770)
    return path


def test_folders_come_first_with_one_time(source):
    """Those above a file are made, and all have the time that is given."""
    entries = entries_of([AddedFile(str(source), "/etc/app/config", 0o600, 1, 2)], 5, None)

    assert [(entry.path, entry.kind, entry.mtime) for entry in entries] == [
        ("etc", EntryKind.FOLDER, 5),
        ("etc/app", EntryKind.FOLDER, 5),
        ("etc/app/config", EntryKind.FILE, 5),
    ]
    assert (entries[-1].mode, entries[-1].uid, entries[-1].gid, entries[-1].size) == (0o600, 1, 2, 4)


def test_folders_of_the_base_are_left_alone(source):
    """An entry of ours would take /tmp its sticky bit."""
    entries = entries_of([AddedFile(str(source), "/tmp/a/b", None)], 0, None, {"/tmp"})  # noqa: S108 - a path in an image

    assert [entry.path for entry in entries] == ["tmp/a", "tmp/a/b"]


@pytest.mark.parametrize(
    ("disk", "mode"), [(0o770, 0o754), (0o600, 0o644), (0o666, 0o644), (0o4755, 0o755), (0o777, 0o755)]
)
def test_modes_of_the_disk(source, disk, mode):
    """Readable by all, writable by root alone, never set-uid: the umask of who checked it out does not matter."""
    source.chmod(disk)

    assert entries_of([AddedFile(str(source), "/a", None)], 0, None)[0].mode == mode


def test_the_program_stands_for_an_empty_source(source):
    """Its bytes are those that were linked."""
    (entry,) = entries_of([AddedFile("", "/app", 0o755)], 0, source)

    assert entry.content is not None
    with entry.content.open() as stream:
        assert stream.read(10) == b"text"


def test_a_program_that_is_missing():
    """A fault of the plan, not of the user."""
    with pytest.raises(ValueError, match="/app"):
        entries_of([AddedFile("", "/app", 0o755)], 0, None)


def test_the_order_of_options_does_not_matter(source):
    """The same files give the same layer."""
    files = [AddedFile(str(source), path, 0o644) for path in ("/b", "/a/c", "/a/b")]
    one, other = (entries_of(given, 0, None) for given in (files, files[::-1]))

    assert [entry.path for entry in one] == [entry.path for entry in other] == ["a", "a/b", "a/c", "b"]
