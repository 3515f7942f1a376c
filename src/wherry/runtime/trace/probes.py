"""Probes: questions to a program that runs in a container, asked again until it answers.

A probe is asked in the container's own network, through sockets that were made there, so that no port is published and
a service that listens on its loopback alone is reached too.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from wherry.errors import InvalidUsage

_PORTS = {"http": 80, "https": 443, "tcp": 0, "tls": 443, "tls+plain": 0}
_LOOPBACK = {"": 4, "localhost": 4, "127.0.0.1": 4, "0.0.0.0": 4, "::1": 6, "::": 6}  # noqa: S104 - a name, bound by nobody
"""Hosts that mean the container itself, and their version of IP."""
_ADDRESSES = {4: "127.0.0.1", 6: "::1"}
_PATIENCE = 2.0
"""Seconds for one answer."""
PAUSE = 0.02
"""Seconds between two tries."""

NewSocket = Callable[[int], socket.socket]
"""Gives a TCP socket of IP version 4 or 6 in the container's network."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question."""

    text: str
    """As it was written."""
    scheme: str
    host: str
    version: int
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> "Probe":
        """Read `http://[HOST]:PORT/PATH`, `https://…`, `tcp://…` or `tls://[HOST]:PORT`; HOST is the container's own.

        `tls` asks for a server that refuses TLS 1.0 and 1.1; `tls+plain` lets it be one of something else too.

        Raises:
            InvalidUsage: it is none.
        """
        hint = "write it as http://localhost:8080/healthz, https://…, tcp://localhost:5432 or tls://localhost:8443"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise InvalidUsage(f"{text}: invalid probe", hint=hint) from None
        odd = parts.username or not parts.netloc or port == 0 or any(char <= " " for char in text)
        if parts.scheme not in _PORTS or odd:
            raise InvalidUsage(f"{text}: invalid probe", hint=hint)
        if host not in _LOOPBACK:
            raise InvalidUsage(
                f"{text}: a probe is asked inside the container, which is localhost there",
                hint=f"write it as {parts.scheme}://localhost:{port or 8080}{parts.path}",
            )
        if not (port := port or _PORTS[parts.scheme]):
            raise InvalidUsage(f"{text}: a port is missing", hint=hint)
        if not parts.scheme.startswith("http") and (parts.path not in ("", "/") or parts.query):
            raise InvalidUsage(f"{text}: a {parts.scheme} probe has no path", hint=f"remove {parts.path}{parts.query}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(text, parts.scheme, host or "localhost", _LOOPBACK[host], port, path)


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came of a probe in the end."""

    probe: Probe
    answered: bool
    text: str
    """The last answer, or why there was none."""
    tries: int


@dataclass(slots=True)
class Asking:
    """A probe that is being asked, in a thread of its own."""

    probe: Probe
    new_socket: NewSocket
    done: Callable[[], None]
    """Called, in that thread, once it is answered."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _answered: bool = False
    _final: bool = False
    _text: str = "not asked"
    _tries: int = 0

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def answer(self) -> ProbeAnswer:
        """Wait for the question that is under way, and give what came of it."""
        if self._thread is not None:
            self._thread.join(2 * _PATIENCE)
        return ProbeAnswer(self.probe, self._answered, self._text, self._tries)

    @property
    def answered(self) -> bool:
        """Whether there was a good answer."""
        return self._answered

    @property
    def over(self) -> bool:
        """Whether no other answer will come: there was a good one, or one that asking again won't change."""
        return self._answered or self._final

    def _ask(self) -> None:
        while not self._stop.is_set():
            self._tries += 1
            try:
                if self.probe.scheme.startswith("tls"):
                    self._answered, self._text = self._floor()
                else:
                    with self.new_socket(self.probe.version) as opened:
                        self._answered, self._text = _asked(self.probe, opened)
            except (OSError, http.client.HTTPException) as error:
                self._text = _reason(error)
            if self.over:
                self.done()
                return
            self._stop.wait(PAUSE)

    def _floor(self) -> tuple[bool, str]:
        """Try handshakes of all versions of TLS."""
        from wherry.runtime.trace.tls import tls_floor

        floor = tls_floor(self._connected, self.probe.host)
        if floor.old:
            self._final = True
            return False, f"accepts {' and '.join(floor.old)}"
        if floor.speaks:
            return True, f"accepts {' and '.join(floor.accepts)}; refuses {floor.refused}"
        return self.probe.scheme != "tls", "speaks no TLS"

    def _connected(self) -> socket.socket:
        opened = self.new_socket(self.probe.version)
        try:
            opened.settimeout(_PATIENCE)
            opened.connect((_ADDRESSES[self.probe.version], self.probe.port))
        except OSError:
            opened.close()
            raise
        return opened


def _asked(probe: Probe, opened: socket.socket) -> tuple[bool, str]:
    opened.settimeout(_PATIENCE)
    opened.connect((_ADDRESSES[probe.version], probe.port))
    if probe.scheme == "tcp":
        return True, "connected"
    if probe.scheme == "https":
        # The service is asked whether it answers, not who it is: its certificate names no container.
        opened = ssl._create_unverified_context().wrap_socket(opened, server_hostname=probe.host)  # noqa: S323, SLF001
    connection = http.client.HTTPConnection(probe.host, probe.port)
    connection.sock = opened
    connection.request("GET", probe.path, headers={"User-Agent": "wherry-probe", "Connection": "close"})
    status = connection.getresponse().status
    connection.close()
    good = HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST
    return good, f"status {status}"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_PATIENCE:g} s"
    if isinstance(error, http.client.HTTPException):
        return "the answer is not HTTP"
    return getattr(error, "strerror", None) or str(error)
