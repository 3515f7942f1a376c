"""`wherry admission`: a server as a process, real registries, AdmissionReviews over TLS."""

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from admission_server import Serving, pod, serving
from cli_shell import Shell
from hostile_registry import Hostile, hostile
from kube_server import kube_server
from registries import DEBIAN, certificates, distribution
from small_images import put_image
from wherry.oci import media

pytestmark = pytest.mark.slow
CONFIGURATION = """
[[rule]]
namespaces = ["warned"]
policy = "release.toml"
mode = "warn"

[[rule]]
namespaces = ["audited"]
policy = "release.toml"
mode = "audit"

[[rule]]
namespaces = ["bare"]
policy = "bare.toml"

[[rule]]
namespaces = ["attested"]
policy = "attested.toml"

[[rule]]
namespaces = ["shop"]
policy = "release.toml"

[[exempt]]
namespaces = ["kube-system"]
reason = "starts first"

[tls]
authority = "ca.pem"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry."""
    with distribution(tmp_path_factory.mktemp("registry"), program=DEBIAN) as running:
        yield running.host


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, host: str) -> Shell:
    """A user with policies, and images that are signed, signed by another key, and not signed."""
    made = Shell(tmp_path_factory.mktemp("admission") / "home")
    for name in ("release", "other"):
        made("keys", "new", "--no-password", "-o", name)
    for name in ("signed", "other", "unsigned", "later"):
        made.store.tag(f"{name}:1", put_image(made.store, name))
        made("push", "-q", f"{name}:1", f"{host}/{name}:1")
    made("sign", "--key", "release.key", f"{host}/signed:1")
    made("sign", "--key", "other.key", f"{host}/other:1")
    made.write("release.toml", '[[rule]]\nname = "for release"\nsigned-by = ["release.pub"]\n')
    made.write("bare.toml", '[[rule]]\nno-shell = true\nplatforms = ["linux/amd64"]\nmax-pulled = "1MB"\n')
    made.write("sbom.json", "{}")
    made("attest", "--key", "release.key", "--type", "spdxjson", "--predicate", "sbom.json", f"{host}/signed:1")
    made.write(
        "attested.toml",
        '[[rule]]\nsigned-by = ["release.pub"]\nattested = { type = "spdxjson", keys = ["release.pub"] }\n'
        '[[rule]]\nmax-age = "99999d"\n',
    )
    made.write("admission.toml", CONFIGURATION)
    return made


@pytest.fixture(scope="module")
def server(shell: Shell) -> Iterator[Serving]:
    """The server."""
    with serving(shell, "--config", "admission.toml") as started:
        yield started


@pytest.fixture
def busy() -> Iterator[Hostile]:
    """A registry that does what a test wants, with an image that is not signed."""
    with hostile() as registry:
        config, layer = b"{}", b"x"
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": media.OCI_MANIFEST,
            "config": {"mediaType": media.OCI_CONFIG, "digest": "sha256:" + "0" * 64, "size": len(config)},
            "layers": [{"mediaType": media.OCI_LAYER, "digest": "sha256:" + "1" * 64, "size": len(layer)}],
        }).encode()  # fmt: skip
        registry.manifests["1"] = (media.OCI_MANIFEST, manifest)
        yield registry


def digest(shell: Shell, name: str) -> str:
    """Give the digest of an image."""
    return str(shell.store.resolve(f"{name}:1").digest)


def pinned(shell: Shell, host: str, name: str) -> str:
    """Give an image with its digest."""
    return f"{host}/{name}:1@{digest(shell, name)}"


def test_signed_and_not(server: Serving, shell: Shell, host: str) -> None:
    """By the policy's key, by another, not at all, not there, and both in one pod."""
    assert server.validate(pinned(shell, host, "signed"))["allowed"]
    for name, words in (("unsigned", "Sign it"), ("other", "not by a key that the policy names")):
        status = server.validate(pinned(shell, host, "signed"), pinned(shell, host, name))["status"]
        assert status["code"] == 403
        assert f'container "c1": {host}/{name}:1@sha256' in status["message"]
        assert 'rule "for release" of release.toml' in status["message"]
        assert words in status["message"]
    assert "not found" in server.validate(f"{host}/none:1")["status"]["message"]
    assert "sha256:UP" in server.validate(f"{host}/a@sha256:UP")["status"]["message"]


def test_tags(server: Serving, shell: Shell, host: str) -> None:
    """They are pinned in pods that are created, and of new ephemeral containers; a tag that is left is refused."""
    tag, whole = f"{host}/signed:1", pinned(shell, host, "signed")
    patch = json.loads(base64.b64decode(server.ask("mutate", pod(tag, whole))["patch"]))
    assert patch == [{"op": "replace", "path": "/spec/containers/0/image", "value": whole}]
    assert whole in server.validate(tag)["status"]["message"]
    assert "patch" not in server.ask("mutate", pod(tag), operation="UPDATE", oldObject=pod(tag))
    debugged = pod(tag)
    debugged["spec"]["ephemeralContainers"] = [{"name": "debug", "image": f"{host}/unsigned:1"}]
    about = {"operation": "UPDATE", "oldObject": pod(tag), "subResource": "ephemeralcontainers"}
    patch = json.loads(base64.b64decode(server.ask("mutate", debugged, **about)["patch"]))
    assert [one["path"] for one in patch] == ["/spec/ephemeralContainers/0/image"]
    assert 'ephemeral container "debug"' in server.ask("validate", debugged, **about)["status"]["message"]
    assert server.ask("validate", pod(tag), operation="UPDATE", oldObject=pod(tag))["allowed"]
    template = {"spec": {"template": pod(tag)}}
    kind = {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}
    assert server.ask("validate", template, **kind)["allowed"]
    assert "patch" not in server.ask("mutate", template, **kind)
    template = {"spec": {"template": pod(f"{host}/unsigned:1")}}
    assert not server.ask("validate", template, **kind)["allowed"]


def test_modes_and_exemptions(server: Serving, host: str) -> None:
    """`warn` says it to the user, `audit` to the log; an exemption asks no registry; without a rule it is no."""
    unsigned = f"{host}/unsigned:1"
    warned = server.validate(unsigned, namespace="warned")
    assert warned["allowed"]
    assert "not signed" in warned["warnings"][0]
    audited = server.validate(unsigned, namespace="audited")
    assert audited == {"uid": "u", "allowed": True, "auditAnnotations": {"verdicts": "not-signed"}}
    exempt = server.validate("127.0.0.1:1/a:1", namespace="kube-system", dryRun=True)
    assert exempt["auditAnnotations"]["exempt"] == "exempt: starts first"
    assert "patch" not in server.ask("mutate", pod(unsigned), namespace="elsewhere")
    assert "patch" not in server.ask("mutate", pod(unsigned), namespace="audited")
    assert len(server.validate("a" * 100_000)["status"]["message"]) < 2000
    assert "no policy" in server.validate(unsigned, namespace="elsewhere")["status"]["message"]
    assert not server.validate(unsigned, namespace="bare")["status"]["message"].startswith("internal")


def test_other_rules(server: Serving, shell: Shell, host: str) -> None:
    """Rules that read the image, and several questions about signatures."""
    assert server.validate(pinned(shell, host, "signed"), namespace="attested")["allowed"]
    assert not server.validate(pinned(shell, host, "other"), namespace="attested")["allowed"]
    assert server.validate(pinned(shell, host, "unsigned"), namespace="bare")["allowed"]


def test_could_not_ask(server: Serving, busy: Hostile) -> None:
    """A registry that is gone, throttles or is slow is told from an image that is not signed, in time."""
    gone = server.validate("127.0.0.1:1/a:1")["status"]
    assert gone["code"] == 503
    assert "nothing is known about the image" in gone["message"]
    assert server.validate("127.0.0.1:1/a:1", namespace="warned")["allowed"]
    busy.busy = [(429, {"Retry-After": "30"})] * 20
    throttled = server.validate(f"{busy.host}/a:1")["status"]
    assert throttled["code"] == 503
    assert "answered 429" in throttled["message"]
    assert "limits requests" in throttled["message"]
    busy.busy = []
    blocked = threading.Event()
    busy.moment = lambda: blocked.wait(60)
    try:
        late = server.validate(f"{busy.host}/b:1", timeout="1s")["status"]
    finally:
        blocked.set()
    assert late["code"] == 503
    assert "in time" in late["message"]
    wanted = {"unreachable", "throttled", "deadline"}
    while wanted:
        wanted -= {one["reason"] for one in server.decision().get("images", [])}


def test_asked_once(server: Serving, busy: Hostile) -> None:
    """Many containers and many requests with one image are one question; refusals are kept for seconds."""
    blocked = threading.Event()
    busy.moment = lambda: blocked.wait(60)
    image = f"{busy.host}/once:1"
    threads = [threading.Thread(target=server.validate, args=[image] * 8) for _ in range(6)]
    for thread in threads:
        thread.start()
    blocked.set()
    for thread in threads:
        thread.join()

    assert busy.count("HEAD", "/once/manifests/1") + busy.count("GET", "/once/manifests/1") <= 2
    assert busy.count("GET", "/once/referrers/") <= 1


def test_gatekeeper(server: Serving, shell: Shell, host: str) -> None:
    """Values and errors by key; a document that is none is an error of the whole."""
    keys = [f"shop {host}/signed:1", f"shop {host}/unsigned:1", f"warned {host}/unsigned:1", f"{host}/signed:1"]
    asked = {"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": {"keys": keys}}
    _, body = server.send("POST", "/gatekeeper?timeout=20s", json.dumps(asked).encode())
    items = {item["key"]: item for item in json.loads(body)["response"]["items"]}

    assert items[keys[0]] == {"key": keys[0], "value": f"{host}/signed:1@{digest(shell, 'signed')}"}
    assert "not signed by release.pub" in items[keys[1]]["error"]
    assert "value" in items[keys[2]]
    assert "no policy" in items[keys[3]]["error"]
    _, body = server.send("POST", "/gatekeeper", b"{}")
    assert "systemError" in json.loads(body)["response"]


def test_pages(server: Serving) -> None:
    """Health, readiness, metrics that Prometheus reads; what is wrong is answered and survived."""
    assert server.send("GET", "/healthz") == (200, b"ok\n")
    assert server.send("GET", "/readyz") == (200, b"ready\n")
    server.validate("127.0.0.1:1/a:1", namespace="kube-system")
    found = {one.name: one for one in text_string_to_metric_families(server.send("GET", "/metrics")[1].decode())}
    for name in ("requests", "verdicts", "cache", "exemptions", "throttled", "request_duration_seconds",
                 "certificate_expiry_timestamp_seconds"):  # fmt: skip
        assert found[f"wherry_admission_{name}"].samples
    assert server.send("POST", "/validate", b"{")[0] == 400
    assert server.send("POST", "/validate", b" " * ((8 << 20) + 1))[0] == 413
    assert server.send("GET", "/validate")[0] == 405
    assert server.send("GET", "/no")[0] == 404
    assert server.ask("validate", {"spec": []})["status"]["code"] == 400


def test_changes_and_the_end(shell: Shell, host: str, tmp_path: Path) -> None:
    """Policies and certificates are read again; what is wrong is refused; SIGTERM ends it with code 0."""
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shell.write("changing.toml", "[[rule]]\nnon-root = false\n")
    later = pinned(shell, host, "later")
    words = ("--policy=changing.toml", "--tls-cert", str(chain), "--tls-key", str(key), "--drain=0")
    with serving(shell, *words, authority="none yet") as server:
        assert server.send("GET", "/healthz")[0] == 200
        assert server.send("GET", "/readyz")[0] == 503
        server.authority = renew(tmp_path / "old", chain, key)
        server.event("certificate")
        assert server.validate(later)["allowed"]
        shell.write("changing.toml", '[[rule]]\nsigned-by = ["release.pub"]\n')
        server.event("configuration")
        assert not server.validate(later)["allowed"]
        shell.write("changing.toml", "[[rule]]\nnon-rot = true\n")
        assert "non-rot" in server.event("configuration refused")["detail"]
        assert not server.validate(later)["allowed"]
        assert b"wherry_admission_configuration_current 0" in server.send("GET", "/metrics")[1]
        shell("sign", "--key", "release.key", f"{host}/later:1")
        server.authority = renew(tmp_path / "new", chain, key)
        server.event("certificate")
        assert server.send("GET", "/readyz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert server.event("ended")


def renew(folder: Path, chain: Path, key: Path) -> Path:
    """Write another certificate; give its authority."""
    made = certificates(folder)
    chain.write_bytes(made.chain.read_bytes())
    key.write_bytes(made.key.read_bytes())
    return made.ca


def test_credentials(shell: Shell, tmp_path: Path) -> None:
    """A registry that wants credentials: the pod's pull secrets, then the server's own, read when they change."""
    auth = base64.b64encode(b"ann:word").decode()
    with (
        distribution(tmp_path / "registry", program=DEBIAN, basic=("ann", "word")) as closed,
        kube_server(tmp_path) as kube,
    ):
        logged_in = {"auths": {closed.host: {"auth": auth}}}
        shell.write(".docker/config.json", json.dumps(logged_in))
        shell("push", "-q", "signed:1", f"{closed.host}/signed:1")
        shell("sign", "--key", "release.key", f"{closed.host}/signed:1")
        shell.write(".docker/config.json", "{}")
        shell.write("closed.toml", "pull-secrets = true\n" + CONFIGURATION)
        encoded = base64.b64encode(json.dumps(logged_in).encode()).decode()
        secret = {"metadata": {"name": "pull", "namespace": "shop"}, "data": {".dockerconfigjson": encoded}}
        kube.objects.put("secrets", secret)
        shell.environment["KUBECONFIG"] = str(kube.config)
        try:
            with serving(shell, "--config=closed.toml") as server:
                wanted = pod(pinned(shell, closed.host, "signed"))
                denied = server.ask("validate", wanted)["status"]
                by_secret = json.loads(json.dumps(wanted))
                by_secret["spec"]["imagePullSecrets"] = [{"name": "absent"}, {"name": "pull"}]
                assert server.ask("validate", by_secret)["allowed"]
                assert [server.decision()["credentials"] for _ in range(2)] == ["own", "shop/absent,pull"]
                shell.write(".docker/config.json", json.dumps(logged_in))
                server.event("configuration")
                assert server.ask("validate", pod(f"{closed.host}/none:1"))["status"]["code"] == 403
                assert server.ask("validate", wanted)["allowed"]
        finally:
            del shell.environment["KUBECONFIG"]
    assert denied["code"] == 503
    assert "the webhook's credentials are not enough" in denied["message"]


def test_loads_no_server() -> None:
    """Help and completion load neither the server nor cryptography."""
    loaded = "set(sys.modules) & {'uvicorn', 'cryptography', 'asyncio'}"
    code = f"import sys, wherry.cli.admission_serve, wherry.cli.admission_try; sys.exit(str({loaded}) != 'set()')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_try(shell: Shell, host: str) -> None:
    """The verdicts without a cluster, for people and as JSON; the exit code says whether one is refused."""
    manifest = {"apiVersion": "v1", "kind": "List", "items": [
        {"kind": "Pod", **pod(f"{host}/signed:1")}, {"kind": "Pod", **pod(f"{host}/unsigned:1")}, {"kind": "Service"},
    ]}  # fmt: skip
    shell.write("pods.yaml", json.dumps(manifest))
    lines = shell("admission", "try", "--policy", "release.toml", "pods.yaml", code=1)
    assert lines[0] == "Pod shop/a: admitted"
    assert lines[2] == "Pod shop/a: refused"
    assert lines[-1] == "3 objects, 1 refused"
    shell(
        "admission",
        "try",
        "--policy",
        "release.toml",
        "--json",
        "-",
        stdin=json.dumps({"kind": "Pod", **pod(f"{host}/signed:1")}),
    )
    (row,) = (json.loads(line) for line in shell.out.splitlines())
    assert row["decision"] == "admit"
    assert row["images"][0]["digest"] == digest(shell, "signed")
    shell("admission", "try", "--policy", "release.toml", "--mode", "warn", "pods.yaml")


@pytest.mark.parametrize(("words", "code"), [
    (["serve"], 64), (["serve", "--policy=a", "--config=b"], 64), (["serve", "--config=b", "--mode=warn"], 64),
    (["serve", "--policy=none.toml"], 66), (["serve", "--policy=release.toml", "--tls-cert=a"], 64), (["no"], 64),
    (["serve", "--policy=release.toml", "--exempt="], 78), (["try", "--policy=release.toml", "none.yaml"], 66),
    (["try", "--policy=release.toml", "release.pub"], 65), (["serve", "--policy=rebuilt.toml"], 78),
])  # fmt: skip
def test_wrong_words(shell: Shell, words: list[str], code: int) -> None:
    """Each is an error before anything is served."""
    shell.write("rebuilt.toml", "[[rule]]\nreproduced = true\n")
    assert shell.ended("admission", *words) == code, shell.err
