"""What both front ends ask of registries: one --release with one retry, one --pull, --offline and wherry.lock."""

import pytest

from build_calls import call, module
from hostile_registry import hostile
from needs import need
from small_images import put_image
from wherry.oci import media
from wherry.store.contract import read_whole
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow


@pytest.fixture(params=["go", "dockerfile"])
def folder(request, tmp_path):
    """A folder that one of the front ends builds."""
    made = tmp_path / "made"
    made.mkdir()
    if request.param == "go":
        need("go")
        module(made)
    else:
        (made / "file").write_text("content")
        (made / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    return made


def test_a_registry_that_takes_no_zstd(folder):
    """Its words are passed on, gzip 9 is pushed, and the store's name resolves to what the registry has."""
    with hostile() as registry:
        registry.refused_layers = "+zstd"
        name = f"{registry.host}/app:x"

        made = call(folder, "-t", name, "--release", "--push")

        store = DiskStore(folder.parent / "store")
        assert made.code == 0, made.err
        assert "MANIFEST_INVALID" in made.err
        assert "gzip 9 instead of zstd" in made.err
        assert registry.manifests["x"][1] == read_whole(store, store.resolve(name))
        assert media.OCI_LAYER_GZIP.encode() in registry.manifests["x"][1]
        assert made.out == f"{name}@{store.resolve(name).digest}\n"

        assert call(folder, "-t", name, "--compression", "zstd", "--push").code == 69


def test_an_archive_for_docker_is_gzip(folder):
    """An old Docker has to read it; the reason is given."""
    made = call(folder, "--release", "-o", "type=docker,dest=app.tar")

    assert "release: gzip 9, because Docker before 23" in made.err
    assert made.image.manifest.stack[-1].media_type == media.OCI_LAYER_GZIP


@pytest.mark.parametrize("words", [["--pull", "--offline"], ["--release", "--compression", "gzip"]])
def test_words_that_exclude_each_other(folder, words):
    """They are refused before anything is done."""
    made = call(folder, *words)

    assert (made.code, made.out) == (64, "")
    assert all(word in made.err for word in words if word.startswith("--"))


def test_a_dockerfile_takes_the_digests_of_the_lock(tmp_path):
    """FROM a tag that was moved since gives what wherry.lock names; --pull asks the registry."""
    folder = tmp_path / "made"
    folder.mkdir()
    with hostile() as registry:
        name = f"{registry.host}/base:x"
        store = DiskStore(tmp_path / "theirs")
        root = put_image(store)
        for blob in (root, *_below(store, root)):
            registry.blobs[str(blob.digest)] = read_whole(store, blob)
        registry.manifests["x"] = registry.manifests[str(root.digest)] = (root.media_type, read_whole(store, root))
        (folder / "Dockerfile").write_text(f"FROM {name}\nLABEL own=yes\n")
        lock = folder / "wherry.lock"
        lock.write_text(f'version = 1\n\n[bases]\n"{name}" = "sha256:{"0" * 64}"\n')

        locked = call(folder)
        pulled = call(folder, "--pull")

    assert locked.code != 0
    assert "0" * 64 in locked.err
    assert pulled.code == 0, pulled.err


def _below(store, root):
    from wherry.oci.manifest import Manifest

    manifest = Manifest.parse(read_whole(store, root), "base")
    return (manifest.config, *manifest.stack)
