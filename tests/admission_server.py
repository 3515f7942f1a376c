"""`wherry admission serve` as a process of its own, and what asks it."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from cli_shell import Shell
from real_cluster import RealCluster
from wherry.app.clusters import cluster
from wherry.app.session import Session
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_resources import PODS

PATIENCE = 60.0
LABEL = "wherry-test-admission"
"""Of namespaces that `hooks` choose."""


@dataclass
class Serving:
    """A server at work."""

    process: "subprocess.Popen[str]"
    port: int
    authority: Path
    records: "Queue[dict[str, Any]]" = field(default_factory=Queue)
    """What it logs."""

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request, as an API server does: TLS, and the authority it was given; without one it trusts all."""
        known = self.authority.exists()
        trusted = ssl.create_default_context(cafile=str(self.authority) if known else None)
        if not known:
            trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
        with closing(http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=trusted)) as wire:
            wire.request(method, path, body)
            answer = wire.getresponse()
            return answer.status, answer.read()

    def ask(self, hook: str, document: dict[str, Any], *, timeout: str = "30s", **request: Any) -> dict[str, Any]:
        """Have an object judged; give the response."""
        asked = {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
            "namespace": "shop", "object": document, **request,
        }  # fmt: skip
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
        status, body = self.send("POST", f"/{hook}?timeout={timeout}", json.dumps(review).encode())
        assert status == 200, body
        response: dict[str, Any] = json.loads(body)["response"]
        assert response["uid"] == "u"
        return response

    def validate(self, *images: str, **request: Any) -> dict[str, Any]:
        """Have a pod judged."""
        return self.ask("validate", pod(*images), **request)

    def decision(self) -> dict[str, Any]:
        """Give the next decision that it logs."""
        while True:
            record = self.records.get(timeout=PATIENCE)
            if "decision" in record:
                return record

    def event(self, name: str) -> dict[str, Any]:
        """Wait until it logs an event."""
        while True:
            record = self.records.get(timeout=PATIENCE)
            if record.get("event") == name:
                return record


def pod(*images: str) -> dict[str, Any]:
    """Give a pod."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": containers}}


@contextmanager
def serving(shell: Shell, *words: str, authority: str = "ca.pem") -> Iterator[Serving]:
    """Serve until the block ends; the port is any."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wherry", "admission", "serve", "--address=127.0.0.1", "--port=0", "--log=json", *words],
        cwd=shell.root, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    records: Queue[dict[str, Any]] = Queue()
    reader = threading.Thread(
        target=lambda: [records.put(json.loads(line)) for line in process.stdout or ()], daemon=True
    )
    reader.start()
    try:
        line = process.stderr.readline()
        assert line.startswith("listening on "), line + process.stderr.read()
        yield Serving(process, int(line.rpartition(":")[2]), shell.root / authority, records)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()


def hooks(name: str, port: int) -> Iterator[dict[str, object]]:
    """Give both configurations, without the authority."""
    pods = {"apiGroups": [""], "apiVersions": ["v1"]}
    created = {**pods, "operations": ["CREATE"], "resources": ["pods"]}
    debugged = {**pods, "operations": ["UPDATE"], "resources": ["pods/ephemeralcontainers"]}
    changed = {**pods, "operations": ["CREATE", "UPDATE"], "resources": ["pods", "pods/ephemeralcontainers"]}
    workloads = {
        "apiGroups": ["apps", "batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["*"],
    }  # fmt: skip
    for kind, path, rules in (
        ("Mutating", "mutate", [created, debugged]),
        ("Validating", "validate", [changed, workloads]),
    ):
        hook = {
            "name": f"{path}.wherry.example", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 5, "rules": rules,
            "clientConfig": {"url": f"https://127.0.0.1:{port}/{path}"},
            "namespaceSelector": {"matchLabels": {LABEL: name}},
            **({"reinvocationPolicy": "IfNeeded"} if kind == "Mutating" else {}),
        }  # fmt: skip
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": name}, "webhooks": [hook],
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A pod that was created as a dry run."""

    seconds: float
    refusal: str
    """Empty: it was admitted."""


def at_once(real: RealCluster, namespace: str, images: Sequence[str]) -> list[Asked]:
    """Create a pod of each image as a dry run, all at once, each on a connection of its own."""
    session = Session.of({**os.environ, "KUBECONFIG": str(real.config)}, cwd=Path.cwd())
    server, gate = cluster(session).server, threading.Barrier(len(images))

    def asked(number: int) -> Asked:
        document = pod(images[number])
        document["metadata"] = {"name": f"many-{number}", "namespace": namespace}
        gate.wait()
        started = time.perf_counter()
        refusal = ""
        try:
            server.create(PODS, namespace, {"apiVersion": "v1", "kind": "Pod", **document}, dry=True)
        except KubeRefused as error:
            refusal = error.message
        return Asked(time.perf_counter() - started, refusal)

    with ThreadPoolExecutor(len(images)) as pool:
        return list(pool.map(asked, range(len(images))))
