"""HTTP to a Kubernetes API server: one request a connection, answered whole or as a stream.

Source: Kubernetes 1.34, "Kubernetes API Concepts"; RFC 9112.
"""

import http.client
import json
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import SplitResult, unquote, urlsplit

from wherry.cluster.certificate_dates import certificate_end, token_end
from wherry.cluster.kube_errors import KubeRefused, KubeUnreachable, refused, unreachable
from wherry.errors import InvalidSettings

TIMEOUT = 30.0
_LARGEST = 64 << 20
_BAD, _UNAUTHORIZED = 400, 401
_NOT_DONE = (429, 503)
"""Statuses of requests that were not begun; behind 500, 502 and 504 one may have been."""
_LINE = 16 << 20
"""Bytes of one object in a stream; the API server takes none of more than about 1.5 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeCredentials:
    """Who the user is, at the moment."""

    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    authorization: str = field(default="", repr=False)
    """The header's value."""


def nobody(_fresh: bool) -> KubeCredentials:  # noqa: FBT001 - the shape of what is asked
    """Give no credentials."""
    return KubeCredentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeAddress:
    """Where an API server is, and who asks it."""

    url: str
    authorities: bytes = b""
    """In PEM; empty: the system's."""
    server_name: str = ""
    insecure: bool = False
    source: str = ""
    """Which configuration names it, for people."""
    proxy: str = field(default="", repr=False)
    """URL of an HTTP proxy that lets connections through (CONNECT); empty: none."""
    credentials: Callable[[bool], KubeCredentials] = field(default=nobody, repr=False)
    """Asked before each request, so that a token that rotates is read again; True: the last ones were refused."""

    @property
    def host(self) -> str:
        """The server's name and port, for people."""
        return urlsplit(self.url).netloc

    @property
    def place(self) -> str:
        """The server, and what it is reached by."""
        return f"{self.host} by the proxy {urlsplit(self.proxy).hostname}" if self.proxy else self.host

    def prefix(self) -> str:
        """Give the path that stands before the API's own."""
        return urlsplit(self.url).path.rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeRequest:
    """One request."""

    method: str
    path: str
    """With its query, below the server's URL."""
    body: object = None
    kind: str = "application/json"
    timeout: float | None = TIMEOUT


class KubeStream:
    """An answer that comes in time: lines of JSON, or a log."""

    def __init__(self, connection: "_Connection", answer: http.client.HTTPResponse) -> None:
        self._connection, self._answer = connection, answer
        self.ended = False
        """Whether the server ended it, in place of a connection that broke."""

    def lines(self) -> Iterator[bytes]:
        """Yield each line as it comes; a connection that breaks ends them, as its end does."""
        with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while line := self._answer.readline(_LINE):
                yield line
            self.ended = self._answer.isclosed() or not self._answer.chunked

    def chunks(self) -> Iterator[bytes]:
        """Yield bytes as they come."""
        with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while chunk := self._answer.read1(1 << 16):
                yield chunk

    def close(self) -> None:
        """End it; also from another thread, whose `lines` then end."""
        with suppress(OSError):
            self._connection.opened.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._connection.close()


class KubeHttp:
    """Makes requests of one API server."""

    def __init__(
        self, address: KubeAddress, *, patience: float = 0.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Take the address.

        Args:
            address: the server.
            patience: seconds that a request is made again for, while no server answers or it is busy.
            sleep: waits.
        """
        self.address = address
        self.patience = patience
        self._sleep = sleep
        self._context: tuple[KubeCredentials, ssl.SSLContext] | None = None

    def json(self, request: KubeRequest) -> dict[str, object]:
        """Make a request and read the document that answers it.

        Raises:
            KubeRefused: the server says no, or nothing; requests that change something are made again only where they
                had no effect.
        """
        due, pause = time.monotonic() + self.patience, 0.2
        while True:
            try:
                return self._once(request)
            except KubeRefused as error:
                safe = request.method in ("GET", "DELETE") or error.status in _NOT_DONE or _never_sent(error)
                if not (error.passing and safe) or time.monotonic() + pause > due:
                    raise
            self._sleep(pause)
            pause = min(pause * 2, 5.0)

    def stream(self, request: KubeRequest) -> KubeStream:
        """Make a request that is answered in time.

        Raises:
            KubeRefused: it is not taken.
        """
        connection, answer = self._asked(request)
        if answer.status >= _BAD:
            with closing(connection):
                raise self._refused(answer, _read(answer))
        return KubeStream(connection, answer)

    def connected(self) -> tuple[http.client.HTTPConnection, Mapping[str, str]]:
        """Give a connection on which nothing was asked yet, and the headers that name the user."""
        credentials = self.address.credentials(False)  # noqa: FBT003 - as above
        connection = self._connection(credentials, TIMEOUT)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.address.place, self.address.source, error) from error
        return connection, _headers(credentials)

    def _once(self, request: KubeRequest) -> dict[str, object]:
        connection, answer = self._asked(request)
        with closing(connection):
            try:
                body = answer.read(_LARGEST + 1)
            except (OSError, http.client.HTTPException) as error:
                raise unreachable(self.address.place, self.address.source, error) from error
        if answer.status >= _BAD:
            raise self._refused(answer, body)
        try:
            document = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise self._stranger() from error
        if not isinstance(document, dict) or len(body) > _LARGEST:
            raise self._stranger()
        return document

    def _asked(self, request: KubeRequest) -> tuple["_Connection", http.client.HTTPResponse]:
        """Ask; with fresh credentials once more, where the last ones were refused."""
        for fresh in (False, True):
            credentials = self.address.credentials(fresh)
            connection = self._connection(credentials, request.timeout)
            try:
                answer = self._sent(connection, credentials, request)
            except BaseException:
                connection.close()
                raise
            if answer.status != _UNAUTHORIZED or fresh or self.address.credentials(True) == credentials:  # noqa: FBT003 - as above
                return connection, answer
            connection.close()
        raise AssertionError("unreachable")

    def _sent(
        self, connection: http.client.HTTPConnection, credentials: KubeCredentials, request: KubeRequest
    ) -> http.client.HTTPResponse:
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            failure = unreachable(self.address.place, self.address.source, error)
            failure.reason = _NEVER_SENT
            raise failure from error
        text = None if request.body is None else json.dumps(request.body).encode()
        headers = {"Accept": "application/json", "User-Agent": "wherry", **_headers(credentials)}
        if text is not None:
            headers["Content-Type"] = request.kind
        try:
            connection.request(request.method, f"{self.address.prefix()}{request.path}", text, headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.address.place, self.address.source, error) from error

    def _refused(self, answer: http.client.HTTPResponse, body: bytes) -> KubeRefused:
        error = refused(self.address.host, answer.status, answer.reason, body)
        if answer.status == _UNAUTHORIZED:
            ended = _ended(self.address.credentials(False))  # noqa: FBT003 - as above
            if ended:
                return KubeRefused(
                    f"{error.message}: {ended}",
                    hint=f"renew it{f' in {self.address.source}' if self.address.source else ''}, as for kubectl",
                    status=error.status, reason=error.reason,
                )  # fmt: skip
        return error

    def _stranger(self) -> KubeUnreachable:
        named = f"{self.address.source} names this server: " if self.address.source else ""
        return KubeUnreachable(
            f"{self.address.host}: what answers is not a Kubernetes API server",
            hint=f"{named}correct its URL",
            lasting=True,
        )

    def _connection(self, credentials: KubeCredentials, timeout: float | None) -> "_Connection":
        parts = urlsplit(self.address.url)
        plain = parts.scheme == "http"
        host, port = parts.hostname or "", parts.port or (80 if plain else 443)
        name, context = ("", None) if plain else (self.address.server_name or host, self._tls(credentials))
        if not self.address.proxy:
            return _Connection(host, port, timeout, name, context)
        proxy = urlsplit(self.address.proxy)
        connection = _Connection(proxy.hostname or "", proxy.port or 80, timeout, name, context)
        connection.set_tunnel(host, port, _proxy_headers(proxy))
        return connection

    def _tls(self, credentials: KubeCredentials) -> ssl.SSLContext:
        known = self._context
        if known is not None and known[0].certificate == credentials.certificate:
            return known[1]
        context = _context(self.address, credentials)
        self._context = (credentials, context)
        return context


class _Connection(http.client.HTTPConnection):
    """A connection, perhaps to a server with another name in its certificate than in its address."""

    opened: socket.socket
    """What is connected: http.client lets go of it where an answer ends the connection."""

    def __init__(
        self, host: str, port: int, timeout: float | None, name: str = "", context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(host, port, timeout=timeout)
        self._name, self._context = name, context

    def connect(self) -> None:
        """Connect, with TLS where there is a context."""
        super().connect()
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)
        self.opened = self.sock


_NEVER_SENT = "NeverSent"


def _never_sent(error: KubeRefused) -> bool:
    return error.reason == _NEVER_SENT


def _headers(credentials: KubeCredentials) -> dict[str, str]:
    """Name the user.

    Raises:
        InvalidSettings: the token can't be in a header; it is not shown.
    """
    if not (credentials.authorization.isascii() and credentials.authorization.isprintable()):
        raise InvalidSettings(
            "the token for the cluster has letters that HTTP can't carry", hint="log in to the cluster again"
        )
    return {"Authorization": credentials.authorization} if credentials.authorization else {}


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    words = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(words.encode()).decode()}"}


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(1 << 20)
    except (OSError, http.client.HTTPException):
        return b""


def _ended(credentials: KubeCredentials) -> str:
    """Say which credential is over, if one is."""
    kind, _, token = credentials.authorization.partition(" ")
    end = token_end(token) if kind == "Bearer" else None
    name = "the token"
    if end is None and credentials.certificate:
        end, name = certificate_end(credentials.certificate), "the client certificate"
    if end is None or end > datetime.now(UTC):
        return ""
    return f"{name} expired at {end:%Y-%m-%d %H:%M} UTC"


def _context(address: KubeAddress, credentials: KubeCredentials) -> ssl.SSLContext:
    authorities = address.authorities.decode(errors="replace") or None
    try:
        context = ssl.create_default_context(cadata=authorities)
        if address.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if credentials.certificate:
            with TemporaryDirectory(prefix="wherry-") as folder:  # the ssl module reads files only
                file = Path(folder, "client.pem")
                file.touch(0o600)
                file.write_bytes(credentials.certificate + b"\n" + credentials.key)
                context.load_cert_chain(file)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise KubeUnreachable(
            f"kubectl's configuration: its certificates can't be used: {error}",
            hint="`kubectl version` shows whether kubectl can", lasting=True,
        ) from error  # fmt: skip
    return context
