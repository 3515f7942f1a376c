"""A real Kubernetes for tests marked `cluster` (`make test-cluster`); tests/cluster_ring/conftest.py has the fixtures.

`WHERRY_TEST_CLUSTER=KUBECONFIG` names a cluster that runs. Tests that serve something to it (a registry, a webhook)
need ports of this machine's loopback that its node reaches as 127.0.0.1:PORT and its pods as host.internal:PORT:
`WHERRY_TEST_CLUSTER_PORTS="5004 9444"`, the registry's first.

Without it, a cluster of the tests' own is brought up by a recipe that is found next to the repository as the corpus is
(../shared/k8s; WHERRY_CLUSTER_RECIPE names another), by its scripts build.sh, up.sh and down.sh. A keeper process of
our own calls them and ends the cluster when this process ends, however that happens.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from registries import free_port

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / ".cache" / "cluster"
"""Where the recipe's build.sh keeps the cluster's programs, with its own stamp; several GB of Go cache are not ours."""
_PORTS = 4
_UP = 600.0
_KEEPER = """
import subprocess, sys
recipe, programs, folder = sys.argv[1:]
done = subprocess.run([recipe + "/up.sh", programs, folder], stdin=subprocess.DEVNULL, capture_output=True, text=True)
try:
    print("up" if done.returncode == 0 else "failed: " + done.stderr[-2000:].replace(chr(10), " | "), flush=True)
except OSError:
    pass  # who asked is gone already
sys.stdin.read()
subprocess.run([recipe + "/down.sh", folder, "--purge"], stdin=subprocess.DEVNULL, capture_output=True)
"""


@dataclass(frozen=True)
class RealCluster:
    """A Kubernetes that runs."""

    config: Path
    """Of kubectl, as its administrator."""
    path: str
    """PATH with its kubectl and helm."""
    ports: tuple[int, ...]
    """Of our loopback; the node reaches them as 127.0.0.1:PORT, pods as host.internal:PORT; the registry's first."""

    @property
    def environment(self) -> dict[str, str]:
        """What programs need in order to find it."""
        return {**os.environ, "KUBECONFIG": str(self.config), "PATH": self.path}

    @property
    def containerd(self) -> Path:
        """The socket of its node's containerd; skips where it isn't on this machine."""
        socket = self.config.resolve().parents[1] / "run" / "containerd.sock"
        if not socket.exists():
            pytest.skip("the node of this cluster is another machine")
        return socket

    def run(
        self, *words: str, stdin: str = "", check: bool = True, limit: float = 400
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program with this cluster's configuration; `check`: it has to succeed."""
        environment = self.environment
        program = shutil.which(words[0], path=environment["PATH"])
        if program is None:
            pytest.skip(f"{words[0]} is not installed")
        done = subprocess.run(
            [program, *words[1:]], input=stdin, capture_output=True, text=True, env=environment, timeout=limit,
            check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr or done.stdout}"
        return done

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run kubectl."""
        return self.run("kubectl", *words, stdin=stdin, check=check)

    def apply(self, *documents: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Apply documents (JSON is YAML)."""
        listed = {"apiVersion": "v1", "kind": "List", "items": documents}
        return self.kubectl("apply", "-f", "-", stdin=json.dumps(listed), check=check)

    def get(self, *words: str) -> dict[str, Any]:
        """Read one thing."""
        document: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json").stdout)
        return document

    def port(self, place: int) -> int:
        """Give a port that the node reaches; skips where a cluster was named without its ports."""
        if place >= len(self.ports):
            pytest.skip(f"WHERRY_TEST_CLUSTER_PORTS names {len(self.ports)} ports, and this test needs {place + 1}")
        return self.ports[place]

    @contextmanager
    def namespace(self, level: str = "privileged", **labels: str) -> Iterator[str]:
        """Make a namespace with a name of its own, and delete it with all that is in it, pods first (it is faster).

        Args:
            level: of Pod Security: `restricted`, `baseline` or `privileged`.
            labels: more of them.
        """
        name = f"wherry-test-{token_hex(4)}"
        labels = {"pod-security.kubernetes.io/enforce": level, **labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        try:
            self._await_account(name)
            yield name
        finally:
            kinds = "job,deployment,statefulset,daemonset,replicaset,pod"
            self.kubectl("delete", kinds, "--all", "-n", name, "--grace-period=1", "--wait=true", check=False)
            self.kubectl("delete", "namespace", name, "--wait=false", check=False)  # without pods it goes in seconds

    def _await_account(self, namespace: str) -> None:
        """Wait for what every pod needs and a controller makes."""
        due = time.monotonic() + 60
        while self.kubectl("get", "serviceaccount", "default", "-n", namespace, check=False).returncode != 0:
            assert time.monotonic() < due, f"{namespace}: no default service account"
            time.sleep(0.1)


@dataclass(frozen=True)
class ClusterWherry:
    """Calls wherry, as a process, with a cluster's configuration and a store of its own."""

    cluster: RealCluster
    home: Path
    """With the store in `store`, the cache in `cache`."""

    def __call__(
        self, *words: str, stdin: str = "", code: int | None = 0, cwd: Path | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Call it; `code` is how it has to end (None: however)."""
        cache = os.environ.get("GOCACHE", str(Path.home() / ".cache" / "go-build"))
        own = {"WHERRY_STORE": str(self.home / "store"), "WHERRY_CACHE": str(self.home / "cache"), "GOCACHE": cache}
        done = subprocess.run(
            [sys.executable, "-m", "wherry", *words], cwd=cwd or self.home, input=stdin, capture_output=True, text=True,
            env={**self.cluster.environment, "HOME": str(self.home), **own, **environment}, timeout=600, check=False,
        )  # fmt: skip
        assert code in (None, done.returncode), f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done


@contextmanager
def running_cluster() -> Iterator[RealCluster]:
    """Give the cluster that WHERRY_TEST_CLUSTER names, or bring one up until the block ends; skips with a reason."""
    path = os.environ.get("PATH", os.defpath)
    if named := os.environ.get("WHERRY_TEST_CLUSTER", ""):
        ports = tuple(int(word) for word in os.environ.get("WHERRY_TEST_CLUSTER_PORTS", "").split())
        yield RealCluster(Path(named), path, ports)
        return
    recipe = _recipe()
    programs = _built(recipe)
    ports = tuple(free_port() for _ in range(_PORTS))
    folder = Path("/tmp", f"wherry-cluster-{os.getpid()}")  # noqa: S108 - a short path: sockets' names end at 108 bytes
    folder.mkdir(mode=0o700)
    environment = {
        **os.environ, "API_PORT": str(free_port()), "NODE_IP": f"10.89.{os.getpid() % 200 + 20}.1",
        "HOST_PORTS": " ".join(map(str, ports)),
    }  # fmt: skip
    keeper = subprocess.Popen(
        [sys.executable, "-c", _KEEPER, str(recipe), str(programs), str(folder)], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert keeper.stdin
    assert keeper.stdout
    try:
        said = keeper.stdout.readline().strip()
        assert said == "up", f"the cluster does not start: {said}"
        yield RealCluster(folder / "kubeconfig" / "admin", f"{programs}{os.pathsep}{path}", ports)
    finally:
        keeper.stdin.close()
        keeper.wait(_UP)
        keeper.stdout.close()


def _recipe() -> Path:
    recipe = Path(os.environ.get("WHERRY_CLUSTER_RECIPE", str(ROOT.parent / "shared" / "k8s"))).resolve()
    if not (recipe / "up.sh").exists():
        pytest.skip("no WHERRY_TEST_CLUSTER, and no recipe of a cluster next to the repository")
    if os.geteuid() != 0:
        pytest.skip("a cluster of the tests' own needs root; WHERRY_TEST_CLUSTER=KUBECONFIG names another")
    needed = (
        "containerd",
        "ctr",
        "runc",
        "iptables",
        "ip",
        "openssl",
        "curl",
        "unshare",
        "pgrep",
        "/usr/lib/cni/bridge",
    )
    absent = [program for program in needed if shutil.which(program) is None]
    if absent:
        pytest.skip(f"the cluster needs {', '.join(absent)} (`make test-cluster` installs them from Debian)")
    return recipe


def _built(recipe: Path) -> Path:
    """Build the cluster's programs, which does nothing where they are as its sources are."""
    if shutil.which("go") is None and not (PROGRAMS / "kubeall").exists():
        pytest.skip("the cluster's programs are built with Go, which is not on PATH")
    done = subprocess.run([recipe / "build.sh", PROGRAMS], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the cluster's programs can't be built: {done.stderr[-500:]}")
    return PROGRAMS
