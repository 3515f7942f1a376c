"""Small real Go binaries for tests, built once a machine and kept in `.cache/test-binaries`."""

import hashlib
import os
import subprocess
from pathlib import Path

from needs import need

KEPT = Path(__file__).resolve().parents[1] / ".cache" / "test-binaries"

HELLO = 'package main\n\nfunc main() { println("hello") }\n'
PRINT = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
USER = 'package main\n\nimport "os/user"\n\nfunc main() { u, err := user.Current(); println(u.Uid, err == nil) }\n'


def go_binary(  # noqa: PLR0913 - what `go build` takes
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
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO"))} | {
        name: os.environ[name] for name in ("GOCACHE", "GOMODCACHE", "GOPATH") if name in os.environ
    }
    settings = {"GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOWORK": "off", "GOOS": "linux"}
    settings |= {"GOARCH": arch, "CGO_ENABLED": str(int(cgo))}
    version = subprocess.run([go, "env", "GOVERSION"], env=environment | settings, capture_output=True, check=True)
    key = hashlib.sha256(repr((source, flags, settings, module, go_mod, version.stdout)).encode()).hexdigest()[:16]
    binary = KEPT / key / "hello"
    if not binary.exists():
        folder = KEPT / f"{key}.{os.getpid()}"
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src" / "go.mod").write_text(f"module {module}\n\ngo 1.20\n{go_mod}")
        (folder / "src" / "main.go").write_text(source)
        subprocess.run(
            [go, "build", "-buildvcs=false", *flags, "-o", "../hello", "."],
            cwd=folder / "src", env=environment | settings, check=True,
        )  # fmt: skip
        _keep(folder, binary.parent)
    return binary


def _keep(folder: Path, place: Path) -> None:
    """Give the folder its name, unless another process was sooner."""
    try:
        folder.rename(place)
    except OSError:
        if not place.exists():
            raise
