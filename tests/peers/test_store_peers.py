"""skopeo, umoci and crane read what we write, and we read what they write."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import need
from small_images import AMD64, put_image, put_index
from wherry.store.archive import write_docker_archive, write_oci_archive
from wherry.store.catalog import bring, names_for
from wherry.store.contract import children, read_whole
from wherry.store.disk import DiskStore
from wherry.store.files import replacing
from wherry.store.images import image_for, images_of
from wherry.store.open import open_images

pytestmark = pytest.mark.slow


def output(*argv: str | Path) -> str:
    """Run a peer; give what it says."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(*words: str) -> str:
    """Run skopeo, which asks nobody whether it may trust us."""
    return output(need("skopeo"), "--insecure-policy", *words)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """A store with an image of one platform and one of two."""
    store = DiskStore(tmp_path / "store")
    store.tag("api:dev", put_image(store))
    store.tag("localhost:5000/team/web:1.0", put_index(store, "web"))
    return store


def test_skopeo_reads_the_store(store: DiskStore):
    """By our names, as they stand; its digest is ours."""
    for name, root in store.tags().items():
        raw = skopeo("inspect", "--raw", f"oci:{store.folder}:{name}")
        assert raw.encode() == read_whole(store, root)
    inspected = json.loads(skopeo("inspect", f"oci:{store.folder}:api:dev"))
    assert inspected["Digest"] == store.resolve("api:dev").digest
    assert inspected["Architecture"] == "amd64"


def test_umoci_reads_and_unpacks_the_store(store: DiskStore, tmp_path: Path):
    """It lists our names, and finds our file in the layer."""
    umoci = need("umoci")

    assert set(output(umoci, "ls", "--layout", store.folder).split()) == set(store.tags())
    output(umoci, "unpack", "--rootless", "--image", f"{store.folder}:api:dev", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "hello.txt").read_text() == "hello"


@pytest.fixture
def registry() -> Iterator[str]:
    """Start crane's own registry on loopback, kept in memory."""
    serving = subprocess.Popen(
        [need("crane"), "registry", "serve", "--address", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert serving.stderr is not None
        yield f"127.0.0.1:{serving.stderr.readline().split()[-1]}"
    finally:
        serving.kill()
        serving.wait()
        if serving.stderr:
            serving.stderr.close()


@pytest.mark.parametrize("name", ["api:dev", "localhost:5000/team/web:1.0"])
def test_crane_pushes_our_layout(store: DiskStore, tmp_path: Path, registry: str, name: str):
    """It reads a layout that `save` writes, sends it off, and finds every digest and diff id as promised."""
    crane = need("crane")
    bring(DiskStore(tmp_path / "out"), store, {name: store.resolve(name)})

    pushed = output(crane, "push", tmp_path / "out", f"{registry}/it:1")

    assert pushed.strip().endswith(store.resolve(name).digest)
    assert output(crane, "digest", f"{registry}/it:1").strip() == store.resolve(name).digest
    output(crane, "validate", "--remote", f"{registry}/it:1")


def test_crane_validates_our_archive(store: DiskStore, tmp_path: Path):
    """Docker's form, layer by layer."""
    path = tmp_path / "it.tar"
    with replacing(path) as out:
        write_docker_archive(out, store, {"api:dev": store.resolve("api:dev")})

    output(need("crane"), "validate", "--tarball", path)


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeo_reads_our_archives(store: DiskStore, tmp_path: Path, transport: str):
    """It takes the image out again, config and diff ids as they were."""
    path = tmp_path / "it.tar"
    root = store.resolve("api:dev")
    with replacing(path) as out:
        (write_docker_archive if transport == "docker-archive" else write_oci_archive)(out, store, {"api:dev": root})

    name = "api:dev" if transport == "docker-archive" else "dev"  # in a layout the tag, as buildx writes it
    skopeo("copy", "-q", f"{transport}:{path}:{name}", f"oci:{tmp_path / 'out'}:api:dev")

    source, roots = open_images(tmp_path / "out")
    assert images_of(source, roots["api:dev"])[0].config == images_of(store, root)[0].config


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
def test_we_read_what_skopeo_writes(store: DiskStore, tmp_path: Path, transport: str):
    """Its archives, its layouts; the config is byte for byte ours."""
    path = tmp_path / "theirs"
    skopeo("copy", "-q", f"oci:{store.folder}:api:dev", f"{transport}:{path}:api:dev")

    source, roots = open_images(path)
    other = DiskStore(tmp_path / "other")
    bring(other, source, names_for(roots, origin=path.name))

    ours, theirs = (image_for(place, place.resolve("api:dev"), AMD64, "api:dev") for place in (store, other))
    assert theirs.manifest.config.digest == ours.manifest.config.digest
    assert list(other.verify()) == []


def test_we_read_all_platforms_that_skopeo_writes(store: DiskStore, tmp_path: Path):
    """An index goes through it and comes back as the same digest."""
    skopeo("copy", "-q", "--all", f"oci:{store.folder}:localhost:5000/team/web:1.0", f"oci-archive:{tmp_path / 'a'}:v1")

    source, roots = open_images(tmp_path / "a")
    root = names_for(roots, origin="web.tar")["web:v1"]

    assert root.digest == store.resolve("localhost:5000/team/web:1.0").digest
    assert len(images_of(source, root)) == 2


def test_skopeo_writes_into_our_store(store: DiskStore):
    """It adds an image beside ours, and moves a name of ours; gc then leaves what it wrote."""
    folder = store.folder
    skopeo("copy", "-q", f"oci:{folder}:api:dev", f"oci:{folder}:copied:1")
    skopeo(
        "copy", "-q", "--override-arch", "arm64", f"oci:{folder}:localhost:5000/team/web:1.0", f"oci:{folder}:api:dev"
    )

    tags = store.tags()
    assert {"copied:1", "api:dev", "localhost:5000/team/web:1.0"} <= set(tags)
    assert images_of(store, tags["api:dev"])[0].platform.architecture == "arm64"
    store.gc(keep_younger_than=0)
    assert list(store.verify()) == []


def test_umoci_writes_into_our_store(store: DiskStore):
    """It changes a config and tags the result; we find it, and its gc leaves our blobs."""
    umoci = need("umoci")
    output(umoci, "config", "--image", f"{store.folder}:api:dev", "--tag", "api:labelled", "--config.label", "a=b")

    image = images_of(store, store.resolve("api:labelled"))[0]
    assert image.config.runtime.labels == {"a": "b"}
    assert image.config.diff_ids == images_of(store, store.resolve("api:dev"))[0].config.diff_ids
    output(umoci, "gc", "--layout", store.folder)
    assert list(store.verify()) == []
    store.tag("after:1", put_image(store, "after"))


def test_we_read_a_layout_that_umoci_began(tmp_path: Path):
    """Its new image has no layers at all."""
    umoci = need("umoci")
    output(umoci, "init", "--layout", tmp_path / "theirs")
    output(umoci, "new", "--image", f"{tmp_path / 'theirs'}:empty")

    source, roots = open_images(tmp_path / "theirs")

    assert names_for(roots, origin="theirs").keys() == {"theirs:empty"}
    assert images_of(source, roots["empty"])[0].manifest.stack == ()


def test_we_read_what_crane_writes(store: DiskStore, tmp_path: Path):
    """A tarball of its own making."""
    crane = need("crane")
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"".join(_blob(store)))
    output(crane, "append", "--oci-empty-base", "-f", layer, "-t", "appended:1", "-o", tmp_path / "theirs.tar")

    source, roots = open_images(tmp_path / "theirs.tar")

    assert roots.keys() == {"appended:1"}
    assert read_whole(source, images_of(source, roots["appended:1"])[0].manifest.config)


def _blob(store: DiskStore) -> list[bytes]:
    root = store.resolve("api:dev")
    return list(store.read(children(root, store)[1]))
