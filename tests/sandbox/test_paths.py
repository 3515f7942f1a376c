"""Paths inside a root that nobody trusts."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.sandbox.launcher.paths import UnsuitablePath, make_file, make_folder, open_inside


@pytest.fixture
def root(tmp_path):
    """A root beside a file that must not be reached."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def named(place: int) -> str:
    """Say where a place is."""
    try:
        return str(Path(f"/proc/self/fd/{place}").readlink())
    finally:
        os.close(place)


def opened(root: Path) -> int:
    """Open a root."""
    return os.open(root, os.O_PATH | os.O_DIRECTORY)


@pytest.mark.parametrize("target", ["..", "../outside", "/../outside", "../../../../../../..", "/outside"])
def test_links_end_at_the_root(root, target):
    """Absolute links and `..` start and stop at the root."""
    (root / "link").symlink_to(target)
    (root / "outside").mkdir()

    assert named(open_inside(opened(root), "/link")).startswith(str(root))
    with pytest.raises(FileNotFoundError):
        open_inside(opened(root), "/link/secret")


def test_makes_what_is_missing(root):
    """Folders and files, through links that point to nothing yet."""
    (root / "etc").mkdir()
    (root / "etc" / "resolv.conf").symlink_to("../run/resolve/stub.conf")

    assert named(make_file(opened(root), "/etc/resolv.conf")) == f"{root}/run/resolve/stub.conf"
    assert named(make_folder(opened(root), "/a/../b/./c")) == f"{root}/b/c"
    assert (root / "b" / "c").is_dir()


def test_refuses(root):
    """Loops, files above folders, the wrong kind, and links where none may be."""
    (root / "loop").symlink_to("loop")
    (root / "file").touch()
    (root / "link").symlink_to("file")

    for path in ("/loop", "/file/x"):
        with pytest.raises(UnsuitablePath):
            make_folder(opened(root), path)
    with pytest.raises(UnsuitablePath):
        make_folder(opened(root), "/file")
    with pytest.raises(UnsuitablePath):
        make_file(opened(root), "/")
    with pytest.raises(UnsuitablePath):
        open_inside(opened(root), "/link", links=False)


names = st.sampled_from(["a", "b", "c", "..", "."])
routes = st.lists(names, min_size=1, max_size=5).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["folder", "link", "file"]), routes, routes), max_size=6), routes)
def test_never_leaves_the_root(made, path):
    """Whatever links a root has and whatever is asked for, what comes is inside."""
    with tempfile.TemporaryDirectory() as where:
        root = Path(where, "root")
        root.mkdir()
        before = opened(root)
        for kind, here, there in made:
            try:
                match kind:
                    case "folder":
                        os.close(make_folder(before, here))
                    case "file":
                        os.close(make_file(before, here))
                    case _:
                        above = make_folder(before, here.rpartition("/")[0])
                        os.symlink(f"/{there}" if len(there) % 2 else there, here.rpartition("/")[2], dir_fd=above)
                        os.close(above)
            except OSError:
                continue
        with suppress(OSError):
            assert f"{named(make_folder(before, path))}/".startswith(f"{root}/")
        os.close(before)
        assert [found.name for found in Path(where).iterdir()] == ["root"]
