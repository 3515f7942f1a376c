"""Real Gatekeeper asks wherry's server about images, by what `wherry admission policy --for gatekeeper` writes.

Gatekeeper is built from its Go module by scripts/setup-cluster.sh. It runs in a namespace of the test's own, with its
webhook for one other namespace only: no request of anybody else on this cluster waits for it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from built_images import file, put_layers
from needs import need
from real_cluster import ROOT, ClusterWherry, RealCluster
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.cluster

MODULE, VERSION = "github.com/open-policy-agent/gatekeeper/v3", "v3.23.1"
MANAGER = ROOT / ".cache" / "cluster" / f"gatekeeper-{VERSION}"
_LEFT_OUT = {"--operation=mutation-webhook", "--operation=mutation-controller", "--operation=mutation-status"}
Try = Callable[..., "subprocess.CompletedProcess[str]"]


def manifests(image: str, namespace: str, label: str) -> list[dict[str, Any]]:
    """Give Gatekeeper's own manifests, without audit and mutation, for namespaces with a label."""
    done = subprocess.run(
        [need("go"), "mod", "download", "-json", f"{MODULE}@{VERSION}"], capture_output=True, text=True, check=True
    )
    text = Path(json.loads(done.stdout)["Dir"], "deploy", "gatekeeper.yaml").read_text()
    found = []
    for one in yaml.safe_load_all(text.replace("gatekeeper-system", namespace)):
        kind, name = one["kind"], one["metadata"]["name"]
        if kind in {"Namespace", "MutatingWebhookConfiguration", "PodDisruptionBudget", "ResourceQuota"}:
            continue
        if name == "gatekeeper-audit":
            continue
        if kind == "ValidatingWebhookConfiguration":
            one["webhooks"] = [row for row in one["webhooks"] if row["name"] == "validation.gatekeeper.sh"]
            one["webhooks"][0]["namespaceSelector"] = {"matchLabels": {label: "on"}}
            one["webhooks"][0]["rules"][0]["resources"] = ["pods", "pods/ephemeralcontainers"]
            one["webhooks"][0]["failurePolicy"] = "Fail"
        if kind == "Deployment":
            one["spec"]["replicas"] = 1
            (container,) = one["spec"]["template"]["spec"]["containers"]
            container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
            container["args"] = [word for word in container["args"] if word not in _LEFT_OUT]
            container["args"] += ["--operation=generate", "--operation=status"]  # audit's, which is left out
        found.append(one)
    return found


@pytest.fixture(scope="module")
def gatekeeper_image(cluster_registry, cluster_wherry: ClusterWherry) -> str:
    """Gatekeeper as an image of one file."""
    if not MANAGER.exists():
        pytest.skip(f"{MANAGER.name} is not built (`make test-cluster` builds it)")
    store = DiskStore(cluster_wherry.home / "store")
    name = f"{cluster_registry.host}/test/gatekeeper:{VERSION}"
    runtime = RuntimeConfig(user="1000:999", entrypoint=("/manager",))
    store.tag(name, put_layers(store, [[file("manager", MANAGER.read_bytes(), 0o755)]], runtime))
    cluster_wherry("push", name)
    return name


@pytest.fixture(scope="module")
def images(cluster_registry, cluster_wherry: ClusterWherry, busybox_image: str, tmp_path_factory) -> dict[str, str]:
    """An image that is signed by the key of the policy, and one that is not; `folder` has the policy."""
    folder: Path = tmp_path_factory.mktemp("gatekeeper")
    cluster_wherry("keys", "new", "-o", "release", cwd=folder, COSIGN_PASSWORD="")
    (folder / "policy.toml").write_text('[[rule]]\nname = "signed for release"\nsigned-by = ["release.pub"]\n')
    signed = f"{cluster_registry.host}/test/signed"
    cluster_wherry("copy", busybox_image, f"{signed}:1")
    cluster_wherry("sign", "--key", "release.key", f"{signed}:1", cwd=folder, COSIGN_PASSWORD="")
    digest = busybox_image.rpartition("@")[2]
    return {"signed": f"{signed}@{digest}", "tag": f"{signed}:1", "unsigned": busybox_image, "folder": str(folder)}


@contextmanager
def server(cluster: RealCluster, wherry: ClusterWherry, folder: Path) -> Iterator[Path]:
    """Run wherry's server where pods reach it as host.internal; give the authority of its certificate."""
    authority = folder / "ca.pem"
    words = [
        "admission", "serve", "--policy", "policy.toml", "--address", "127.0.0.1", "--port", str(cluster.port(1)),
        "--tls-name", "host.internal", "--ca-file", str(authority), "--drain", "0",
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(wherry.home), "WHERRY_STORE": str(folder / "store")}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "wherry", *words], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            due = time.monotonic() + 60
            while not authority.exists():
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < due, "no certificate"
                time.sleep(0.1)
            yield authority
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def judged(
    real_cluster: RealCluster, cluster_wherry: ClusterWherry, gatekeeper_image: str, images: dict[str, str]
) -> Iterator[str]:
    """A namespace that Gatekeeper judges, with a pod that is older than it."""
    folder = Path(images["folder"])
    url = f"https://host.internal:{real_cluster.port(1)}/gatekeeper"
    with (
        server(real_cluster, cluster_wherry, folder) as authority,
        real_cluster.namespace() as own,
        real_cluster.namespace() as name,
    ):
        label = f"gatekeeper-{name}"
        real_cluster.kubectl("run", "older", "-n", name, "--image", images["unsigned"], "--", "sleep", "600")
        installed = manifests(gatekeeper_image, own, label)
        written = cluster_wherry(
            "admission", "policy", "--for", "gatekeeper", "--policy", "policy.toml", "--provider", url, "--ca",
            str(authority), "--namespaces", f"{label}=on", "--name", f"wherry-{name}", cwd=folder,
        ).stdout  # fmt: skip
        try:
            real_cluster.apply(*installed)
            real_cluster.kubectl("rollout", "status", "deployment", "-n", own, "--timeout=300s")
            until(lambda: real_cluster.kubectl("apply", "-f", "-", stdin=written, check=False).returncode == 0, written)
            real_cluster.kubectl("wait", "pod/older", "-n", name, "--for=condition=Ready", "--timeout=90s")
            real_cluster.kubectl("label", "namespace", name, f"{label}=on")
            until(lambda: tried(real_cluster, name, images["unsigned"]).returncode != 0, "Gatekeeper refuses nothing")
            yield name
        finally:
            real_cluster.kubectl("delete", "validatingwebhookconfiguration", "gatekeeper-validating-webhook-configuration", check=False)  # fmt: skip  # noqa: E501 - one command
            for documents in (written, yaml.safe_dump_all(installed)):
                real_cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=documents, check=False)  # fmt: skip  # noqa: E501 - one command
            for kind in ("crd", "clusterrole", "clusterrolebinding"):
                with suppress(AssertionError):
                    rows = real_cluster.kubectl("get", kind, "-o", "name").stdout.split()
                    for row in (one for one in rows if "gatekeeper" in one):
                        real_cluster.kubectl("delete", row, "--wait=false", check=False)


def until(holds: Callable[[], bool], otherwise: str, limit: float = 300) -> None:
    """Wait for something."""
    due = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < due, otherwise
        time.sleep(1)


def tried(cluster: RealCluster, namespace: str, image: str) -> "subprocess.CompletedProcess[str]":
    """Ask for a pod by a dry run."""
    words = ("run", "tried", "-n", namespace, "--image", image, "--dry-run=server")
    return cluster.kubectl(*words, check=False)


def test_unsigned_is_refused(real_cluster, judged, images):
    """The user reads the reason that wherry's server gave."""
    done = tried(real_cluster, judged, images["unsigned"])

    assert done.returncode != 0
    assert "denied the request" in done.stderr
    assert "not signed by release.pub" in done.stderr


def test_signed_is_admitted(real_cluster, judged, images):
    """By digest it runs; by tag it is refused, since the tag may move."""
    fine, tag = (tried(real_cluster, judged, images[name]) for name in ("signed", "tag"))

    assert fine.returncode == 0, fine.stderr
    assert "use a digest (NAME@sha256:…), not a tag" in tag.stderr


def test_an_older_pod(real_cluster, cluster_wherry, judged, images):
    """It can be labelled; a container that would be added to it is judged, alone."""
    real_cluster.kubectl("label", "pod", "older", "-n", judged, "seen=yes")
    for name, code in (("signed", 0), ("tag", 1)):
        done = cluster_wherry("debug", "-n", judged, "--check", "--toolbox", images[name], "pod/older", code=code)
        assert ("not a tag" in done.stdout) is (name == "tag")


def test_server_gone(real_cluster, judged, images):
    """What nobody could judge is refused, and says so; this test comes last.

    Gatekeeper keeps an answer for three minutes, so each attempt names the image as nobody has before.
    """
    provider = yaml.safe_load(real_cluster.kubectl("get", "provider", f"wherry-{judged}", "-o", "yaml").stdout)
    provider["spec"]["url"] = "https://host.internal:1/gatekeeper"
    real_cluster.apply({key: provider[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": f"wherry-{judged}"}})  # fmt: skip  # noqa: E501 - one call
    fresh = (images["signed"].replace("@", f":fresh-{number}@") for number in count())
    until(lambda: tried(real_cluster, judged, next(fresh)).returncode != 0, "an image that nobody judged runs", 60)

    assert "could not be judged" in tried(real_cluster, judged, next(fresh)).stderr
