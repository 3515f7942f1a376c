"""`make bench-bytes`: the bytes that are pulled of five modules, as wherry, ko, BuildKit and apko make their images.

All stand on the same base, wherry's own, so that what differs is the program and how layers are encoded. Time is not
measured: all share the compiler's cache.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from apk import ARCHITECTURE, program_package, static_package, write_repository
from base import served_base
from modules import MODULES, ROOT, Module, fetch, lay, module_cache
from report import machine
from subjects import BASE_NAME, WHERRY, Ko, Workspace

sys.path.insert(0, str(ROOT / "tests"))

from wherry.layer.decompress import open_layer
from wherry.oci.manifest import Manifest
from wherry.store.images import images_of
from wherry.store.open import open_images

PAGE = ROOT / "docs" / "benchmarks-bytes.md"
PLATFORM = "linux/amd64"
FIVE = (
    *MODULES,
    Module("videometa", "examples/videometa", "./cmd/videometa", "cmd/videometa/main.go"),
    Module("govulncheck", "golang.org/x/vuln@v1.9.0", "./cmd/govulncheck", "cmd/govulncheck/main.go"),
)
_HEAD = """# Bytes on the wire

Written by `make bench-bytes`. Bytes that a client without any layer pulls for linux/amd64: manifest, config and layers.
All images stand on the same base, wherry's own static one (certificates, zones, accounts): ko and BuildKit take it from
a registry. "docker" is BuildKit with a Dockerfile of `FROM base` and `COPY`, of a program that `go build` made
with the flags of its row; its zstd is forced on the base's layer too. "more" is what an image has above
`wherry --release`. videometa is not a fair row: its wherry.toml names build tags, a base without zones, that encoding,
which ko and docker do not know. Compare wherry's default with "docker, -s -w": the same bytes but for the encoder.

apko makes images of signed Alpine packages: one with the files of that base and one with the program of its row, packed
and signed by bench/apk.py. It puts all into one layer, with the records of apk, so that its base is not shared."""
_PLAIN, _STRIPPED = ("-trimpath",), ("-trimpath", "-ldflags=-s -w")


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is pulled of an image."""

    documents: int
    base: int
    own: int
    unpacked: int
    """Of the layers above the base, as tars."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.documents + self.base + self.own


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", nargs="*", choices=[one.name for one in FIVE], default=[one.name for one in FIVE])
    options = parser.parse_args()
    import os

    os.environ["WHERRY_BENCH_GOMODCACHE"] = module_cache()
    columns = "| module | image | pulled, bytes | of the base | of the program | unpacked program layer | more |"
    lines = [_HEAD, "", *machine(os.getloadavg()[0]), "", columns, "| --- | --- | --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as name, served_base(Path(name), [PLATFORM]) as registry:
        if registry is None:
            sys.exit("crane is not on PATH: run `make tools`")
        for module in FIVE:
            if module.name in options.modules:
                lines += _rows(module, Path(name) / module.name, registry)
    PAGE.write_text("\n".join([*lines, ""]))
    print(PAGE.read_text())


def _rows(module: Module, folder: Path, registry: str) -> Iterator[str]:
    space = lay(module, fetch(module), folder)
    environment = space.environment() | {"GOCACHE": _cache()}
    found = dict(_images(space, registry, environment))
    best = found["wherry --release"].total
    for name, one in found.items():
        more = f"{100 * (one.total / best - 1):+.1f} %" if name != "wherry --release" else ""
        yield (f"| {module.name} | {name} | {one.total:,} | {one.base:,} | {one.own:,} | {one.unpacked:,} | {more} |")
    shutil.rmtree(folder)


def _images(space: Workspace, registry: str, environment: Mapping[str, str]) -> Iterator[tuple[str, Pulled]]:
    for name, more in (("wherry", ()), ("wherry --release", ("--release",))):
        places = {"WHERRY_STORE": str(space.folder / name), "WHERRY_CACHE": str(space.folder / f"{name}-cache")}
        words = [WHERRY, "build", "-q", "--go", "--platform", PLATFORM, "-t", "bench:1", *more, space.package]
        _run(words, space, environment | places)
        yield name, _pulled(space.folder / name)
    if shutil.which("ko"):
        for ko in (Ko("ko", registry, tuned=False), Ko("ko, -s -w", registry, tuned=True)):
            shutil.rmtree(space.folder / "out", ignore_errors=True)
            job = ko.job(space, (PLATFORM,))
            _run(list(job.argv), space, {**job.environment, "GOCACHE": environment["GOCACHE"]})
            yield ko.name, _pulled(space.folder / "out")
    if shutil.which("buildkitd"):
        yield from _docker(space, registry, environment)
    if shutil.which("apko"):
        yield from _apko(space, environment)


def _docker(space: Workspace, registry: str, environment: Mapping[str, str]) -> Iterator[tuple[str, Pulled]]:
    from dockerfile.building import Request  # noqa: F401 - it is what the daemon's module needs
    from peers.buildkit import buildkitd

    context = space.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f'FROM {registry}/{BASE_NAME}\nCOPY app /app\nENTRYPOINT ["/app"]\n')
    forms = {
        "docker": (_PLAIN, ""),
        "docker, -s -w": (_STRIPPED, ""),
        "docker, -s -w, zstd 22": (_STRIPPED, ",compression=zstd,compression-level=22,force-compression=true"),
    }
    with buildkitd(space.folder / "buildkit") as daemon:
        for name, (flags, form) in forms.items():
            _compile(space, environment, flags, context / "app")
            into = space.folder / "docker"
            shutil.rmtree(into, ignore_errors=True)
            ask = [daemon.client, "--addr", f"unix://{daemon.folder / 'socket'}", "build", "--progress=plain"]
            ask += ["--frontend=dockerfile.v0", f"--local=context={context}", f"--local=dockerfile={context}"]
            ask += [f"--output=type=oci,dest={into},tar=false{form}"]
            _run(ask, space, environment)
            yield name, _pulled(into)


def _apko(space: Workspace, environment: Mapping[str, str]) -> Iterator[tuple[str, Pulled]]:
    for name, flags in {"apko": _PLAIN, "apko, -s -w": _STRIPPED}.items():
        folder = space.folder / "apko"
        shutil.rmtree(folder, ignore_errors=True)
        into = folder / "out"
        into.mkdir(parents=True)
        _compile(space, environment, flags, folder / "app")
        key = write_repository(folder / "repository", [static_package(), program_package(folder / "app")])
        contents = {
            "repositories": [str(key.parent)],
            "keyring": [str(key)],
            "packages": ["static-base", "app"],
        }
        document = {"contents": contents, "entrypoint": {"command": "/app"}, "archs": [ARCHITECTURE]}
        (folder / "apko.yaml").write_text(json.dumps(document))
        words = ["apko", "build", "--sbom=false", "--vcs=false", "--offline", "apko.yaml", "bench:1", str(into)]
        _run(["env", "-C", str(folder), *words], space, environment)
        yield name, _pulled(into)


def _compile(space: Workspace, environment: Mapping[str, str], flags: tuple[str, ...], program: Path) -> None:
    words = ["go", "build", *flags, "-o", str(program), space.package]
    _run(words, space, environment | {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64"})


def _pulled(layout: Path) -> Pulled:
    source, roots = open_images(layout)
    root = next(iter(roots.values()))
    (image,) = images_of(source, root)
    manifest = Manifest.parse(b"".join(source.read(image.descriptor)), "manifest")
    *base, own = manifest.stack
    stream, unpacked = open_layer(source, own), 0
    while chunk := stream.read(1 << 20):
        unpacked += len(chunk)
    documents = image.descriptor.size + manifest.config.size
    return Pulled(documents, sum(layer.size for layer in base), own.size, unpacked)


def _run(words: list[str], space: Workspace, environment: Mapping[str, str]) -> None:
    done = subprocess.run(words, cwd=space.module, env=dict(environment), check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _cache() -> str:
    words = ["go", "env", "-json", "GOCACHE"]
    return str(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["GOCACHE"])


if __name__ == "__main__":
    main()
