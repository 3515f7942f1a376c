"""An image whose layers are encoded anew is the same image to whoever runs it, and every reader agrees."""

import json
import subprocess
import sys

import msgspec
import pytest

from archives import file
from golden_digests import synthetic
from needs import need
from small_images import AMD64, ARM64, put_image, put_index
from wherry.digest import Digest
from wherry.errors import DigestMismatch
from wherry.image.recompress import recompress
from wherry.layer.compress import Encoding, pack
from wherry.layer.decompress import open_layer
from wherry.oci import media
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index, Manifest
from wherry.store.contract import read_whole, walk, write_document
from wherry.store.disk import DiskStore
from wherry.store.images import images_of, read_image
from wherry.store.memory import MemoryStore

ZSTD = Encoding("zstd", 3)
ENCODINGS = [ZSTD, Encoding("gzip", 9), Encoding("none", 0)]


def tars(store, root):
    """The tars of all layers, checked against their diff ids."""
    found = []
    for image in images_of(store, root):
        for layer, diff_id in zip(image.manifest.stack, image.config.diff_ids, strict=True):
            stream = open_layer(store, layer, diff_id)
            found.append(b"".join(iter(lambda stream=stream: stream.read(1 << 20), b"")))
    return found


def docker(store, root):
    """Write an image of the store down with Docker's media types."""
    manifest = Manifest.parse(read_whole(store, root), "it")
    renamed = msgspec.structs.replace(
        manifest,
        media_type=media.DOCKER_MANIFEST,
        config=msgspec.structs.replace(manifest.config, media_type=media.DOCKER_CONFIG),
        layers=tuple(msgspec.structs.replace(layer, media_type=media.DOCKER_LAYER_GZIP) for layer in manifest.stack),
    )
    return write_document(store, media.DOCKER_MANIFEST, renamed.encoded())


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("put", [put_image, put_index])
def test_the_files_and_the_configs_stay(put, encoding):
    """Layers have the encoding asked for; configs keep their digests; every blob is in the sink."""
    source, sink = MemoryStore(), MemoryStore()
    root = put(source)
    new = recompress(root, source, sink, encoding, threads=2)

    assert tars(sink, new) == tars(source, root)
    before, after = list(images_of(source, root)), list(images_of(sink, new))
    assert [image.manifest.config for image in after] == [image.manifest.config for image in before]
    assert {layer.media_type for image in after for layer in image.manifest.stack} == {encoding.media_type}
    assert [image.descriptor.platform for image in after] == [image.descriptor.platform for image in before]
    assert new.digest != root.digest
    assert all(map(sink.has, walk([new], sink)))


def test_again_gives_the_same():
    """The encoding alone decides: encoding the new one again gives its digest."""
    store = MemoryStore()
    once = recompress(put_index(store), store, store, ZSTD)

    assert recompress(once, store, store, ZSTD, threads=3) == once


def test_docker_knows_no_zstd():
    """With gzip, Docker's documents stay Docker's; with zstd, all of them become OCI's."""
    store = MemoryStore()
    entries = [docker(store, put_image(store, text)) for text in ("one", "two")]
    index = msgspec.structs.replace(Index.of(tuple(entries)), media_type=media.DOCKER_INDEX)
    root = write_document(store, media.DOCKER_INDEX, index.encoded())

    gzip = recompress(root, store, store, Encoding("gzip", 9))
    assert {blob.media_type for blob in walk([gzip], store)} == {
        media.DOCKER_INDEX, media.DOCKER_MANIFEST, media.DOCKER_CONFIG, media.DOCKER_LAYER_GZIP,
    }  # fmt: skip
    zstd = recompress(root, store, store, ZSTD)
    assert {blob.media_type for blob in walk([zstd], store)} == {
        media.OCI_INDEX, media.OCI_MANIFEST, media.OCI_CONFIG, media.OCI_LAYER_ZSTD,
    }  # fmt: skip


def test_zstd_under_docker_s_names():
    """What BuildKit writes where it isn't told better is read, and comes out as OCI's or as plain gzip."""
    store = MemoryStore()
    odd = Manifest.parse(read_whole(store, recompress(put_image(store), store, store, ZSTD)), "it")
    odd = msgspec.structs.replace(
        odd,
        media_type=media.DOCKER_MANIFEST,
        layers=tuple(msgspec.structs.replace(layer, media_type=media.DOCKER_LAYER_ZSTD) for layer in odd.stack),
    )
    root = write_document(store, media.DOCKER_MANIFEST, odd.encoded())

    for encoding, kind in {ZSTD: media.OCI_LAYER_ZSTD, Encoding("gzip", 9): media.DOCKER_LAYER_GZIP}.items():
        assert [
            layer.media_type for layer in read_image(store, recompress(root, store, store, encoding)).manifest.stack
        ] == [kind]


def test_what_may_not_be_distributed_stays():
    """Such a layer's blob is what it is; under a new manifest it has OCI's name."""
    store = MemoryStore()
    manifest = Manifest.parse(read_whole(store, docker(store, put_image(store))), "it")
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layer = msgspec.structs.replace(manifest.stack[0], media_type=foreign, urls=("https://example.com/layer",))
    written = msgspec.structs.replace(manifest, layers=(layer,)).encoded()
    new = read_image(store, recompress(write_document(store, media.DOCKER_MANIFEST, written), store, store, ZSTD))

    assert new.manifest.stack[0].digest == layer.digest
    assert new.manifest.stack[0].media_type == "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    assert new.manifest.stack[0].urls == layer.urls


def attested(store, *, by_subject=False):
    """An index of one image with a manifest that speaks of it, and one that speaks of nothing here."""
    image = msgspec.structs.replace(put_image(store), annotations={"kept": "yes"})
    config = write_document(store, media.OCI_EMPTY, b"{}")
    statement = write_document(store, "application/vnd.in-toto+json", b'{"subject": []}')
    about = Manifest.of(config, (statement,))
    if by_subject:
        about = msgspec.structs.replace(about, subject=Descriptor.of(media.OCI_MANIFEST, store.blobs[image.digest]))
    said = write_document(store, media.OCI_MANIFEST, about.encoded())
    if not by_subject:
        notes = {"vnd.docker.reference.digest": str(image.digest), "vnd.docker.reference.type": "attestation-manifest"}
        said = msgspec.structs.replace(said, annotations=notes)
    other = write_document(store, media.OCI_MANIFEST, Manifest.of(config, (statement,), {"other": "yes"}).encoded())
    index = Index.of((image, said, other), {"top": "stays"})
    return write_document(store, media.OCI_INDEX, index.encoded()), said, other


@pytest.mark.parametrize("by_subject", [False, True])
def test_what_speaks_of_the_old_digest_is_left_out(by_subject):
    """An attestation of another manifest proves nothing; it goes, and is told. What speaks of none stays as it is."""
    source, sink, told = MemoryStore(), MemoryStore(), []
    root, said, other = attested(source, by_subject=by_subject)
    new = recompress(root, source, sink, ZSTD, left_out=told.append)

    index = Index.parse(read_whole(sink, new), "new")
    assert told == [said]
    assert [child.digest for child in index.manifests][1:] == [other.digest]
    assert index.manifests[0].annotations == {"kept": "yes"}
    assert index.annotations == {"top": "stays"}
    assert all(map(sink.has, walk([new], sink)))


def test_what_an_annotation_says_of_the_bytes_goes():
    """Places in a blob that isn't there any more mislead; what is said of the files stays."""
    store = MemoryStore()
    manifest = Manifest.parse(read_whole(store, put_image(store)), "it")
    toc = "containerd.io/snapshot/stargz/toc.digest"
    layer = msgspec.structs.replace(manifest.stack[0], annotations={toc: "sha256:00", "team": "media"})
    old = write_document(store, media.OCI_MANIFEST, msgspec.structs.replace(manifest, layers=(layer,)).encoded())
    new = read_image(store, recompress(old, store, store, ZSTD))

    assert new.manifest.stack[0].annotations == {"team": "media"}


def test_a_layer_that_is_not_its_diff_id_stops_it():
    """Nothing is encoded that isn't what the config names."""
    store, sink = MemoryStore(), MemoryStore()
    manifest = Manifest.parse(read_whole(store, put_image(store)), "it")
    config = ImageConfig.parse(read_whole(store, manifest.config), "its config")
    lied = msgspec.structs.replace(
        config, rootfs=msgspec.structs.replace(config.rootfs, diff_ids=(Digest.of(b"other"),))
    )
    configured = write_document(store, media.OCI_CONFIG, lied.encoded())
    root = write_document(store, media.OCI_MANIFEST, Manifest.of(configured, manifest.stack).encoded())

    with pytest.raises(DigestMismatch):
        recompress(root, store, sink, ZSTD)
    assert not any(json.loads(blob).get("layers") for blob in sink.blobs.values() if blob.startswith(b"{"))


def test_platforms_share_a_layer():
    """A layer of several platforms is encoded once and stays one blob."""
    store, sink = MemoryStore(), MemoryStore()
    entries = tuple(put_image(store, "same", platform) for platform in (AMD64, ARM64))
    root = write_document(store, media.OCI_INDEX, Index.of(entries).encoded())
    one, two = images_of(sink, recompress(root, store, sink, ZSTD))

    assert one.manifest.stack == two.manifest.stack


@pytest.mark.slow
def test_others_read_it(tmp_path):
    """Skopeo unpacks the layers of what came out, and comes to the diff ids that the config names."""
    skopeo = need("skopeo")
    store = DiskStore(tmp_path / "oci")
    with store.writing():
        store.tag("new:zstd", recompress(put_image(store), store, store, ZSTD))

    subprocess.run(
        [skopeo, "copy", "--insecure-policy", "--dest-decompress", f"oci:{tmp_path}/oci:new:zstd", f"dir:{tmp_path}/d"],
        check=True, capture_output=True,
    )  # fmt: skip
    (image,) = images_of(store, store.resolve("new:zstd"))
    assert (tmp_path / "d" / image.config.diff_ids[0].partition(":")[2]).is_file()


MEMORY = """
import resource, sys
from pathlib import Path
from wherry.image.recompress import recompress
from wherry.layer.compress import Encoding
from wherry.oci.descriptor import Descriptor
from wherry.store.disk import DiskStore
store = DiskStore(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
recompress(store.resolve("big:it"), store, store, Encoding("gzip", 1), threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_stays_flat(tmp_path):
    """A layer of 200 MB goes through in a tenth of that."""
    store = DiskStore(tmp_path / "oci")
    base = Manifest.parse(read_whole(store, put_image(store)), "it")
    layer = pack([file("big", synthetic(1_000_000) * 200)], Encoding("gzip", 1), store, threads=2)
    config = ImageConfig.parse(read_whole(store, base.config), "its config")
    config = msgspec.structs.replace(config, rootfs=msgspec.structs.replace(config.rootfs, diff_ids=(layer.diff_id,)))
    configured = write_document(store, media.OCI_CONFIG, config.encoded())
    store.tag("big:it", write_document(store, media.OCI_MANIFEST, Manifest.of(configured, (layer.blob,)).encoded()))

    grown = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "oci")], check=True, capture_output=True, text=True
    )
    assert layer.size > 150_000_000
    assert int(grown.stdout) * 1024 < 40_000_000
