"""`oci-layout://PATH[:TAG][@DIGEST]`, as buildx takes it."""

import pytest

from small_images import AMD64, ARM64, put_image, put_index
from wherry.app.build.addresses import LAYOUT
from wherry.app.build.named_images import NamedImages
from wherry.errors import NotFound
from wherry.store.disk import DiskStore


@pytest.fixture
def layout(tmp_path):
    """A layout with two images under names, one of them for two platforms."""
    made = DiskStore(tmp_path / "lay:out")
    with made.writing():
        made.tag("latest", put_index(made, "newest"))
        made.tag("example.com/app:v1", put_image(made, "first"))
    return made


def found(layout, tmp_path, words, platform=AMD64):
    """Find one; give its manifest's digest."""
    images = NamedImages(DiskStore(tmp_path / "store"), None)
    return images.image(f"{LAYOUT}{layout.folder}{words}", platform).descriptor.digest


def test_what_is_named(layout, tmp_path):
    """A tag, a digest, both (the digest decides), neither (latest); a digest below an index too."""
    first = layout.tags()["example.com/app:v1"].digest
    newest = found(layout, tmp_path, "")

    assert found(layout, tmp_path, ":v1") == first
    assert found(layout, tmp_path, f"@{first}") == first
    assert found(layout, tmp_path, f":latest@{first}") == first
    assert found(layout, tmp_path, ":latest") == newest != first
    assert found(layout, tmp_path, f"@{newest}") == newest
    assert found(layout, tmp_path, "", ARM64) != newest


def test_the_only_image_needs_no_name(layout, tmp_path):
    """Whatever it is called."""
    alone = DiskStore(tmp_path / "alone")
    with alone.writing():
        alone.tag("v7", put_image(alone, "alone"))

    assert found(alone, tmp_path, "") == next(iter(alone.tags().values())).digest


@pytest.mark.parametrize("words", [":v2", "@sha256:" + "0" * 64, "/missing", ":v1@sha256:" + "0" * 64])
def test_what_is_not_there(layout, tmp_path, words):
    """The hint has what is."""
    with pytest.raises(NotFound):
        found(layout, tmp_path, words)
