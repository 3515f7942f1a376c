"""A Kubernetes API server as far as `wherry debug pod/…` needs one: pods, ephemeral containers that run here, attach.

What a container runs is run on this machine, by the shell of busybox; streams go through a real WebSocket over TLS.
"""

import base64
import hashlib
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from needs import need
from registries import certificates

TOKEN = "a-token-of-the-test"  # noqa: S105 - for a server on loopback
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def pod(image: str, **security: object) -> dict[str, Any]:
    """Give a pod of one container that runs."""
    return {
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {
            "securityContext": security,
            "containers": [
                {"name": "app", "image": image},
                {"name": "side", "image": image, "securityContext": {"runAsUser": 7}},
            ],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "app", "imageID": "", "state": {"running": {}}}],
        },
    }


@dataclass
class KubeFake:
    """What the server knows; a test may change it while it runs."""

    url: str = ""
    config: Path = Path()
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    patches: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Each with its query."""
    refuses: str = ""
    """Why no ephemeral container is taken."""
    waits: str = ""
    """Why none of them starts."""
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, document: dict[str, Any], container: dict[str, Any]) -> None:
        """Start an ephemeral container."""
        name, rows = container["name"], document["status"].setdefault("ephemeralContainerStatuses", [])
        if self.waits:
            rows.append({"name": name, "state": {"waiting": {"reason": self.waits, "message": "as the node says"}}})
            return
        # Process 1 of this machine is not the target, but this process may be looked into as a target may.
        words = [word.replace("/proc/1/root", f"/proc/{os.getpid()}/root") for word in container["command"][1:]]
        argv = [need("busybox"), "sh", *words]
        pipe = subprocess.PIPE
        self.running[name] = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe)
        rows.append({"name": name, "state": {"running": {}}})

    def ended(self, name: str, code: int) -> None:
        """Note the end of one."""
        for document in self.pods.values():
            for row in document["status"].get("ephemeralContainerStatuses", []):
                if row["name"] == name:
                    row["state"] = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}


@contextmanager
def kube_server(folder: Path) -> Iterator[KubeFake]:
    """Run one until the block ends; it takes one bearer token, which the configuration of kubectl has."""
    made = certificates(folder / "certificates")
    fake = KubeFake()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.url = f"https://localhost:{server.server_address[1]}"
    fake.config = folder / "config"
    fake.config.write_text(
        json.dumps(
            {
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {
                            "server": fake.url,
                            "certificate-authority-data": base64.b64encode(made.ca.read_bytes()).decode(),
                        },
                    }
                ],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
            }
        )
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        for process in fake.running.values():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):
                    pipe.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: KubeFake

    def do_GET(self) -> None:
        """Answer for a pod, or attach."""
        document = self._pod()
        if document is None:
            return
        if "/attach" in self.path:
            self._attach()
            return
        self._answer(200, document)

    def do_PATCH(self) -> None:
        """Take an ephemeral container."""
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        document = self._pod()
        if document is None:
            return
        self.fake.patches.append((urlsplit(self.path).query, patch))
        if self.fake.refuses:
            self._answer(403, {"message": self.fake.refuses})
            return
        if "dryRun" not in self.path:
            self.fake.start(document, patch["spec"]["ephemeralContainers"][0])
        self._answer(200, document)

    def _pod(self) -> dict[str, Any] | None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Unauthorized"})
            return None
        document = self.fake.pods.get(urlsplit(self.path).path.split("/")[6])
        if document is None:
            self._answer(404, {"message": 'pods "none" not found'})
        return document

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _attach(self) -> None:
        name = parse_qs(urlsplit(self.path).query)["container"][0]
        key = self.headers["Sec-WebSocket-Key"].encode()
        accepted = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()  # noqa: S324 - the protocol's own
        self.send_response(101)
        for field_name, text in (
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accepted),
            ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
        ):  # fmt: skip
            self.send_header(field_name, text)
        self.end_headers()
        process, turn = self.fake.running[name], threading.Lock()

        def move(stream: int, pipe: Any) -> None:
            while chunk := pipe.read1(1 << 16):
                with turn:
                    self._frame(bytes((stream,)) + chunk)

        movers = [threading.Thread(target=move, args=pair) for pair in ((1, process.stdout), (2, process.stderr))]
        for mover in movers:
            mover.start()
        threading.Thread(target=self._take, args=(process,), daemon=True).start()
        for mover in movers:
            mover.join()
        self.fake.ended(name, process.wait())
        with turn, suppress(OSError):
            self._frame(b"\x03" + json.dumps({"status": "Success"}).encode())
        self.close_connection = True

    def _frame(self, payload: bytes) -> None:
        size = len(payload)
        length = (
            bytes((size,))
            if size < 126
            else b"\x7e" + size.to_bytes(2, "big")
            if size < 1 << 16
            else b"\x7f" + size.to_bytes(8, "big")
        )
        self.wfile.write(b"\x82" + length + payload)
        self.wfile.flush()

    def _take(self, process: "subprocess.Popen[bytes]") -> None:
        with suppress(OSError, ValueError):  # the client is gone, or the server
            self._hand_on(process)

    def _hand_on(self, process: "subprocess.Popen[bytes]") -> None:
        """Hand on what comes until the end of it."""
        while head := self.rfile.read(2):
            size = head[1] & 0x7F
            if size >= 126:
                size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
            mask, masked = self.rfile.read(4), self.rfile.read(size)
            payload = bytes(letter ^ mask[place % 4] for place, letter in enumerate(masked))
            if payload[:1] == b"\x00":
                with suppress(OSError):
                    process.stdin.write(payload[1:])
                    process.stdin.flush()
            elif payload[:1] == b"\xff" or head[0] & 0xF == 8:
                break
        with suppress(OSError):
            process.stdin.close()
