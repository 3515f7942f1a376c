"""What registries hold besides plain images: indexes in indexes, foreign layers, charts and other artifacts."""

import json
import tarfile

import msgspec
import pytest

from hostile_registry import hostile
from repositories import repository
from small_images import put_image, put_index
from wherry.digest import Digest
from wherry.errors import BlobMissing, InvalidDocument
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.archive import write_oci_archive
from wherry.store.contract import write_document
from wherry.store.copy import Tally, Transfer
from wherry.store.disk import DiskStore
from wherry.store.images import image_for, images_of, platforms_of
from wherry.store.memory import MemoryStore

FOREIGN = Descriptor(
    media_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    digest=Digest.of(b"a layer of Windows"),
    size=18,
    urls=("https://mcr.example/v2/windows/blobs/x",),
)


def test_an_index_in_an_index():
    """Its images are found as if they stood in the outer one."""
    store = MemoryStore()
    arm = Platform("linux", "arm64")
    first = put_image(store, "amd64")
    inner = put_index(store, "inner", (arm, Platform("linux", "riscv64")))
    root = write_document(store, media.OCI_INDEX, Index.of((first, inner)).encoded())

    assert [str(image.platform) for image in images_of(store, root)] == ["linux/amd64", "linux/arm64", "linux/riscv64"]
    assert image_for(store, root, arm, "x").platform == arm
    assert arm in platforms_of(store, root)


def test_indexes_without_an_end():
    """A chain of indexes is not followed for ever."""
    store = MemoryStore()
    root = put_image(store)
    for _ in range(20):
        root = write_document(store, media.OCI_INDEX, Index.of((root,)).encoded())

    with pytest.raises(InvalidDocument):
        images_of(store, root)


def test_foreign_layers(tmp_path):
    """They are named, the image can be tagged and copied without them, and reading one says what it is."""
    source = MemoryStore()
    config = ImageConfig(architecture="amd64", os="windows", rootfs=RootFS(diff_ids=(FOREIGN.digest,)))
    described = write_document(source, media.OCI_CONFIG, config.encoded())
    root = write_document(source, media.OCI_MANIFEST, Manifest.of(described, (FOREIGN,)).encoded())
    store, tally = DiskStore(tmp_path), Tally()

    Transfer(source=source, sink=store, tally=tally).move(root)
    store.tag("windows:1", root)

    assert tally.foreign == [FOREIGN]
    store.require_sound(root, "windows:1")
    assert [finding.rule for finding in store.verify()] == ["foreign-layer"]
    with pytest.raises(BlobMissing) as caught:
        store.read(FOREIGN)
    assert FOREIGN.urls[0] in caught.value.message
    with hostile() as registry:
        registry.careless = True
        Transfer(source=store, sink=repository(registry)).move(root, ["v1"])
        assert "v1" in registry.manifests


@pytest.mark.parametrize(
    ("config", "artifact", "words"),
    [
        ("application/vnd.cncf.helm.config.v1+json", None, "a Helm chart"),
        (media.OCI_EMPTY, "application/vnd.example.thing", "an artifact (application/vnd.example.thing)"),
        ("application/vnd.buildkit.cacheconfig.v0", None, "a build cache of BuildKit"),
    ],
)
def test_artifacts(config, artifact, words):
    """What is no image says what it is, before its config is misread."""
    store = MemoryStore()
    described = write_document(store, config, b"{}")
    layer = write_document(store, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    manifest = msgspec.structs.replace(Manifest.of(described, (layer,)), artifact_type=artifact)
    root = write_document(store, media.OCI_MANIFEST, manifest.encoded())

    with pytest.raises(InvalidDocument) as caught:
        images_of(store, root)

    assert words in caught.value.message


@pytest.mark.parametrize("several", [False, True])
def test_tags_in_an_oci_archive(tmp_path, several):
    """An image of one platform is described as `docker save` does, with its tags; an index can't be."""
    store = MemoryStore()
    root = put_index(store) if several else put_image(store)
    with (tmp_path / "a.tar").open("wb") as file:
        write_oci_archive(file, store, {"api:dev": root, "example.com/api:1": root})

    with tarfile.open(tmp_path / "a.tar") as archive:
        found = archive.extractfile("manifest.json") if "manifest.json" in archive.getnames() else None
        saved = json.load(found) if found else []

    assert [one["RepoTags"] for one in saved] == ([] if several else [["api:dev", "example.com/api:1"]])
