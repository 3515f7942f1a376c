"""The builder's image in pods of a real cluster, under `restricted` Pod Security.

WHERRY_TEST_BUILDER_IMAGE names an image that `make image` made and the node can pull; else it is made, which takes
minutes.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from real_cluster import ROOT, RealCluster
from registries import Running
from wherry.app.build.options import DockerfileBuild, GoBuild
from wherry.app.build_artifact import push_artifact
from wherry.app.gathered import RemoteBuild
from wherry.app.session import Session
from wherry.cluster.build_documents import SOURCE_AT_FAULT, TaskResult
from wherry.platform import Platform

pytestmark = pytest.mark.cluster

AMD64 = Platform("linux", "amd64")


@pytest.fixture(scope="module")
def builder_image(cluster_registry: Running) -> str:
    """The image of the pods, in a registry that the node reaches."""
    if named := os.environ.get("WHERRY_TEST_BUILDER_IMAGE", ""):
        return named
    name = f"{cluster_registry.host}/wherry:test"
    words = [sys.executable, str(ROOT / "scripts" / "image.py"), "--once", "--level", "1", "--image", name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@dataclass
class Pods:
    """Starts workers in pods, and reads what they leave."""

    cluster: RealCluster
    namespace: str
    image: str
    pods_registry: str

    def start(self, name: str, artifact: str, index: int = 0) -> None:
        """Start one as a client does: nothing more than restricted allows."""
        nothing = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        env = {"JOB_COMPLETION_INDEX": str(index), "WHERRY_INSECURE_REGISTRIES": self.pods_registry, "GOPROXY": "off"}
        container = {
            "name": "build", "image": self.image, "args": ["worker", "--artifact", artifact],
            "env": [{"name": key, "value": value} for key, value in env.items()], "securityContext": nothing,
            "volumeMounts": [{"name": "w", "mountPath": path, "subPath": path[1:]} for path in ("/work", "/tmp")],  # noqa: S108 - of the pod
        }  # fmt: skip
        user = {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        spec = {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "securityContext": user,
            "containers": [container], "volumes": [{"name": "w", "emptyDir": {}}],
        }  # fmt: skip
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def end(self, name: str) -> tuple[int, TaskResult]:
        """Wait for its end; give its exit code, and its termination message."""
        words = ("wait", f"pod/{name}", "-n", self.namespace, "--timeout=900s")
        self.cluster.run(
            "kubectl", *words, "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}", limit=960
        )
        pod = self.cluster.get("pod", name, "-n", self.namespace)
        ended: Mapping[str, Any] = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        return ended["exitCode"], TaskResult.parse(ended.get("message", "").encode(), name)


def sent(folder: Path, registry: str, pods_registry: str, wanted: GoBuild | DockerfileBuild, copies: int = 1) -> str:
    """Send what a build reads; give the artifact as pods name it."""
    session = Session.of(
        {**os.environ, "WHERRY_STORE": str(folder / ".s"), "WHERRY_CACHE": str(folder / ".c")}, cwd=folder
    )
    name = folder.name
    build = RemoteBuild(
        name=name, wanted=wanted, repository=f"{pods_registry}/{name}", platforms=(AMD64,), copies=copies
    )
    found = push_artifact(session, f"{registry}/{name}", [build], "test").reference
    return found.replace(registry, pods_registry, 1)


def test_pods_build_under_restricted(
    real_cluster: RealCluster, cluster_registry: Running, builder_image: str, tmp_path: Path
) -> None:
    """Two copies of a program are the same bytes; a compile error is 42; a Dockerfile names what the pod lacks."""
    pods_registry = f"host.internal:{cluster_registry.host.rpartition(':')[2]}"
    for name, body in (("good", 'println("hi")'), ("bad", "undefined()")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module example.com/{name}\n\ngo 1.21\n")
        (tmp_path / name / "main.go").write_text(f"package main\n\nfunc main() {{ {body} }}\n")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    where = (cluster_registry.host, pods_registry)
    good = sent(tmp_path / "good", *where, GoBuild(), copies=2)
    with real_cluster.namespace("restricted") as namespace:
        pods = Pods(real_cluster, namespace, builder_image, pods_registry)
        pods.start("first", good, 0)
        pods.start("second", good, 1)
        pods.start("bad", sent(tmp_path / "bad", *where, GoBuild()))
        pods.start("docker", sent(tmp_path / "docker", *where, DockerfileBuild()))
        (first_code, first), (second_code, second) = pods.end("first"), pods.end("second")
        bad_code, bad = pods.end("bad")
        docker_code, docker = pods.end("docker")

    assert (first_code, second_code, first.message, second.message) == (0, 0, "", "")
    assert first.digest == second.digest
    assert bad_code == SOURCE_AT_FAULT
    assert "undefined: undefined" in bad.message
    assert docker_code not in {0, SOURCE_AT_FAULT}
    assert "seccompProfile Unconfined: not set" in docker.message
