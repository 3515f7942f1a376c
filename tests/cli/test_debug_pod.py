"""`wherry debug pod/…`: an ephemeral container by kubectl's configuration, against an API server of the test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import file, folder, make_image
from kube_server import KubeFake, kube_server, pod
from needs import need
from registries import Running, distribution
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Running]:
    """The cluster's own registry."""
    with distribution(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="module")
def image(tmp_path_factory, registry) -> str:
    """The pod's image: its user is 65532."""
    shell = Shell(tmp_path_factory.mktemp("image") / "shell")
    store = DiskStore(shell.root / "store")
    layer = [folder("app"), file("app/api", b"x", mode=0o755)]
    name = f"{registry.host}/team/api:v1"
    store.tag(name, make_image(store, [layer], RuntimeConfig(user="65532:65532", entrypoint=("/app/api",))))
    shell("push", name)
    return name


@pytest.fixture
def cluster(tmp_path, image) -> Iterator[KubeFake]:
    """A server with a pod."""
    with kube_server(tmp_path) as fake:
        fake.put_pod(pod(image))
        yield fake


@pytest.fixture
def wherry(tmp_path, cluster):
    """Call wherry with the cluster's configuration."""

    def call(*words: str, stdin: str = "", command: str = "debug") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "KUBECONFIG": str(cluster.config),
            "WHERRY_STORE": str(tmp_path / "store"),
        }
        return subprocess.run(
            [sys.executable, "-m", "wherry", command, *words], env=environment, cwd=tmp_path, input=stdin,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return call


def added(cluster: KubeFake) -> dict:
    """Give the last container that was asked for."""
    return cluster.patches[-1][1]["spec"]["ephemeralContainers"][0]


def test_a_command(wherry, cluster, registry, tmp_path):
    """It runs as the target's user, next to it, confined as "restricted" asks; its streams and exit code are ours."""
    ran = wherry("pod/api", "--", "sh", "-c", "pwd; cat; echo wrong >&2; exit 3", stdin="typed\n")

    container = added(cluster)
    assert (ran.returncode, ran.stdout.splitlines()) == (3, [f"/proc/{os.getpid()}/root", "typed"]), ran.stderr
    assert "wrong" in ran.stderr
    assert container["targetContainerName"] == "app"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsGroup": 0, "runAsNonRoot": True,
        "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["stdinOnce"] is True
    assert container["image"].startswith(f"{registry.host}/team/api@sha256:")
    shell = Shell(tmp_path / "look")
    shell("inspect", "--json", container["image"])
    assert '"/bin/sh"' in shell.out


@pytest.mark.parametrize(("target", "user"), [("pod/api", 1000), ("pod/api/side", 7)])
def test_whose_user(wherry, cluster, target, user):
    """The container's user counts, then the pod's, then its image's; `--root` is 0."""
    whole = {"runAsUser": 1000, "runAsGroup": 2000}
    cluster.objects.change("pods", "shop", "api", {"spec": {"securityContext": whole}})

    assert wherry(target, "--", "true").returncode == 0
    assert added(cluster)["securityContext"]["runAsUser"] == user
    wherry(target, "--root", "--", "true")
    asked = added(cluster)["securityContext"]
    assert (asked["runAsUser"], asked["runAsNonRoot"], asked["capabilities"]) == (0, False, {"add": ["SYS_PTRACE"]})


def test_whose_group(wherry, cluster, registry, tmp_path):
    """Where the pod names none it is the one of the user's line in the image's topmost /etc/passwd, as at run time."""
    shell = Shell(tmp_path / "accounts")
    store = DiskStore(shell.root / "store")
    below = [folder("etc"), file("etc/passwd", b"api:x:7:1::/:\nold:x:8:8::/:\n"), file("etc/group", b"")]
    above = [folder("etc"), file("etc/passwd", b"api:x:7:4242::/:\n")]
    name = f"{registry.host}/team/accounts:v1"
    store.tag(name, make_image(store, [below, above], RuntimeConfig(user="api", entrypoint=("/app/api",))))
    shell("push", name)
    cluster.put_pod(pod(name))

    for target, user in (("pod/api", 7), ("pod/api/side", 7)):
        assert wherry(target, "--", "true").returncode == 0
        asked = added(cluster)["securityContext"]
        assert (asked["runAsUser"], asked["runAsGroup"]) == (user, 4242)


def test_trace(wherry, cluster):
    """A pod of another machine is not traced; who wants it from within names an image."""
    cluster.objects.change("pods", "shop", "api", {"spec": {"nodeName": "node9"}})
    away = wherry("-n", "shop", "pod/api", command="trace")
    root = wherry("--root", "pod/api", command="trace")

    assert away.returncode == 69
    assert "it runs on node node9, not on this machine" in away.stderr
    assert "--toolbox" in away.stderr
    assert (root.returncode, "--root goes with --toolbox" in root.stderr) == (64, True)


def test_check(wherry, cluster):
    """The server is asked and nothing is done; what it refuses is printed in its words."""
    fine = json.loads(wherry("--check", "--json", "pod/api").stdout)
    cluster.refuses = 'pods "api" is forbidden: violates PodSecurity "restricted:latest"'
    refused = wherry("--check", "pod/api")

    assert (fine["kind"], fine["possible"]) == ("pod", True)
    assert {query for query, _ in cluster.patches} == {"dryRun=All"}
    assert refused.returncode == 1
    assert "violates PodSecurity" in refused.stdout
    assert cluster.running == {}


def test_copy_out(wherry, cluster, tmp_path):
    """A file of the target's root comes here; the stand-in takes the test for process 1."""
    copied = wherry("--copy-out", "/etc/hostname", "-o", "name", "pod/api")

    assert copied.returncode == 0, copied.stderr
    assert (tmp_path / "name").read_bytes() == Path("/etc/hostname").read_bytes()


def test_what_goes_wrong(wherry, cluster, tmp_path, image):
    """No pod, no container, no rights, no image for the node, an ended pod, no configuration: each is said."""
    none, other = wherry("pod/none"), wherry("pod/api/nobody")
    cluster.refuses = "ephemeral containers are disabled for this cluster"
    disabled = wherry("pod/api")
    cluster.refuses, cluster.waits = "", "ImagePullBackOff"
    stuck = wherry("pod/api")
    cluster.put_pod({**pod(image), "status": {"phase": "Succeeded"}})
    ended = wherry("pod/api")
    cluster.config.write_text("current-context: [")
    broken = wherry("pod/api")
    cluster.config.unlink()
    missing = wherry("pod/api")

    assert (none.returncode, other.returncode, disabled.returncode) == (69, 66, 69)
    assert 'pods "none" not found' in none.stderr
    assert "it has: app, side" in other.stderr
    assert "are disabled for this cluster" in disabled.stderr
    assert "ImagePullBackOff: as the node says" in stuck.stderr
    assert "it has ended (Succeeded)" in ended.stderr
    assert (broken.returncode, missing.returncode) == (78, 66)
    assert "Traceback" not in "".join(one.stderr for one in (none, other, disabled, stuck, ended, broken, missing))


def test_a_toolbox_of_a_registry(wherry, cluster):
    """A named image is used unchanged; nothing is pushed."""
    need("busybox")

    assert wherry("--toolbox", "registry.example/tools:1", "pod/api", "--", "true").returncode == 0
    assert added(cluster)["image"] == "registry.example/tools:1"
