"""Docker's API, as far as giving it an image goes; podman's socket speaks it too.

Sources: moby, docs/api (Engine API v1.41: `GET /version`, `GET /info`, `POST /images/load`, `GET /images/{name}/get`);
docker/buildx,
driver/docker/driver.go (how containerd's image store shows).
"""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from wherry.daemon.endpoint import Endpoint, Tls
from wherry.daemon.errors import NoDaemon, NotLoaded, forbidden
from wherry.errors import NotFound
from wherry.platform import Platform
from wherry.store.files import ByteSink

_TIMEOUT = 300.0
"""Seconds between two signs of life; a daemon unpacks a large layer without a word."""
_OK = 200
_PIECE = 1 << 20
_ZSTD_SINCE = 23
"""The first Docker that unpacks zstd layers (moby 23.0, release notes)."""
_CONTAINERD_STORE = ["driver-type", "io.containerd.snapshotter.v1"]
"""Stands in `DriverStatus` where images are kept by containerd."""


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """A daemon that speaks Docker's API."""

    endpoint: Endpoint
    name: str
    """Such as `Docker 20.10.24`."""
    version: str
    platform: Platform
    keeps_indexes: bool = False
    """Whether an image of many platforms stays one."""

    @property
    def takes_zstd(self) -> bool:
        """Whether it unpacks zstd layers; podman does since 3."""
        major = re.match(r"\d+", self.version)
        return "odman" in self.name or (major is not None and int(major[0]) >= _ZSTD_SINCE)


def engine_at(endpoint: Endpoint) -> DockerEngine:
    """Ask who is there.

    Args:
        endpoint: `unix:///path` or `tcp://host:port`, with TLS or without.

    Raises:
        NoDaemon: no daemon, or another program, answers. Forbidden: permission denied.
    """
    with closing(connected(endpoint)) as connection:
        document = _asked(connection, "/version", endpoint.host)
        try:
            version = str(document["Version"])
            platform = Platform.of(str(document["Os"]), str(document["Arch"]))
            parts = document.get("Components") or [{}]
            product = "Podman" if "odman" in str(parts[0].get("Name", "")) else "Docker"
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise silent(endpoint.host, error) from error
        keeps = product == "Docker" and _keeps_indexes(_asked(connection, "/info", endpoint.host))
    return DockerEngine(endpoint, f"{product} {version}", version, platform, keeps_indexes=keeps)


def _asked(connection: http.client.HTTPConnection, path: str, host: str) -> dict[str, Any]:
    try:
        connection.request("GET", path)
        document = json.loads(connection.getresponse().read(1 << 20))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise silent(host, error) from error
    return document if isinstance(document, dict) else {}


def silent(host: str, error: Exception) -> NoDaemon:
    """Make the error for a daemon that does not answer, or answers what can't be read."""
    return NoDaemon(
        f"{host}: Docker does not answer: {_reason(error)}", hint="start it, or set DOCKER_HOST to its address"
    )


def _keeps_indexes(information: dict[str, Any]) -> bool:
    """Read whether images are in containerd's store; the other one holds single platforms."""
    status = information.get("DriverStatus")
    return isinstance(status, list) and _CONTAINERD_STORE in status


def load(engine: DockerEngine, write: Callable[[ByteSink], None]) -> None:
    """Stream an archive to an engine while it is written.

    Args:
        engine: who takes it.
        write: writes an archive for `docker load` into a sink.

    Raises:
        NotLoaded: it would not, in its own words.
    """
    with closing(connected(engine.endpoint)) as connection:
        try:
            connection.putrequest("POST", "/images/load?quiet=1")
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            # One that has seen enough hangs up, and what it said before stands on the line.
            with suppress(BrokenPipeError, ConnectionResetError):
                body = _Chunked(connection)
                write(body)
                body.end()
            answer = connection.getresponse()
            said = answer.read(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise NotLoaded(
                f"{engine.name}: the connection broke: {_reason(error)}", hint="check the daemon's log"
            ) from error
    if answer.status != _OK or (words := _refusal(said)):
        words = _refusal(said) or said[:300].decode(errors="replace").strip() or f"HTTP {answer.status}"
        raise NotLoaded(f"{engine.name}: loading the image failed: {words}", hint="check the daemon's log")


def save(engine: DockerEngine, name: str, out: ByteSink) -> None:
    """Write an image of an engine as an archive, in the form that `docker save` has.

    Args:
        engine: who has it, in its own store or in containerd's.
        name: as the engine knows it.
        out: where to.

    Raises:
        NotFound: it has no such image.
        NoDaemon: it does not answer, or stops in the middle.
    """
    with closing(connected(engine.endpoint)) as connection:
        try:
            connection.request("GET", f"/images/{quote(name, safe='')}/get")
            answer = connection.getresponse()
            if answer.status != _OK:
                said = answer.read(1 << 20)
                words = _refusal(said) or f"HTTP {answer.status}"
                raise NotFound(
                    f"docker-daemon:{name}: {engine.name}: {words}", hint="`docker images` lists those it has"
                )
            while chunk := answer.read(_PIECE):
                out.write(chunk)
        except (OSError, http.client.HTTPException) as error:
            raise silent(engine.endpoint.host, error) from error


class _Chunked:
    """Sends what is written as chunks of a request's body."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def write(self, chunk: bytes, /) -> None:
        if chunk:
            self._connection.send(f"{len(chunk):x}\r\n".encode())
            self._connection.send(chunk)
            self._connection.send(b"\r\n")

    def end(self) -> None:
        self._connection.send(b"0\r\n\r\n")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to a socket in the file system."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise


def connected(endpoint: Endpoint) -> http.client.HTTPConnection:
    """Connect to a daemon.

    Raises:
        NoDaemon: it is not there. Forbidden: permission denied.
    """
    host = endpoint.host
    parts = urlsplit(host)
    try:
        if parts.scheme == "unix":
            connection: http.client.HTTPConnection = _UnixConnection(parts.path)
        elif parts.scheme in {"tcp", "http", "https"} and parts.hostname:
            connection = _over_tcp(parts.hostname, parts.port, endpoint.tls, secure=parts.scheme == "https")
        else:
            raise NoDaemon(
                f"{host}: only unix:// and tcp:// are supported",
                hint="forward it: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST, DOCKER_HOST=unix:///tmp/docker.sock",
            )
        connection.connect()
    except PermissionError as error:
        raise forbidden(parts.path or host) from error
    except (OSError, ValueError) as error:
        raise NoDaemon(
            f"{host}: cannot connect to Docker: {_reason(error)}", hint="start it, or set DOCKER_HOST to its address"
        ) from error
    return connection


def _over_tcp(host: str, port: int | None, tls: Tls | None, *, secure: bool) -> http.client.HTTPConnection:
    if not (secure or tls):
        return http.client.HTTPConnection(host, port or 2375, timeout=_TIMEOUT)
    context = tls.context() if tls else ssl.create_default_context()
    return http.client.HTTPSConnection(host, port or 2376, timeout=_TIMEOUT, context=context)


def _refusal(said: bytes) -> str:
    """Find an error among the JSON objects that a load answers with, a line each."""
    for line in said.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and (error := document.get("error") or document.get("message")):
            return str(error)[:300]
    return ""


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]
