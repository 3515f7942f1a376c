"""Calls of `wherry build` in a folder, and what they made."""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

from wherry.cli.main import run
from wherry.cli.world import World
from wherry.oci.config import RuntimeConfig
from wherry.oci.image import Image
from wherry.store.disk import DiskStore
from wherry.store.images import images_of


@dataclass
class Made:
    """What a call of `wherry build` gave."""

    folder: Path
    code: int
    out: str
    err: str

    @property
    def image(self) -> Image:
        """The image that was built."""
        store = DiskStore(self.folder.parent / "store")
        (name,) = [name for name in store.tags() if name.startswith("made")]
        return images_of(store, store.resolve(name))[0]

    @property
    def config(self) -> RuntimeConfig:
        """Its config."""
        return self.image.config.runtime

    @property
    def files(self) -> int:
        """How many layers it has."""
        return len(self.image.manifest.stack)


def call(folder: Path, *words: str, stdin: bytes = b"", command: str = "build") -> Made:
    """Call `wherry build`, or another command, in a folder."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("GO", "CGO", "WHERRY", "KO"))}
    root = folder.parent
    environment = {
        **kept, "GOENV": "off", "GOWORK": "off", "GOTOOLCHAIN": "local", "HOME": str(root),
        "GOCACHE": os.environ.get("GOCACHE", str(Path.home() / ".cache/go-build")),
        "WHERRY_STORE": str(root / "store"), "WHERRY_CACHE": str(root / "cache"), "WHERRY_DEBUG": "1",
    }  # fmt: skip
    out, err = io.StringIO(), io.StringIO()
    world = World(out, err, environment, folder, stdin=io.TextIOWrapper(io.BytesIO(stdin)))
    code = run([command, *words], world)
    return Made(folder, code, out.getvalue(), err.getvalue())


def label(made: Made, name: str) -> str | None:
    """Give a label."""
    return (made.config.labels or {}).get(name)


def recipe(made: Made) -> dict[str, dict[str, str]]:
    """Give the recipe of a Go module's image."""
    return json.loads(label(made, "dev.wherry.recipe") or "{}")


def module(folder: Path) -> None:
    """Put a Go program into a folder."""
    (folder / "go.mod").write_text("module example.com/made\n\ngo 1.21\n")
    (folder / "main.go").write_text('package main\n\nfunc main() { println("hi") }\n')
