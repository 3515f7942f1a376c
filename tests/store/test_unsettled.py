"""Pulls do not wait for the disk: what a crash took of them is found before it is used, and never believed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli_shell import Shell
from hostile_registry import Hostile, hostile
from small_images import put_image
from wherry.oci.descriptor import Descriptor
from wherry.store import disk, files
from wherry.store.contract import children, walk
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.memory import MemoryStore


def _zeros(path: Path) -> None:
    """As a file whose size was written before its bytes."""
    found = path.stat()
    path.write_bytes(bytes(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _torn(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


Loss = Callable[[Path], None]
LOSSES = pytest.mark.parametrize("lose", [_zeros, _torn, _empty, Path.unlink])


def crash(folder: Path, lose: Loss, blobs: list[Descriptor]) -> None:
    """Have the machine start again, after some blobs lost bytes that the store's stamps can't tell."""
    for blob in blobs:
        lose(Path(DiskStore(folder).path_of(blob.digest)))
    verified = folder / ".wherry" / "verified"
    _, *lines = verified.read_text().splitlines()
    stamps = []
    for line in lines:
        digest = line.partition(" ")[0]
        path = folder / "blobs" / "sha256" / digest.partition(":")[2]
        if path.exists():
            found = path.lstat()
            stamps.append(
                f"{digest} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"
            )
    verified.write_text("\n".join(["another-boot", *stamps, ""]))


@pytest.fixture
def pulled(tmp_path: Path):
    """A user who pulled web:1, and the registry."""
    with hostile() as registry:
        shell = Shell(tmp_path / "home")
        shell.store.tag("web:1", put_image(shell.store, "web"))
        shell("push", "web:1", f"{registry.host}/web:1")
        for path in (tmp_path / "home" / "store").rglob("*"):
            if path.is_file():
                path.unlink()
        shell("pull", f"{registry.host}/web:1")
        yield shell, registry


@LOSSES
def test_a_pull_after_a_crash_fetches_what_was_lost(pulled: tuple[Shell, Hostile], lose: Loss):
    """Each blob alone and all of them; afterwards nothing is wrong, and only what was lost came again."""
    shell, registry = pulled
    name = f"{registry.host}/web:1"
    root = shell.store.resolve(name)
    layers = list(children(root, shell.store))
    for lost in (*([blob] for blob in layers), layers):
        crash(shell.root / "store", lose, lost)
        registry.asked.clear()

        shell("pull", name)

        assert registry.count("GET", "/blobs/") == len(lost)
        shell("verify-store")
        shell.store.require_sound(root, name)


@LOSSES
def test_what_a_crash_took_does_not_leave(pulled: tuple[Shell, Hostile], lose: Loss):
    """A push is refused and names the image; nothing of it arrives elsewhere."""
    shell, registry = pulled
    name = f"{registry.host}/web:1"
    layer = children(shell.store.resolve(name), shell.store)[-1]
    crash(shell.root / "store", lose, [layer])
    with hostile() as other:
        shell("push", name, f"{other.host}/web:1", code=65)

        assert name in shell.err
        assert other.stored == []
        assert other.manifests == {}


def test_what_is_whole_after_a_crash_is_not_fetched(pulled: tuple[Shell, Hostile]):
    """Blobs that reached the disk are hashed once and used."""
    shell, registry = pulled
    crash(shell.root / "store", _zeros, [])
    registry.asked.clear()

    shell("pull", f"{registry.host}/web:1")

    assert registry.count("GET", "/blobs/") == 0
    assert not DiskStore(shell.root / "store").verified_file(Descriptor.of("a/b", b"unknown"))


def test_gc_works_after_a_crash(pulled: tuple[Shell, Hostile]):
    """The documents of a pull were waited for, so that it is known what an image needs."""
    shell, _ = pulled
    for blob in walk(shell.store.tags().values(), shell.store):
        if "config" in blob.media_type or "layer" in blob.media_type:
            _empty(Path(shell.store.path_of(blob.digest)))
    shell("gc")
    assert len(shell.store.tags()) == 1


@pytest.mark.parametrize("settles", [True, False])
def test_what_a_tag_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settles: bool):  # noqa: FBT001 - a case
    """A build's tag waits for all that it points to, a pull's for documents; both for the index."""
    synced: list[str] = []
    monkeypatch.setattr(disk, "sync_all", lambda paths: synced.extend(map(str, paths)))
    indexes: list[str] = []
    monkeypatch.setattr(files, "sync", lambda path: indexes.append(path.name))
    memory = MemoryStore()
    root = put_image(memory)
    store = DiskStore(tmp_path / "store")
    with store.writing():
        copy(root, memory, store)
        (store if settles else store.unsettled()).tag("api:v1", root)

    all_of_it = {store.path_of(blob.digest) for blob in walk([root], store)}
    assert set(synced) == (all_of_it if settles else {store.path_of(root.digest)})
    assert indexes == ["store"]
