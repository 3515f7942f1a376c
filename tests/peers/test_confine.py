"""What a container needs of a runtime, tried on real runc and crun: which service starts with how little."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli_shell import Shell
from needs import need, need_root

pytestmark = pytest.mark.peers
ROOT = Path(__file__).resolve().parents[2]
HELLO = """
package main

import (
	"crypto/rand"
	"fmt"
	"os"
)

func main() {
	_, random := rand.Read(make([]byte, 8))
	devices, _ := os.ReadDir("/dev")
	names := []string{}
	for _, one := range devices {
		names = append(names, one.Name())
	}
	_, mounts := os.Stat("/proc/mounts")
	fmt.Println(random, names, mounts == nil, os.Getuid())
}
"""
SERVICE = ["-http", "127.0.0.1:18080", "-admin", "127.0.0.1:18081"]
PROBE = "http://127.0.0.1:18080/healthz"
CGROUPS = "umount -R -l /sys/fs/cgroup; mount -t tmpfs none /sys/fs/cgroup; exec crun --cgroup-manager=disabled run"
"""crun 1.8 refuses a machine with both kinds of control groups, so it is given one without any."""


@pytest.fixture(scope="module")
def shell(tmp_path_factory) -> Shell:
    """An image of hello, on the smallest base."""
    need_root()
    made = Shell(tmp_path_factory.mktemp("confine"))
    made.module()
    made.write("main.go", HELLO)
    made("build", "--base", "ultra-minimal", "--no-vcs", "-t", "hello:1", "-o", f"type=local,dest={made.root}/hello")
    return made


@pytest.fixture(scope="module")
def programs(shell) -> dict[str, tuple[Path, list[str]]]:
    """Roots with one program each, and its arguments."""
    made = {"hello": (shell.root / "hello", [])}
    service = Shell(shell.root / "service")
    shutil.copytree(ROOT / "examples/videometa", service.root / "m")
    target = service.root / "root"
    words = (
        "build",
        "m/cmd/videometa",
        "--go",
        "--base",
        "ultra-minimal",
        "--no-vcs",
        "--no-budgets",
        "-o",
        f"type=local,dest={target}",
    )
    service(*words)
    made["videometa"] = (target, SERVICE)
    crane = shell.root / "crane"
    shutil.copytree(shell.root / "hello", crane)
    shutil.copy(need("crane"), next((crane / "app").iterdir()))
    made["crane"] = (crane, ["version"])
    return made


Change = Callable[[dict[str, Any]], None]


def without(destination: str) -> Change:
    """Take a mount out, and what is below it."""

    def change(config: dict[str, Any]) -> None:
        below = f"{destination}/"
        config["mounts"] = [
            one
            for one in config["mounts"]
            if one["destination"] != destination and not one["destination"].startswith(below)
        ]
        for key in ("maskedPaths", "readonlyPaths"):
            config["linux"][key] = [path for path in config["linux"][key] if not path.startswith(below)]

    return change


@pytest.fixture(params=["runc", "crun"])
def runtime(request) -> str:
    """Each runtime."""
    need(request.param)
    return str(request.param)


class Bundle:
    """A container to be."""

    def __init__(self, shell: Shell, folder: Path, runtime: str, root: Path, words: list[str]) -> None:
        self.shell, self.folder, self.runtime, self.words = shell, folder, runtime, words
        shutil.copytree(root, folder / "rootfs", symlinks=True)
        self.program = f"/app/{next((folder / 'rootfs/app').iterdir()).name}"
        self.dev = folder / "dev"

    def started(self, *options: str, change: Change = lambda _: None) -> tuple[int, str]:
        """Start it; give its exit code and what it printed, or 0 and `serves` of a service."""
        text = "\n".join(self.shell("confine", "hello:1", "--dev", str(self.dev), "--network", "host", *options))
        for line in self.shell.err.splitlines():
            subprocess.run(line.partition("on the host: ")[2], shell=True, check=True)  # noqa: S602 - as it says
        config = json.loads(text)
        config["process"]["args"] = [self.program, *self.words]
        change(config)
        (self.folder / "config.json").write_text(json.dumps(config))
        name = f"wherry-test-{os.getpid()}"
        argv = ["runc", "run", name] if self.runtime == "runc" else ["unshare", "-m", "sh", "-c", f"{CGROUPS} {name}"]
        said = self.folder / "said"
        with said.open("wb") as out:
            process = subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            if self.words == SERVICE and _serves(process):
                return 0, "serves"
            return process.wait(60), said.read_text()
        finally:
            subprocess.run([self.runtime, "kill", name, "KILL"], capture_output=True, check=False)
            process.wait(60)
            subprocess.run([self.runtime, "delete", "-f", name], capture_output=True, check=False)


def _serves(process: subprocess.Popen[bytes]) -> bool:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(PROBE, timeout=1):
                return True
        except OSError:
            continue
    return False


@pytest.fixture
def bundles(shell, programs, runtime, tmp_path) -> Callable[[str], Bundle]:
    """Make bundles by a program's name."""

    def make(name: str) -> Bundle:
        return Bundle(shell, tmp_path / name, runtime, *programs[name])

    return make


@pytest.mark.parametrize("name", ["hello", "videometa", "crane"])
def test_what_starts_with_null_and_zero(bundles, name):
    """All three, with a small /proc and a root that is only read."""
    code, said = bundles(name).started("--no-dev", "--no-proc-mounts")

    assert code == 0, said
    if name == "hello":
        assert said == "<nil> [null zero] false 65532\n"


@pytest.mark.parametrize("name", ["hello", "videometa", "crane"])
def test_the_usual_dev_and_no_sys(bundles, name):
    """A runtime makes its nodes whatever the image has; nobody needs /sys to start."""
    code, said = bundles(name).started(change=without("/sys"))

    assert code == 0, said
    assert name != "hello" or "full null" in said


def test_an_image_never_needs_nodes(bundles):
    """Without a mount for /dev, the runtime makes them in the image's own root: an unpacked image gets dirty."""
    made = bundles("hello")
    code, said = made.started(change=without("/dev"))

    assert code == 0, said
    assert {"null", "zero", "full", "random", "urandom", "tty"} <= {
        one.name for one in (made.folder / "rootfs/dev").iterdir()
    }


def test_no_proc_at_all(bundles, runtime):
    """Of the two, runc needs it itself; crun does not, nor do the programs."""
    code, said = bundles("hello").started("--no-dev", change=without("/proc"))

    assert (code == 0) == (runtime == "crun"), said
    assert runtime == "crun" or "/proc/self/fd" in said


def test_an_empty_dev(bundles):
    """Both runtimes open /dev/null themselves."""

    def change(config: dict[str, Any]) -> None:
        config["mounts"] = [one for one in config["mounts"] if not one["destination"].startswith("/dev/")]
        (made.dev / "null").unlink()

    made = bundles("hello")
    code, said = made.started("--no-dev", change=change)

    assert code
    assert "/dev/null" in said


def test_mount_points_on_a_root_that_cannot_be_written(bundles, runtime):
    """With the mount points of ultra-minimal it starts; without them runc can't make them, and crun still can."""
    made = bundles("hello")
    with only_read(made.folder / "rootfs"):
        assert made.started("--no-dev")[0] == 0
    for name in ("dev", "proc", "sys"):
        (made.folder / "rootfs" / name).rmdir()
    with only_read(made.folder / "rootfs"):
        code, said = made.started("--no-dev")

    assert (code != 0) == (runtime == "runc")
    assert not code or "ead-only file system" in said


@contextmanager
def only_read(root: Path) -> Iterator[None]:
    """Mount a directory on itself, so that it can't be written to."""
    subprocess.run(["mount", "--bind", str(root), str(root)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(root)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(root)], check=True)
