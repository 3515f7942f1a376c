"""Layers and a base become an image that others read, unpack and agree about."""

import json
import os
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from archives import SMALL, file
from needs import need
from wherry.base.static import scratch_base, static_base
from wherry.errors import InvalidUsage
from wherry.image.assemble import assemble, assemble_index, merge
from wherry.layer.changes import flatten, layers_of
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import Entry
from wherry.layer.unpack import unpack
from wherry.oci import media
from wherry.oci.config import HealthcheckConfig, History, ImageConfig, Layer, RootFS, RuntimeConfig
from wherry.oci.image import Image
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobSink, write_document
from wherry.store.disk import DiskStore
from wherry.store.images import images_of, read_image
from wherry.store.memory import MemoryStore

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
STEP = History(created="2026-01-02T03:04:05Z", created_by="test")


def layer(sink: BlobSink, *entries: Entry, encoding: Encoding | None = None) -> Layer:
    """A stored layer."""
    return pack(entries or SMALL, encoding or Encoding.default(), sink)


def image_of(store: MemoryStore, base: Image, changes: RuntimeConfig = RuntimeConfig(), **options: object) -> Image:  # noqa: B008 - frozen
    """Assemble with one layer and read back."""
    values = {"platform": AMD64, "created": "2026-01-02T03:04:05Z", "annotations": {"k": "v"}, "sink": store, **options}
    return read_image(store, assemble(base, [(layer(store), STEP)], changes, **values))


def test_on_static():
    """The base's layers and history come first, ours after; base and arguments stay as they were."""
    store = MemoryStore()
    base = static_base(store, AMD64)
    before = base.manifest.encoded(), base.config.encoded()
    image = image_of(store, base, RuntimeConfig(entrypoint=("/app",), env=("A=1",), labels={"x": "y"}))

    assert image.manifest.stack[:2] == base.manifest.stack
    assert image.config.history == (*base.config.history, STEP)
    assert image.config.diff_ids[:2] == base.config.diff_ids
    assert image.manifest.annotations == {"k": "v"}
    assert image.config.created == "2026-01-02T03:04:05Z"
    assert image.config.runtime.user == "65532"
    assert image.config.runtime.env[-1] == "A=1"
    assert (base.manifest.encoded(), base.config.encoded()) == before


def test_same_input_same_digest():
    """Nothing of the moment gets in."""
    first, second = (image_of(store, static_base(store, AMD64)) for store in (MemoryStore(), MemoryStore()))

    assert first.descriptor.digest == second.descriptor.digest


BASE = RuntimeConfig(  # noqa: S604 - an image config has a shell
    user="65532", env=("PATH=/bin", "A=1", "B=2"), entrypoint=("/base",), cmd=("--base",), labels={"a": "1", "b": "2"},
    exposed_ports={"80/tcp": {}}, volumes={"/v": {}}, working_dir="/w", stop_signal="SIGTERM",
    healthcheck=HealthcheckConfig(test=("CMD", "x")), on_build=("RUN x",), shell=("/bin/sh",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (RuntimeConfig(), {}),
        (RuntimeConfig(env=("A=9", "C=3")), {"env": ("PATH=/bin", "A=9", "B=2", "C=3")}),
        (RuntimeConfig(env=("A=",)), {"env": ("PATH=/bin", "A=", "B=2")}),
        (RuntimeConfig(entrypoint=("/app",)), {"entrypoint": ("/app",), "cmd": None}),
        (RuntimeConfig(entrypoint=("/app",), cmd=("-v",)), {"entrypoint": ("/app",), "cmd": ("-v",)}),
        (RuntimeConfig(cmd=("-v",)), {"cmd": ("-v",)}),
        (RuntimeConfig(cmd=()), {"cmd": ()}),
        (RuntimeConfig(user="0", working_dir="/"), {"user": "0", "working_dir": "/"}),
        (RuntimeConfig(labels={"b": "9"}), {"labels": {"a": "1", "b": "9"}}),
        (RuntimeConfig(exposed_ports={"443/tcp": {}}), {"exposed_ports": {"80/tcp": {}, "443/tcp": {}}}),
        (RuntimeConfig(volumes={"/z": {}}), {"volumes": {"/v": {}, "/z": {}}}),
        (RuntimeConfig(stop_signal="SIGINT"), {"stop_signal": "SIGINT"}),
    ],
)
def test_changes(changes, expected):
    """What is set replaces or is added; what is not stays; ONBUILD has had its build."""
    assert merge(BASE, changes) == msgspec.structs.replace(BASE, on_build=None, **expected)


def _image(store: MemoryStore, layers: list[Layer], history: tuple[History, ...] | None, **types: str) -> Image:
    config = ImageConfig(
        architecture="amd64", os="linux", created="2020-01-01T00:00:00Z", history=history,
        rootfs=RootFS(diff_ids=tuple(each.diff_id for each in layers)),
    )  # fmt: skip
    blobs = tuple(
        msgspec.structs.replace(each.blob, media_type=types.get("layer", each.blob.media_type)) for each in layers
    )
    stored = write_document(store, types.get("config", media.OCI_CONFIG), config.encoded())
    manifest = msgspec.structs.replace(Manifest.of(stored, blobs), media_type=types.get("manifest", media.OCI_MANIFEST))
    return Image.of(write_document(store, manifest.media_type, manifest.encoded()), manifest, config)


EMPTY = History(created_by="ENV", empty_layer=True)


@pytest.mark.parametrize("history", [None, (), (EMPTY,), (STEP,), (EMPTY, STEP), (STEP, STEP), (STEP,) * 5])
def test_history_fits_the_layers(history):
    """A base that records less or more than it has still gives one entry a layer."""
    store = MemoryStore()
    base = _image(store, [layer(store, file("a")), layer(store, file("b"))], history)
    image = image_of(store, base)

    assert sum(not step.empty_layer for step in image.config.history) == len(image.manifest.stack) == 3
    assert image.config.history[-1] == STEP


def test_docker_bases_become_oci():
    """No image mixes the two families of media types."""
    store = MemoryStore()
    base = _image(
        store, [layer(store, file("a"))], (STEP,),
        manifest=media.DOCKER_MANIFEST, config=media.DOCKER_CONFIG, layer=media.DOCKER_LAYER_GZIP,
    )  # fmt: skip
    image = image_of(store, base)

    assert [each.media_type for each in image.manifest.stack] == [media.OCI_LAYER_GZIP] * 2
    assert image.manifest.config.media_type == media.OCI_CONFIG
    assert image.manifest.media_type == image.descriptor.media_type == media.OCI_MANIFEST
    assert image.manifest.stack[0].digest == base.manifest.stack[0].digest


def test_another_platform_is_refused():
    """A base of another architecture is a mistake; a finer variant is not."""
    store = MemoryStore()
    base = static_base(store, AMD64)
    with pytest.raises(InvalidUsage) as caught:
        image_of(store, base, platform=ARM64)

    assert caught.value.hint
    assert image_of(store, base, platform=Platform.parse("linux/amd64/v3")).platform.variant == "v3"


def test_index():
    """Manifests keep their order, and each says its platform."""
    store = MemoryStore()
    manifests = [
        assemble(
            static_base(store, platform), [(layer(store), STEP)], RuntimeConfig(),
            platform=platform, created=None, annotations={}, sink=store,
        )
        for platform in (ARM64, AMD64)
    ]  # fmt: skip
    root = assemble_index(manifests, annotations={"a": "b"}, sink=store)
    index = Index.parse(store.blobs[root.digest], "index")

    assert index.manifests == tuple(manifests)
    assert [entry.platform.platform for entry in index.manifests] == [ARM64, AMD64]
    assert [image.platform for image in images_of(store, root)] == [ARM64, AMD64]
    assert index.annotations == {"a": "b"}


def _tree(place: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in place.rglob("*"):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        inside = os.readlink(path) if kind == stat.S_IFLNK else path.read_bytes() if kind == stat.S_IFREG else b""  # noqa: PTH115 - the text as it is
        mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(place))] = (
            kind,
            mode,
            int(status.st_mtime),
            inside,
            status.st_nlink,
            status.st_uid,
            status.st_gid,
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("encoding", [Encoding.default(), Encoding.default("zstd"), Encoding("none", 0)], ids=str)
def test_peers_unpack_the_same_tree(encoding, tmp_path):
    """Of our image umoci makes the tree that we make; skopeo reads its config and copies it unchanged."""
    umoci, skopeo = need("umoci"), need("skopeo")
    store = DiskStore(tmp_path / "store")
    with store.writing():
        layers = [
            (layer(store, encoding=encoding), STEP),
            (layer(store, file("etc/.wh.motd"), encoding=encoding), STEP),
        ]
        root = assemble(
            static_base(store, AMD64), layers, RuntimeConfig(entrypoint=("/app",)),
            platform=AMD64, created="2026-01-02T03:04:05Z", annotations={}, sink=store,
        )  # fmt: skip
        store.tag("api:dev", root)
    image = read_image(store, root)
    unpack(flatten(layers_of(store, image)), tmp_path / "ours", owners=os.geteuid() == 0)
    source = f"{tmp_path / 'store'}:api:dev"
    inspected = subprocess.run([skopeo, "inspect", "--config", f"oci:{source}"], check=True, capture_output=True)
    accepting = "--dest-oci-accept-uncompressed-layers"  # or it compresses them, and there is another digest
    copying = [skopeo, "copy", "-q", accepting, f"oci:{source}", f"oci:{tmp_path / 'copy'}:dev"]
    subprocess.run(copying, check=True, capture_output=True)
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    if encoding.algorithm != "zstd":  # umoci of Debian 12 knows no zstd
        subprocess.run(
            [umoci, "unpack", *rootless, "--image", f"{tmp_path / 'copy'}:dev", str(tmp_path / "bundle")],
            check=True, capture_output=True,
        )  # fmt: skip
        assert _tree(tmp_path / "bundle" / "rootfs") == _tree(tmp_path / "ours")

    assert (tmp_path / "copy/blobs/sha256" / root.digest.encoded).read_bytes() == image.manifest.encoded()
    assert json.loads(inspected.stdout)["config"]["Entrypoint"] == ["/app"]


def test_scratch_stays_empty():
    """Nothing of a base of nothing gets in."""
    store = MemoryStore()
    image = image_of(store, scratch_base(store, AMD64))

    assert len(image.manifest.stack) == len(image.config.history) == 1
    assert image.config.runtime == RuntimeConfig()
