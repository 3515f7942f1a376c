"""COPY, ADD and WORKDIR on small folders: what comes out, and what is refused."""

import os
import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from wherry.sandbox.launcher.copy_files import change, measure
from wherry.sandbox.launcher.select_files import NotCopyable
from wherry.sandbox.spec import ChangeFiles, CopySpec, MakeFolder, Measure

ME = {"uid": os.geteuid(), "gid": os.getegid()}


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Have the process's umask back, which a job sets for itself."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder to copy from."""
    folder = tmp_path / "context"
    for name, text in (("a", "text a"), ("dir/b", "text b"), ("dir/sub/c", "text c")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o640)
        os.utime(path, ns=(0, 5_000_000_000))
    (folder / "link").symlink_to("dir/b")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A rootfs with nothing below it."""
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def copy(context: Path, path: str, destination: str, **values: Any) -> CopySpec:
    """Say what a plain COPY says."""
    standard: dict[str, Any] = {
        "action": "copy",
        "origin": {"kind": "folder", "folder": str(context), "layers": [], "left_out": []},
        "path": path,
        "destination": destination,
        "contents": True,
        "follow": True,
        "wildcards": True,
        "only": [],
        "but": [],
        "required": [],
        "mode": "",
        "owner": ME,
        "mtime": -1,
    }
    return CopySpec(**standard | values)  # type: ignore[typeddict-item]


def do(tree: Path, *actions: CopySpec | MakeFolder) -> list[str]:
    """Do them; name all that is in the tree then."""
    job = ChangeFiles(
        task="change", ids=None, stage="", layers=[], writable=str(tree.parent), overlay=False, actions=list(actions)
    )
    change(job, BytesIO())
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))


@pytest.mark.parametrize(
    ("path", "destination", "found"),
    [
        ("a", "/x", ["x"]),
        ("a", "/x/", ["x", "x/a"]),
        ("a", "/x/y/z", ["x", "x/y", "x/y/z"]),
        ("dir", "/x", ["x", "x/b", "x/sub", "x/sub/c"]),
        ("dir", "/", ["b", "sub", "sub/c"]),
        ("di?/su*", "/x", ["x", "x/c"]),
        ("*/b", "/x/", ["x", "x/b"]),
        ("none*", "/x/", []),
        ("link", "/x", ["x"]),
    ],
)
def test_where_things_go(context, tree, path, destination, found):
    """A slash at the end means a folder; of a folder its contents are copied."""
    assert do(tree, copy(context, path, destination)) == found


def test_bytes_modes_and_times(context, tree):
    """They are the file's own."""
    do(tree, copy(context, "a", "/x"))
    status = (tree / "x").stat()

    assert (tree / "x").read_text() == "text a"
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, 5_000_000_000)


@pytest.mark.parametrize(("mode", "expected"), [("755", 0o755), ("0600", 0o600), ("u+x,g-r", 0o700), ("a=rX", 0o444)])
def test_a_mode_is_given(context, tree, mode, expected):
    """In octal, or as chmod has it."""
    do(tree, copy(context, "a", "/x", mode=mode))

    assert stat.S_IMODE((tree / "x").stat().st_mode) == expected


def test_a_time_is_given(context, tree):
    """To files, to folders, and to those made on the way."""
    do(tree, copy(context, "dir", "/x/y", mtime=7_000_000_000))

    assert {path.stat().st_mtime_ns for path in tree.rglob("*")} == {7_000_000_000}


def test_a_link_at_the_end(context, tree):
    """It is followed where that is asked for, else copied."""
    do(tree, copy(context, "link", "/followed"), copy(context, "link", "/kept", follow=False))

    assert (tree / "followed").read_text() == "text b"
    assert (tree / "kept").readlink() == Path("dir/b")


def test_links_in_a_folder_are_copied(context, tree):
    """Whatever they point to."""
    (context / "dir" / "bad").symlink_to("/nowhere")
    do(tree, copy(context, "dir", "/x"))

    assert (tree / "x/bad").readlink() == Path("/nowhere")


def test_hard_links_stay_one_file(context, tree):
    """Its bytes are in the layer once."""
    (context / "dir" / "same").hardlink_to(context / "dir" / "b")
    do(tree, copy(context, "dir", "/x"))

    assert (tree / "x/same").samefile(tree / "x/b")


def test_a_folder_joins_what_is_there(context, tree):
    """Files of the same name are replaced, others stay."""
    (tree / "x").mkdir()
    (tree / "x/b").write_text("old")
    (tree / "x/own").write_text("kept")
    do(tree, copy(context, "dir", "/x"))

    assert {name: (tree / "x" / name).read_text() for name in ("b", "own")} == {"b": "text b", "own": "kept"}


def test_a_file_replaces_a_link_not_its_target(context, tree):
    """COPY a /dir/ onto a link of that name inside it."""
    (tree / "target").write_text("old")
    (tree / "x").mkdir()
    (tree / "x/a").symlink_to("../target")
    do(tree, copy(context, "a", "/x/"))

    assert not (tree / "x/a").is_symlink()
    assert (tree / "target").read_text() == "old"


def test_a_link_in_the_destination_stays_inside(context, tree):
    """/out of the image leads to / of the image, never to the host's."""
    (tree / "out").symlink_to("../../..")
    (tree / "abs").symlink_to("/made")

    assert do(tree, copy(context, "a", "/out/x"), copy(context, "a", "/abs/y")) == [
        "abs", "made", "made/y", "out", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("there", "path", "destination"),
    [("folder", "dir", "/x"), ("file", "dir", "/x"), ("file", "a", "/x/y"), ("nothing", "gone", "/x")],
    ids=["folder over file", "folder over a file", "below a file", "missing"],
)
def test_what_cannot_be(context, tree, there, path, destination):
    """A file where a folder must be, a folder where a file must be, nothing to copy."""
    if there == "file":
        (tree / "x").write_text("")
    if there == "folder":
        (tree / "x/b").mkdir(parents=True)

    with pytest.raises(NotCopyable):
        do(tree, copy(context, path, destination))


def test_patterns_choose(context, tree):
    """Folders that are passed over are made for what is taken of them."""
    found = do(tree, copy(context, "/", "/x/", only=["dir/sub/c"]))

    assert found == ["x", "x/dir", "x/dir/sub", "x/dir/sub/c"]


def test_patterns_leave_out(context, tree):
    """With all that is below."""
    assert do(tree, copy(context, "dir", "/x", but=["sub"])) == ["x", "x/b"]


def test_what_the_context_ignores_is_not_there(context, tree):
    """Asked for by name, it is missing."""
    ignoring = {"kind": "folder", "folder": str(context), "layers": [], "left_out": ["a"]}

    with pytest.raises(NotCopyable):
        do(tree, copy(context, "a", "/x", origin=ignoring))


def test_a_folder_of_workdir(tree):
    """Made with those above, with a mode and a time; one that is there stays as it is."""
    (tree / "there").mkdir(mode=0o700)
    make = MakeFolder(action="folder", path="/there/a/b", mode=0o755, owner=None if os.geteuid() == 0 else ME, mtime=9)  # type: ignore[typeddict-item]
    do(tree, make)

    assert stat.S_IMODE((tree / "there").stat().st_mode) == 0o700
    assert [(stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns) for path in (tree / "there").rglob("b")] == [
        (0o755, 9)
    ]


def test_a_long_file_is_copied_whole(context, tree):
    """By the kernel, in pieces; holes count as zeros."""
    with (context / "long").open("wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    do(tree, copy(context, "long", "/x"))

    assert (tree / "x").read_bytes() == (context / "long").read_bytes()


class TestMeasure:
    """The hash that says whether a copy from a stage would come out the same."""

    def key(self, context: Path, path: str = "dir", **values: Any) -> str:
        """Measure one copy."""
        return measure(Measure(task="measure", ids=None, stage="", copies=[copy(context, path, "/x", **values)]))

    def test_times_do_not_matter(self, context):
        """A stage built again has the same files at other times."""
        before = self.key(context)
        os.utime(context / "dir/b", ns=(1, 1))

        assert self.key(context) == before

    def test_what_is_elsewhere_does_not_matter(self, context):
        """Nor does what patterns leave out."""
        before, chosen = self.key(context), self.key(context, but=["sub"])
        (context / "a").write_text("other")

        assert self.key(context) == before
        (context / "dir/sub/c").write_text("other")
        assert self.key(context, but=["sub"]) == chosen

    @pytest.mark.parametrize("what", ["bytes", "mode", "name", "kind", "target", "attribute", "new", "gone"])
    def test_everything_else_matters(self, context, what):
        """One change each."""
        path = context / "dir/b"
        (context / "dir/to").symlink_to("one")
        before = self.key(context)
        match what:
            case "bytes":
                path.write_text("text B")
            case "mode":
                path.chmod(0o600)
            case "name":
                path.rename(context / "dir/B")
            case "kind":
                path.unlink()
                path.mkdir()
            case "target":
                (context / "dir/to").unlink()
                (context / "dir/to").symlink_to("two")
            case "attribute":
                os.setxattr(path, "user.a", b"1")
            case "new":
                (context / "dir/new").touch()
            case _:
                path.unlink()

        assert self.key(context) != before
