"""Programs from the module proxy, built once a machine: with a symbol table, and stripped as everybody ships them."""

import os
import subprocess
from pathlib import Path

KEPT = Path(__file__).resolve().parents[2] / ".cache" / "scan-bench"
PROGRAMS = {
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.19.0",
    "dive": "github.com/wagoodman/dive@v0.12.0",
    "gofumpt": "mvdan.cc/gofumpt@v0.5.0",
    "gops": "github.com/google/gops@v0.3.28",
    "govulncheck": "golang.org/x/vuln/cmd/govulncheck@v1.9.0",
    "hey": "github.com/rakyll/hey@v0.1.4",
    "ko": "github.com/google/ko@v0.19.1",
    "mkcert": "filippo.io/mkcert@v1.4.4",
    "vegeta": "github.com/tsenart/vegeta/v12@v12.8.4",
    "yq": "github.com/mikefarah/yq/v4@v4.30.5",
}


def published(name: str, *, stripped: bool) -> Path:
    """Build a program, unless that was done before."""
    place = KEPT / ("stripped" if stripped else "plain")
    if not (place / name).exists():
        place.mkdir(parents=True, exist_ok=True)
        flags = ["-trimpath", "-ldflags=-s"] if stripped else []
        environment = {**os.environ, "GOBIN": str(place), "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw"}
        subprocess.run(["go", "install", *flags, PROGRAMS[name]], env=environment, check=True, cwd=place)
    return place / name
