"""Docker's API, as far as giving it an image goes; podman's socket speaks it too.

Sources: moby, docs/api (Engine API v1.41: `GET /version`, `POST /images/load`); docker/cli, cli/context/store (where a
context's endpoint stands) and opts/hosts.go (DOCKER_HOST).
"""

import hashlib
import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wherry.daemon.errors import NoDaemon, NotLoaded
from wherry.platform import Platform
from wherry.store.files import ByteSink

SOCKET = "unix:///var/run/docker.sock"
_TIMEOUT = 300.0
"""Seconds between two signs of life; a daemon unpacks a large layer without a word."""
_OK = 200
_ZSTD_SINCE = 23
"""The first Docker that unpacks zstd layers (moby 23.0, release notes)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A daemon that speaks Docker's API."""

    host: str
    """As DOCKER_HOST has it."""
    name: str
    """Such as `Docker 20.10.24`."""
    version: str
    platform: Platform

    @property
    def takes_zstd(self) -> bool:
        """Whether it unpacks zstd layers; podman does since 3."""
        major = re.match(r"\d+", self.version)
        return "odman" in self.name or (major is not None and int(major[0]) >= _ZSTD_SINCE)


def endpoint(environment: Mapping[str, str], config_folder: Path) -> str:
    """Say where the user's Docker is: DOCKER_HOST, the context in use, or the usual socket.

    Args:
        environment: DOCKER_HOST and DOCKER_CONTEXT are looked at.
        config_folder: Docker's, with `config.json` and `contexts`.
    """
    if host := environment.get("DOCKER_HOST"):
        return host
    context = environment.get("DOCKER_CONTEXT") or _json(config_folder / "config.json").get("currentContext")
    if isinstance(context, str) and context not in {"", "default"}:
        folder = hashlib.sha256(context.encode()).hexdigest()
        meta = _json(config_folder / "contexts/meta" / folder / "meta.json")
        endpoints = meta.get("Endpoints")
        docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
        if isinstance(docker, dict) and isinstance(docker.get("Host"), str):
            return str(docker["Host"])
    return SOCKET


def engine_at(host: str, certificates: Path | None = None) -> Engine:
    """Ask who is there.

    Args:
        host: `unix:///path` or `tcp://host:port`.
        certificates: folder with ca.pem, cert.pem and key.pem, where it wants TLS (DOCKER_CERT_PATH).

    Raises:
        NoDaemon: nobody, or somebody else.
    """
    with closing(_connected(host, certificates)) as connection:
        try:
            connection.request("GET", "/version")
            answer = connection.getresponse()
            document = json.loads(answer.read(1 << 20))
            version = str(document["Version"])
            platform = Platform.of(str(document["Os"]), str(document["Arch"]))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise NoDaemon(
                f"{host}: no Docker answers there: {_reason(error)}",
                hint="start it, or set DOCKER_HOST to where it is",
            ) from error
    parts = document.get("Components") or [{}]
    product = "Podman" if "odman" in str(parts[0].get("Name", "")) else "Docker"
    return Engine(host, f"{product} {version}", version, platform)


def load(engine: Engine, write: Callable[[ByteSink], None], certificates: Path | None = None) -> None:
    """Give an engine an archive as it is written.

    Args:
        engine: who takes it.
        write: writes an archive for `docker load` into a sink.
        certificates: as for `engine_at`.

    Raises:
        NotLoaded: it would not, in its own words.
    """
    with closing(_connected(engine.host, certificates)) as connection:
        try:
            connection.putrequest("POST", "/images/load?quiet=1")
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            body = _Chunked(connection)
            write(body)
            body.end()
            answer = connection.getresponse()
            said = answer.read(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise NotLoaded(
                f"{engine.name}: the connection broke: {_reason(error)}", hint="look into the daemon's log"
            ) from error
    if answer.status != _OK or (words := _refusal(said)):
        words = _refusal(said) or said[:300].decode(errors="replace").strip() or f"HTTP {answer.status}"
        raise NotLoaded(f"{engine.name}: it did not take the image: {words}", hint="look into the daemon's log")


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


def _connected(host: str, certificates: Path | None) -> http.client.HTTPConnection:
    parts = urlsplit(host)
    try:
        if parts.scheme == "unix":
            connection: http.client.HTTPConnection = _UnixConnection(parts.path)
        elif parts.scheme in {"tcp", "http", "https"} and parts.hostname:
            connection = _over_tcp(parts.hostname, parts.port, certificates, tls=parts.scheme == "https")
        else:
            raise NoDaemon(
                f"{host}: only unix:// and tcp:// are spoken here",
                hint="forward it: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST, DOCKER_HOST=unix:///tmp/docker.sock",
            )
        connection.connect()
    except (OSError, ValueError) as error:
        raise NoDaemon(
            f"{host}: no Docker there: {_reason(error)}", hint="start it, or set DOCKER_HOST to where it is"
        ) from error
    return connection


def _over_tcp(host: str, port: int | None, certificates: Path | None, *, tls: bool) -> http.client.HTTPConnection:
    if not (tls or certificates):
        return http.client.HTTPConnection(host, port or 2375, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem") if certificates else None)
    if certificates:
        context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
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


def _json(file: Path) -> dict[str, object]:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
