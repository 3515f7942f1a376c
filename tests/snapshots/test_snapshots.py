"""Trees: unpacked once, whole or not at all, deleted only when nobody needs them."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from containers import file, folder, make_image
from needs import need_root
from wherry.digest import Digest
from wherry.errors import CannotWrite, DigestMismatch
from wherry.oci.image import Image
from wherry.snapshots.snapshots import Snapshots
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore

Written = tuple[str, bytes]


@dataclass
class FakeWriter:
    """Writes files named in entries; a name starting with `.wh.` makes the layer depend on those below."""

    identity: str = "fake"
    during: Callable[[], None] = lambda: None
    unpacked: list[Path] = field(default_factory=list)

    def unpack(self, entries: Iterable[Written], into: Path, trash: Path, below: Sequence[Path]) -> tuple[bool, int]:
        """Write the files."""
        assert trash.is_dir()
        assert all(layer.is_dir() for layer in below)
        size, depends = 0, False
        for name, content in entries:
            (into / name).write_bytes(content)
            size += len(content)
            depends = depends or name.startswith(".wh.")
        self.during()
        self.unpacked.append(into)
        return depends, size

    def delete(self, folders: Sequence[Path], trash: Path) -> None:
        """Delete folders."""
        import shutil

        assert trash.is_dir()
        for folder_ in folders:
            shutil.rmtree(folder_)

    def weigh(self, folders: Sequence[Path]) -> list[int]:
        """Give the bytes of their files."""
        return [sum(path.stat().st_size for path in folder_.rglob("*")) for folder_ in folders]


def image_of(*layers: Sequence[Written]) -> tuple[Image, Callable[[object, Digest], Iterable[Written]]]:
    """Make an image, and the function that reads its layers."""
    store = MemoryStore()
    root = make_image(store, [[file(name, content) for name, content in layer] for layer in layers])
    image = read_image(store, root)
    contents = dict(zip(image.config.diff_ids, layers, strict=True))
    return image, lambda _, diff_id: iter(contents[diff_id])


def test_unpacks_once(tmp_path):
    """A layer that two images share is unpacked for the first only."""
    image, read = image_of([("a", b"1")], [("b", b"22")])
    writer = FakeWriter()
    for _ in range(2):
        with Snapshots(tmp_path, writer, read).hold(image) as layers:
            assert [(layer / name).read_bytes() for layer, name in zip(layers, "ab", strict=True)] == [b"1", b"22"]

    assert len(writer.unpacked) == 2
    assert [tree.bytes for tree in Snapshots(tmp_path, writer, read).stored()] in ([1, 2], [2, 1])


def test_a_layer_that_depends_is_kept_by_chain(tmp_path):
    """What came out as it did because of the layers below is not used above others."""
    upper = [(".wh.a", b"")]
    writer = FakeWriter()
    for lower in ([("a", b"1")], [("c", b"1")]):
        image, read = image_of(lower, upper)
        with Snapshots(tmp_path, writer, read).hold(image):
            pass

    assert sorted(tree.name.partition("/")[0] for tree in Snapshots(tmp_path, writer, read).stored()) == [
        "chains", "chains", "layers", "layers",
    ]  # fmt: skip


def test_other_ids_have_other_trees(tmp_path):
    """Trees are never taken from a writer that writes other owners."""
    image, read = image_of([("a", b"1")])
    keepers = [FakeWriter("one"), FakeWriter("other")]
    for writer in keepers:
        with Snapshots(tmp_path, writer, read).hold(image):
            pass

    assert [len(writer.unpacked) for writer in keepers] == [1, 1]


def test_a_layer_that_fails_leaves_nothing(tmp_path):
    """Whole or not at all; the next try works."""
    image, read = image_of([("a", b"1")])

    def lie(blob: object, diff_id: Digest) -> Iterable[Written]:
        yield from read(blob, diff_id)
        raise DigestMismatch("layer", expected=diff_id, actual="sha256:other")

    with pytest.raises(DigestMismatch), Snapshots(tmp_path, FakeWriter(), lie).hold(image):
        pass

    trees = Snapshots(tmp_path, FakeWriter(), read)
    assert not trees.stored()
    assert not [path for path in (trees.folder / "making").iterdir() if path.is_dir()]
    with trees.hold(image) as layers:
        assert (layers[0] / "a").read_bytes() == b"1"


def test_deletes_what_is_not_kept_nor_held(tmp_path):
    """Trees in use stay, and so does what the caller names."""
    image, read = image_of([("a", b"1")], [("b", b"2")], [("c", b"3")])
    held, _ = image_of([("a", b"1")])
    trees = Snapshots(tmp_path, FakeWriter(), read)
    with trees.hold(image):
        assert trees.delete(lambda _: False) == ()
    with trees.hold(held):
        gone = Snapshots(tmp_path, FakeWriter(), read).delete(lambda diff_id: diff_id == image.config.diff_ids[1])

    assert [tree.name for tree in gone] == [f"layers/{image.config.diff_ids[2].encoded}"]
    assert len(trees.stored()) == 2
    assert len(trees.delete(lambda _: False)) == 2
    assert not list((trees.folder / "trash").iterdir())


def test_steps_go_by_size_the_longest_unused_first(tmp_path):
    """Steps are weighed when it matters, and no more of them go than have to; a build that has one keeps it."""
    trees = Snapshots(tmp_path, FakeWriter(), lambda _blob, _diff_id: iter(()))
    made = []
    with trees.work() as hold:
        for number in range(4):
            with hold.make() as making:
                (making.folder / "tree" / "file").write_bytes(bytes(1000))
            assert making.tree is not None
            made.append(making.tree)
            os.utime(making.tree.folder.parent / "tree.json", (number, number))
    with trees.work() as hold:
        hold.find(made[0].name)
        os.utime(made[0].folder.parent / "tree.json", (0, 0))

        planned = trees.delete(lambda _: False, most=2500, dry_run=True)
        gone = trees.delete(lambda _: False, most=2500)

    assert [tree.name for tree in planned] == [tree.name for tree in gone] == [made[1].name, made[2].name]
    assert sum(tree.bytes for tree in gone) == 2000
    assert {tree.name for tree in trees.stored()} == {made[0].name, made[3].name}
    assert [tree.name for tree in trees.delete(lambda _: False, before=3)] == [made[0].name]


def test_nothing_to_delete(tmp_path):
    """A cache that is not there, or was deleted, is no error."""
    image, read = image_of([("a", b"1")])
    trees = Snapshots(tmp_path / "none", FakeWriter(), read)

    assert trees.delete(lambda _: False) == ()
    assert trees.stored() == ()
    with trees.hold(image):
        pass
    assert len(trees.stored()) == 1


def test_two_at_the_same_layer(tmp_path):
    """The second waits for the first, and does not unpack again."""
    image, read = image_of([("a", b"1")])
    begun, go_on = threading.Event(), threading.Event()
    first = FakeWriter(during=lambda: (begun.set(), go_on.wait(10)))
    second = FakeWriter()

    def hold(writer: FakeWriter) -> None:
        with Snapshots(tmp_path, writer, read).hold(image):
            pass

    threads = [threading.Thread(target=hold, args=(writer,)) for writer in (first, second)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert (len(first.unpacked), len(second.unpacked)) == (1, 0)


def test_a_folder_that_cannot_be_written(tmp_path):
    """A file where the cache should be."""
    image, read = image_of([("a", b"1")])
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite), Snapshots(tmp_path / "file", FakeWriter(), read).hold(image):
        pass


UNPACK = """
import io, sys
from pathlib import Path
from wherry.sandbox.ids import Mapping
from wherry.sandbox.snapshot_writer import SandboxSnapshotWriter
from wherry.snapshots.snapshots import Snapshots
sys.path.insert(0, sys.argv[2])
from containers import file, make_image
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore
store = MemoryStore()
entries = [file(f"f{number}", b"x" * 5000) for number in range(2000)]
image = read_image(store, make_image(store, [entries]))
def read(blob, diff_id):
    for number, entry in enumerate(entries):
        yield entry, io.BytesIO(b"x" * 5000)
        if number == 50:
            print("begun", flush=True)
every = ((0, 0, 65536),)
writer = SandboxSnapshotWriter(Mapping("all", every, every), lambda: "")
with Snapshots(Path(sys.argv[1]), writer, read).hold(image) as layers:
    print(len(list(layers[0].iterdir())), flush=True)
"""


@pytest.mark.slow
def test_killed_while_unpacking(tmp_path):
    """SIGKILL in the middle leaves no tree; the next one starts anew and is whole."""
    need_root()
    argv = [sys.executable, "-c", UNPACK, str(tmp_path), str(Path(__file__).resolve().parents[1])]
    for _ in range(5):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            launcher = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
            watched = os.pidfd_open(launcher)
            process.send_signal(signal.SIGKILL)
            assert select.select([watched], [], [], 10)[0]
            os.close(watched)
        assert not list(tmp_path.glob("*/layers/*"))
    done = subprocess.run(argv, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "2000"
    assert not [path for path in tmp_path.glob("*/making/*") if path.is_dir()]


def test_whiteouts_are_no_files(tmp_path):
    """The folder of a layer is what its entries say, through the real writer."""
    need_root()
    from wherry.layer.decompress import open_layer
    from wherry.layer.tar import read_tar
    from wherry.sandbox.ids import Mapping
    from wherry.sandbox.snapshot_writer import SandboxSnapshotWriter

    store = MemoryStore()
    every = ((0, 0, 65536),)
    image = read_image(
        store, make_image(store, [[folder("d"), file("d/a", b"1", uid=7, gid=8)], [folder("d"), file("d/.wh.a", b"")]])
    )
    writer = SandboxSnapshotWriter(Mapping("all", every, every), lambda: "")
    trees = Snapshots(tmp_path, writer, lambda blob, diff_id: read_tar(open_layer(store, blob, diff_id)))
    with trees.hold(image) as (base, top):
        assert (base / "d/a").stat().st_uid == 7
        assert (top / "d/a").is_char_device()
    trees.delete(lambda _: False)
    assert trees.stored() == ()
