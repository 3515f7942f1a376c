"""`wherry debug` next to real containers of runc and crun, root's: by name, as their user, and nothing left."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from containers import people
from gobuild import go_binary
from needs import need, need_root

pytestmark = [pytest.mark.peers, pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")]
WAITS = 'package main\n\nimport "time"\n\nfunc main() { println("up"); for { time.Sleep(time.Hour) } }\n'
WITHOUT_CGROUPS = 'umount -R -l /sys/fs/cgroup; mount -t tmpfs none /sys/fs/cgroup; exec "$@"'
"""crun refuses cgroup v1 without a writable tree; with an empty one and no manager it starts."""


@contextmanager
def container(runtime: str, folder: Path) -> Iterator[str]:
    """Run a container of a bundle as uid 65532, without capabilities."""
    need_root()
    program, name = need(runtime), f"wherry-{runtime}-{os.getpid()}"
    _bundle(program, folder)
    options = ["--cgroup-manager=disabled"] if runtime == "crun" else []
    argv = [program, *options, "run", "--detach", "--bundle", str(folder), name]
    if runtime == "crun":
        argv = ["unshare", "-m", "sh", "-c", WITHOUT_CGROUPS, "sh", *argv]
    with (folder / "log").open("wb") as log:
        started = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if started.returncode:
        pytest.skip(f"{runtime} starts no container here: {(folder / 'log').read_text()[-300:]}")
    try:
        yield name
    finally:
        subprocess.run([program, *options, "delete", "--force", name], check=False, capture_output=True)


def _bundle(program: str, folder: Path, *words: str, user: int = 0) -> None:
    """Write a bundle: uid 65532 without capabilities, or a rootless user's 0; no control groups."""
    for part in ("proc", "dev", "sys", "app"):
        (folder / "rootfs" / part).mkdir(parents=True)
    (folder / "rootfs/app/waits").write_bytes(go_binary(WAITS, "-ldflags=-s").read_bytes())
    (folder / "rootfs/app/waits").chmod(0o755)
    subprocess.run([program, "spec", *words], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    for kind in ("uidMappings", "gidMappings") if words else ():
        config["linux"][kind] = [{"containerID": 0, "hostID": user, "size": 1}]
    user = 0 if words else 65532
    config["process"] |= {"args": ["/app/waits"], "terminal": False, "user": {"uid": user, "gid": user}}
    config["process"]["capabilities"] = {kind: [] for kind in config["process"]["capabilities"]}
    config["mounts"] = [one for one in config["mounts"] if not one["destination"].startswith("/sys/fs/cgroup")]
    config["linux"].pop("resources", None)
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "cgroup"]
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def wherry(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call it."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wherry", "debug", *words], cwd=tmp_path, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return call


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_container(runtime, tmp_path, wherry):
    """Found by its name; a shell as its user, confined; root in it has no more than its bounding set."""
    with container(runtime, tmp_path / "bundle") as name:
        ran = wherry(name, "--", "sh", "-c", "id -u; ps; ls /app; grep CapBnd /proc/self/status")
        root = wherry("--root", f"{runtime}/{name}", "--", "sh", "-c", "id -u; grep CapEff /proc/self/status")
        checked = json.loads(wherry("--check", "--json", f"{runtime}/{name}").stdout)
        mounts = Path(f"/proc/{checked['pid']}/mountinfo").read_text()
        copied = wherry("--copy-out", "/app", "-o", "copied", name)
        others = {one.name for one in Path("/proc").iterdir() if one.name.isdecimal() and _shares(one, checked["pid"])}

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("65532\n")
    assert "/app/waits" in ran.stdout
    assert "CapBnd:\t0000000000000000" in ran.stdout
    assert root.stdout == "0\nCapEff:\t0000000000000000\n"
    assert checked["found"].startswith(f"{runtime} container {name}")
    assert {one["name"]: one["state"] for one in checked["checks"]}["--root"] == "limited"
    assert ".wherry" not in mounts
    assert copied.returncode == 0, copied.stderr
    assert (tmp_path / "copied/waits").stat().st_mode & 0o777 == 0o755
    assert others == {str(checked["pid"])}


def test_a_rootless_container(tmp_path):
    """A plain user's runc: found in XDG_RUNTIME_DIR, entered as its user namespace's maker."""
    need_root()
    runc = need("runc")
    with people() as found, tempfile.TemporaryDirectory() as where:
        person, top = found["many"], Path(where)
        _bundle(runc, top / "bundle", "--rootless", user=person.uid)
        (top / "run").mkdir()
        subprocess.run(["chown", "-R", f"{person.name}:", str(top)], check=True)
        environment = {**person.environment, "XDG_RUNTIME_DIR": str(top / "run")}
        own = ["setpriv", f"--reuid={person.name}", f"--regid={person.name}", "--init-groups"]
        kept = {"env": environment, "stdin": subprocess.DEVNULL, "text": True}
        with (tmp_path / "log").open("wb") as log:
            argv = [*own, runc, "run", "--detach", "--bundle", str(top / "bundle"), "mine"]
            started = subprocess.run(argv, stdout=log, stderr=log, check=False, **kept)
        if started.returncode:
            pytest.skip(f"runc starts no rootless container here: {(tmp_path / 'log').read_text()[-300:]}")
        try:
            argv = person.argv("debug", "mine", "--", "sh", "-c", "id -u; ps")
            ran = subprocess.run(argv, cwd=person.home, capture_output=True, timeout=60, check=False, **kept)
        finally:
            subprocess.run([*own, runc, "delete", "--force", "mine"], capture_output=True, check=False, **kept)

    assert ran.stdout.startswith("0\n"), ran.stderr
    assert "/app/waits" in ran.stdout


def test_docker(tmp_path, docker, wherry, monkeypatch):
    """A container of a real Docker, by the name that its API knows."""
    monkeypatch.setenv("DOCKER_HOST", docker)
    program = need("docker")
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "waits").write_bytes(go_binary(WAITS, "-ldflags=-s").read_bytes())
    (folder / "waits").chmod(0o755)
    packed = subprocess.run(["tar", "-C", str(folder), "-cf", "-", "waits"], capture_output=True, check=True).stdout
    words = ["-c", "USER 65532:65532", "-c", 'ENTRYPOINT ["/waits"]']
    subprocess.run([program, "import", *words, "-", "waits:1"], input=packed, check=True, capture_output=True)
    name = f"web{os.getpid()}"
    subprocess.run([program, "run", "-d", "--network=none", "--name", name, "waits:1"], check=True, capture_output=True)
    try:
        ran = wherry(name, "--", "sh", "-c", "id -u; ps")
        checked = wherry("--check", f"docker/{name}")
    finally:
        subprocess.run([program, "rm", "-f", name], check=True, capture_output=True)

    assert ran.stdout.startswith("65532\n"), ran.stderr
    assert "/waits" in ran.stdout
    assert checked.stdout.startswith(f"docker container {name}")


@pytest.fixture
def docker(tmp_path) -> Iterator[str]:
    """A dockerd of the test's own, without networks; gives DOCKER_HOST."""
    need_root()
    host = f"unix://{tmp_path}/d.sock"
    words = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs", "-H", host]
    places = ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "-p", f"{tmp_path}/pid"]
    environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}
    with (tmp_path / "dockerd.log").open("wb") as log:
        process = subprocess.Popen([need("dockerd"), *words, *places], stdout=log, stderr=log, env=environment)
        while b"API listen on" not in (tmp_path / "dockerd.log").read_bytes():
            if process.poll() is not None:
                pytest.fail((tmp_path / "dockerd.log").read_text()[-500:])
            time.sleep(0.05)
        yield host
        process.terminate()
        process.wait()


def _shares(folder: Path, process: int) -> bool:
    try:
        return (folder / "ns/pid").readlink() == Path(f"/proc/{process}/ns/pid").readlink()
    except OSError:
        return False
