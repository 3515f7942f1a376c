"""Trees that are not known to be on the disk are believed until the machine stops, and no longer."""

from snapshots.test_snapshots import FakeWriter, image_of
from wherry.snapshots.settling import Settler
from wherry.snapshots.snapshots import Snapshots


def test_after_a_crash_trees_are_made_again(tmp_path):
    """Layers and steps of before count for nothing in the next run of the machine, and collection deletes them."""
    image, read = image_of([("a", b"1")])
    writer, boot = FakeWriter(), tmp_path / "boot"
    boot.write_text("first\n")
    with Snapshots(tmp_path, writer, read, boot).work() as lease:
        lease.image(image)
        with lease.make() as making:
            (making.folder / "tree" / "file").write_bytes(b"half")
    assert making.tree
    with Snapshots(tmp_path, writer, read, boot).work() as lease:
        assert lease.find(making.tree.name) == making.tree
        lease.image(image)
    assert len(writer.unpacked) == 1

    boot.write_text("second\n")
    trees = Snapshots(tmp_path, writer, read, boot)
    with trees.work() as lease:
        assert lease.find(making.tree.name) is None
        (layer,) = lease.image(image)
        assert (layer.folder / "a").read_bytes() == b"1"
    assert len(writer.unpacked) == 2

    trees.delete(lambda _: True)
    assert not making.tree.folder.exists()
    assert [tree.name for tree in trees.stored()] == [layer.name]


def test_settled_trees_outlast_a_crash(tmp_path):
    """What was written out is believed in the next run of the machine; when it was used last is unchanged."""
    image, read = image_of([("a", b"1")])
    writer, boot = FakeWriter(), tmp_path / "boot"
    boot.write_text("first\n")
    trees = Snapshots(tmp_path, writer, read, boot)
    with trees.work() as lease:
        (layer,) = lease.image(image)
    record = layer.folder.parent / "tree.json"
    before = record.stat().st_mtime_ns
    assert trees.settle() == 1
    assert trees.settle() == 0

    boot.write_text("second\n")
    with Snapshots(tmp_path, writer, read, boot).work() as lease:
        assert lease.image(image) == (layer,)
    assert len(writer.unpacked) == 1
    assert record.stat().st_mtime_ns == before


def test_only_long_builds_wait(tmp_path):
    """A short build settles nothing, a long one next to its steps and at its end; a disk's error stops none."""
    now, settled = [0.0], []

    def build(*times: float) -> int:
        settled.clear()
        now[0] = 0.0
        settler = Settler(lambda: settled.append(now[0]), lambda: now[0])
        for now[0] in times:
            settler.added()
        settler.end(failed=False)
        return len(settled)

    assert build(1.0, 4.0) == 0
    assert build(1.0, 6.0) == 1
    assert build(6.0, 12.0) in (2, 3)

    def refuse() -> None:
        raise OSError(5, "input/output error")

    settler = Settler(refuse, lambda: now[0])
    now[0] = 100.0
    settler.added()
    settler.end(failed=False)
