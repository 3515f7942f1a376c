"""`wherry admission serve` as the webhook of a real API server: by its own certificate, kept in a Secret."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from admission_server import LABEL, Serving, at_once, hooks, serving
from cli_shell import Shell
from hostile_registry import hostile
from needs import need
from real_cluster import RealCluster
from small_images import put_image

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Admitting:
    """A cluster with the webhook, which judges two namespaces."""

    cluster: RealCluster
    shell: Shell
    server: Serving
    shop: str
    warned: str
    host: str

    def create(self, image: str, *words: str, namespace: str = "") -> "subprocess.CompletedProcess[str]":
        """Have a pod admitted, as a dry run."""
        run = ("run", "app", "-n", namespace or self.shop, "--image", image, "--restart=Never", "-o", "json", *words)
        return self.cluster.kubectl(*run, "--dry-run=server", check=False)

    def image(self, name: str) -> str:
        """Push an image that nobody signed."""
        self.shell.store.tag(f"{name}:1", put_image(self.shell.store, name))
        self.shell("push", "-q", f"{name}:1", f"{self.host}/admission/{name}:1")
        return f"{self.host}/admission/{name}:1"

    def digest(self, name: str) -> str:
        """Give an image's digest."""
        return str(self.shell.store.resolve(f"{name}:1").digest)


@pytest.fixture(scope="module")
def admitting(real_cluster, cluster_registry, busybox_image, tmp_path_factory) -> Iterator[Admitting]:
    """Serve; the pod `older` was there before."""
    shell = Shell(tmp_path_factory.mktemp("admission") / "home")
    shell.environment |= {"KUBECONFIG": str(real_cluster.config), "COSIGN_PASSWORD": ""}
    for name in ("release", "other"):
        shell("keys", "new", "-o", name)
    shell.write("release.toml", '[[rule]]\nname = "for release"\nsigned-by = ["release.pub"]\n')
    with real_cluster.namespace() as shop, real_cluster.namespace() as warned:
        shell.write("admission.toml", f"""
[[rule]]
namespaces = ["{warned}"]
policy = "release.toml"
mode = "warn"
[[rule]]
policy = "release.toml"
[tls]
secret = "{shop}/tls"
webhooks = ["{shop}"]
providers = ["{shop}"]
""")  # fmt: skip
        older = ("run", "older", "-n", shop, "--image", busybox_image, "--", "sleep", "1000")
        real_cluster.kubectl(*older)
        real_cluster.kubectl("wait", "pod/older", "-n", shop, "--for=condition=Ready", "--timeout=170s")
        for name in (shop, warned):
            real_cluster.kubectl("label", "namespace", name, f"{LABEL}={shop}")
        port = real_cluster.port(1)
        real_cluster.apply(*hooks(shop, port))
        try:
            with serving(shell, "--config=admission.toml", f"--port={port}") as server:
                yield Admitting(real_cluster, shell, server, shop, warned, cluster_registry.host)
        finally:
            for kind in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
                real_cluster.kubectl("delete", kind, shop, check=False)


@pytest.mark.parametrize("signer", ["wherry", "cosign2", "cosign3"])
def test_signed_and_pinned(admitting: Admitting, signer: str):
    """By wherry, cosign 2 and cosign 3: not before it is signed, and then by digest; by another key it is not."""
    image, shell = admitting.image(f"by-{signer}"), admitting.shell
    before = admitting.create(image)
    whole = f"{image.rpartition(':')[0]}@{admitting.digest(f'by-{signer}')}"
    for key in ("other", "release"):
        if signer == "wherry":
            shell("sign", "--key", f"{key}.key", image)
        else:
            log = ("--use-signing-config=false",) if signer == "cosign3" else ()
            words = (
                "sign",
                "--yes",
                "--key",
                f"{key}.key",
                "--tlog-upload=false",
                *log,
                "--allow-http-registry",
                whole,
            )
            subprocess.run([need(signer), *words], cwd=shell.root, env=shell.environment, check=True, timeout=120)
        if key == "other":
            shell.write("release.toml", (shell.root / "release.toml").read_text() + f"# {signer}\n")
            admitting.server.event("configuration")  # another policy: what was refused is asked for again
            another = admitting.create(image)
        else:
            shell.write("release.toml", (shell.root / "release.toml").read_text() + f"# {signer}\n")
            admitting.server.event("configuration")
    after = json.loads(admitting.create(image).stdout)

    assert before.returncode == another.returncode == 1
    assert f'container "app": {image}@sha256:' in before.stderr
    assert 'rule "for release" of release.toml: not signed by release.pub. Sign it: wherry sign' in before.stderr
    assert "It is signed, but not by a key that the policy names" in another.stderr
    assert after["spec"]["containers"][0]["image"] == f"{image}@{admitting.digest(f'by-{signer}')}"


def test_runs(admitting: Admitting, busybox_image: str):
    """A pod that is admitted by its tag runs by the digest; its Deployment keeps the tag."""
    tag = f"{busybox_image.partition('@')[0]}:1"
    admitting.shell("sign", "--key", "release.key", tag)
    cluster, shop = admitting.cluster, admitting.shop
    cluster.kubectl("create", "deployment", "runs", "-n", shop, f"--image={tag}", "--", "sleep", "1000")
    cluster.kubectl("wait", "deployment/runs", "-n", shop, "--for=condition=Available", "--timeout=170s")
    (pod,) = cluster.get("pods", "-n", shop, "-l", "app=runs")["items"]

    assert pod["spec"]["containers"][0]["image"] == f"{tag}@{busybox_image.partition('@')[2]}"
    deployment = cluster.get("deployment", "runs", "-n", shop)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == tag


def test_older_pods(admitting: Admitting, busybox_image: str):
    """A pod older than the policy is labelled and debugged; the debug container is judged, and pinned."""
    cluster, shop = admitting.cluster, admitting.shop
    unsigned = admitting.image("unsigned")
    tag = f"{busybox_image.partition('@')[0]}:1"
    admitting.shell("sign", "--key", "release.key", tag)
    debug = ("debug", "-n", shop, "older", "--profile=general", "--target=older")
    cluster.kubectl("label", "pod", "older", "-n", shop, "a=b")
    refused = cluster.kubectl(*debug, f"--image={unsigned}", "--", "true", check=False)
    cluster.kubectl(*debug, f"--image={tag}", "--", "true")

    assert refused.returncode == 1
    assert "ephemeral container" in refused.stderr
    (added,) = cluster.get("pod", "older", "-n", shop)["spec"]["ephemeralContainers"]
    assert added["image"].startswith(f"{tag}@sha256:")


def test_workloads_early(admitting: Admitting):
    """A Deployment is refused at once, where its pods would be later."""
    image = admitting.image("early")
    words = ("create", "deployment", "early", "-n", admitting.shop, f"--image={image}", "--dry-run=server")

    assert "not signed by release.pub" in admitting.cluster.kubectl(*words, check=False).stderr


def test_registries_that_do_not_answer(admitting: Admitting):
    """Gone and throttling are told from unsigned; `warn` admits with a warning."""
    gone = admitting.create("127.0.0.1:1/a:1")
    warned = admitting.create("127.0.0.1:1/a:1", namespace=admitting.warned)
    with hostile() as registry:
        registry.busy = [(429, {"Retry-After": "60"})] * 10
        throttled = admitting.create(f"{registry.host}/a:1")

    assert "ServiceUnavailable" in gone.stderr
    assert "cannot connect" in gone.stderr
    assert warned.returncode == 0
    assert "Warning: wherry: " in warned.stderr
    assert "limits requests, so nothing is known about the image" in throttled.stderr


def test_two_hundred_at_once(admitting: Admitting):
    """All are answered in time, of ten images; `bench/admission.py` has the figures."""
    images = [admitting.image(f"many-{number}") for number in range(10)]
    answers = at_once(admitting.cluster, admitting.shop, images * 20)

    assert len(answers) == 200
    assert all("not signed by release.pub" in one.refusal for one in answers), {one.refusal for one in answers}


def test_fails_closed(admitting: Admitting, busybox_image: str):
    """Without the server nothing is admitted; it comes last, since it ends the server."""
    admitting.server.process.kill()
    admitting.server.process.wait()

    assert "failed calling webhook" in admitting.create(busybox_image).stderr
