"""A fetch that is cut or killed: the next goes on where it was, and nothing is left for ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hostile_registry import hostile
from wherry.digest import Digest
from wherry.errors import DigestMismatch
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.store.disk import DiskStore
from wherry.store.prepare import OWN
from wherry.store.stale import clear_stale, partial_name

BLOB = os.urandom(3 << 20)
DESCRIBED = Descriptor.of(media.OCI_LAYER, BLOB)
HALF = len(BLOB) // 2


class Cut(Exception):
    """What a connection does."""


class Source:
    """Gives a blob from an offset on, and ends early the first time."""

    def __init__(self, content: bytes = BLOB, *, cut: int | None = HALF) -> None:
        self.content, self.cut = content, cut
        self.asked: list[int] = []

    def opened(self, offset: int):
        """Yield it."""
        self.asked.append(offset)
        if self.cut is not None:
            end, self.cut = self.cut, None
            yield self.content[offset:end]
            raise Cut
        yield self.content[offset:]


def waiting(store: DiskStore) -> list[str]:
    """Name the files on their way in."""
    return [path.name for path in (store.folder / OWN).iterdir() if path.name.startswith(("tmp-", "part-"))]


def test_goes_on_where_it_was(tmp_path):
    """A second fetch, of another process's store object, asks for the rest alone."""
    source = Source()
    with pytest.raises(Cut):
        DiskStore(tmp_path).fetch(DESCRIBED, source.opened)
    store = DiskStore(tmp_path)
    assert waiting(store) == [partial_name(DESCRIBED.digest)]

    store.fetch(DESCRIBED, source.opened)

    assert source.asked == [0, HALF]
    assert b"".join(store.read(DESCRIBED)) == BLOB
    assert waiting(store) == []


@pytest.mark.parametrize("left", [b"other" * 1000, BLOB + b"more", bytes(len(BLOB))])
def test_what_is_left_is_never_believed(tmp_path, left):
    """Torn or foreign bytes cost a whole fetch, and no more."""
    store = DiskStore(tmp_path)
    with store.writing():
        (store.folder / OWN / partial_name(DESCRIBED.digest)).write_bytes(left)

    store.fetch(DESCRIBED, Source(cut=None).opened)

    assert b"".join(store.read(DESCRIBED)) == BLOB
    assert waiting(store) == []


def test_a_source_that_lies_leaves_nothing(tmp_path):
    """Other bytes of the right size are not kept for the next time."""
    store = DiskStore(tmp_path)

    with pytest.raises(DigestMismatch):
        store.fetch(DESCRIBED, Source(bytes(len(BLOB)), cut=None).opened)

    assert waiting(store) == []
    assert not store.has(DESCRIBED)


def test_two_at_once(tmp_path):
    """While one fetches, another gets a file of its own; both end with the blob."""
    store, go = DiskStore(tmp_path), threading.Event()
    begun = threading.Event()

    def slow(offset: int):
        yield BLOB[offset:HALF]
        begun.set()
        assert go.wait(60)
        yield BLOB[HALF:]

    first = threading.Thread(target=store.fetch, args=(DESCRIBED, slow), daemon=True)
    first.start()
    assert begun.wait(60)
    DiskStore(tmp_path).fetch(DESCRIBED, Source(cut=None).opened)
    go.set()
    first.join(60)

    assert b"".join(store.read(DESCRIBED)) == BLOB
    assert waiting(store) == []


def test_old_leftovers_go(tmp_path):
    """What nobody went on with for days is deleted; what is young stays."""
    store = DiskStore(tmp_path)
    with store.writing():
        own = store.folder / OWN
    for name, age in (("tmp-1-x", 2), ("tmp-1-y", 0), ("part-sha256-a", 8), ("part-sha256-b", 2)):
        (own / name).write_bytes(b"x")
        moment = (own / name).stat().st_mtime - age * 86400
        os.utime(own / name, (moment, moment))

    clear_stale(own)

    assert sorted(waiting(store)) == ["part-sha256-b", "tmp-1-y"]


@pytest.mark.slow
def test_a_pull_that_is_killed(tmp_path: Path):
    """SIGKILL in the midst of a layer: the next pull asks for the rest, and gc finds nothing to clear."""
    config = ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFS(diff_ids=(Digest.of(BLOB),))
    ).encoded()  # fmt: skip
    manifest = Manifest.of(Descriptor.of(media.OCI_CONFIG, config), (DESCRIBED,)).encoded()
    store = DiskStore(tmp_path / "store")
    partial = store.folder / OWN / partial_name(DESCRIBED.digest)
    with hostile() as registry:
        registry.blobs |= {DESCRIBED.digest: BLOB, Digest.of(config): config}
        registry.manifests |= dict.fromkeys(("v1", str(Digest.of(manifest))), (media.OCI_MANIFEST, manifest))
        environment = {**os.environ, "WHERRY_STORE": str(store.folder), "HOME": str(tmp_path)}
        words = [sys.executable, "-m", "wherry", "pull", f"{registry.host}/a/b:v1"]
        go = threading.Event()

        def midst() -> bool:
            # Called for requests too; only at the half of the large blob is it held.
            sending = sys._getframe(1).f_locals.get("content") == BLOB
            return not sending or go.wait(60)

        registry.moment = midst
        running = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            while not (partial.exists() and partial.stat().st_size >= 1 << 20) and running.poll() is None:
                os.sched_yield()
            running.send_signal(signal.SIGKILL)
        finally:
            running.communicate(timeout=60)
            go.set()
        came = partial.stat().st_size if partial.exists() else 0
        registry.idle()
        registry.asked.clear()

        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)

    ranges = [one.headers.get("range") for one in registry.asked if str(DESCRIBED.digest) in one.path]
    assert done.returncode == 0, done.stderr
    assert 0 < came < len(BLOB)
    assert f"bytes={came}-" in ranges
    assert not partial.exists()
    clear_stale(store.folder / OWN, time.time() + 86400)  # small blobs that were on their way too
    assert waiting(store) == []
