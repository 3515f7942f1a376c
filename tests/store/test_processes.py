"""The store among processes: killed at any moment, tagged by many at once, collected beside builds."""

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from small_images import put_image, put_index
from wherry.store.contract import read_whole, walk
from wherry.store.disk import DiskStore
from wherry.store.prepare import OWN

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"  # from 3.12 on, where a test runner has threads; the children use none of it
)
KILLS = 300
NAMES = 6


def started(work: Callable[[], None]) -> int:
    """Run something in a process of its own; what goes wrong there is its exit code."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - printed, and told by the exit code
        traceback.print_exc()
        os._exit(1)


def build(folder: Path, seed: int) -> None:
    """Build images without end, as `wherry build` does; each has to be whole while and after it is named."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    store = DiskStore(folder)
    while True:
        name = f"image:{chance.randrange(NAMES)}"
        text = str(chance.randrange(50))
        with store.writing():
            root = put_index(store, text) if chance.random() < 0.5 else put_image(store, text)
            blobs = list(walk([root], store))
            assert all(map(store.has, blobs)), "gc took what an open writer wrote"
            store.tag(name, root)
            assert all(map(store.has, blobs)), "gc took what a name leads to"


def collect(folder: Path, seed: int) -> None:
    """Collect without end, sparing nothing."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    store = DiskStore(folder)
    while True:
        store.gc(keep_younger_than=0 if chance.random() < 0.9 else 3600)
        time.sleep(chance.random() / 200)  # so that builders get their turn: flock is not fair


@pytest.mark.slow
def test_sigkill_at_any_moment(tmp_path: Path):
    """Builders and collectors side by side, killed hundreds of times: the layout is valid after every kill."""
    folder = tmp_path / "store"
    chance = random.Random(20)  # noqa: S311 - no secret
    store = DiskStore(folder)
    works = [build, build, collect]
    children = {started(lambda work=work: work(folder, 1)): work for work in works}
    try:
        for kill in range(KILLS):
            time.sleep(chance.random() / 50)  # a random moment is the point
            child = chance.choice(list(children))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            work = children.pop(child)
            assert os.WIFSIGNALED(status), f"{work.__name__} ended by itself before kill {kill}"
            children[started(lambda work=work, kill=kill: work(folder, kill))] = work
            for root in store.tags().values():
                assert root.size > 0
            if kill % 10 == 0:
                assert list(store.verify()) == []
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    assert list(store.verify()) == []
    assert set(store.tags()) == {f"image:{number}" for number in range(NAMES)}
    store.tag("last:1", put_image(store, "the next build works"))
    store.gc(keep_younger_than=0)
    assert store.usage().nameless_blobs == 0
    assert not list((folder / OWN).glob("tmp-*"))
    assert list(store.verify()) == []


@pytest.mark.slow
def test_many_taggers_lose_nothing(tmp_path: Path):
    """Eight processes change the index at once; every name of each is there in the end."""
    folder = tmp_path / "store"

    def tag(worker: int) -> None:
        store = DiskStore(folder)
        root = put_image(store, str(worker))
        for number in range(12):
            store.tag(f"worker{worker}:{number}", root)
        store.untag(f"worker{worker}:0")

    children = [started(lambda worker=worker: tag(worker)) for worker in range(8)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8

    tags = DiskStore(folder).tags()
    assert set(tags) == {f"worker{worker}:{number}" for worker in range(8) for number in range(1, 12)}
    assert all(read_whole(DiskStore(folder), root) for root in tags.values())


@pytest.mark.slow
def test_many_begin_at_once(tmp_path: Path):
    """A store that is not there yet is made once, whoever comes first."""
    for round_ in range(10):
        folder = tmp_path / str(round_)

        def begin(worker: int, folder: Path = folder) -> None:
            store = DiskStore(folder)
            store.tag(f"worker:{worker}", put_image(store, str(worker)))

        children = [started(lambda worker=worker: begin(worker)) for worker in range(6)]
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
        assert set(DiskStore(folder).tags()) == {f"worker:{worker}" for worker in range(6)}
