"""The charts, linted, installed, tested and uninstalled by real Helm; and whether their times agree."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from real_cluster import ROOT, ClusterWherry, RealCluster

pytestmark = pytest.mark.cluster

VIDEOMETA = ROOT / "examples" / "videometa" / "chart"
ADMISSION = ROOT / "charts" / "wherry-admission"
_KUBE = ("--kube-version", "1.34.0")


def split(image: str) -> tuple[str, ...]:
    """Give the words that set a chart's image to one by digest."""
    repository, _, digest = image.partition("@")
    return ("--set", f"image.repository={repository}", "--set", f"image.digest={digest}")


def left(cluster: RealCluster, namespace: str, release: str) -> list[str]:
    """List what is there of a release, in its namespace and in the whole cluster."""
    own = "all,configmap,secret,serviceaccount,poddisruptionbudget,role,rolebinding"
    wide = "clusterrole,clusterrolebinding,validatingwebhookconfiguration,mutatingwebhookconfiguration"
    words = ("-l", f"app.kubernetes.io/instance={release}", "-o", "name")
    found = cluster.kubectl("get", own, "-n", namespace, *words).stdout + cluster.kubectl("get", wide, *words).stdout
    return [line for line in found.splitlines() if not line.startswith(("pod/", "replicaset"))]


@pytest.mark.parametrize("chart", [VIDEOMETA, ADMISSION], ids=lambda chart: chart.parent.name)
def test_lint(real_cluster, chart):
    """Helm finds nothing to say, and a value that the schema doesn't know is refused."""
    real_cluster.run("helm", "lint", "--strict", str(chart))
    wrong = real_cluster.run("helm", "template", "x", str(chart), *_KUBE, "--set", "replicsa=2", check=False)

    assert wrong.returncode != 0
    assert "replicsa" in wrong.stderr


@pytest.mark.parametrize("chart", [VIDEOMETA, ADMISSION], ids=lambda chart: chart.parent.name)
def test_times_agree(real_cluster: RealCluster, cluster_wherry: ClusterWherry, chart: Path):
    """`wherry timeouts` has nothing to say of the values, nor of what Helm makes of them."""
    rendered = real_cluster.run("helm", "template", "x", str(chart), *_KUBE).stdout

    cluster_wherry("timeouts", str(chart / "values.yaml"), code=0 if chart == VIDEOMETA else None)
    assert "the timeouts agree" in cluster_wherry("timeouts", "-", stdin=rendered).stdout


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ("timeouts.readinessProbe.timeoutSeconds=9", "readiness-probe-ends"),
        ("timeouts.lifecycle.preStop.sleep.seconds=1", "endpoints-before-close"),
        ("timeouts.terminationGracePeriodSeconds=2", "hook-within-grace"),
        ("timeouts.livenessProbe.periodSeconds=2", "unready-before-restart"),
        ("timeouts.sysctls[0].name=net.core.somaxconn", "unsafe-sysctl"),
    ],
)
def test_one_value_flipped(real_cluster, cluster_wherry, values, rule):
    """Then it has."""
    words = (
        ("--set", values, "--set-string", "timeouts.sysctls[0].value=30") if "sysctls" in values else ("--set", values)
    )
    rendered = real_cluster.run("helm", "template", "x", str(VIDEOMETA), *_KUBE, *words).stdout

    assert rule in cluster_wherry("timeouts", "-", stdin=rendered, code=1).stdout


@pytest.fixture(scope="module")
def videometa(
    real_cluster: RealCluster, cluster_wherry: ClusterWherry, videometa_image: str, busybox_image: str
) -> Iterator[str]:
    """Install the example below "restricted"; uninstall it, and see that nothing is left."""
    with real_cluster.namespace("restricted") as name:
        real_cluster.run(
            "helm", "install", "shop", str(VIDEOMETA), "-n", name, *split(videometa_image), "--set",
            f"tests.image={busybox_image}", "--wait", "--timeout", "300s",
        )  # fmt: skip
        yield name
        real_cluster.run("helm", "uninstall", "shop", "-n", name, "--wait", "--timeout", "120s")
        assert left(real_cluster, name, "shop") == []


def test_videometa_answers(real_cluster, videometa):
    """Two replicas with the sysctl, and `helm test` asks them by the service's name."""
    pods = real_cluster.get("pods", "-n", videometa, "-l", "app.kubernetes.io/name=videometa")["items"]

    real_cluster.run("helm", "test", "shop", "-n", videometa, "--timeout", "200s")
    assert len(pods) == 2
    assert {"name": "net.ipv4.tcp_fin_timeout", "value": "30"} in pods[0]["spec"]["securityContext"]["sysctls"]


def test_videometa_times_as_it_runs(real_cluster, cluster_wherry, videometa, tmp_path):
    """What the service prints of its own times agrees with what is installed; with a shorter grace it doesn't."""
    log = real_cluster.kubectl("logs", "deployment/shop-videometa", "-n", videometa).stdout
    (tmp_path / "service.log").write_text(log)
    manifest = real_cluster.run("helm", "get", "manifest", "shop", "-n", videometa).stdout
    words = ("timeouts", "--service", str(tmp_path / "service.log"), "-")

    assert "the timeouts agree" in cluster_wherry(*words, stdin=manifest).stdout
    shorter = re.sub(r"terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 20", manifest)
    assert "grace-covers-shutdown" in cluster_wherry(*words, stdin=shorter, code=1).stdout


def test_manifests_resolved_and_applied(real_cluster, cluster_wherry, cluster_registry, tmp_path):
    """`wherry resolve` puts a digest in the place of a program, and `wherry apply` starts it."""
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "hello", "image": "wherry://.", "resources": {"requests": {"cpu": "100m"}},
                "ports": [{"containerPort": 8080}],
            }],
        },
    }  # fmt: skip
    manifest = tmp_path / "pod.json"
    manifest.write_text(json.dumps(pod))
    example, words = ROOT / "examples" / "hello", ("-f", str(manifest), "--repo", f"{cluster_registry.host}/test")
    resolved = cluster_wherry("resolve", *words, cwd=example).stdout
    with real_cluster.namespace() as name:
        cluster_wherry("apply", *words, "--", "-n", name, cwd=example)
        real_cluster.kubectl("wait", "pod/hello", "-n", name, "--for=condition=Ready", "--timeout=120s")
        runs = real_cluster.get("pod", "hello", "-n", name)["spec"]["containers"][0]["image"]

    assert runs == json.loads(resolved)["spec"]["containers"][0]["image"]
    assert re.fullmatch(rf"{re.escape(cluster_registry.host)}/test/\S+@sha256:[0-9a-f]{{64}}", runs)


@pytest.fixture(scope="module")
def admission(
    real_cluster: RealCluster,
    cluster_wherry: ClusterWherry,
    wherry_image: str,
    busybox_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    """Install the webhook for one namespace; give it, and the registry as pods call it. Nothing is left afterwards."""
    folder = tmp_path_factory.mktemp("admission")
    cluster_wherry("keys", "new", "-o", "release", cwd=folder, COSIGN_PASSWORD="")
    (folder / "release.toml").write_text('[[rule]]\nname = "signed for release"\nsigned-by = ["release.pub"]\n')
    signed = busybox_image.partition("@")[0].replace("busybox", "released")
    cluster_wherry("copy", busybox_image, f"{signed}:1")
    cluster_wherry("sign", "--key", "release.key", f"{signed}:1", cwd=folder, COSIGN_PASSWORD="")
    host = f"host.internal:{real_cluster.port(0)}"
    values = {
        "registry": {"insecure": [host]},
        "webhook": {"matchExpressions": [{"key": "wherry-judges", "operator": "Exists"}], "timeoutSeconds": 20},
        "files": {name: (folder / name).read_text() for name in ("release.toml", "release.pub")},
        "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "512Mi"}},
    }
    (folder / "values.json").write_text(json.dumps(values))
    with real_cluster.namespace("restricted") as own, real_cluster.namespace(**{"wherry-judges": own}) as judged:
        release = f"wherry-admission-{own[-8:]}"
        try:
            real_cluster.run(
                "helm", "install", release, str(ADMISSION), "-n", own, *split(wherry_image), "-f",
                str(folder / "values.json"), "--wait", "--timeout", "380s",
            )  # fmt: skip
            real_cluster.run("helm", "test", release, "-n", own, "--timeout", "300s")
            yield judged, host
        finally:
            real_cluster.run("helm", "uninstall", release, "-n", own, "--wait", "--timeout", "120s", check=False)
            real_cluster.kubectl("delete", "secret", f"{release}-tls", "-n", own, check=False)
        assert left(real_cluster, own, release) == []


def asked(cluster: RealCluster, namespace: str, image: str) -> "subprocess.CompletedProcess[str]":
    """Have a pod admitted by a dry run; its image is printed."""
    words = ("run", "app", "-n", namespace, "--image", image, "--dry-run=server", "-o", "jsonpath={..image}")
    return cluster.kubectl(*words, check=False)


def test_admission_judges(real_cluster, admission):
    """Unsigned is refused, signed is admitted by its digest, and other namespaces don't reach the webhook."""
    judged, host = admission
    signed, unsigned = (asked(real_cluster, judged, f"{host}/test/{name}:1") for name in ("released", "busybox"))
    elsewhere = asked(real_cluster, "default", f"{host}/test/busybox:1")

    assert re.fullmatch(rf"{re.escape(host)}/test/released(:1)?@sha256:[0-9a-f]{{64}}", signed.stdout), signed.stderr
    assert "not signed by release.pub" in unsigned.stderr
    assert elsewhere.stdout == f"{host}/test/busybox:1", elsewhere.stderr
