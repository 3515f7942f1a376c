"""Daemons that speak Docker's API: an engine of the test's own, on a socket."""

import pytest

from engines import Engine, names_in, running
from small_images import AMD64, ARM64, put_image, put_index, put_layers
from wherry.daemon.docker import engine_at
from wherry.daemon.errors import NotLoaded
from wherry.daemon.find import ByApi
from wherry.daemon.give import give
from wherry.image.recompress import recompress
from wherry.layer.compress import Encoding
from wherry.oci import media
from wherry.store.memory import MemoryStore


def test_takes_the_engines_platform(tmp_path):
    """Of several platforms, one is loaded, under its name."""
    store, engine = MemoryStore(), Engine(arch="arm64")
    root = put_index(store)

    with running(engine, tmp_path) as host:
        (given,) = give(ByApi(engine_at(host)), store, {"api:dev": root}, AMD64)

    assert [entry["RepoTags"] for entry in names_in(engine.archives[0])] == [["api:dev"]]
    assert str(ARM64) in given.notices[0]


def test_containerds_store_keeps_the_index(tmp_path):
    """Where Docker keeps its images with containerd, all platforms are loaded, and the digest is the same."""
    store, engine = MemoryStore(), Engine(containerd=True)
    root = put_index(store)

    with running(engine, tmp_path) as host:
        (given,) = give(ByApi(engine_at(host)), store, {"api:dev": root}, AMD64)

    assert given.digest == root.digest
    assert not given.notices
    assert all(digest.encode() in engine.archives[0] for digest in store.blobs)


@pytest.mark.parametrize(
    ("version", "media_type"), [("20.10.24", media.OCI_LAYER_GZIP), ("23.0.0", media.OCI_LAYER_ZSTD)]
)
def test_old_engines_get_gzip(tmp_path, version, media_type):
    """Docker unpacks zstd since 23; an older one gets the layers encoded anew, and the user is told."""
    store, engine = MemoryStore(), Engine(version)
    root = recompress(put_image(store), store, store, Encoding.default("zstd"))

    with running(engine, tmp_path) as host:
        (given,) = give(ByApi(engine_at(host)), store, {"api:dev": root}, AMD64)

    assert media_type.encode() in engine.archives[0]
    assert bool(given.notices) == (media_type == media.OCI_LAYER_GZIP)


def test_its_own_words(tmp_path):
    """What the engine says against an image is the error."""
    store = MemoryStore()

    with running(Engine(refusal="no space left on device"), tmp_path) as host, pytest.raises(NotLoaded) as caught:
        give(ByApi(engine_at(host)), store, {"api:dev": put_image(store)}, AMD64)

    assert "no space left on device" in caught.value.message


def test_a_refusal_in_the_midst(tmp_path):
    """An engine that refuses before it has all, and hangs up, is heard out."""
    store = MemoryStore()
    engine = Engine(refusal="no space left on device", limit=1 << 16)
    root = put_layers(store, [8 << 20])

    with running(engine, tmp_path) as host, pytest.raises(NotLoaded) as caught:
        give(ByApi(engine_at(host)), store, {"api:dev": root}, AMD64)

    assert "no space left on device" in caught.value.message


def test_somebody_else(tmp_path):
    """What answers and is no engine is said to be none."""
    with running(Engine(version=""), tmp_path) as host:
        engine = engine_at(host)
    assert engine.takes_zstd is False
