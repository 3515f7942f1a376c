"""`wherry admission serve` as a process of its own, and what asks it."""

import http.client
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from cli_shell import Shell

PATIENCE = 60.0


@dataclass
class Serving:
    """A server at work."""

    process: "subprocess.Popen[str]"
    port: int
    authority: Path
    records: "Queue[dict[str, Any]]" = field(default_factory=Queue)
    """What it logs."""

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request, as an API server does: TLS, and the authority that it was given."""
        trusted = ssl.create_default_context(cafile=str(self.authority))
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
