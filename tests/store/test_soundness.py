"""A blob that a disk or a program changed is found by the next build, with the images it hurt, and made again."""

import os
from pathlib import Path

import pytest

from small_images import put_image, put_index
from wherry.digest import Digest
from wherry.oci.descriptor import Descriptor
from wherry.store.catalog import bring
from wherry.store.contract import children
from wherry.store.disk import DiskStore
from wherry.store.memory import MemoryStore
from wherry.store.soundness import DamagedImage, Soundness


def spoil(store: DiskStore, digest: Digest) -> None:
    """Change a byte; the size stays."""
    path = Path(store.path_of(digest))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """A store with two images, one of them under two names."""
    made = DiskStore(tmp_path / "store")
    root = put_image(made)
    made.tag("api:v1", root)
    made.tag("api:v2", root)
    made.tag("web:v1", put_index(made))
    return made


def parts(store: DiskStore) -> list[Descriptor]:
    """Give the config and layer of api, and its manifest."""
    root = store.resolve("api:v1")
    return [*children(root, store), root]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_damage_is_found_named_and_healed(store: DiskStore, part: int):
    """Of a config, a layer or a manifest, without one `has` that would see it."""
    blob = parts(store)[part]
    said: list[str] = []
    store.warned = said.append
    spoil(store, blob.digest)

    assert store.has(blob)
    assert not store.sound(blob)
    assert not store.has(blob)
    assert len(said) == 1
    assert blob.digest.short in said[0]
    assert said[0].endswith("used by api:v1, api:v2")
    assert put_image(store) == store.resolve("api:v1")
    assert store.sound_image(store.resolve("api:v1"))


def test_sound_blobs_are_hashed_once_a_boot(store: DiskStore, monkeypatch: pytest.MonkeyPatch):
    """Not after they were written, not by another process, and not twice."""
    read: list[Digest] = []
    chunks = DiskStore.chunks

    def counting(self: DiskStore, blob: Descriptor, offset: int = 0) -> object:
        read.append(blob.digest)
        return chunks(self, blob, offset)

    monkeypatch.setattr(DiskStore, "chunks", counting)
    layer = parts(store)[1]
    read.clear()

    assert store.sound(layer)
    assert DiskStore(store.folder).sound(layer)
    assert read == []
    (store.folder / ".wherry" / "verified").unlink()
    again = DiskStore(store.folder)
    assert again.sound(layer)
    assert again.sound(layer)
    assert read == [layer.digest]


def test_another_boot_counts_for_nothing(tmp_path: Path):
    """Nor does a line that was cut, nor a file of something else."""
    file, boot, blob = tmp_path / "verified", tmp_path / "boot", tmp_path / "blob"
    digest = Digest.of(b"x")
    blob.write_bytes(b"x")
    boot.write_text("first\n")
    Soundness(file, boot).note(digest, blob.lstat())
    assert Soundness(file, boot).verified(digest, blob.lstat())

    boot.write_text("second\n")
    second = Soundness(file, boot)
    assert not second.verified(digest, blob.lstat())
    second.note(digest, blob.lstat())
    assert Soundness(file, boot).verified(digest, blob.lstat())
    for harm in (file.read_bytes()[:-9], os.urandom(500), b"", b"second\n\n \nx y z"):
        file.write_bytes(harm)
        assert not Soundness(file, boot).verified(digest, blob.lstat())


def test_a_damaged_image_does_not_leave(store: DiskStore):
    """The error names it, and what else was hurt."""
    spoil(store, parts(store)[1].digest)

    with pytest.raises(DamagedImage) as caught:
        store.require_sound(store.resolve("api:v2"), "api:v2")
    assert "api:v1, api:v2" in caught.value.message
    store.require_sound(store.resolve("web:v1"), "web:v1")


def test_loading_it_again_heals(store: DiskStore):
    """What is damaged comes again, though a file of its size is there."""
    memory = MemoryStore()
    root = put_image(memory)
    for blob in parts(store):
        spoil(store, blob.digest)
        bring(store, memory, {"api:v1": root})
        bring(store, memory, {"api:v1": root})

    store.require_sound(root, "api:v1")


def test_a_store_that_cannot_be_written_is_verified_all_the_same(store: DiskStore, tmp_path: Path):
    """A folder in the place of the file that remembers."""
    (store.folder / ".wherry" / "verified").unlink()
    (store.folder / ".wherry" / "verified").mkdir()

    assert DiskStore(store.folder).sound_image(store.resolve("api:v1"))
    spoil(store, parts(store)[1].digest)
    assert not DiskStore(store.folder).sound_image(store.resolve("api:v1"))
