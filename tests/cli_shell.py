"""The command line as a user has it: a folder, an environment, a store and a cache of its own."""

import io
import os
from pathlib import Path

from wherry.cli.main import run
from wherry.cli.world import World
from wherry.store.disk import DiskStore


class Shell:
    """Calls wherry in a folder, with a store, a cache and log-ins of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GO", "WHERRY", "SSL_"))},
            "HOME": str(root),
            "GOENV": "off",
            "GOPATH": os.environ.get("GOPATH", str(Path.home() / "go")),
            "GOCACHE": os.environ.get("GOCACHE", str(Path.home() / ".cache/go-build")),
            "WHERRY_STORE": str(root / "store"),
            "WHERRY_CACHE": str(root / "cache"),
            "WHERRY_DEBUG": "1",
            "WHERRY_HADOLINT": "off",
        }
        self.out = self.err = ""

    def __call__(self, *arguments: str, code: int = 0, stdin: str = "") -> list[str]:
        """Run a command line that ends with a code; give its stdout by line."""
        ended = self.ended(*arguments, stdin=stdin)
        assert ended == code, self.err
        return self.out.splitlines()

    def ended(self, *arguments: str, stdin: str = "") -> int:
        """Run a command line; give the code that it ends with."""
        out, err = io.StringIO(), io.StringIO()
        world = World(out, err, self.environment, self.root, stdin=io.StringIO(stdin))
        ended = run(list(arguments), world)
        self.out, self.err = out.getvalue(), err.getvalue()
        return ended

    @property
    def store(self) -> DiskStore:
        """The local store."""
        return DiskStore(self.root / "store")

    def module(self) -> None:
        """Put a Go program here."""
        (self.root / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
        (self.root / "main.go").write_text('package main\n\nfunc main() { println("hi") }\n')

    def write(self, name: str, text: str) -> None:
        """Write a file below the folder."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
