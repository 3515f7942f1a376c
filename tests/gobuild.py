"""Small real Go binaries for tests, built once a machine and kept in `.cache/test-binaries`."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
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
    return go_module({"main.go": source}, *flags, arch=arch, cgo=cgo, module=module, go_mod=go_mod)


def go_module(  # noqa: PLR0913 - what decides the binary
    files: Mapping[str, str], *flags: str, arch: str = "amd64", cgo: bool = False, module: str, go_mod: str = "",
    go: str = "1.20", toolchain: str = "local", system: str = "linux", experiment: str = "",
) -> Path:  # fmt: skip
    """Build the main package of a module of several files; as `go_binary`.

    Args:
        files: texts by path.
        flags: for `go build`.
        arch: GOARCH.
        cgo: whether CGO_ENABLED is 1 (needs gcc).
        module: the module's path.
        go_mod: more lines for its go.mod.
        go: the language version in go.mod.
        system: GOOS.
        experiment: GOEXPERIMENT.
        toolchain: GOTOOLCHAIN, such as go1.22.12; other than `local` it may come from the module proxy.
    """
    program = need("go")
    if cgo:
        need("gcc")
    environment = _environment() | {"GOARCH": arch, "CGO_ENABLED": str(int(cgo)), "GOTOOLCHAIN": toolchain}
    environment |= {"GOOS": system, "GOEXPERIMENT": experiment}
    if toolchain != "local":
        environment["GOPROXY"] = go_said("env", "GOPROXY", own=True).strip()
    key = hashlib.sha256(
        repr((files, flags, arch, cgo, module, go_mod, go, toolchain, system, experiment, go_version())).encode()
    ).hexdigest()[:16]
    binary = KEPT / key / "hello"
    if not binary.exists():
        folder = KEPT / f"{key}.{os.getpid()}"
        for name, text in {"go.mod": f"module {module}\n\ngo {go}\n{go_mod}", **files}.items():
            place = folder / "src" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        subprocess.run(
            [program, "build", "-buildvcs=false", *flags, "-o", "../hello", "."],
            cwd=folder / "src", env=environment, check=True,
        )  # fmt: skip
        _keep(folder, binary.parent)
    return binary


@cache
def go_version() -> str:
    """Name the Go that builds them, such as go1.26.8."""
    return go_said("env", "GOVERSION").strip()


def go_said(*arguments: str, own: bool = False, folder: Path | None = None) -> str:
    """Run go in a folder, offline and with nobody's settings (or with the user's own); give what it prints."""
    environment = None if own else _environment()
    words = [need("go"), *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=True, text=True).stdout


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
