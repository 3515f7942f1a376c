"""What is measured: wherry, `go build` alone, and each peer that is installed.

Every subject has its own copy of each module, its own compiler cache and its own output, so that none profits from
what another did. All share Go's module cache, which is full before the first measurement.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BASE_NAME = "base"
_WHEEL = Path(__file__).resolve().parents[1] / ".cache" / "wheel" / "bin" / "wherry"
FROM_WHEEL = _WHEEL.is_file()
"""Whether `make wheel` installed wherry from its wheel, as users have it."""
WHERRY = str(_WHEEL if FROM_WHEEL else Path(sys.executable).with_name("wherry"))
"""The one that is measured: from its wheel; without one, the checkout."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one subject builds one module."""

    folder: Path
    package: str
    """The main package, such as `./cmd/crane`."""

    @property
    def module(self) -> Path:
        """The module's copy."""
        return self.folder / "src"

    @property
    def caches(self) -> tuple[Path, ...]:
        """All that is deleted before a cold build."""
        return (self.folder / "go-build", self.folder / "cache", self.folder / "out")

    def environment(self) -> dict[str, str]:
        """Go as it comes: no flags of this machine's, one toolchain, nothing downloaded."""
        cleared = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "KO", "WHERRY"))}
        gomodcache = os.environ.get("WHERRY_BENCH_GOMODCACHE", "")
        return cleared | {
            "GOENV": "off",
            "GOCACHE": str(self.folder / "go-build"),
            "GOMODCACHE": gomodcache,
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
        }


@dataclass(frozen=True, slots=True)
class Job:
    """A command line with its environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


class Subject(Protocol):
    """Anything that makes an image, or at least a program, of a module."""

    name: str

    def job(self, space: Workspace, platforms: tuple[str, ...]) -> Job:
        """Give the command that builds for these platforms."""

    def layout(self, space: Workspace) -> Path | None:
        """Give the OCI layout it wrote; None where it makes no image."""


class GoBuild:
    """The compiler alone, with the flags that wherry passes: what no image builder can be faster than."""

    name = "go build"

    def job(self, space: Workspace, platforms: tuple[str, ...]) -> Job:
        """Build for this machine; for more platforms `go build` would have to be called as often."""
        del platforms
        argv = ("go", "build", "-trimpath", "-ldflags=-s", "-o", str(space.folder / "out" / "program"), space.package)
        return Job(argv, space.environment() | {"CGO_ENABLED": "0"})

    def layout(self, space: Workspace) -> None:
        """Make no image."""
        del space


class Wherry:
    """`wherry build` with its defaults, into a store."""

    name = "wherry"

    def job(self, space: Workspace, platforms: tuple[str, ...]) -> Job:
        """Build into a store of its own."""
        environment = space.environment() | {
            "WHERRY_STORE": str(space.folder / "out"),
            "WHERRY_CACHE": str(space.folder / "cache"),
        }
        argv = (WHERRY, "build", "--go", "--platform", ",".join(platforms), "-t", "bench:latest", space.package)
        return Job(argv, environment)

    def layout(self, space: Workspace) -> Path:
        """Its store is a layout."""
        return space.folder / "out"


@dataclass(frozen=True, slots=True)
class Ko:
    """`ko build` into an OCI layout, without its SBOM, on a base from a registry on loopback."""

    name: str
    registry: str
    tuned: bool
    """Whether it gets what its documentation offers for size and speed: `-s -w`, and KOCACHE."""

    def job(self, space: Workspace, platforms: tuple[str, ...]) -> Job:
        """Build into a layout."""
        environment = space.environment() | {
            "KO_DOCKER_REPO": f"{self.registry}/bench",
            "KO_DEFAULTBASEIMAGE": f"{self.registry}/{BASE_NAME}:latest",
        }
        words = ["ko", "build", "--push=false", "--bare", "--sbom=none", f"--platform={','.join(platforms)}"]
        if self.tuned:
            environment["KOCACHE"] = str(space.folder / "cache")
            words.append("--ldflags=-s -w")
        argv = (*words, f"--oci-layout-path={space.folder / 'out'}", space.package)
        return Job(argv, environment)

    def layout(self, space: Workspace) -> Path:
        """The configured directory."""
        return space.folder / "out"


def installed(registry: str | None) -> tuple[Subject, ...]:
    """Give the subjects there are; a peer that is not installed is left out."""
    found: list[Subject] = [Wherry()]
    if registry and shutil.which("ko"):
        found += [Ko("ko", registry, tuned=False), Ko("ko, tuned", registry, tuned=True)]
    return (*found, GoBuild())


def layer_sizes(layout: Path, platform: str) -> tuple[int, ...]:
    """Give the compressed bytes of each layer of the newest image of one platform in a layout."""
    system, architecture = platform.split("/")[:2]
    manifests = [document for document in _manifests(layout, _json(layout / "index.json")) if "layers" in document]
    for manifest in reversed(manifests):
        config = _json(_blob(layout, manifest["config"]["digest"]))
        if (config["os"], config["architecture"]) == (system, architecture):
            return tuple(layer["size"] for layer in manifest["layers"])
    raise LookupError(f"{layout} has no image for {platform}")


def _manifests(layout: Path, index: dict) -> list[dict]:
    found = []
    for entry in index["manifests"]:
        document = _json(_blob(layout, entry["digest"]))
        found += _manifests(layout, document) if "manifests" in document else [document]
    return found


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _json(path: Path) -> dict:
    return json.loads(path.read_bytes())
