"""A Kubernetes API server of a test: objects, watches, logs, rights, and faults that a test asks for.

`hooks` are called when an object is created or changed: there a test plays the controllers and the kubelet. Ephemeral
containers do run, on this machine, by the shell of busybox; streams go through a real WebSocket over TLS.
"""

import base64
import json
import os
import select
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kube_attach import Attaching
from kube_objects import Conflict, KubeObjects, chosen
from needs import need
from registries import certificates

TOKEN = "a-token-of-the-test"  # noqa: S105 - for a server on loopback


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
    objects: KubeObjects = field(default_factory=KubeObjects)
    hooks: list[Callable[["KubeFake", str, dict[str, Any]], None]] = field(default_factory=list)
    """Each is called, in a thread of its own, with the kind (`jobs.batch`) and what was created, changed or deleted."""
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """Verb and kind that the user may not: `("create", "jobs.batch")`."""
    faults: list[int] = field(default_factory=list)
    """What the next requests are answered with: a status, or 0 to hang up."""
    logs: dict[str, bytes] = field(default_factory=dict)
    """What the pod of a name has printed."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""
    refusal: Callable[[str, str, dict[str, Any]], str] | None = None
    """Admission: given verb, kind and object, says why it is refused; empty: it is not."""
    patches: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Each with its query."""
    refuses: str = ""
    """Why no ephemeral container is taken."""
    waits: str = ""
    """Why none of them starts."""
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    connections: set[Any] = field(default_factory=set)

    def put_pod(self, document: dict[str, Any]) -> None:
        """Have a pod."""
        self.objects.put("pods", document)

    def hang_up(self) -> None:
        """End every connection, as a server that is restarted does."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(2)

    def tell(self, kind: str, document: dict[str, Any]) -> None:
        """Call the hooks."""
        for hook in self.hooks:
            threading.Thread(target=hook, args=(self, kind, document), daemon=True).start()

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
        for document in self.objects.rows.values():
            for row in document.get("status", {}).get("ephemeralContainerStatuses", []):
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
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
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


@dataclass(frozen=True)
class _Call:
    """A request, read."""

    verb: str
    kind: str
    namespace: str
    name: str
    sub: str
    query: dict[str, str]

    @classmethod
    def of(cls, verb: str, path: str, query: dict[str, str]) -> "_Call":
        words = path.strip("/").split("/")
        group, words = ("", words[2:]) if words[0] == "api" else (words[1], words[3:])
        namespace = words[1] if words[0] == "namespaces" and len(words) > 2 else ""
        kind, *rest = words[2:] if namespace else words
        name, sub = [*rest, "", ""][:2]
        return cls(verb, f"{kind}.{group}" if group else kind, namespace, name, sub, query)

    @property
    def right(self) -> str:
        """The verb as roles have it."""
        if self.verb != "get" or self.name:
            return self.verb
        return "watch" if "watch" in self.query else "list"


class _Handler(Attaching, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: KubeFake

    def setup(self) -> None:
        """Note the connection."""
        super().setup()
        self.fake.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection; the client may be gone."""
        self.fake.connections.discard(self.connection)
        with suppress(OSError, ValueError):
            super().finish()

    def do_GET(self) -> None:
        """Read, list, watch, attach, or give a log."""
        self._serve("get")

    def do_POST(self) -> None:
        """Create an object, or say what the user may."""
        self._serve("create")

    def do_PATCH(self) -> None:
        """Change an object, or add an ephemeral container."""
        self._serve("patch")

    def do_DELETE(self) -> None:
        """Delete an object."""
        self._serve("delete")

    def _serve(self, verb: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        self.fake.requests.append((self.command, self.path))
        if self.fake.faults:
            status = self.fake.faults.pop(0)
            if status:
                self._status(status, "the server is currently unable to handle the request")
            self.close_connection = True
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._status(401, "Unauthorized")
            return
        parts = urlsplit(self.path)
        call = _Call.of(verb, parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()})
        if call.kind == "selfsubjectaccessreviews.authorization.k8s.io":
            self._review(body)
        elif (call.right, call.kind) in self.fake.forbidden:
            self._forbid(call)
        elif call.sub in ("attach", "ephemeralcontainers", "log"):
            self._pod(call, body)
        else:
            with suppress(OSError):  # the client is gone
                self._object(call, body)

    def _object(self, call: "_Call", body: dict[str, Any]) -> None:
        refusal = self.fake.refusal(call.right, call.kind, body) if self.fake.refusal and call.verb != "get" else ""
        if refusal:
            self._status(403, refusal)
        elif call.right == "watch":
            self._watch(call)
        elif call.right == "list":
            self._list(call)
        elif call.right == "create":
            self._create(call, body)
        else:
            self._one(call, body)

    def _one(self, call: "_Call", body: dict[str, Any]) -> None:
        objects, place = self.fake.objects, (call.kind, call.namespace, call.name)
        if call.right == "get":
            found = objects.get(*place)
        elif call.right == "delete":
            found = objects.delete(*place)
        else:
            try:
                found = objects.change(*place, body)
            except Conflict:
                self._status(409, f'Operation cannot be fulfilled on {call.kind} "{call.name}"', "Conflict")
                return
            if found is None and "apply" in self.headers["Content-Type"]:
                found = objects.create(call.kind, call.namespace, body)
        if found is None:
            self._status(404, f'{call.kind} "{call.name}" not found')
            return
        if call.right != "get":
            self.fake.tell(call.kind, found)
        self._answer(200, found)

    def _create(self, call: "_Call", body: dict[str, Any]) -> None:
        if "dryRun" in call.query:
            self._answer(201, body)
            return
        try:
            made = self.fake.objects.create(call.kind, call.namespace, body)
        except Conflict:
            self._status(409, f'{call.kind} "{body["metadata"]["name"]}" already exists', "AlreadyExists")
            return
        self.fake.tell(call.kind, made)
        self._answer(201, made)

    def _list(self, call: "_Call") -> None:
        found = self.fake.objects.listed(call.kind, call.namespace, call.query)
        start, limit = int(call.query.get("continue", 0)), int(call.query.get("limit", 500))
        more = str(start + limit) if start + limit < len(found) else ""
        said = {"resourceVersion": str(self.fake.objects.version), **({"continue": more} if more else {})}
        self._answer(200, {"metadata": said, "items": found[start : start + limit]})

    def _watch(self, call: "_Call") -> None:
        objects, at = self.fake.objects, int(call.query.get("resourceVersion") or 0)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        due = time.monotonic() + int(call.query.get("timeoutSeconds", 60))
        while time.monotonic() < due and self.connection in self.fake.connections:
            with objects.changed:
                if at < objects.oldest:
                    self._event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
                    return
                found = objects.since(at, call.kind, call.namespace)
                if not found:
                    objects.changed.wait(0.2)
                    if select.select([self.connection], [], [], 0)[0]:  # the client never writes: it is gone
                        return
                    continue
            for at, what, row in found:  # noqa: B007 - the last one counts
                if chosen(row, call.query):
                    self._event(what, row)

    def _event(self, what: str, row: dict[str, Any]) -> None:
        self.wfile.write(json.dumps({"type": what, "object": row}).encode() + b"\n")
        self.wfile.flush()

    def _review(self, body: dict[str, Any]) -> None:
        wanted = body["spec"]["resourceAttributes"]
        kind = f"{wanted['resource']}.{wanted['group']}" if wanted.get("group") else wanted["resource"]
        kind += f"/{wanted['subresource']}" if wanted.get("subresource") else ""
        allowed = (wanted["verb"], kind) not in self.fake.forbidden
        self._answer(201, {**body, "status": {"allowed": allowed}})

    def _forbid(self, call: "_Call") -> None:
        plain, _, group = call.kind.partition(".")
        self._status(
            403, f'{plain} is forbidden: User "test" cannot {call.right} resource "{plain}" in API group "{group}" '
            f'in the namespace "{call.namespace}"', "Forbidden",
        )  # fmt: skip

    def _pod(self, call: "_Call", body: dict[str, Any]) -> None:
        document = self.fake.objects.rows.get(("pods", call.namespace, call.name))
        if document is None:
            self._status(404, f'pods "{call.name}" not found')
        elif call.sub == "attach":
            self.attach(self.fake.running, self.fake.ended)
        elif call.sub == "log":
            self._log(call)
        else:
            self._ephemeral(document, body)

    def _ephemeral(self, document: dict[str, Any], patch: dict[str, Any]) -> None:
        self.fake.patches.append((urlsplit(self.path).query, patch))
        if self.fake.refuses:
            self._status(403, self.fake.refuses)
            return
        if "dryRun" not in self.path:
            self.fake.start(document, patch["spec"]["ephemeralContainers"][0])
        self._answer(200, document)

    def _log(self, call: "_Call") -> None:
        """Give what is printed; followed, until the pod has ended."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        sent = 0
        with suppress(OSError):
            while True:
                found = self.fake.objects.get("pods", call.namespace, call.name)
                text = self.fake.logs.get(call.name, b"")
                self.wfile.write(text[sent:])
                self.wfile.flush()
                sent = len(text)
                ended = found is None or found.get("status", {}).get("phase") in ("Succeeded", "Failed")
                if ended or "follow" not in call.query:
                    return
                with self.fake.objects.changed:
                    self.fake.objects.changed.wait(0.2)

    def _status(self, code: int, message: str, reason: str = "") -> None:
        self._answer(code, {"kind": "Status", "code": code, "message": message, "reason": reason})

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
