"""What a build leaves for other programs has buildx's keys."""

import json
from pathlib import Path

import pytest

from wherry.errors import CannotWrite
from wherry.image.folder import new_folder
from wherry.image.metadata import image_id, metadata_of, write_image_id, write_metadata
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Index, Manifest
from wherry.store.contract import write_document
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore


def image(store: MemoryStore, architecture: str) -> Image:
    """Store an image without layers."""
    config = ImageConfig(architecture=architecture, os="linux", rootfs=RootFS(diff_ids=()))
    blob = write_document(store, media.OCI_CONFIG, config.encoded())
    manifest = write_document(store, media.OCI_MANIFEST, Manifest.of(blob, ()).encoded())
    return read_image(store, manifest)


def there(folder: Path) -> list[str]:
    """Name what a folder has."""
    return sorted(entry.name for entry in folder.iterdir())


def test_one_platform(tmp_path):
    """Config, descriptor, manifest and names; the image's id is its config's."""
    one = image(MemoryStore(), "amd64")

    write_metadata(tmp_path / "meta.json", metadata_of(one.descriptor, [one], ["api:dev", "api:1"]))
    write_image_id(tmp_path / "iid", one.descriptor, [one])

    assert json.loads((tmp_path / "meta.json").read_bytes()) == {
        "containerimage.config.digest": one.manifest.config.digest,
        "containerimage.descriptor": {
            "mediaType": media.OCI_MANIFEST,
            "digest": one.descriptor.digest,
            "size": one.descriptor.size,
        },
        "containerimage.digest": one.descriptor.digest,
        "image.name": "api:dev,api:1",
    }
    assert (tmp_path / "iid").read_text() == one.manifest.config.digest


def test_several_platforms():
    """An index has no config of its own; its digest is the id."""
    store = MemoryStore()
    two = [image(store, "amd64"), image(store, "arm64")]
    root = Descriptor.of(media.OCI_INDEX, Index.of(tuple(one.descriptor for one in two)).encoded())

    found = metadata_of(root, two, [])

    assert "containerimage.config.digest" not in found
    assert "image.name" not in found
    assert image_id(root, two) == found["containerimage.digest"] == root.digest


def test_an_index_of_one_is_an_index():
    """A root that is no manifest is named as it is."""
    one = image(MemoryStore(), "amd64")
    root = Descriptor.of(media.OCI_INDEX, Index.of((one.descriptor,)).encoded())

    assert image_id(root, [one]) == root.digest


def test_the_old_file_stays_where_the_new_one_cannot_be(tmp_path):
    """A folder in the file's place, a folder that is missing."""
    one = image(MemoryStore(), "amd64")

    with pytest.raises(CannotWrite):
        write_metadata(tmp_path, {})
    with pytest.raises(CannotWrite):
        write_image_id(tmp_path / "missing" / "iid", one.descriptor, [one])

    assert there(tmp_path) == []


def test_a_folder_is_whole_or_not_there(tmp_path):
    """An empty folder may be there; one with files may not."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()

    with new_folder(tmp_path / "empty") as folder:
        (folder / "a").touch()
    with new_folder(tmp_path / "deep" / "new") as folder:
        (folder / "a").touch()
    with pytest.raises(CannotWrite), new_folder(tmp_path / "full"):
        pass
    with pytest.raises(RuntimeError), new_folder(tmp_path / "never"):
        raise RuntimeError

    assert there(tmp_path) == ["deep", "empty", "full"]
    assert there(tmp_path / "empty") == there(tmp_path / "deep" / "new") == ["a"]
