"""`wherry admission policy`: a real API server takes what it writes, and judges by ValidatingAdmissionPolicy."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from needs import need
from real_cluster import ClusterWherry, RealCluster

pytestmark = pytest.mark.cluster

_LABEL = "wherry-test-policy"
_POLICY = """
[[rule]]
name = "signed for release"
signed-by = ["release.pub"]

[[rule]]
name = "built by CI, and bare"
attested = { type = "slsaprovenance1", keys = ["release.pub"] }
non-root = true
"""
_CONFIGURATION = """
[[rule]]
namespaces = ["*"]
images = ["REGISTRY/warned/**"]
policy = "policy.toml"
mode = "warn"

[[rule]]
images = ["REGISTRY/**", "docker.io/library/*"]
policy = "policy.toml"

[[exempt]]
images = ["REGISTRY/exempt/**"]
reason = "it is exempt"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, cluster_wherry: ClusterWherry, cluster_registry) -> Path:
    """A policy with its key, and a configuration."""
    folder: Path = tmp_path_factory.mktemp("policy")
    cluster_wherry("keys", "new", "-o", "release", cwd=folder, COSIGN_PASSWORD="")
    (folder / "policy.toml").write_text(_POLICY)
    (folder / "admission.toml").write_text(_CONFIGURATION.replace("REGISTRY", cluster_registry.host))
    return folder


def written(wherry: ClusterWherry, folder: Path, engine: str, name: str, *words: str) -> tuple[str, str]:
    """Give the documents, and what is left out."""
    done = wherry(
        "admission", "policy", "--for", engine, "--config", "admission.toml", "--name", name, "--namespaces",
        f"{_LABEL}={name}", *words, cwd=folder,
    )  # fmt: skip
    return done.stdout, done.stderr


@contextmanager
def applied(cluster: RealCluster, documents: str) -> Iterator[None]:
    """Have documents of the whole cluster for a while."""
    cluster.kubectl("apply", "-f", "-", stdin=documents)
    try:
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=documents, check=False)


@pytest.fixture(scope="module")
def ruled(
    real_cluster: RealCluster, cluster_wherry: ClusterWherry, place: Path, busybox_image: str
) -> Iterator[tuple[str, str]]:
    """A namespace under the policy, with a pod that is older than it, and the registry's name."""
    host = busybox_image.partition("/")[0]
    with real_cluster.namespace() as name:
        real_cluster.kubectl("run", "older", "-n", name, "--image", f"{host}/test/busybox:1", "--", "sleep", "600")
        real_cluster.kubectl("wait", "pod/older", "-n", name, "--for=condition=Ready", "--timeout=60s")
        documents, _ = written(cluster_wherry, place, "vap", name)
        real_cluster.kubectl("label", "namespace", name, f"{_LABEL}={name}")
        with applied(real_cluster, documents):
            due = time.monotonic() + 60
            while tried(real_cluster, name, f"{host}/test/busybox:1").returncode == 0:
                assert time.monotonic() < due, "the policy is not in force"
                time.sleep(0.5)
            yield name, host


def tried(cluster: RealCluster, namespace: str, image: str, **spec: Any) -> "subprocess.CompletedProcess[str]":
    """Ask for a pod by a dry run."""
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried", "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": image}], **spec},
    }  # fmt: skip
    return cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)


DIGEST = "@sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("HOST/team/api:1", "use a digest (NAME@sha256:…), not a tag: HOST/team/api:1"),
        ("nginx", "use a digest (NAME@sha256:…), not a tag: nginx"),
        ("evil.example/team/api" + DIGEST, "no rule of the policy is for this image: evil.example/team/api@sha256:1"),
        ("team/api" + DIGEST, "no rule of the policy is for this image: team/api@sha256:1"),
        ("HOST/team/api:1" + DIGEST, ""),
        ("docker.io/library/nginx" + DIGEST, ""),
        ("nginx" + DIGEST, ""),
        ("HOST/exempt/api:1", ""),
    ],
)
def test_vap_decides(real_cluster, ruled, image, message):
    """Tags and images without a rule are refused in a sentence; digests, Docker's short names and exempt ones pass."""
    namespace, host = ruled
    done = tried(real_cluster, namespace, image.replace("HOST", host))

    assert (done.returncode == 0) == (not message), done.stderr
    assert message.replace("HOST", host) in done.stderr


def test_vap_sees_init_containers(real_cluster, ruled):
    """They count as containers do. Image volumes are off in Kubernetes 1.34 by default."""
    namespace, host = ruled
    tag = f"{host}/team/other:2"
    done = tried(real_cluster, namespace, f"{host}/team/api{DIGEST}", initContainers=[{"name": "first", "image": tag}])

    assert f"not a tag: {tag}" in done.stderr


def test_vap_warns(real_cluster, ruled):
    """A rule in mode "warn" admits, with a warning."""
    namespace, host = ruled
    done = tried(real_cluster, namespace, f"{host}/warned/api:1")

    assert done.returncode == 0
    assert f"Warning: Validation failed for ValidatingAdmissionPolicy '{namespace}-warn'" in done.stderr


def test_vap_lets_an_older_pod_be_debugged(real_cluster, cluster_wherry, ruled, busybox_image):
    """Only the new container counts: one by digest may be added, another by tag is refused."""
    namespace, host = ruled
    words = ("debug", "-n", namespace, "--check", "pod/older", "--toolbox")
    cluster_wherry(*words, busybox_image)
    by_tag = cluster_wherry(*words, f"{host}/test/busybox:1", code=1)

    assert f"not a tag: {host}/test/busybox:1" in by_tag.stdout
    real_cluster.kubectl("label", "pod", "older", "-n", namespace, "seen=yes")


def crd(module: str, version: str, path: str) -> str:
    """Read a CRD from an engine's Go module."""
    done = subprocess.run(
        [need("go"), "mod", "download", "-json", f"{module}@{version}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{module} {version} can't be had: {done.stderr[-200:]}")
    return Path(json.loads(done.stdout)["Dir"], path).read_text()


CRDS = {
    "kyverno": (
        "github.com/kyverno/kyverno", "v1.19.1",
        "config/crds/policies.kyverno.io/policies.kyverno.io_imagevalidatingpolicies.yaml",
    ),
    "policy-controller": (
        "github.com/sigstore/policy-controller", "v0.13.1", "config/300-clusterimagepolicy.yaml",
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", sorted(CRDS))
def test_fits_the_schema(real_cluster, cluster_wherry, place, engine):
    """An API server with the engine's own CRD takes each document, strictly; the engine itself does not run here."""
    definition = yaml.safe_load(crd(*CRDS[engine]))
    definition["spec"].pop("conversion", None)
    documents, left = written(cluster_wherry, place, engine, f"wherry-test-{engine}")
    if real_cluster.kubectl("get", "crd", definition["metadata"]["name"], check=False).returncode == 0:
        pytest.skip("this cluster has it already")
    with applied(real_cluster, json.dumps(definition)):
        due = time.monotonic() + 60
        while True:  # the API server needs a moment until it serves a new kind, and kubectl until it knows it
            words = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
            done = real_cluster.kubectl(*words, stdin=documents, check=False)
            if done.returncode == 0 or "no matches for kind" not in done.stderr or time.monotonic() > due:
                break
            time.sleep(0.5)

    assert done.stdout.count("created (server dry run)") == 4, done.stderr
    assert "non-root of the rule 'built by CI, and bare'" in left
