"""Layers on disk, against what a stack of layers means: the tree that `layer/changes.py` makes of it."""

import io
import os
import pickle
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import file, folder, hard, link
from wherry.layer.changes import FileTree
from wherry.layer.entry import BytesContent, Entry, EntryKind
from wherry.layer.header import InvalidArchive
from wherry.sandbox.frames import write_frames
from wherry.sandbox.launcher import syscalls
from wherry.sandbox.launcher.flatten import flatten
from wherry.sandbox.launcher.overlays import overlay
from wherry.sandbox.launcher.paths import UnsuitablePath
from wherry.sandbox.launcher.snapshot_tasks import unpack
from wherry.sandbox.launcher.trash import delete_folder
from wherry.sandbox.layer_stack import LayerStack
from wherry.sandbox.spec import Unpack
from wherry.sandbox.start import BadLayer

UID, GID = os.geteuid(), os.getegid()

Shown = dict[str, tuple[str, object]]
"""By path: what it is, and its bytes, its target or its mode."""


class _Kept(io.BytesIO):
    """A buffer that can be read after it was closed."""

    def close(self) -> None:
        self.seek(0)


def frames(entries: Iterable[Entry]) -> io.BytesIO:
    """Write entries as the launcher reads them."""
    buffer = _Kept()
    write_frames(((entry, entry.content.open() if entry.content else io.BytesIO()) for entry in entries), buffer)
    return buffer


class Stack:
    """Layers unpacked into a folder, one below the other."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.folders: list[str] = []
        self.depends: list[bool] = []
        (where / "trash").mkdir()

    def add(self, entries: Sequence[Entry]) -> None:
        """Unpack the next layer."""
        into = self.where / f"{len(self.folders)}"
        into.mkdir()
        job = Unpack(task="unpack", ids=None, into=str(into), trash=str(self.where / "trash"), below=list(self.folders))
        depends, _ = unpack(job, frames(entries))
        self.folders.append(str(into))
        self.depends.append(depends)

    def flat(self) -> Shown:
        """Copy the layers together and look at that."""
        into = self.where / "flat"
        into.mkdir()
        flatten(self.folders, str(into))
        return {str(path.relative_to(into)): shown(path) for path in into.rglob("*")}

    def mounted(self) -> Shown:
        """Join the layers by an overlay, in a process and a mount namespace of its own, and look at that."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(self._look(write))
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            said = stream.read()
        assert os.waitpid(child, 0)[1] == 0
        return pickle.loads(said)  # noqa: S301 - our own child wrote it

    def _look(self, answer: int) -> int:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.make_private()
            stage = self.where / "stage"
            stage.mkdir()
            place = os.open(stage, os.O_PATH)
            syscalls.attach(syscalls.new_filesystem("tmpfs", []), place)
            os.chdir(stage)
            for name in ("tree", "work", "root"):
                Path(name).mkdir()
            syscalls.attach(overlay(self.folders, str(stage)), os.open("root", os.O_PATH))
            root = Path("root")
            names = [Path(folder, name) for folder, folders, files in os.walk(root) for name in (*folders, *files)]
            os.write(answer, pickle.dumps({str(path.relative_to(root)): shown(path) for path in names}))
        except OSError:
            traceback.print_exc()
            return 1
        return 0

    def seen(self, paths: Iterable[str]) -> Shown:
        """Look at paths through the view."""
        view = LayerStack(self.folders)
        found: Shown = {}
        for path in paths:
            status = view.status(path)
            if status is None:
                continue
            match stat.S_IFMT(status.st_mode):
                case stat.S_IFREG:
                    found[path] = ("file", view.read(path, 100))
                case stat.S_IFLNK:
                    found[path] = ("link", view.link(path))
                case _:
                    found[path] = ("folder", stat.S_IMODE(status.st_mode))
        return found


def shown(path: Path) -> tuple[str, object]:
    """Describe a file."""
    if path.is_symlink():
        return "link", str(path.readlink())
    return ("folder", stat.S_IMODE(path.stat().st_mode)) if path.is_dir() else ("file", path.read_bytes())


def meant(layers: Sequence[Sequence[Entry]]) -> Shown:
    """Say what a stack of layers means."""
    tree = FileTree()
    for entries in layers:
        tree.apply(entries)
    return {path: _meant(node.entry) for path, node in tree.walk()}


def _meant(entry: Entry) -> tuple[str, object]:
    match entry.kind:
        case EntryKind.FOLDER:
            return "folder", entry.mode
        case EntryKind.SYMLINK:
            return "link", entry.target
        case _:
            assert isinstance(entry.content, BytesContent)
            return "file", entry.content.blob


def mine(entry: Entry) -> Entry:
    """Make an entry that this user may own."""
    return Entry(**{name: getattr(entry, name) for name in entry.__slots__} | {"uid": UID, "gid": GID})


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.one_of(paths, paths.map("/{}".format), paths.map("../{}".format))
entries = st.one_of(
    st.builds(file, paths, st.binary(max_size=4)),
    st.builds(folder, paths, st.sampled_from([0o755, 0o700, 0o1777])),
    st.builds(link, paths, targets),
    st.builds(hard, paths, paths),
    st.builds(lambda path: file(f"{path[:-1]}.wh.{path[-1]}", b""), paths),
    st.builds(lambda path: file(f"{path}/.wh..wh..opq", b""), paths),
).map(mine)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(entries, max_size=6), min_size=1, max_size=3))
def test_layers_show_what_they_mean(layers):
    """Whatever a stack of layers holds, the view of it and its copy show what the stack means, or both refuse."""
    with tempfile.TemporaryDirectory() as where:
        stack = Stack(Path(where))
        try:
            expected: Shown | None = meant(layers)
        except InvalidArchive:
            expected = None
        try:
            for layer in layers:
                stack.add(layer)
        except UnsuitablePath:
            assert expected is None
            return
        assert expected is not None
        assert stack.flat() == expected
        assert stack.seen(expected) == expected
        if UID == 0:
            assert stack.mounted() == expected


def test_what_depends_on_layers_below(tmp_path):
    """Whiteouts, folders left out and links to what is below make a layer depend; a whole one does not."""
    stack = Stack(tmp_path)
    for layer in (
        [folder("etc"), file("etc/a", b"1")],
        [file("etc/b", b"2")],
        [folder("etc"), file("etc/.wh.a", b"")],
        [folder("opt"), hard("opt/b", "etc/b")],
        [folder("opt"), file("opt/c", b"")],
    ):
        stack.add([mine(entry) for entry in layer])

    assert stack.depends == [False, True, True, True, False]
    assert stack.flat().keys() == {"etc", "etc/b", "opt", "opt/b", "opt/c"}


def test_folders_left_out_look_as_below(tmp_path):
    """A layer that brings only `tmp/x` leaves the mode of /tmp as it is, and follows `lib` to `usr/lib`."""
    stack = Stack(tmp_path)
    stack.add([mine(entry) for entry in (folder("tmp", 0o1777), folder("usr/lib"), link("lib", "usr/lib"))][:1])
    stack.add([mine(entry) for entry in (folder("usr"), folder("usr/lib"), link("lib", "usr/lib"))])
    stack.add([mine(entry) for entry in (file("tmp/x", b""), file("lib/y", b"y"))])

    seen = stack.flat()
    assert seen["tmp"] == ("folder", 0o1777)
    assert seen["usr/lib/y"] == ("file", b"y")
    assert seen["lib"] == ("link", "usr/lib")


@pytest.mark.parametrize(
    "planted",
    [
        [link("a", "/"), file("a/escaped", b"x")],
        [link("a", "../../../../../.."), file("a/escaped", b"x")],
        [link("escaped", "/etc/passwd"), file("escaped", b"x")],
        [folder("d"), link("d/up", "../../.."), file("d/up/escaped", b"x")],
    ],
)
def test_nothing_leaves_the_layer(tmp_path, planted):
    """Links that an earlier entry planted lead inside the layer only."""
    stack = Stack(tmp_path)
    try:
        stack.add([mine(entry) for entry in planted])
    except UnsuitablePath:
        assert not (tmp_path / "0" / "escaped").exists()
        return

    assert (tmp_path / "0" / "escaped").read_bytes() == b"x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "trash"]


@pytest.mark.parametrize("path", ["a/../../b", "..", "a/.wh..", "a/.wh.", "a/.wh..."])
def test_refuses_paths_that_lead_out(tmp_path, path):
    """`..` is refused even if the reader of the tar let it through."""
    with pytest.raises((UnsuitablePath, BadLayer)):
        Stack(tmp_path).add([mine(file(path, b""))])


def test_a_hard_link_shares_its_file(tmp_path):
    """Two names of one file stay one file."""
    stack = Stack(tmp_path)
    stack.add([mine(file("one", b"1")), mine(hard("two", "one"))])

    assert (tmp_path / "0" / "one").stat().st_nlink == 2


def test_devices_are_left_out(tmp_path):
    """An image's device nodes are no part of what a sandbox shows."""
    stack = Stack(tmp_path)
    stack.add(
        [mine(Entry(path="sda", kind=EntryKind.BLOCK, device=(8, 0))), mine(Entry(path="pipe", kind=EntryKind.FIFO))]
    )

    assert [path.name for path in (tmp_path / "0").iterdir()] == ["pipe"]


def test_overlay_attributes_of_an_image_are_left_out(tmp_path):
    """An image can't say to the overlay what only we may: where a folder was moved from, what it hides."""
    entry = Entry(
        path="d", kind=EntryKind.FOLDER, uid=UID, gid=GID, xattrs={"user.overlay.redirect": b"/etc", "user.kept": b"1"}
    )
    Stack(tmp_path).add([entry])

    assert os.listxattr(tmp_path / "0" / "d") == ["user.kept"]


def test_times_and_modes_are_kept(tmp_path):
    """A folder's time is that of its entry, though files were put in it since."""
    at = 1_000_000_000
    layer = [
        Entry(path="d", kind=EntryKind.FOLDER, mode=0o750, uid=UID, gid=GID, mtime=at),
        Entry(path="d/f", kind=EntryKind.FILE, mode=0o4755, uid=UID, gid=GID, mtime=at, content=BytesContent(b"")),
    ]
    Stack(tmp_path).add(layer)

    kept = [
        (path.stat().st_mtime, stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "0/d", tmp_path / "0/d/f")
    ]
    assert kept == [(at, 0o750), (at, 0o4755)]


@pytest.mark.parametrize("listed", [False, True], ids=["one file", "each folder"])
@pytest.mark.parametrize("below", ["nothing", "the same", "a deletion on top"])
def test_what_deep_paths_cost_grows_as_their_depth(tmp_path, listed, below):
    """A layer that is one path of folders makes as many calls as it has names, whatever is below: no bomb of depth."""

    def calls(depth: int) -> int:
        (tmp_path / str(depth)).mkdir()
        stack = Stack(tmp_path / str(depth))
        names = [f"d{at}" for at in range(depth)]
        whole = [folder("/".join(names[: at + 1])) for at in range(depth)]
        if below != "nothing":
            stack.add(whole)
        if below == "a deletion on top":
            stack.add([file("/".join((*names[:-1], f".wh.{names[-1]}")), b"")])
        deep = [*(whole if listed else []), file("/".join((*names, "f")), b"deep")]
        made = posix_calls(lambda: stack.add(deep))
        assert Path(stack.folders[-1], *names, "f").read_text() == "deep"
        return made

    few, some, many = calls(30), calls(60), calls(90)

    assert many - some <= (some - few) * 1.2 + 20


def posix_calls(act: Callable[[], object]) -> int:
    """Count the calls of the operating system that something makes in this thread."""
    count = 0

    def called(_frame: object, event: str, function: object) -> None:
        nonlocal count
        count += event == "c_call" and getattr(function, "__module__", "") == "posix"

    sys.setprofile(called)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.slow
def test_deletes_what_is_too_deep_for_a_path(tmp_path):
    """Folders 3,000 deep are deleted, with few files open."""
    trash = tmp_path / "trash"
    trash.mkdir()
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("down", dir_fd=here)
        below = os.open("down", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    delete_folder(str(tmp_path / "deep"), str(trash))

    assert list(tmp_path.iterdir()) == [trash]
    assert not list(trash.iterdir())
