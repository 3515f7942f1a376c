"""A Dockerfile and all that is said beside it, and wherry as one of those who build it."""

import io
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from wherry.cli.main import run
from wherry.cli.world import World


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `docker buildx build` is asked for; every word is spelled as there."""

    context: Path
    dockerfile: Path | None = None
    """None: the one that the context has under its usual name."""
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Named ones: a path, `oci-layout://PATH` or `docker-image://NAME`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    target: str = ""
    network: str = ""
    """Of steps; `host` where they need a server of this machine."""
    cache: bool = False
    """Whether steps done before may be taken as they are."""


@dataclass(frozen=True)
class Built:
    """How a build ended."""

    ok: bool
    message: str
    """All that was said."""
    layout: Path
    """A folder, if it went well."""


class Builder(Protocol):
    """Whoever builds Dockerfiles."""

    name: str

    def build(self, request: Request, into: Path) -> Built:
        """Build into a layout, a folder that is not there yet."""

    def push(self, request: Request, name: str) -> Built:
        """Build and push under a name."""

    def forget(self) -> None:
        """Forget all that was built."""


class Wherry:
    """Ours, called in this process, with a store and a cache of its own."""

    name = "wherry"

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def build(self, request: Request, into: Path) -> Built:
        """Build into a layout."""
        names = [word for name in request.names for word in ("-t", name)]
        return self._run([*names, "--output", f"type=oci,dest={into},tar=false"], request, into)

    def push(self, request: Request, name: str) -> Built:
        """Build and push."""
        return self._run(["-t", name, "--push"], request, self.root)

    def check(self, request: Request) -> str:
        """Give the findings of `wherry lint` as JSON."""
        out = io.StringIO()
        words = arguments(replace(request, cache=True, dockerfile=None, secrets={}, labels={}))
        run(
            ["lint", "--json", "--context", str(request.context), *words, str(request.dockerfile)],
            World(out, io.StringIO(), self.environment(), self.root, stdin=io.StringIO()),
        )
        return out.getvalue()

    def forget(self) -> None:
        """Delete store and cache."""
        for name in ("store", "cache"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def _run(self, first: list[str], request: Request, layout: Path) -> Built:
        out, err = io.StringIO(), io.StringIO()
        network = ["--network", request.network, "--allow", f"network.{request.network}"] if request.network else []
        words = ["build", *first, "--progress", "plain", *network, *arguments(request), str(request.context)]
        code = run(words, World(out, err, self.environment(), self.root, stdin=io.StringIO()))
        return Built(code == 0, out.getvalue() + err.getvalue(), layout)

    def environment(self) -> dict[str, str]:
        """Nothing of this machine's settings, but what Go and the proxies need."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WHERRY", "DOCKER", "KO_"))}
        return kept | {
            "HOME": str(self.root),
            "WHERRY_STORE": str(self.root / "store"),
            "WHERRY_CACHE": str(self.root / "cache"),
            "WHERRY_DEBUG": "1",
            "WHERRY_HADOLINT": "off",
        }


def arguments(request: Request) -> Iterator[str]:
    """Give the words of a request, as buildx and wherry take them."""
    if request.dockerfile:
        yield from ("-f", str(request.dockerfile))
    if not request.cache:
        yield "--no-cache"
    if request.target:
        yield from ("--target", request.target)
    if request.platforms:
        yield from ("--platform", ",".join(request.platforms))
    for flag, pairs in (
        ("--build-arg", request.build_args),
        ("--build-context", request.contexts),
        ("--label", request.labels),
    ):
        for name, value in pairs.items():
            yield from (flag, f"{name}={value}")
    for name, file in request.secrets.items():
        yield from ("--secret", f"id={name},src={file}")
