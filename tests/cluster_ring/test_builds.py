"""`wherry build --on kubernetes` on a real cluster. What pods build is a script: a node and a moment suffice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from built_images import file, folder, put_layers
from needs import need
from real_cluster import ClusterWherry, RealCluster
from registries import Running
from small_images import put_image
from wherry.layer.entry import Entry, EntryKind
from wherry.oci.config import RuntimeConfig
from wherry.platform import Platform
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.cluster
PLATFORMS = ("linux/amd64", "linux/arm64")
WORKER = """#!/bin/sh
echo "building $JOB_COMPLETION_INDEX"
eval "$BEFORE"
eval "printf '%s' \\"\\$RESULT_$JOB_COMPLETION_INDEX\\"" > /dev/termination-log
exit ${CODE:-0}
"""


@pytest.fixture(scope="module")
def builder(cluster_registry: Running, cluster_wherry: ClusterWherry) -> str:
    """The image of the pods: a script that leaves a result."""
    program = Path(need("busybox")).read_bytes()
    links = [
        Entry(path=f"bin/{name}", kind=EntryKind.SYMLINK, mode=0o777, target="busybox") for name in ("sh", "sleep")
    ]
    rows = [folder("bin"), file("bin/busybox", program, 0o755), *links, file("bin/worker", WORKER.encode(), 0o755)]
    store = DiskStore(cluster_wherry.home / "store")
    name = f"{cluster_registry.host}/test/builder:1"
    store.tag(name, put_layers(store, [rows], RuntimeConfig(user="65532:65532", env=("PATH=/bin",))))
    cluster_wherry("push", name)
    return name


@pytest.fixture(scope="module")
def results(cluster_registry: Running, cluster_wherry: ClusterWherry) -> dict[str, str]:
    """What pods push, and their results."""
    store, found = DiskStore(cluster_wherry.home / "store"), {}
    for index, platform in enumerate(PLATFORMS):
        root = put_image(store, platform, Platform.parse(platform))
        name = f"{cluster_registry.host}/test/app:part-{index}"
        store.tag(name, root)
        cluster_wherry("push", name)
        found[f"RESULT_{index}"] = json.dumps(
            {"version": 1, "ok": True, "task": index, "platform": platform, "digest": str(root.digest)}
        )
    return found


@pytest.fixture
def module(tmp_path: Path, real_cluster: RealCluster, builder: str, results: dict[str, str]) -> Iterator[Path]:
    """A Go module whose pods are in a namespace that enforces "restricted"."""
    (tmp_path / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    with real_cluster.namespace("restricted") as namespace:
        lines = [
            "[build]", f"platforms = {json.dumps(PLATFORMS)}", "[kubernetes]", f'namespace = "{namespace}"',
            f'builder = "{builder}"', 'cpu = "10m"', 'memory = "32Mi"', "retries = 1", "[kubernetes.env]",
            *(f"{name} = '{text}'" for name, text in results.items()),
        ]  # fmt: skip
        (tmp_path / "wherry.toml").write_text("\n".join([*lines, ""]))
        yield tmp_path


def add(module: Path, name: str, text: str) -> None:
    """Give the pods a variable."""
    file = module / "wherry.toml"
    file.write_text(f"{file.read_text()}{name} = '{text}'\n")


def namespace_of(module: Path) -> str:
    """Name the namespace."""
    return next(line.split('"')[1] for line in (module / "wherry.toml").read_text().splitlines() if "namespace" in line)


def left(cluster: RealCluster, module: Path) -> list[str]:
    """Name what is in the namespace, once pods that end have ended."""
    for _ in range(60):
        words = ("-n", namespace_of(module), "-l", "wherry.dev/build")
        found = cluster.kubectl("get", "jobs,pods,secrets", "-o", "name", *words).stdout.split()
        if not found:
            return []
        time.sleep(0.5)
    return found


@contextmanager
def running(wherry: ClusterWherry, module: Path, name: str) -> Iterator["subprocess.Popen[str]"]:
    """Call wherry in the background, until its pods run."""
    environment = {**wherry.cluster.environment, "HOME": str(wherry.home), "WHERRY_STORE": str(wherry.home / "store"),
                   "WHERRY_CACHE": str(wherry.home / "cache")}  # fmt: skip
    argv = [sys.executable, "-m", "wherry", "build", "--on", "kubernetes", "--progress", "plain", "-t", name]
    process = subprocess.Popen(
        argv, cwd=module, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def until(process: "subprocess.Popen[str]", words: str) -> str:
    """Read lines until one has some words; give them all."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def test_a_build(real_cluster, cluster_wherry, cluster_registry, module):
    """Two platforms become an index; nothing is left in the namespace."""
    name = f"{cluster_registry.host}/test/app:v1"
    done = cluster_wherry("build", "--on", "kubernetes", "--progress", "plain", "-t", name, cwd=module)

    assert done.stdout.startswith(f"{name}@sha256:")
    assert "building 1" in done.stderr
    assert left(real_cluster, module) == []


def test_a_pod_that_is_deleted(real_cluster, cluster_wherry, cluster_registry, module):
    """Its platform is tried again."""
    add(module, "BEFORE", "sleep 4")
    with running(cluster_wherry, module, f"{cluster_registry.host}/test/app:v2") as process:
        text = until(process, "building 0")
        pods = real_cluster.kubectl("get", "pods", "-n", namespace_of(module), "-o", "name").stdout.split()
        real_cluster.kubectl(
            "delete", "-n", namespace_of(module), "--wait=false", next(one for one in pods if "-0-" in one)
        )
        text += until(process, f"{cluster_registry.host}/test/app:v2@sha256:")

    assert "was deleted: tried again" in text
    assert left(real_cluster, module) == []


def test_cancelled(real_cluster, cluster_wherry, cluster_registry, module):
    """Ctrl-C deletes the Job, and says so."""
    add(module, "BEFORE", "sleep 60")
    with running(cluster_wherry, module, f"{cluster_registry.host}/test/app:v3") as process:
        until(process, "building 0")
        os.kill(process.pid, signal.SIGINT)
        text = until(process, "with its pods")

        assert process.wait(30) == 130
    assert "deleted job/app-" in text
    assert left(real_cluster, module) == []


def test_out_of_memory(real_cluster, cluster_wherry, cluster_registry, module):
    """What the pod had is said, and what to set."""
    add(module, "BEFORE", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done")
    name = f"{cluster_registry.host}/test/app:v4"
    done = cluster_wherry("build", "--on", "kubernetes", "-t", name, cwd=module, code=2)

    assert "out of memory: it had 32Mi" in done.stderr
    assert 'memory = "64Mi"' in done.stderr
    assert left(real_cluster, module) == []


def test_no_room_for_pods(real_cluster, cluster_wherry, cluster_registry, module):
    """A quota delays a build, which says why, and goes on as soon as there is room."""
    real_cluster.kubectl("create", "quota", "few", "-n", namespace_of(module), "--hard=pods=1")
    name = f"{cluster_registry.host}/test/app:v5"
    done = cluster_wherry("build", "--on", "kubernetes", "--progress", "plain", "-t", name, cwd=module)

    assert "exceeded quota: few" in done.stderr
    assert left(real_cluster, module) == []


def api_server(cluster: RealCluster) -> int:
    """Give the process of the API server; skips where the cluster is not of the tests' own."""
    folder = cluster.config.resolve().parents[1]
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else [b""]
            if words[0].endswith(b"/kube-apiserver") and any(os.fsencode(folder) in word for word in words):
                return int(entry.name)
    pytest.skip("this cluster's API server is no process of this machine")


def test_an_api_server_that_restarts(real_cluster, cluster_wherry, cluster_registry, module):
    """The build goes on, and so does its client once the API server is back."""
    if "WHERRY_TEST_CLUSTER" in os.environ:
        pytest.skip("only a cluster of the tests' own loses its API server")
    add(module, "BEFORE", "sleep 12")
    with running(cluster_wherry, module, f"{cluster_registry.host}/test/app:v6") as process:
        until(process, "building 0")
        ended = api_server(real_cluster)
        os.kill(ended, signal.SIGKILL)
        until(process, f"{cluster_registry.host}/test/app:v6@sha256:")

    assert api_server(real_cluster) != ended
    assert left(real_cluster, module) == []
