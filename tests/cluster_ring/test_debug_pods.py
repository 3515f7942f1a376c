"""`wherry debug` and `wherry trace` on pods of a real cluster: without a shell, below each level of Pod Security."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from real_cluster import ClusterWherry, RealCluster

pytestmark = pytest.mark.cluster

_CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def service(name: str, image: str, pod: dict[str, int], container: dict[str, int]) -> dict[str, Any]:
    """Give a pod of the example service, as "restricted" asks; the pod names its user, the container, or neither."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **pod},
            "containers": [
                {
                    "name": "app",
                    "image": image,
                    "resources": {"requests": {"cpu": "100m"}},
                    "securityContext": {**_CONFINED, **container},
                }
            ],
        },
    }


@dataclass(frozen=True)
class Pods:
    """Pods of the example service in a namespace of each level."""

    cluster: RealCluster
    wherry: ClusterWherry
    restricted: str
    baseline: str
    privileged: str

    def debug(self, namespace: str, *words: str, code: int | None = 0) -> str:
        """Call `wherry debug`; give what it prints, messages included."""
        done = self.wherry("debug", "-n", namespace, *words, code=code)
        return done.stdout + done.stderr

    def checks(self, namespace: str, target: str) -> dict[str, dict[str, str]]:
        """Give what `--check` says, by name."""
        document = json.loads(self.wherry("debug", "--check", "--json", "-n", namespace, target).stdout)
        return {one["name"]: one for one in document["checks"]}


@pytest.fixture(scope="module")
def pods(real_cluster, cluster_wherry, videometa_image) -> Iterator[Pods]:
    """Run them."""
    with (
        real_cluster.namespace("restricted") as restricted,
        real_cluster.namespace("baseline") as baseline,
        real_cluster.namespace("privileged") as privileged,
    ):
        wanted = [
            (restricted, service("of-pod", videometa_image, {"runAsUser": 10001, "runAsGroup": 10009}, {})),
            (restricted, service("of-container", videometa_image, {"runAsUser": 10001}, {"runAsUser": 10002})),
            (restricted, service("of-image", videometa_image, {}, {})),
            (baseline, service("api", videometa_image, {}, {})),
            (privileged, service("api", videometa_image, {}, {})),
        ]
        real_cluster.apply(*({**one, "metadata": {**one["metadata"], "namespace": name}} for name, one in wanted))
        for name in (restricted, baseline, privileged):
            real_cluster.kubectl("wait", "pod", "--all", "-n", name, "--for=condition=Ready", "--timeout=90s")
        yield Pods(real_cluster, cluster_wherry, restricted, baseline, privileged)


@pytest.fixture(scope="module")
def loop(pods: Pods, busybox_image: str) -> str:
    """A pod below "restricted" that opens a file again and again."""
    pod = service("loop", busybox_image, {}, {})
    (container,) = pod["spec"]["containers"]
    container["command"] = ["sh", "-c", "while sleep 0.2; do cat /etc/hostname; done"]
    pods.cluster.apply({**pod, "metadata": {"name": "loop", "namespace": pods.restricted}})
    pods.cluster.kubectl("wait", "pod/loop", "-n", pods.restricted, "--for=condition=Ready", "--timeout=90s")
    return "pod/loop"


@pytest.mark.parametrize(
    ("pod", "user", "group"), [("of-pod", 10001, 10009), ("of-container", 10002, 0), ("of-image", 65532, 65532)]
)
def test_is_the_targets_user(pods: Pods, pod: str, user: int, group: int):
    """Below "restricted" the shell has the target's user and group, sees its process, and so may read its files.

    The group is the one of the image's own /etc/passwd where the pod names none, else 0; another closes /proc/1/root.
    """
    said = pods.debug(pods.restricted, f"pod/{pod}", "--", "sh", "-c", "id -u; id -g; ls /proc/1/root/app; ps")

    assert said.splitlines()[:3] == [str(user), str(group), "videometa"]
    assert "/app/videometa" in said


def test_the_group_of_an_image_without_accounts(pods: Pods, loop: str):
    """It is 0, though its config says 65532:65532: the kubelet hands on the user alone."""
    said = pods.debug(
        pods.restricted, loop, "--", "sh", "-c", "grep ^Gid /proc/1/status; id -g; ls /proc/1/root/bin/sh"
    )

    assert said.split()[:2] == ["Gid:", "0"]
    assert said.splitlines()[1:3] == ["0", "/proc/1/root/bin/sh"]


def test_the_toolbox_has_one_name(pods: Pods, cluster_registry):
    """It is pushed by us and pulled by the node from the same registry, next to the pod's image."""
    assert f"toolbox: {cluster_registry.host}/test/videometa@sha256:" in pods.debug(
        pods.restricted, "pod/of-pod", "--", "true"
    )


def test_copies_out(pods: Pods, tmp_path):
    """A file of a pod without a shell."""
    pods.debug(pods.restricted, "pod/of-image", "--copy-out", "/app", "-o", str(tmp_path / "app"))

    assert (tmp_path / "app" / "videometa").read_bytes()[:4] == b"\x7fELF"


def test_exit_code(pods: Pods):
    """It is the command's."""
    pods.debug(pods.restricted, "pod/of-pod", "--", "sh", "-c", "exit 7", code=7)


def test_root_by_level(pods: Pods):
    """User 0 is refused below "restricted", sees no files below "baseline", and has SYS_PTRACE elsewhere."""
    said = {
        name: pods.debug(getattr(pods, name), "--root", f"pod/{pod}", "--", "ls", "/proc/1/root/app", code=code)
        for name, pod, code in (("restricted", "of-pod", 69), ("baseline", "api", 1), ("privileged", "api", 0))
    }
    checks = {
        name: pods.checks(getattr(pods, name), f"pod/{pod}")["--root"]["state"]
        for name, pod in (("restricted", "of-pod"), ("baseline", "api"), ("privileged", "api"))
    }

    assert checks == {"restricted": "no", "baseline": "limited", "privileged": "yes"}
    assert 'violates PodSecurity "restricted' in said["restricted"]
    assert "leave --root out" in said["restricted"]
    assert "takes no SYS_PTRACE" in said["baseline"]
    assert "videometa" in said["privileged"]


def test_check_does_nothing(pods: Pods):
    """`--check` asks the API server, and the pod has no container more afterwards."""
    before = len(pods.cluster.get("pod", "api", "-n", pods.baseline)["spec"].get("ephemeralContainers", []))
    checks = pods.checks(pods.baseline, "pod/api")
    after = len(pods.cluster.get("pod", "api", "-n", pods.baseline)["spec"].get("ephemeralContainers", []))

    assert after == before
    assert checks["shell"]["state"] == checks["files"]["state"] == "yes"


def opened(lines: str) -> bool:
    """Report whether a trace has the file."""
    return any(json.loads(line).get("path") == "/etc/hostname" for line in lines.splitlines())


def test_traces_on_the_node(pods: Pods, loop: str):
    """On the pod's own node its process is found by its control group, traced, and goes on."""
    assert pods.cluster.containerd
    if os.geteuid() != 0:
        pytest.skip("tracing another user's process needs root")
    done = pods.wherry("trace", "--for", "4s", "-n", pods.restricted, loop)

    assert "container app is process" in done.stderr
    assert opened(done.stdout), done.stdout
    assert pods.checks(pods.restricted, loop)["trace"]["state"] == "yes"
    assert pods.cluster.get(loop, "-n", pods.restricted)["status"]["containerStatuses"][0]["restartCount"] == 0


def test_traces_from_within(pods: Pods, loop: str, wherry_image: str):
    """From an ephemeral container, as the target's own user and without any capability; the target goes on."""
    done = pods.wherry("trace", "--for", "20s", "--toolbox", wherry_image, "-n", pods.restricted, loop)

    assert opened(done.stdout), done.stderr
    assert pods.cluster.get(loop, "-n", pods.restricted)["status"]["containerStatuses"][0]["restartCount"] == 0


def test_words(pods: Pods):
    """What can't be is said: no such pod, a command for a pod that runs, options of a pod for something else."""
    none = pods.wherry("trace", "-n", pods.restricted, "pod/none", code=69)
    command = pods.wherry("trace", "-n", pods.restricted, "pod/of-pod", "ls", code=64)
    process = pods.wherry("trace", "-n", pods.restricted, "1", code=64)

    assert 'pods "none" not found' in none.stderr
    assert "takes no command" in command.stderr
    assert "go with a pod" in process.stderr
