"""Names for what comes in, and lists of what is there."""

from pathlib import Path

import pytest

from small_images import AMD64, ARM64, put_image, put_index
from wherry.errors import BlobMissing, InvalidUsage
from wherry.store.catalog import bring, listings, names_for, pulled
from wherry.store.contract import children
from wherry.store.disk import DiskStore
from wherry.store.memory import MemoryStore

ROOT = put_image(MemoryStore(), "root")
OTHER = put_image(MemoryStore(), "other")


@pytest.mark.parametrize(
    ("name", "origin", "given"),
    [
        ("api:dev", "x.tar", "api:dev"),
        ("localhost:5000/api:dev", "", "localhost:5000/api:dev"),
        ("v1", "api.tar", "api:v1"),
        ("v1", "api.oci.tar.gz", "api:v1"),
        ("latest", "My Layout", "my-layout:latest"),
        (str(ROOT.digest), "api.docker.tgz", "api:latest"),
        ("Not:A Name", "api.tar", None),
        ("v1", "", None),
        (str(ROOT.digest), "", None),
        ("v1", "...", None),
    ],
)
def test_names_for_what_comes_in(name: str, origin: str, given: str | None):
    """A whole name stays; a bare tag gets the file's name before it; where that can't be, the user is asked."""
    if given is None:
        with pytest.raises(InvalidUsage):
            names_for({name: ROOT}, origin=origin)
    else:
        assert names_for({name: ROOT}, origin=origin) == {given: ROOT}


def test_the_users_name_counts():
    """For one image, under whatever names it came."""
    assert names_for({"a:1": ROOT, "a:2": ROOT}, origin="x", wanted="mine") == {"mine:latest": ROOT}
    for roots in ({"a:1": ROOT, "b:1": OTHER}, {}):
        with pytest.raises(InvalidUsage):
            names_for(roots, origin="x", wanted="mine")


def test_two_images_never_share_a_name():
    """Of two nameless images neither gets the file's name."""
    with pytest.raises(InvalidUsage):
        names_for({str(ROOT.digest): ROOT, str(OTHER.digest): OTHER}, origin="x.tar")


def test_bring_copies_and_names(tmp_path: Path):
    """What is there already isn't moved again; what a store lost comes back."""
    source, store = MemoryStore(), DiskStore(tmp_path / "store")
    root = put_index(source)

    assert bring(store, source, {"api:dev": root}) == sum(map(len, source.blobs.values()))
    assert bring(store, source, {"api:v1": root}) == 0
    config = children(children(root, source)[0], source)[0]
    Path(store.path_of(config.digest)).unlink()
    assert bring(store, source, {"api:dev": root}) == config.size
    assert list(store.verify()) == []


def test_what_does_not_come_gets_no_name(tmp_path: Path):
    """A source that lacks a layer."""
    source, store = MemoryStore(), DiskStore(tmp_path / "store")
    root = put_image(source)
    del source.blobs[children(root, source)[1].digest]

    with pytest.raises(BlobMissing):
        bring(store, source, {"api:dev": root})

    assert store.tags() == {}


def test_listings_are_by_name_and_name_problems(tmp_path: Path):
    """A broken image is listed, with what is wrong, and hides no other."""
    store = DiskStore(tmp_path / "store")
    store.tag("b:1", put_index(store))
    broken = put_image(store, "broken")
    store.tag("a:1", broken)
    Path(store.path_of(broken.digest)).unlink()

    first, second = listings(store)

    assert (first.name, first.images) == ("a:1", ())
    assert broken.digest in first.problem
    assert [image.platform for image in second.images] == [AMD64, ARM64]
    assert [pulled(image) for image in second.images] == [image.manifest.stack[0].size for image in second.images]
