"""Small real Go binaries for tests, built once a machine and kept in `.cache/test-binaries`."""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

from needs import need

KEPT = Path(__file__).resolve().parents[1] / ".cache" / "test-binaries"

HELLO = 'package main\n\nfunc main() { println("hello") }\n'
PRINT = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
USER = 'package main\n\nimport "os/user"\n\nfunc main() { u, err := user.Current(); println(u.Uid, err == nil) }\n'


def go_binary(
    source: str = HELLO,
    *flags: str,
    arch: str = "amd64",
    cgo: bool = False,
    module: str = "example.com/hello",
    go_mod: str = "",
) -> Path:
    """Build a main package of one file, offline; the same arguments give the file made before.

    Args:
        source: the text of main.go.
        flags: for `go build`.
        arch: GOARCH.
        cgo: whether CGO_ENABLED is 1 (needs gcc).
        module: the module's path.
        go_mod: more lines for its go.mod.
    """
    go = need("go")
    if cgo:
        need("gcc")
    environment = _environment() | {"GOARCH": arch, "CGO_ENABLED": str(int(cgo))}
    key = hashlib.sha256(repr((source, flags, arch, cgo, module, go_mod, go_version())).encode()).hexdigest()[:16]
    binary = KEPT / key / "hello"
    if not binary.exists():
        folder = KEPT / f"{key}.{os.getpid()}"
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src" / "go.mod").write_text(f"module {module}\n\ngo 1.20\n{go_mod}")
        (folder / "src" / "main.go").write_text(source)
        subprocess.run(
            [go, "build", "-buildvcs=false", *flags, "-o", "../hello", "."],
            cwd=folder / "src", env=environment, check=True,
        )  # fmt: skip
        _keep(folder, binary.parent)
    return binary


@cache
def go_version() -> str:
    """Name the Go that builds them, such as go1.26.8."""
    return go_said("env", "GOVERSION").strip()


def go_said(*arguments: str) -> str:
    """Run go, offline and with nobody's settings; give what it prints."""
    return subprocess.run(
        [need("go"), *arguments], env=_environment(), capture_output=True, check=True, text=True
    ).stdout


def _environment() -> dict[str, str]:
    kept = {"GOCACHE", "GOMODCACHE", "GOPATH", "GOROOT"}
    return {name: text for name, text in os.environ.items() if name in kept or not name.startswith(("GO", "CGO"))} | {
        "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOWORK": "off", "GOENV": "off", "GOOS": "linux",
    }  # fmt: skip


def _keep(folder: Path, place: Path) -> None:
    """Give the folder its name, unless another process was sooner."""
    try:
        folder.rename(place)
    except OSError:
        if not place.exists():
            raise
