"""A layer's folder as a tar: only what changed, deletions as whiteouts, the same bytes each time."""

import io
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from needs import need_root
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
        self.more: list[Path] = []
        """Further layers between the two."""
        self._capture = capture

    def tar(self, latest: int = -1) -> bytes:
        """Write it; what goes to standard output is the tar."""
        job = DiffTar(
            task="tar", ids=None, folder=str(self.folder), below=[str(self.below), *map(str, self.more)], latest=latest
        )
        diff_tar.write(job)
        return self._capture.readouterr().out

    def members(self, latest: int = -1) -> list[tarfile.TarInfo]:
        """Read it back, by Python's own reader."""
        with tarfile.open(fileobj=io.BytesIO(self.tar(latest))) as archive:
            return archive.getmembers()

    def names(self) -> list[str]:
        """Name what is in it, in order."""
        return [member.name for member in self.members()]


def made_again(folder: Path) -> None:
    """Mark a folder as an overlay does one that was deleted and made again."""
    folder.mkdir(exist_ok=True)
    os.setxattr(folder, OPAQUE, b"y")


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
    """The mark stands before what is in it; nothing is marked where nothing was there."""
    made_again(layer.folder / "dir")
    (layer.folder / "dir/!first").touch()

    assert layer.names() == ["dir", "dir/!first"]
    (layer.below / "dir").mkdir()
    (layer.below / "dir/old").touch()

    assert layer.names() == ["dir", "dir/.wh..wh..opq", "dir/!first"]


def test_a_folder_made_again_with_what_it_had(layer):
    """What is the same stays in the layer below; each name that is gone is deleted by itself, at any depth."""
    for root in (layer.folder, layer.below):
        (root / "dir/sub").mkdir(parents=True)
        for name in ("dir/same", "dir/sub/same", "dir/other"):
            (root / name).write_text("text")
            os.utime(root / name, (1, 1))
    (layer.folder / "dir/other").write_text("ours")
    (layer.below / "dir/gone").touch()
    (layer.below / "dir/sub/gone").touch()
    made_again(layer.folder / "dir")

    assert layer.names() == ["dir", "dir/.wh.gone", "dir/other", "dir/sub", "dir/sub/.wh.gone"]


def test_a_folder_made_again_as_it_was(layer):
    """Nothing changed, so nothing is shipped, not even the mark."""
    for root in (layer.folder, layer.below):
        (root / "dir").mkdir()
    made_again(layer.folder / "dir")

    assert layer.names() == []


class TestUnchangedFiles:
    """What the layers below have, with content, mode, owner and time, is left out."""

    @pytest.fixture(autouse=True)
    def _same(self, layer: Layer) -> None:
        for root in (layer.folder, layer.below):
            (root / "dir").mkdir()
            (root / "dir/file").write_bytes(b"x" * 300_000)
            (root / "dir/link").symlink_to("file")
            os.mkfifo(root / "dir/pipe", 0o640)
            (root / "dir/pipe").chmod(0o640)
            for path in (root / "dir").iterdir():
                os.utime(path, ns=(0, 1_500_000_000), follow_symlinks=False)

    def test_they_are_left_out(self, layer):
        """Files, links and pipes; the part of a time that a tar lacks does not count."""
        os.utime(layer.folder / "dir/file", ns=(0, 1_900_000_000))

        assert layer.names() == []

    def test_a_time_that_no_one_ships_is_no_change(self, layer):
        """SOURCE_DATE_EPOCH makes two times one; then it must not hang on the clock whether a file is shipped."""
        os.utime(layer.folder / "dir/file", (9, 9))

        assert [member.name for member in layer.members(1)] == []
        assert [member.name for member in layer.members(5)] == ["dir", "dir/file"]

    @pytest.mark.parametrize("what", ["content", "size", "mode", "time", "owner", "kind"])
    def test_a_changed_file_is_shipped(self, layer, what):
        """With the folder that it is in."""
        file = layer.folder / "dir/file"
        match what:
            case "content":
                file.write_bytes(b"x" * 299_999 + b"y")
            case "size":
                file.write_bytes(b"x" * 300_001)
            case "mode":
                file.chmod(0o4644)
            case "owner":
                need_root()
                os.chown(file, 5, 6)
            case "kind":
                file.unlink()
                file.symlink_to("elsewhere")
        if what != "kind":
            os.utime(file, (2, 2) if what == "time" else (1, 1))

        assert layer.names() == ["dir", "dir/file"]

    def test_a_changed_link_is_shipped(self, layer):
        """Its target is its content."""
        (layer.folder / "dir/link").unlink()
        (layer.folder / "dir/link").symlink_to("fils")
        os.utime(layer.folder / "dir/link", (1, 1), follow_symlinks=False)

        assert layer.names() == ["dir", "dir/link"]

    def test_what_is_deleted_below_is_shipped(self, layer, tmp_path):
        """A file that a layer between deletes is not there any more, nor is one in a folder made again."""
        between = tmp_path / "between"
        (between / "dir").mkdir(parents=True)
        os.mknod(between / "dir/file", stat.S_IFCHR, 0)
        layer.more = [between]

        assert layer.names() == ["dir", "dir/file"]
        made_again(between / "dir")

        assert layer.names() == ["dir", "dir/file", "dir/link", "dir/pipe"]

    def test_a_new_name_of_an_old_file(self, layer):
        """The two stay one file, so the old name is shipped too."""
        (layer.folder / "dir/new").hardlink_to(layer.folder / "dir/file")

        assert layer.names() == ["dir", "dir/file", "dir/new"]

    def test_old_names_of_an_old_file(self, layer):
        """One file below, one file above: nothing changed; two that become one are shipped."""
        for root in (layer.folder, layer.below):
            (root / "dir/second").hardlink_to(root / "dir/file")

        assert layer.names() == []
        (layer.below / "dir/second").unlink()
        shutil.copy2(layer.below / "dir/file", layer.below / "dir/second")

        assert layer.names() == ["dir", "dir/file", "dir/second"]

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_below_what_was_no_folder(self, layer, kind):
        """A folder in the place of something else hides it; a link there is not followed."""
        shutil.rmtree(layer.below / "dir")
        if kind == "link":
            (layer.below / "dir").symlink_to(layer.folder / "dir")
        else:
            (layer.below / "dir").touch()

        assert layer.names() == ["dir", "dir/file", "dir/link", "dir/pipe"]


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

    def test_another_time_is_no_change(self, layer):
        """A file that came and went is nothing to ship, as for BuildKit."""
        self.settle(layer)
        os.utime(layer.folder / "dir/sub", (2, 2))

        assert layer.names() == []

    @pytest.mark.parametrize("what", ["mode", "kind"])
    def test_a_changed_one_is_there_for_itself(self, layer, what):
        """Its mode, or that it was none before."""
        self.settle(layer)
        match what:
            case "mode":
                (layer.folder / "dir/sub").chmod(0o700)
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
