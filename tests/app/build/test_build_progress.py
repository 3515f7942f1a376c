"""What a build says of itself while it runs: what the others wait for, and bytes that are unpacked and packed."""

from pathlib import Path

from small_images import AMD64, put_image
from wherry.app.build.progress import BuildProgress
from wherry.app.progress import EventKind, Reporter, moving_of
from wherry.app.sandboxes import layer_reader
from wherry.app.session import Session
from wherry.build.packing_progress import packing
from wherry.build.solver import StepOutcome
from wherry.image.recompress import recompress
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import BytesContent, Entry, EntryKind
from wherry.plan.graph import BaseOp, Plan, Step
from wherry.report.views import MemoryView
from wherry.store.disk import DiskStore
from wherry.store.images import read_image


def step(name: str, *needs: str) -> Step:
    """A step of a plan."""
    return Step(name, BaseOp(name, AMD64, {}), needs)


def test_the_step_that_most_others_wait_for_is_named():
    """Directly or not; nothing is said where nothing waits."""
    view = MemoryView()
    heard = BuildProgress(Reporter(view))
    plan = [
        step("base"),
        step("tools"),
        step("compile", "base"),
        step("layer", "compile"),
        step("image", "layer", "tools"),
    ]
    steps = {one.name: one for one in plan}

    heard.begins(Plan(tuple(plan), "x"))
    heard.began(steps["base"])
    heard.began(steps["tools"])
    for name in ("base", "tools"):
        heard.finished(StepOutcome(steps[name], cached=False, result=b"", key=""))
    heard.began(steps["compile"])
    heard.finished(StepOutcome(steps["compile"], cached=False, result=b"", key=""))
    heard.began(steps["layer"])
    heard.finished(StepOutcome(steps["layer"], cached=False, result=b"", key=""))
    heard.began(steps["image"])

    assert [event.text for event in view.events if event.kind is EventKind.WAITING] == [
        "0 of 5 steps done, 3 wait for base",
        "0 of 5 steps done, 3 wait for base",
        "1 of 5 steps done, 1 waits for tools",
        "",
        "2 of 5 steps done, 2 wait for compile",
        "",
        "3 of 5 steps done, 1 waits for layer",
        "",
        "",
    ]


def test_layers_are_counted_while_they_are_read_and_packed(tmp_path):
    """Unpacking, packing and compressing again say how many bytes of how many went by, and leave no line."""
    view = MemoryView()
    store = DiskStore(tmp_path / "store")
    progress = Reporter(view)
    session = Session(
        store=store.folder, cache=tmp_path, cwd=tmp_path, environment={}, home=tmp_path, clock=lambda: 0.0,
        progress=progress,
    )  # fmt: skip
    image = read_image(store, put_image(store))
    (blob,), (diff_id,) = image.manifest.stack, image.config.diff_ids

    list(layer_reader(session, store)(blob, diff_id))
    recompress(image.descriptor, store, store, Encoding("zstd", 3), moving=moving_of(progress))
    file = Entry("a", EntryKind.FILE, size=3, content=BytesContent(b"abc"))
    sizes: list[int] = []
    pack([file], Encoding.default(), store, packed=sizes.append)

    counted = {event.name: event.passed for event in view.events if event.passed}
    assert counted == {
        f"unpack layer {blob.digest.short}": (blob.size, blob.size),
        f"compress layer {blob.digest.short}": (blob.size, blob.size),
    }
    assert all(event.brief for event in view.events)
    assert sizes[-1] >= 3


def test_a_folder_is_measured_once_packing_takes_long(tmp_path):
    """Until then only what went by is known; folders and links count nothing."""
    (tmp_path / "in").mkdir()
    Path(tmp_path / "in" / "file").write_bytes(b"x" * 1000)
    (tmp_path / "link").symlink_to("in/file")
    heard: list[tuple[int, int]] = []

    list(packing([b"a" * 10], lambda done, total: heard.append((done, total)), str(tmp_path)))
    list(packing([b"a" * 10, b"b"], lambda done, total: heard.append((done, total)), str(tmp_path), soon=-1.0))

    assert heard == [(10, 0), (10, 1000), (11, 1000)]
