"""`wherry analyze` as a user calls it."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from archives import file, folder
from built_images import put_layers, put_platforms
from cli_shell import Shell
from hostile_registry import hostile
from needs import corpus
from wherry.layer.compress import Encoding
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, RootFS
from wherry.oci.manifest import Manifest
from wherry.platform import Platform
from wherry.store.archive import write_docker_archive, write_oci_archive
from wherry.store.contract import walk, write_document
from wherry.store.memory import MemoryStore

NOISE = random.Random(3).randbytes(40_000)  # noqa: S311 - no secret
LAYERS = [
    [folder("app"), file("app/server", NOISE), file("app/old", b"o" * 5000)],
    [file("app/server", NOISE, mode=0o755), file("app/.wh.old")],
    [file("app/copy", NOISE)],
]
HISTORY = (
    History(created_by="COPY . /app # buildkit"),
    History(created_by="ENV A=b", empty_layer=True),
    History(created_by="RUN /bin/sh -c chmod +x /app/server && rm /app/old # buildkit"),
    History(created_by="RUN /bin/sh -c cp /app/server /app/copy # buildkit"),
)
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def wherry(tmp_path):
    """A shell with one image in its store."""
    shell = Shell(tmp_path / "shell")
    root = put_layers(shell.store, LAYERS, history=HISTORY)
    shell.store.tag("app:dev", root)
    return shell


def analyzed(wherry, *words: str, code: int = 0) -> dict:
    """Read what `--json` prints."""
    wherry("analyze", "--json", *words, code=code)
    return json.loads(wherry.out)


def test_the_document(wherry):
    """Names and sums that others rely on."""
    found = analyzed(wherry, "app:dev")
    (one,) = found["platforms"]

    assert found["schema"] == "wherry.analyze/1"
    assert one["platform"] == "linux/amd64"
    assert one["waste"]["bytes"] == 45_000
    assert one["waste"]["duplicate_bytes"] == 40_000
    assert one["waste"]["causes"] == {"copied": 40_000, "deleted": 5000}
    assert one["dive"]["wasted_bytes"] == 85_000
    assert one["dive"]["efficiency"] == pytest.approx(80_000 / 125_000)
    assert [layer["created_by"] for layer in one["layers"]] == [
        step.created_by for step in HISTORY if not step.empty_layer
    ]
    assert [layer["unpacked"] for layer in one["layers"]] == [45_000, 40_000, 40_000]
    assert one["unpacked"] == one["visible"] + one["waste"]["bytes"] == 125_000
    assert sum(layer["stored"] for layer in one["layers"]) == one["stored"]


def test_the_remedy_is_an_edit(wherry):
    """Of the instruction that the waste is of."""
    (one,) = analyzed(wherry, "app:dev")["platforms"]
    copied, deleted = one["waste"]["groups"]

    assert copied["edit"]["before"] == "COPY . /app"
    assert copied["edit"]["after"] == "COPY --chmod=755 . /app"
    assert ".dockerignore" in deleted["edit"]["remedy"]


def test_what_people_see(wherry):
    """Layers, waste with its edit, duplicates, dive's figures."""
    text = "\n".join(wherry("analyze", "app:dev"))

    assert "45 kB wasted" in text
    assert "+ COPY --chmod=755 . /app" in text
    assert "/app/server (layer 2), /app/copy (layer 3)" in text
    assert "dive: efficiency 0.6400, 85 kB wasted" in text


def test_exit_codes(wherry):
    """1 for a finding that is named or a budget that is broken, 0 where none is, 2 and above for errors."""
    wherry("analyze", "app:dev", "--fail-on", "error")
    wherry("analyze", "app:dev", "--fail-on", "vcs")
    wherry("analyze", "app:dev", "--fail-on", "waste=45kB")
    wherry("analyze", "app:dev", "--fail-on", "warning", code=1)
    wherry("analyze", "app:dev", "--fail-on", "copied-files", code=1)
    wherry("analyze", "app:dev", "--fail-on", "waste=44kB", code=1)
    assert "waste: 45000 bytes, 1000 more than 44000" in wherry.err
    wherry("analyze", "app:dev", "--fail-on", "duplicates=1kB", code=1)
    wherry("analyze", "app:dev", "--fail-on", "nonsense", code=64)
    wherry("analyze", "missing:dev", code=66)


def test_dives_rules(wherry):
    """From .dive-ci, from a file that is named, or dive's defaults."""
    found = analyzed(wherry, "app:dev", "--ci", code=1)
    assert [(check["rule"], check["ok"]) for check in found["checks"]] == [
        ("lowestEfficiency", False), ("highestUserWastedPercent", False),
    ]  # fmt: skip

    wherry.write(".dive-ci", "rules:\n  lowestEfficiency: 0.5\n  highestUserWastedPercent: disabled\n")
    assert [check["ok"] for check in analyzed(wherry, "app:dev", "--ci")["checks"]] == [True]

    wherry.write("other", "rules:\n  highestWastedBytes: 1kB\n")
    wherry("analyze", "app:dev", "--ci-config", "other", code=1)
    assert "FAIL  highestWastedBytes" in wherry.out
    wherry("analyze", "app:dev", "--ci-config", "missing", code=66)
    wherry.write("other", "rules:\n  lowestEfficiency: much\n")
    wherry("analyze", "app:dev", "--ci-config", "other", code=78)


@pytest.mark.parametrize("form", ["layout", "oci", "docker", "index"])
def test_where_images_are(wherry, form):
    """Layouts, both archives, and all platforms of an index."""
    store = MemoryStore()
    root = put_layers(store, LAYERS, history=HISTORY, encoding=Encoding("zstd", 3))
    if form == "index":
        other = put_layers(store, LAYERS[:1], platform=ARM64)
        wherry.store.tag("both:dev", copied(put_platforms(store, {AMD64: root, ARM64: other}), store, wherry.store))
        platforms = analyzed(wherry, "both:dev")["platforms"]
        assert [(one["platform"], one["waste"]["bytes"]) for one in platforms] == [
            ("linux/amd64", 45_000), ("linux/arm64", 0),
        ]  # fmt: skip
        assert len(analyzed(wherry, "both:dev", "--platform", "linux/arm64")["platforms"]) == 1
        return
    if form == "layout":
        wherry("copy", "app:dev", "oci:out")
        name = "./out"
    else:
        name = f"{form}.tar"
        with (wherry.root / name).open("wb") as out:
            (write_oci_archive if form == "oci" else write_docker_archive)(out, store, {"app:dev": root})
    assert analyzed(wherry, name)["platforms"][0]["waste"]["bytes"] == 45_000


def copied(root, source, target):
    """Bring an image from store to store."""
    from wherry.store.copy import copy

    copy(root, source, target)
    return root


def serve(registry, encoding: Encoding | None = None) -> str:
    """Put the image into a registry; give its name."""
    store = MemoryStore()
    root = put_layers(store, LAYERS, history=HISTORY, encoding=encoding)
    for blob in walk([root], store):
        content = b"".join(store.read(blob))
        if blob.digest == root.digest:
            registry.manifests["v1"] = registry.manifests[str(root.digest)] = (blob.media_type, content)
        else:
            registry.blobs[str(blob.digest)] = content
    return f"{registry.host}/app:v1"


def test_a_registry_is_read_once(wherry):
    """Nothing goes into the store; the second look, and an image that shares layers, read no layer."""
    with hostile() as registry:
        name = serve(registry)
        before = set((wherry.root / "store").rglob("*"))
        first = analyzed(wherry, name)
        layers = {layer["digest"] for layer in first["platforms"][0]["layers"]}
        read = [one.path for one in registry.asked if one.path.rpartition("/")[2] in layers]
        registry.asked.clear()
        second = analyzed(wherry, name)

        assert first["platforms"] == second["platforms"]
        assert first["platforms"][0]["waste"]["bytes"] == 45_000
        assert len(read) == 3
        assert not [one for one in registry.asked if one.path.rpartition("/")[2] in layers]
        assert set((wherry.root / "store").rglob("*")) == before


def test_a_registry_that_is_cut(wherry):
    """One that comes back is read on; one that does not is an error, and nothing of the layer is kept."""
    with hostile() as registry:
        name = serve(registry, Encoding("none", 0))
        registry.cuts = [1000]
        assert analyzed(wherry, name)["platforms"][0]["waste"]["bytes"] == 45_000

    shell = Shell(wherry.root / "again")
    with hostile() as registry:
        name = serve(registry, Encoding("none", 0))
        registry.cuts = [1000] * 50
        registry.ranges = False
        wherry_code(shell, name)
        assert (
            not list((shell.root / "cache" / "layers").glob("*"))
            if (shell.root / "cache" / "layers").exists()
            else True
        )


def wherry_code(shell: Shell, name: str) -> None:
    """Call it, and see a clear error."""
    import io

    from wherry.cli.main import run
    from wherry.cli.world import World

    out, err = io.StringIO(), io.StringIO()
    code = run(["analyze", name], World(out, err, shell.environment, shell.root))
    assert code >= 2
    assert "error:" in err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert out.getvalue() == ""


@pytest.mark.parametrize("harm", ["cut", "flipped", "trailing", "other"])
def test_broken_layers(wherry, harm):
    """A gzip stream that is cut, damaged, followed by others, or no gzip: an error that names the layer."""
    tar = b"".join([bytes(1024)])
    whole = gzip.compress(tar_of_noise(), mtime=0)
    blob = {
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:500] + bytes([whole[500] ^ 0xFF]) + whole[501:],
        "trailing": whole + b"garbage behind the end",
        "other": tar,
    }[harm]
    store = wherry.store
    written = write_document(store, media.OCI_LAYER_GZIP, blob)
    from wherry.digest import Digest

    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=(Digest.of(tar_of_noise()),)))
    manifest = Manifest.of(write_document(store, media.OCI_CONFIG, config.encoded()), (written,))
    store.tag("broken:dev", write_document(store, media.OCI_MANIFEST, manifest.encoded()))

    wherry("analyze", "broken:dev", code=65)

    assert f"layer {written.digest}" in wherry.err


def tar_of_noise() -> bytes:
    """A layer of one file."""
    from archives import tar_of

    return tar_of(file("a", NOISE))


def test_a_layer_that_is_not_what_the_config_says(wherry):
    """Another diff id for a layer that is known already is found without reading it."""
    analyzed(wherry, "app:dev")
    image = wherry.store.resolve("app:dev")
    from wherry.digest import Digest
    from wherry.store.images import read_image

    read = read_image(wherry.store, image)
    lying = ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFS(diff_ids=tuple(Digest.of(b"%d" % n) for n in range(3)))
    )
    manifest = Manifest.of(write_document(wherry.store, media.OCI_CONFIG, lying.encoded()), read.manifest.stack)
    wherry.store.tag("lying:dev", write_document(wherry.store, media.OCI_MANIFEST, manifest.encoded()))

    wherry("analyze", "lying:dev", code=65)

    assert ", expected " in wherry.err


def test_a_cache_that_is_damaged_or_cannot_be_written(wherry):
    """Layers are read again, and the answer is the same."""
    first = analyzed(wherry, "app:dev")
    for kept in (wherry.root / "cache" / "layers").glob("*"):
        kept.write_bytes(kept.read_bytes()[:-3])
    assert analyzed(wherry, "app:dev") == first

    wherry.environment["WHERRY_CACHE"] = str(wherry.root / "file")
    (wherry.root / "file").write_text("no folder")
    assert analyzed(wherry, "app:dev") == first


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["none", "damaged", "no cache"])
def test_large_layers_are_read_by_two_processes(wherry, harm):
    """Two processes find what one does; an error in the second is the same error, a cache is not needed for it."""
    chance = random.Random(5)  # noqa: S311 - no secret
    layers = [[file(f"f{number}", chance.randbytes(6 << 20)), file("same", b"s" * 99)] for number in range(3)]
    root = put_layers(wherry.store, layers, encoding=Encoding("none", 0))
    wherry.store.tag("large:dev", root)
    last = Manifest.parse(b"".join(wherry.store.read(root)), "").stack[1]
    if harm == "damaged":
        path = Path(wherry.store.path_of(last.digest))
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    if harm == "no cache":
        (wherry.root / "cache").write_text("not a folder")
    argv = [sys.executable, "-m", "wherry", "analyze", "--json", "large:dev"]
    done = subprocess.run(argv, env=wherry.environment, capture_output=True, text=True, check=False)

    if harm == "damaged":
        assert done.returncode == 65
        assert str(last.digest) in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == analyzed(wherry, "large:dev")
    assert json.loads(done.stdout)["platforms"][0]["waste"]["causes"] == {"copied": 198}


def test_dives_own_image(wherry):
    """An archive of Docker's old form, as it is in a pipeline."""
    image = corpus("dive_images/test-docker-image.tar")
    (one,) = analyzed(wherry, str(image))["platforms"]

    assert one["dive"]["efficiency"] == 0.9844212134184309
    assert one["dive"]["wasted_bytes"] == 32025
    assert one["waste"]["bytes"] == 32025
    assert len(one["layers"]) == 14


def test_names_that_a_terminal_would_obey(wherry):
    """They are escaped for people, and text for machines."""
    root = put_layers(wherry.store, [[file("a\x1b[31m", b"12"), file("b\udcff", b"12")], [file(".wh.a\x1b[31m")]])
    wherry.store.tag("odd:dev", root)

    wherry("analyze", "odd:dev")
    assert "\x1b" not in wherry.out + wherry.err
    analyzed(wherry, "odd:dev")


def test_files_of_the_builder(wherry):
    """By content, wherever they are; none where a build and what it ships are apart."""
    builder = [[file("src/main.go", b"package main"), file("out/app", NOISE), file("empty")]]
    wherry.store.tag("builder:dev", put_layers(wherry.store, builder))
    wherry.store.tag("final:dev", put_layers(wherry.store, [[file("app", NOISE), file("e"), file("own", b"own")]]))
    wherry.store.tag("apart:dev", put_layers(wherry.store, [[file("own", b"own")]]))

    (one,) = analyzed(wherry, "final:dev", "--builder", "builder:dev")["platforms"]
    assert one["builder"] == {
        "image": "builder:dev",
        "count": 1,
        "bytes": len(NOISE),
        "files": [{"path": "/app", "layer": 1, "bytes": len(NOISE), "builder_path": "/out/app"}],
    }
    assert "/app (layer 1), there /out/app" in "\n".join(wherry("analyze", "final:dev", "--builder", "builder:dev"))
    assert analyzed(wherry, "apart:dev", "--builder", "builder:dev")["platforms"][0]["builder"]["count"] == 0


def test_a_base_that_is_named(wherry):
    """Its layers are the first ones, by diff id."""
    wherry.store.tag("base:dev", put_layers(wherry.store, LAYERS[:2]))
    (one,) = analyzed(wherry, "app:dev", "--base", "base:dev")["platforms"]

    assert one["base_from"] == "base"
    assert [layer["base"] for layer in one["layers"]] == [True, True, False]
    assert one["waste"]["base_bytes"] == 45_000


def test_the_verb():
    """`wherry.analyze` is part of the API."""
    import wherry

    assert "analyze" in wherry.__all__
    assert callable(wherry.analyze)
    assert Path(wherry.__file__).name == "__init__.py"


def saved(*, whole: bool) -> bytes:
    """What Docker's containerd store saves: an index with attestations; the blobs of one platform only, or of all."""
    import io

    from wherry.oci.descriptor import Descriptor

    store = MemoryStore()
    root = put_layers(store, LAYERS, history=HISTORY)
    other = put_layers(store, LAYERS[:1], platform=ARM64)
    index = put_platforms(store, {AMD64: root, ARM64: other})
    out = io.BytesIO()
    write_oci_archive(out, store, {"docker.io/library/app:dev": index})
    if whole:
        return out.getvalue()
    import tarfile

    missing = {blob.digest.encoded for blob in walk([other], store)} - {
        blob.digest.encoded for blob in walk([root], store)
    }
    assert isinstance(other, Descriptor)
    cut = io.BytesIO()
    out.seek(0)
    with tarfile.open(fileobj=out) as before, tarfile.open(fileobj=cut, mode="w") as after:
        for member in before:
            if member.name.rpartition("/")[2] not in missing:
                after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return cut.getvalue()


@pytest.mark.parametrize("whole", [True, False])
def test_docker_and_its_containerd_store(wherry, tmp_path, whole):
    """By Docker's API; platforms that were never pulled are passed over."""
    from engines import Engine, running

    engine = Engine(containerd=True)
    engine.saved["app%3Adev"] = saved(whole=whole)
    with running(engine, tmp_path) as endpoint:
        wherry.environment["DOCKER_HOST"] = endpoint.host
        platforms = analyzed(wherry, "docker-daemon:app:dev")["platforms"]
        wherry("analyze", "docker-daemon:other:dev", code=66)
        assert "No such image" in wherry.err
        engine.limit = 3000
        wherry("analyze", "docker-daemon:app:dev", code=65)

    assert [one["platform"] for one in platforms] == ["linux/amd64", "linux/arm64"][: 2 if whole else 1]
    assert platforms[0]["waste"]["bytes"] == 45_000
    wherry("analyze", "docker-daemon:-x", code=64)
