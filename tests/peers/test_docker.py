"""A real Docker runs what `--load` gave it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import need, need_root
from wherry.cli.main import run
from wherry.cli.world import World

pytestmark = pytest.mark.peers

MAIN = 'package main\n\nimport "os"\n\nfunc main() { println("hello from", os.Args[0]) }\n'


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[str]:
    """A dockerd of the test's own, without networks; gives DOCKER_HOST."""
    need_root()
    host = f"unix://{tmp_path}/d.sock"
    words = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs", "-H", host]
    places = ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "-p", f"{tmp_path}/pid"]
    environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [need("dockerd"), *words, *places],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stderr
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if "API listen on" in line:
                break
        else:
            pytest.fail("dockerd ended: " + "".join(said[-5:]))
        yield host
    finally:
        process.terminate()
        process.communicate()
        # One that ended early leaves this, and the next run cannot delete the folder.
        subprocess.run(["umount", "-l", f"{tmp_path}/data"], capture_output=True, check=False)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_docker_runs_what_it_was_given(tmp_path, docker, compression):
    """A program built here, loaded there, says hello there."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
    (folder / "main.go").write_text(MAIN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "WHERRY"))}
    environment |= {
        "DOCKER_HOST": docker,
        "GOENV": "off",
        "WHERRY_STORE": f"{tmp_path}/s",
        "WHERRY_CACHE": f"{tmp_path}/c",
    }
    with (tmp_path / "out").open("w") as out:
        code = run(
            ["build", "--load", "-t", "hello:dev", "--compression", compression, "--no-vcs"],
            World(out, out, environment, folder),
        )
    assert code == 0, (tmp_path / "out").read_text()

    done = subprocess.run(
        ["docker", "-H", docker, "run", "--rm", "--network", "none", "hello:dev"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == "hello from /app/app\n"
