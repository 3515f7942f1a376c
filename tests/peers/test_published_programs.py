"""Programs of the world by PACKAGE@VERSION: what comes out is what `go install` makes of them."""

import io
import os
import subprocess
from pathlib import Path

import pytest

from needs import need
from wherry.cli.main import run
from wherry.cli.world import World

pytestmark = [pytest.mark.slow, pytest.mark.peers]


@pytest.mark.parametrize("asked", ["github.com/google/go-containerregistry/cmd/crane@v0.20.2"])
def test_the_bytes_are_those_of_go_install(tmp_path: Path, asked: str):
    """Through the proxy and the checksum database that the machine is set to."""
    environment = {**os.environ, "WHERRY_STORE": str(tmp_path / "store"), "WHERRY_CACHE": str(tmp_path / "cache")}
    world = World(io.StringIO(), io.StringIO(), environment, tmp_path)
    assert run(["build", asked, "-o", "type=local,dest=out"], world) == 0

    modules = subprocess.run([need("go"), "env", "GOMODCACHE"], capture_output=True, check=True, text=True).stdout
    subprocess.run(
        [need("go"), "install", "-trimpath", "-ldflags=-s", asked],
        env={
            **os.environ,
            "GOPATH": str(tmp_path / "go"),
            "GOMODCACHE": modules.strip(),
            "GOFLAGS": "",
            "CGO_ENABLED": "0",
        },
        cwd=tmp_path,
        check=True,
    )
    name = asked.partition("@")[0].rpartition("/")[2]
    assert (tmp_path / "out" / "app" / name).read_bytes() == (tmp_path / "go" / "bin" / name).read_bytes()
