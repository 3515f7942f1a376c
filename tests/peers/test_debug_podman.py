"""`wherry debug` next to containers of a real podman: root's and a plain user's, of images that wherry saved."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from containers import Person, file, make_image, people
from gobuild import go_binary
from needs import need, need_root
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = [pytest.mark.peers, pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")]
WAITS = 'package main\n\nimport "time"\n\nfunc main() { println("up"); for { time.Sleep(time.Hour) } }\n'
IMAGE = "docker.io/library/waits:1"
LOOK = ("--", "sh", "-c", "id -u; ps; cat /etc/passwd")
PASSWD = b"nonroot:x:65532:65532::/:/bin/sh\n"


@dataclass(frozen=True)
class Podman:
    """A podman with a storage of its own."""

    person: Person
    environment: Mapping[str, str]
    name: str = "web"

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run podman to its end; conmon keeps the streams that it is given, so they are files."""
        own = [] if self.person.uid == 0 else ["setpriv", f"--reuid={self.person.uid}", f"--regid={self.person.uid}"]
        argv = [*own, *([] if self.person.uid == 0 else ["--init-groups"]), need("podman")]
        argv += ["--cgroup-manager=cgroupfs", "--storage-driver=vfs", "--runtime=runc", *words]
        with tempfile.TemporaryFile("w+") as out:
            done = subprocess.run(
                argv, env=self.environment, cwd=self.person.home, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                timeout=120, check=False,
            )  # fmt: skip
            out.seek(0)
            return subprocess.CompletedProcess(argv, done.returncode, out.read(), "")

    def wherry(self, *words: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
        """Call `wherry debug` as the same person."""
        known = {key: value for key, value in {**self.environment, **changed}.items() if value is not None}
        return subprocess.run(
            self.person.argv("debug", *words), env=known, cwd=self.person.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Iterator[Path]:
    """Give an archive of Docker's form, as `wherry save` writes it."""
    top = tmp_path_factory.mktemp("image")
    store = DiskStore(top / "store")
    layer = [file("app/waits", go_binary(WAITS, "-ldflags=-s"), mode=0o755), file("etc/passwd", PASSWD)]
    store.tag("waits:1", make_image(store, [layer], RuntimeConfig(user="65532:65532", entrypoint=("/app/waits",))))
    with tempfile.TemporaryDirectory() as folder:
        words = ["--store", str(top / "store"), "save", "--format", "docker", "-o", f"{folder}/waits.tar", "waits:1"]
        subprocess.run([sys.executable, "-m", "wherry", *words], check=True, capture_output=True)
        Path(folder).chmod(0o755)
        Path(folder, "waits.tar").chmod(0o644)
        yield Path(folder, "waits.tar")


@contextmanager
def running(person: Person, environment: Mapping[str, str], archive: Path) -> Iterator[Podman]:
    """Start a container of the archive's image in the background."""
    podman = Podman(person, {**person.environment, **environment})
    loaded = podman("load", "--quiet", "--input", str(archive))
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
    started = podman("run", "--detach", "--network=none", *limits, "--name", podman.name, IMAGE)
    try:
        if started.returncode:
            pytest.skip(f"podman starts no container here: {(loaded.stdout + started.stdout)[-400:]}")
        yield podman
    finally:
        podman("rm", "--all", "--force", "--time=0")
        podman("rmi", "--all", "--force")
        for pause in Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent")).glob("libpod/tmp/pause.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(pause.read_text()), 9)


def test_roots(saved, tmp_path):
    """By its name, in a storage that storage.conf names; as its user; what has ended is not found any more."""
    need_root()
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
    )
    root = Person("root", tmp_path, 0)
    named = {"CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    with running(root, named, saved) as podman:
        ran = podman.wherry("podman/web", *LOOK)
        checked = json.loads(podman.wherry("--check", "--json", "web").stdout)
        copied = podman.wherry("--copy-out", "/app", "-o", "copied", "web")
        podman("stop", "--time=0", "web")
        ended = podman.wherry("podman/web")
        again = Path(next((tmp_path / "run").glob("vfs-containers/*/userdata/pidfile")))
        again.write_text(str(os.getpid()))  # another process has its number now
        os.utime(again, (1, 1))
        taken = podman.wherry("podman/web")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("65532\n")
    assert "/app/waits" in ran.stdout
    assert checked["found"].startswith("podman container web")
    assert {one["name"]: one["state"] for one in checked["checks"]}["--root"] == "limited"
    assert copied.returncode == 0, copied.stderr
    assert (tmp_path / "copied/waits").stat().st_mode & 0o777 == 0o755
    assert "no such container is running" in ended.stderr
    assert "no such container is running" in taken.stderr


def test_a_plain_users(saved):
    """Rootless: a shell as its user and as its root, found also without XDG_RUNTIME_DIR; another user is refused."""
    need_root()
    need("newuidmap")
    with people() as found, tempfile.TemporaryDirectory() as where:
        person, other, runs = found["many"], found["one"], Path(where)
        os.chown(runs, person.uid, person.uid)
        with running(person, {"XDG_RUNTIME_DIR": str(runs)}, saved) as podman:
            ran = podman.wherry("web", *LOOK)
            root = podman.wherry("--root", "podman/web", "--", "sh", "-c", "id -u; grep CapEff /proc/self/status")
            bare = podman.wherry("podman/web", "--", "id", "-u", XDG_RUNTIME_DIR=None)
            checked = json.loads(podman.wherry("--check", "--json", "web").stdout)
            copied = podman.wherry("--copy-out", "/etc/passwd", "-o", "copied", "web")
            theirs = other.run("debug", str(checked["pid"]), "--", "id")
            with _service(podman, runs / "podman.sock") as host:
                asked = podman.wherry(
                    "podman/web", "--", "id", "-u",
                    HOME="/nonexistent", XDG_RUNTIME_DIR=None, DOCKER_HOST=host, WHERRY_STORE=str(runs / "store"),
                )  # fmt: skip
            passwd = (person.home / "copied").read_bytes()

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("65532\n")
    assert "/app/waits" in ran.stdout
    assert root.stdout.startswith("0\nCapEff:\t000001ff"), root.stderr
    assert bare.stdout == "65532\n", bare.stderr
    assert {one["name"]: one["state"] for one in checked["checks"]}["--root"] == "yes"
    assert copied.returncode == 0, copied.stderr
    assert passwd == PASSWD
    assert (theirs.returncode, "it belongs to user" in theirs.stderr) == (69, True), theirs.stderr
    assert asked.stdout == "65532\n", asked.stderr


@contextmanager
def _service(podman: Podman, socket: Path) -> Iterator[str]:
    """Let podman answer Docker's API at a socket."""
    person = podman.person
    argv = ["setpriv", f"--reuid={person.uid}", f"--regid={person.uid}", "--init-groups", need("podman")]
    argv += ["--cgroup-manager=cgroupfs", "--storage-driver=vfs", "--runtime=runc"]
    argv += ["system", "service", "--time=0", f"unix://{socket}"]
    process = subprocess.Popen(
        argv, env=podman.environment, cwd=person.home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not socket.exists():
            if process.poll() is not None:
                pytest.fail("podman gives no service")
            time.sleep(0.05)
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait()
