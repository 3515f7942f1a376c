"""A layer's folder as a tar: only what changed, deletions as whiteouts, the same bytes each time."""

import io
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from wherry.sandbox.launcher import diff_tar
from wherry.sandbox.launcher.owners import OWNER
from wherry.sandbox.layer_stack import OPAQUE
from wherry.sandbox.spec import DiffTar


class Layer:
    """A layer's folder and what is below it."""

    def __init__(self, where: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.folder, self.below = where / "layer", where / "below"
        self.folder.mkdir()
        self.below.mkdir()
        self._capture = capture

    def tar(self, latest: int = -1) -> bytes:
        """Write it; what goes to standard output is the tar."""
        job = DiffTar(task="tar", ids=None, folder=str(self.folder), below=[str(self.below)], latest=latest)
        diff_tar.write(job)
        return self._capture.readouterr().out

    def members(self, latest: int = -1) -> list[tarfile.TarInfo]:
        """Read it back, by Python's own reader."""
        with tarfile.open(fileobj=io.BytesIO(self.tar(latest))) as archive:
            return archive.getmembers()

    def names(self) -> list[str]:
        """Name what is in it, in order."""
        return [member.name for member in self.members()]


@pytest.fixture
def layer(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Layer:
    """An empty layer on an empty folder."""
    return Layer(tmp_path, capfdbinary)


def test_an_empty_layer_is_two_empty_blocks(layer):
    """As POSIX ends a tar; the root itself is not in it."""
    assert layer.tar() == bytes(1024)


def test_names_come_in_the_order_of_their_bytes(layer):
    """Not in that of the disk: a layer's digest must not hang on it."""
    for name in ("b", "a", "Z", "é", "a.b", "\udcff", "\U0001f600"):
        (layer.folder / name).touch()

    assert layer.names() == ["Z", "a", "a.b", "b", "é", "\U0001f600", "\udcff"]


def test_a_second_tar_has_the_same_bytes(layer):
    """A copy of the folder too."""
    (layer.folder / "dir").mkdir()
    (layer.folder / "dir/a").write_text("text")
    first = layer.tar()
    shutil.copytree(layer.folder, layer.folder.with_name("copy"))
    layer.folder = layer.folder.with_name("copy")

    assert layer.tar() == first


def test_files_with_all_they_have(layer):
    """Bytes, mode, owner, whole seconds."""
    path = layer.folder / "a"
    path.write_bytes(b"x" * 700)
    path.chmod(0o4750)
    os.utime(path, ns=(0, 1_999_999_999))
    with tarfile.open(fileobj=io.BytesIO(layer.tar())) as archive:
        (member,) = archive.getmembers()
        body = archive.extractfile(member)
        assert body is not None
        content = body.read()

    assert content == b"x" * 700
    assert (member.mode, member.mtime, member.uid, member.gid) == (0o4750, 1, os.geteuid(), os.getegid())


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1 << 19])
def test_sizes_round_the_buffer(layer, size):
    """Small files go through a buffer, others by the kernel: none loses a byte, and padding is whole."""
    content = bytes(number % 251 for number in range(size))
    (layer.folder / "a").write_bytes(content)
    (layer.folder / "b").write_bytes(b"after")
    with tarfile.open(fileobj=io.BytesIO(layer.tar())) as archive:
        found = [body.read() for name in ("a", "b") if (body := archive.extractfile(name))]

    assert found == [content, b"after"]


def test_no_time_is_after_the_latest(layer):
    """SOURCE_DATE_EPOCH; an older one stays."""
    for name, seconds in (("a", 100), ("b", 300)):
        (layer.folder / name).touch()
        os.utime(layer.folder / name, (seconds, seconds))

    assert [member.mtime for member in layer.members(200)] == [100, 200]


def test_kinds(layer):
    """A socket has no form in a tar."""
    (layer.folder / "link").symlink_to("a/b")
    os.mkfifo(layer.folder / "pipe", 0o600)
    os.mknod(layer.folder / "socket", stat.S_IFSOCK | 0o600)
    link, pipe = layer.members()

    assert (link.issym(), link.linkname, link.mode) == (True, "a/b", 0o777)
    assert (pipe.isfifo(), pipe.name) == (True, "pipe")


def test_a_file_of_two_names(layer):
    """The second is a link to the first."""
    (layer.folder / "a").write_text("text")
    (layer.folder / "b").hardlink_to(layer.folder / "a")
    first, second = layer.members()

    assert (first.isreg(), second.islnk(), second.linkname) == (True, True, "a")


def test_a_deletion(layer):
    """With the folder that it is in."""
    (layer.folder / "dir").mkdir()
    os.mknod(layer.folder / "dir/gone", stat.S_IFCHR, 0)

    assert layer.names() == ["dir", "dir/.wh.gone"]


def test_a_folder_made_again(layer):
    """The mark stands before what is in it."""
    (layer.folder / "dir").mkdir()
    (layer.folder / "dir/!first").touch()
    os.setxattr(layer.folder / "dir", OPAQUE, b"y")

    assert layer.names() == ["dir", "dir/.wh..wh..opq", "dir/!first"]


class TestUnchangedFolders:
    """An overlay takes folders up for what is below them."""

    @pytest.fixture(autouse=True)
    def _same(self, layer: Layer) -> None:
        for root in (layer.folder, layer.below):
            (root / "dir/sub").mkdir(parents=True)

    def settle(self, layer: Layer) -> None:
        """Give all folders one time."""
        for root in (layer.folder, layer.below):
            for path in (*root.rglob("*"),):
                os.utime(path, (1, 1))

    def test_they_are_left_out_where_nothing_is_in_them(self, layer):
        """Though they stand in the layer's folder."""
        self.settle(layer)

        assert layer.names() == []

    def test_they_come_with_what_is_in_them(self, layer):
        """Each once, above it."""
        (layer.folder / "dir/sub/a").touch()
        (layer.folder / "dir/sub/b").touch()
        self.settle(layer)

        assert layer.names() == ["dir", "dir/sub", "dir/sub/a", "dir/sub/b"]

    @pytest.mark.parametrize("what", ["mode", "time", "kind"])
    def test_a_changed_one_is_there_for_itself(self, layer, what):
        """Its mode, its time, or that it was none before."""
        self.settle(layer)
        match what:
            case "mode":
                (layer.folder / "dir/sub").chmod(0o700)
            case "time":
                os.utime(layer.folder / "dir/sub", (2, 2))
            case _:
                (layer.below / "dir/sub").rmdir()
                (layer.below / "dir/sub").touch()

        assert layer.names() == ["dir", "dir/sub"]


def test_a_noted_owner_is_the_files(layer):
    """Where there is one id only, the owner stands beside the file."""
    path = layer.folder / "a"
    path.touch()
    if os.geteuid() != 0:
        pytest.skip("the note counts for files of root, as a sandbox of one id has them")
    os.setxattr(path, OWNER, b"1000:50")
    (member,) = layer.members()

    assert (member.uid, member.gid) == (1000, 50)


def test_nothing_stays_open_however_deep(layer):
    """One folder is open at a time."""
    (layer.folder / "/".join(["d"] * 200)).mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    names = layer.names()

    assert len(names) == 200
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # the root of the layer
