"""What a job changed in a copy of all layers, put apart: only what differs, and in an overlay's form."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.sandbox.launcher.diff_copy import settle
from wherry.sandbox.launcher.flatten import flatten
from wherry.sandbox.layer_stack import OPAQUE, LayerStack, is_whiteout


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """Two layers, base first."""
    for name, text in (("base/a", "a"), ("base/dir/b", "b"), ("base/dir/sub/c", "c"), ("top/dir/d", "d")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "base/link").symlink_to("a")
    os.mkfifo(tmp_path / "base/pipe")
    for name in ("link", "pipe"):  # as old as in an image, so that a copy made now differs if its time is not kept
        os.utime(tmp_path / "base" / name, (1, 1), follow_symlinks=False)
    return [str(tmp_path / "base"), str(tmp_path / "top")]


def settled(tmp_path: Path, layers: list[str], work: Callable[[Path], object]) -> dict[str, str]:
    """Copy the layers together, do some work there, settle; say what is in the layer."""
    writable = tmp_path / "writable"
    (writable / "full").mkdir(parents=True)
    (writable / "tree").mkdir()
    flatten(layers, str(writable / "full"))
    work(writable / "full")
    settle(layers, str(writable))
    return {str(path.relative_to(writable / "tree")): shown(path) for path in (writable / "tree").rglob("*")}


def shown(path: Path) -> str:
    """Describe one thing of a layer."""
    status = path.lstat()
    if is_whiteout(status):
        return "deleted"
    if stat.S_ISLNK(status.st_mode):
        return f"to {path.readlink()}"
    if stat.S_ISFIFO(status.st_mode):
        return "pipe"
    if stat.S_ISDIR(status.st_mode):
        return "opaque" if OPAQUE in os.listxattr(path) else "folder"
    return path.read_text()


def test_without_a_change_the_layer_is_empty(tmp_path, layers):
    """Everything is as it was copied."""
    assert settled(tmp_path, layers, lambda _: None) == {}


def test_a_changed_file_comes_with_its_folders(tmp_path, layers):
    """And nothing else of them."""
    assert settled(tmp_path, layers, lambda full: (full / "dir/sub/c").write_text("new")) == {
        "dir": "folder",
        "dir/sub": "folder",
        "dir/sub/c": "new",
    }


def test_a_new_file(tmp_path, layers):
    """At the top."""
    assert settled(tmp_path, layers, lambda full: (full / "new").write_text("new")) == {"new": "new"}


def test_a_deleted_file_leaves_a_mark(tmp_path, layers):
    """Of whichever layer it was."""
    assert settled(tmp_path, layers, lambda full: ((full / "a").unlink(), (full / "dir/d").unlink())) == {
        "a": "deleted",
        "dir": "folder",
        "dir/d": "deleted",
    }


def test_what_came_and_went_leaves_nothing(tmp_path, layers):
    """But for the time of the folder that it was in."""

    def work(full: Path) -> None:
        (full / "passing").touch()
        (full / "passing").unlink()

    found = settled(tmp_path, layers, work)

    assert found == {}


def test_a_mode_is_a_change(tmp_path, layers):
    """Of a file and of a folder."""

    def work(full: Path) -> None:
        (full / "a").chmod(0o600)
        (full / "dir/sub").chmod(0o700)

    assert settled(tmp_path, layers, work) == {"a": "a", "dir": "folder", "dir/sub": "folder"}
    assert stat.S_IMODE((tmp_path / "writable/tree/dir/sub").stat().st_mode) == 0o700


def test_a_link_that_points_elsewhere(tmp_path, layers):
    """It is compared by where it points."""

    def work(full: Path) -> None:
        (full / "link").unlink()
        (full / "link").symlink_to("dir")

    assert settled(tmp_path, layers, work) == {"link": "to dir"}


def test_a_folder_in_a_files_place_hides_it(tmp_path, layers):
    """What is below it in the layers would show through else."""

    def work(full: Path) -> None:
        (full / "a").unlink()
        (full / "a").mkdir()
        (full / "a/in").write_text("new")

    assert settled(tmp_path, layers, work) == {"a": "opaque", "a/in": "new"}


def test_a_file_in_a_folders_place(tmp_path, layers):
    """One file is all there is then."""

    def work(full: Path) -> None:
        (full / "dir/sub/c").unlink()
        (full / "dir/sub").rmdir()
        (full / "dir/sub").write_text("file")

    assert settled(tmp_path, layers, work) == {"dir": "folder", "dir/sub": "file"}


def test_the_layer_shows_what_the_copy_had(tmp_path, layers):
    """Read on top of those below, it is the copy again."""

    def work(full: Path) -> None:
        (full / "a").write_text("changed")
        (full / "dir/b").unlink()
        (full / "dir/new").mkdir()
        (full / "dir/new/x").write_text("x")

    settled(tmp_path, layers, work)
    view = LayerStack([*layers, str(tmp_path / "writable/tree")])
    found = {path: view.read(path, 100) for path in ("a", "dir/b", "dir/sub/c", "dir/d", "dir/new/x")}

    assert found == {"a": b"changed", "dir/b": b"", "dir/sub/c": b"c", "dir/d": b"d", "dir/new/x": b"x"}
