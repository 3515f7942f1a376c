"""What a build leaves for other programs has buildx's keys."""

import json
import os
import stat
from pathlib import Path

import pytest

from wherry.errors import CannotWrite
from wherry.image.files import new_file, new_folder
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


def test_a_file_is_whole_or_as_it_was(tmp_path):
    """A failure in between leaves the old file, and nothing beside it."""
    path = tmp_path / "meta.json"
    path.write_text("old")

    def fail_halfway() -> None:
        with new_file(path) as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()

    assert path.read_text() == "old"
    assert there(tmp_path) == ["meta.json"]


def test_a_link_is_followed(tmp_path):
    """Who linked the file elsewhere wants it there; modes are the user's own."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "there" / "file")

    with new_file(tmp_path / "here") as stream:
        stream.write(b"new")

    assert (tmp_path / "here").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "there" / "file").stat().st_mode) & 0o400


def test_what_cannot_be_written_is_named(tmp_path):
    """A missing folder, a folder in the file's place."""
    with pytest.raises(CannotWrite), new_file(tmp_path / "missing" / "file"):
        pass
    with pytest.raises(CannotWrite), new_file(tmp_path):
        pass


def test_a_device_is_written_as_it_is():
    """/dev/null stays what it is."""
    with new_file(Path(os.devnull)) as stream:
        stream.write(b"x")

    assert Path(os.devnull).is_char_device()


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
