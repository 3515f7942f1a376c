"""A real containerd has all platforms of what `ctr` was given."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import need, need_root
from small_images import AMD64, ARM64, put_index
from wherry.daemon.find import find_daemon
from wherry.daemon.give import give
from wherry.host.process import SystemRunner
from wherry.store.memory import MemoryStore

pytestmark = pytest.mark.peers

CONFIGURATION = """version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{0}/c.sock"
"""


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[str]:
    """A containerd of the test's own; gives its socket."""
    need_root()
    (tmp_path / "config.toml").write_text(CONFIGURATION.format(tmp_path))
    process = subprocess.Popen(
        [need("containerd"), "--config", str(tmp_path / "config.toml")], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if "successfully booted" in line:
            break
    else:
        pytest.fail("containerd ended: " + "".join(said[-5:]))
    yield str(tmp_path / "c.sock")
    process.terminate()
    process.communicate()


def test_containerd_has_the_index(tmp_path, containerd):
    """Its image is the index itself, and no platform of it is missing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ctr").symlink_to(need("ctr"))
    environment = {"PATH": str(programs), "DOCKER_CONTEXT": "default", "CONTAINERD_ADDRESS": containerd}
    store = MemoryStore()
    root = put_index(store)

    give(find_daemon(SystemRunner(), environment, tmp_path), store, {"api:dev": root}, AMD64)

    listed = subprocess.check_output([need("ctr"), "images", "list"], text=True, env={**os.environ, **environment})
    (line,) = listed.splitlines()[1:]
    assert "docker.io/library/api:dev" in line
    assert root.digest in line
    assert f"{AMD64},{ARM64}" in line
