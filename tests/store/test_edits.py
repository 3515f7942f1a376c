"""What a user's own file keeps when it is written over."""

import os
import stat

import pytest

from wherry.errors import CannotWrite
from wherry.store.edits import editing


def write(path, content):
    """Write over a file."""
    with editing(path) as out:
        out.write(content)


def test_it_keeps_its_mode_and_its_owner(tmp_path):
    """A file of another owner is written in place, so that it stays theirs."""
    file = tmp_path / "file"
    file.write_text("a longer text")
    file.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(file, 1234, 1235)
    before = file.stat()

    write(file, b"short")

    after = file.stat()
    assert file.read_text() == "short"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert list(tmp_path.iterdir()) == [file]


def test_all_names_of_a_file_have_the_new_text(tmp_path):
    """Hard links stay one file; a symbolic link stays a link."""
    file, other, link = tmp_path / "file", tmp_path / "other", tmp_path / "link"
    file.write_text("a longer text")
    other.hardlink_to(file)
    link.symlink_to("other")

    write(link, b"short")

    assert file.read_text() == "short"
    assert file.samefile(other)
    assert link.is_symlink()


def test_one_that_nobody_may_write_is_refused(tmp_path):
    """Root could write it; its owner meant it to stay."""
    file = tmp_path / "file"
    file.write_text("text")
    file.chmod(0o444)

    with pytest.raises(CannotWrite, match="read-only"):
        write(file, b"short")

    assert file.read_text() == "text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert list(tmp_path.iterdir()) == [file]


def test_one_that_is_not_there_is_made(tmp_path):
    """Whole, or not at all."""
    file = tmp_path / "file"

    with pytest.raises(TypeError):
        write(file, "a text is no bytes")
    assert not file.exists()
    write(file, b"whole")

    assert file.read_text() == "whole"
