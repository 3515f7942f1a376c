"""The same sources give the same digest, whoever builds them, where, and with how much of a machine."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from needs import need, need_root

pytestmark = pytest.mark.slow

MAIN = """package main

import (
	_ "embed"
	"os"
)

//go:embed words.txt
var words string

func main() { println(words, len(os.Args)) }
"""


def lay(folder: Path) -> Path:
    """Write the module into a folder that is new."""
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
    (folder / "main.go").write_text(MAIN)
    (folder / "words.txt").write_text("hello")
    return folder


def build(module: Path, home: Path, *, prefix: Sequence[str] = (), changed: Mapping[str, str] | None = None) -> str:
    """Build with a home, a store and a cache of its own; give the digest."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o777)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO", "WHERRY", "XDG"))}
    environment = {
        **kept,
        "HOME": str(home),
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        **(changed or {}),
    }
    words = [*prefix, sys.executable, "-m", "wherry", "build", "-q", "--platform", "linux/amd64"]
    done = subprocess.run(words, cwd=module, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest as it comes: this user, all CPUs, the compiler's cache as it is."""
    cache = subprocess.run([need("go"), "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    root = tmp_path_factory.mktemp("reference")
    return build(lay(root / "app"), root / "home", changed={"GOCACHE": cache})


def test_another_folder_home_time_zone_and_one_cpu_with_empty_caches(reference, tmp_path):
    """One CPU, no cache of any kind, a deep folder, another home, umask, zone and language: the same digest."""
    module = lay(tmp_path / "some where" / "else" / "entirely")
    one_cpu = (need("taskset"), "-c", "0", "sh", "-c", 'umask 077 && exec "$@"', "sh")

    again = build(module, tmp_path / "home", prefix=one_cpu, changed={"TZ": "Asia/Shanghai", "LANG": "C"})

    assert again == reference


def test_another_user(reference, tmp_path):
    """Built by nobody, whose only privilege is to read this checkout: the same digest."""
    need_root()
    cache = subprocess.run([need("go"), "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    nobody = (
        need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
    )  # fmt: skip

    again = build(lay(tmp_path / "app"), tmp_path / "home", prefix=nobody, changed={"GOCACHE": cache, "USER": "nobody"})

    assert again == reference
