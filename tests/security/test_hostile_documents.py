"""Hostile documents of an image: numbers, cycles, fan-out, lies, words for a terminal, each as an OCI layout.

Each is copied, read in every way the command line has, and run. It ends with an answer or with a message in plain
letters, and nothing outside of the store and the cache is written. The kinds of CVE-2021-41190 (documents of two
kinds), CVE-2024-3727 (digests that lead elsewhere) and CVE-2023-25173 (groups).
"""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import HERE
from small_images import layer_tar
from wherry.digest import Digest
from wherry.oci import media
from wherry.oci.layout import REF_NAME

pytestmark = pytest.mark.slow
ESC = "\x1b]0;evil\x07\x1b[31m\u202eevil"


@dataclass
class Image:
    """An image to be spoiled before it is written."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    layer: bytes = gzip.compress(layer_tar("hello"), mtime=0)
    layer_type: str = media.OCI_LAYER_GZIP
    config: dict[str, object] = field(default_factory=dict)
    manifest: dict[str, object] = field(default_factory=dict)
    index: dict[str, object] = field(default_factory=dict)

    def described(self, blob: bytes, kind: str) -> dict[str, object]:
        """Keep a blob and point to it."""
        digest = str(Digest.of(blob))
        self.blobs[digest] = blob
        return {"mediaType": kind, "digest": digest, "size": len(blob)}

    @staticmethod
    def plain() -> "Image":
        """Give one that is well."""
        image = Image()
        image.config = {
            "architecture": HERE.architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer_tar("hello")))]},
        }
        return image

    def write(self, folder: Path) -> None:
        """Write the layout, with whatever was spoiled."""
        config = self.described(_json(self.config), media.OCI_CONFIG)
        layer = self.described(self.layer, self.layer_type)
        manifest = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": config, "layers": [layer]}
        for key, value in self.manifest.items():
            manifest[key] = value(manifest) if callable(value) else value
        root = self.described(_json(manifest), media.OCI_MANIFEST)
        index = {"schemaVersion": 2, "manifests": [root | {"annotations": {REF_NAME: "v1"}}]}
        for key, value in self.index.items():
            index[key] = value(index) if callable(value) else value
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (folder / "index.json").write_bytes(_json(index))
        for digest, blob in self.blobs.items():
            (folder / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(blob)


def _json(document: object) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def config(**values: object) -> Callable[[Image], None]:
    """Spoil the config's own part."""

    def spoil(image: Image) -> None:
        image.config["config"] = values

    return spoil


def top(**values: object) -> Callable[[Image], None]:
    """Spoil the config."""

    def spoil(image: Image) -> None:
        image.config |= values

    return spoil


def manifest(**values: object) -> Callable[[Image], None]:
    """Spoil the manifest."""

    def spoil(image: Image) -> None:
        image.manifest = values

    return spoil


def index(**values: object) -> Callable[[Image], None]:
    """Spoil the index."""

    def spoil(image: Image) -> None:
        image.index = values

    return spoil


def layer(**values: object) -> Callable[[dict[str, object]], object]:
    """Change what the manifest says of its layer."""
    return lambda manifest: [manifest["layers"][0] | values]


def root(**values: object) -> Callable[[Image], None]:
    """Change what the index says of the manifest."""
    return index(manifests=lambda index: [index["manifests"][0] | values])


def fan_out(image: Image) -> None:
    """Point from each of six indexes sixty times to the next: 60^6 ways, one manifest."""
    described = image.described(b"{}", media.OCI_MANIFEST)
    for _ in range(6):
        described = image.described(_json({"schemaVersion": 2, "manifests": [described] * 60}), media.OCI_INDEX)
    image.index = {"manifests": [described | {"annotations": {REF_NAME: "v1"}}]}


def cycle(image: Image) -> None:
    """Keep an index under the digest that it points to."""
    digest = "sha256:" + "a" * 64
    turning = _json({"schemaVersion": 2, "manifests": [{"mediaType": media.OCI_INDEX, "digest": digest, "size": 164}]})
    image.blobs[digest] = turning
    pointer = {"mediaType": media.OCI_INDEX, "digest": digest, "size": len(turning)}
    image.index = {"manifests": [pointer | {"annotations": {REF_NAME: "v1"}}]}


def deep(image: Image) -> None:
    """Put a thousand indexes into one another."""
    described = image.described(b"{}", media.OCI_MANIFEST)
    for _ in range(1000):
        described = image.described(_json({"schemaVersion": 2, "manifests": [described]}), media.OCI_INDEX)
    image.index = {"manifests": [described | {"annotations": {REF_NAME: "v1"}}]}


def window(image: Image) -> None:
    """Ask for a window of 3 GB: a frame header of zstd (RFC 8878, section 3.1.1.1.2) and a raw block."""
    image.layer, image.layer_type = b"\x28\xb5\x2f\xfd\x00\xac" + b"\x01\x00\x00", media.OCI_LAYER_ZSTD


def bomb(image: Image) -> None:
    """Compress 40 MB of zeros behind a file's header that says a few bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:
        stream.write(layer_tar("hello"))
        for _ in range(40):
            stream.write(bytes(1 << 20))
    image.layer = packed.getvalue()


def cut(image: Image) -> None:
    """End a layer in its midst."""
    image.layer = image.layer[:-20]


def wrong_bytes(image: Image) -> None:
    """Keep other bytes under the layer's digest."""
    image.blobs[str(Digest.of(image.layer))] = b"x" * len(image.layer)
    kept = image.layer
    image.described = lambda blob, kind: (  # type: ignore[method-assign] # the one blob that lies
        {"mediaType": kind, "digest": str(Digest.of(blob)), "size": len(blob)}
        if blob == kept
        else Image.described(image, blob, kind)
    )


_LONG = "x" * 200_000
DOCUMENTS: dict[str, Callable[[Image], None]] = {
    "a negative size": manifest(layers=layer(size=-1)),
    "a size of 2^63": manifest(layers=layer(size=1 << 63)),
    "a size that is a fraction": manifest(layers=layer(size=1.5)),
    "a size that is too large": manifest(layers=layer(size=1 << 40)),
    "a size that is too small": manifest(layers=layer(size=1)),
    "a digest that leads up": manifest(layers=layer(digest="sha256:../../../../../../etc/passwd")),
    "a digest of two dots": manifest(layers=layer(digest="..:" + "a" * 64)),
    "a digest that is too short": manifest(layers=layer(digest="sha256:00")),
    "a digest of an unknown kind": manifest(layers=layer(digest="md5:" + "a" * 32)),
    "a digest with a line's end": manifest(layers=layer(digest="sha256:" + "a" * 64 + "\n")),
    "a digest for a terminal": manifest(layers=layer(digest=ESC)),
    "other bytes under a digest": wrong_bytes,
    "a layer of an unknown type": manifest(layers=layer(mediaType="application/x-evil")),
    "a layer's type for a terminal": manifest(layers=layer(mediaType=ESC)),
    "a layer from a file": manifest(
        layers=layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["file:///etc/passwd"])
    ),
    "data that lies": manifest(layers=layer(data="ZXZpbA==")),
    "no layers for a diff id": manifest(layers=[]),
    "a layer three thousand times": manifest(layers=lambda manifest: manifest["layers"] * 3_000),
    "layers that are a word": manifest(layers="x"),
    "layers that are null": manifest(layers=None),
    "a config that is the layer": manifest(config=lambda manifest: manifest["layers"][0]),
    "a manifest that is an index too": manifest(manifests=[]),
    "a subject that is itself": manifest(subject=lambda manifest: manifest["config"]),
    "annotations for a terminal": manifest(annotations={ESC: ESC, "org.opencontainers.image.source": ESC}),
    "annotations that are numbers": manifest(annotations={"a": 1}),
    "an annotation of 200 kB": manifest(annotations={"a": _LONG}),
    "a schema of version 1": manifest(schemaVersion=1),
    "a fan-out of 60^6": fan_out,
    "a cycle": cycle,
    "a thousand indexes": deep,
    "an index that is a list": index(manifests={"a": 1}),
    "an index of nothing": index(manifests=[]),
    "a name that leads up": root(annotations={REF_NAME: "../../evil:v1"}),
    "a name for a terminal": root(annotations={REF_NAME: ESC}),
    "a platform that leads up": root(platform={"os": "../../..", "architecture": "../../evil"}),
    "a platform for a terminal": root(platform={"os": ESC, "architecture": ESC, "variant": ESC}),
    "a size of the manifest that lies": root(size=5),
    "a config that is a list": lambda image: setattr(image, "config", b"[]"),
    "a config of 100,000 levels": lambda image: setattr(image, "config", b"[" * 100_000),
    "a config that is no UTF-8": lambda image: setattr(image, "config", b'{"os":"\xff"}'),
    "a config of 20 MB": lambda image: setattr(image, "config", b" " * (20 << 20)),
    "a config of NaN": lambda image: setattr(image, "config", b'{"os":NaN,"architecture":1e999}'),
    "diff ids that lie": top(rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}),
    "too many diff ids": top(rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 3}),
    "diff ids that lead up": top(rootfs={"type": "layers", "diff_ids": ["sha256:../../x"]}),
    "no file system": top(rootfs=None),
    "an operating system for a terminal": top(os=ESC, architecture=ESC),
    "a time of no calendar": top(created="9999-99-99T99:99:99Z"),
    "a time for a terminal": top(created=ESC, author=ESC),
    "a history for a terminal": top(history=[{"created_by": ESC, "comment": ESC, "author": ESC}]),
    "a history longer than the layers": top(history=[{"created_by": "x"}] * 10_000),
    "a history that is all empty": top(history=[{"created_by": "x", "empty_layer": True}] * 3),
    "a program that leads up": config(Entrypoint=["../../../../bin/sh", "-c", "id"]),
    "a program with a zero byte": config(Entrypoint=["/hello\0evil"], Cmd=["\0"]),
    "a program of 200 kB": config(Entrypoint=[_LONG]),
    "no program": config(Entrypoint=[], Cmd=[]),
    "an empty program": config(Entrypoint=[""]),
    "a folder that leads up": config(Entrypoint=["/hello"], WorkingDir="../../../../etc"),
    "a folder that is a descriptor": config(Entrypoint=["/hello"], WorkingDir="/proc/self/fd/8"),
    "a folder with a zero byte": config(Entrypoint=["/hello"], WorkingDir="/a\0b"),
    "a variable without a value": config(Entrypoint=["/hello"], Env=["A", "=", "", "B=\0", "LD_PRELOAD=/evil"]),
    "a variable for a terminal": config(Entrypoint=["/hello"], Env=[f"{ESC}={ESC}"]),
    "a user of huge numbers": config(Entrypoint=["/hello"], User="99999999999999999999:99999999999999999999"),
    "a user that is negative": config(Entrypoint=["/hello"], User="-1:-1"),
    "a user with a line's end": config(Entrypoint=["/hello"], User="root\nevil:0:0"),
    "a volume that leads up": config(Entrypoint=["/hello"], Volumes={"/../../../etc": {}, "": {}, "a\0": {}}),
    "a port of a million": config(Entrypoint=["/hello"], ExposedPorts={"1000000/tcp": {}, ESC: {}, "-1": {}}),
    "a label for a terminal": config(Entrypoint=["/hello"], Labels={ESC: ESC}),
    "a signal that is none": config(Entrypoint=["/hello"], StopSignal="99999999999999999999"),
    "a health check of no time": config(Entrypoint=["/hello"], Healthcheck={"Test": ["CMD"], "Interval": -(1 << 63)}),
    "triggers that are hostile": config(Entrypoint=["/hello"], OnBuild=["COPY \0 /x", ESC, "ONBUILD ONBUILD RUN x"]),
    "words that are numbers": config(Entrypoint=[1, 2], Env={"A": 1}),
    "a window of 3 GB": window,
    "a bomb of zeros": bomb,
    "a layer that is cut": cut,
    "a layer that is no tar": lambda image: setattr(image, "layer", gzip.compress(b"#!/bin/sh\n" * 100)),
    "a layer that is empty": lambda image: setattr(image, "layer", b""),
}


STARTED = [case for case in DOCUMENTS if case.split()[1] in {"program", "folder", "user", "window", "layer"}]
"""Those that get as far as a container, or should not."""


@pytest.mark.parametrize("case", DOCUMENTS)
def test_ends_well(case: str, tmp_path: Path):
    """Copied, read in each way and run: an answer or a message, never a failure of wherry's own."""
    (tmp_path / "outside").mkdir()
    shell = Shell(tmp_path / "home")
    shell.environment.pop("WHERRY_DEBUG")
    image = Image.plain()
    DOCUMENTS[case](image)
    image.write(shell.root / "hostile")
    before = sorted(path.name for path in tmp_path.iterdir())

    read = [_call(shell, command, "oci:hostile") for command in ("inspect", "tree")]
    if _call(shell, "copy", "oci:hostile", "evil:1") == 0:
        read += [_call(shell, command, "evil:1") for command in ("size", "leaks")]
        read += [_call(shell, command) for command in ("images", "verify-store")]
        if case in STARTED:
            read.append(_call(shell, "run", "evil:1"))

    assert read
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not list((tmp_path / "outside").iterdir())


def _call(shell: Shell, *words: str) -> int:
    """Run wherry; judge all that it prints and give its exit code."""
    code = shell.ended(*words)
    printed = shell.out + shell.err
    assert code not in (1, 70) or "internal error" not in printed, (words, printed[-500:])
    assert "Traceback" not in printed, (words, printed[-500:])
    bad = {letter for letter in printed if not letter.isprintable() and letter not in "\n\t"}
    assert not bad, (words, bad, printed[-500:])
    return code
