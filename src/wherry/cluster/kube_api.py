"""A Kubernetes API server: requests with JSON, and the streams of an attached container.

Sources: Kubernetes 1.34 API reference, "Pod"; "Kubernetes API Concepts", dry run; client-go, tools/remotecommand
(`v5.channel.k8s.io`: the first byte of a message is its stream).
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from wherry.cluster.websocket import WebSocket
from wherry.errors import HostUnable

_TIMEOUT = 30.0
_LARGEST = 32 << 20
_PROTOCOLS = "v5.channel.k8s.io, v4.channel.k8s.io"
_BAD = 400


class KubeRefused(HostUnable):
    """The API server refuses a request, in its own words."""

    def __init__(self, message: str, *, hint: str, status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeServer:
    """An API server, and what is shown to it."""

    url: str
    authorities: bytes = b""
    """In PEM; empty: the system's."""
    server_name: str = ""
    insecure: bool = False
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    authorization: str = field(default="", repr=False)

    def pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Read a pod.

        Raises:
            KubeRefused: there is none, or it may not be read.
        """
        return self._json("GET", _path(namespace, name))

    def add_ephemeral(
        self, namespace: str, name: str, container: Mapping[str, Any], *, dry: bool = False
    ) -> dict[str, Any]:
        """Add an ephemeral container to a pod; with `dry`, only ask whether it would be taken.

        Raises:
            KubeRefused: admission, or the user's rights, are against it.
        """
        query = "?dryRun=All" if dry else ""
        patch = {"spec": {"ephemeralContainers": [container]}}
        kind = "application/strategic-merge-patch+json"
        return self._json("PATCH", f"{_path(namespace, name)}/ephemeralcontainers{query}", patch, kind)

    def attach(self, namespace: str, name: str, container: str, *, tty: bool) -> WebSocket:
        """Attach to a container that runs: its standard streams, each with its number in front.

        Raises:
            WebSocketRefused: it does not run, or may not be attached to.
        """
        wanted = {"container": container, "stdin": "true", "stdout": "true"}
        query = urlencode({**wanted, **({"tty": "true"} if tty else {"stderr": "true"})})
        parts = urlsplit(self.url)
        connection = self._connection()
        connection.connect()
        connection.sock.settimeout(None)
        path = f"{parts.path}{_path(namespace, name)}/attach?{query}"
        return WebSocket(connection.sock, parts.netloc, path, self._headers(), _PROTOCOLS)

    def _json(self, method: str, path: str, body: object = None, kind: str = "application/json") -> dict[str, Any]:
        host = urlsplit(self.url).netloc
        text = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", **self._headers(), **({"Content-Type": kind} if text else {})}
        with closing(self._connection()) as connection:
            try:
                connection.request(method, f"{urlsplit(self.url).path}{path}", text, headers)
                answer = connection.getresponse()
                document = json.loads(answer.read(_LARGEST) or b"{}")
            except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
                raise KubeRefused(
                    f"{host}: the API server does not answer: {error or type(error).__name__}",
                    hint="`kubectl version` asks it too",
                    status=0,
                ) from error
        if answer.status >= _BAD or not isinstance(document, dict):
            said = document.get("message") if isinstance(document, dict) else ""
            raise KubeRefused(
                f"{host}: HTTP {answer.status}: {said or answer.reason}",
                hint=_hint(answer.status),
                status=answer.status,
            )
        return document

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self.authorization} if self.authorization else {}

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        context = self._context()
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT, context=context)
        if self.server_name:
            return _Named(connection, self.server_name, context)
        return connection

    def _context(self) -> ssl.SSLContext:
        authorities = self.authorities.decode(errors="replace") or None
        try:
            context = ssl.create_default_context(cadata=authorities)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate:
                with TemporaryDirectory(prefix="wherry-") as folder:  # the ssl module reads files only
                    file = Path(folder, "client.pem")
                    file.touch(0o600)
                    file.write_bytes(self.certificate + b"\n" + self.key)
                    context.load_cert_chain(file)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise KubeRefused(
                f"kubectl's configuration: its certificates can't be used: {error}",
                hint="`kubectl version` shows whether kubectl can",
                status=0,
            ) from error
        return context


class _Named(http.client.HTTPConnection):
    """A connection to a server with another name in its certificate than in its address."""

    def __init__(self, plain: http.client.HTTPConnection, name: str, context: ssl.SSLContext) -> None:
        super().__init__(plain.host, plain.port, timeout=_TIMEOUT)
        self._name, self._context = name, context

    def connect(self) -> None:
        """Connect, and ask for the name."""
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"


def _hint(status: int) -> str:
    match status:
        case 401:
            return "log in again, as for kubectl"
        case 403:
            return "ask for `patch` of pods/ephemeralcontainers and `create` of pods/attach, or read why above"
        case 404:
            return "`kubectl get pods` lists those of the namespace; --namespace NAME chooses another"
        case _:
            return "`kubectl describe pod NAME` may say more"
