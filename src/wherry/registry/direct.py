"""Connections to one host without a proxy: made, kept while nothing is asked, and used again."""

import _socket
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from wherry.registry.errors import RegistryError
from wherry.registry.http1 import Connection
from wherry.registry.pools import PORTS, RawAnswer, Waits, reason, untrusted

if TYPE_CHECKING:
    import ssl


class DirectPool:
    """Connections to one host without a proxy; safe to use from any thread."""

    def __init__(self, host: str, port: int, context: "ssl.SSLContext | None", kept: int, waits: Waits) -> None:
        """Take the place; nothing is connected yet.

        Args:
            host: its name or address.
            port: its port.
            context: for TLS; None: plain HTTP.
            kept: connections that are kept open while nothing is asked.
            waits: how long to wait for the host.
        """
        self._waits = waits
        self._place = host, port
        self._context = context
        self._kept = kept
        self._idle: list[Connection] = []
        weakref.finalize(self, _close_all, self._idle)
        self._turn = threading.Lock()
        shown = f"[{host}]" if ":" in host else host
        self._shown = shown if port == PORTS["https" if context else "http"] else f"{shown}:{port}"

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> RawAnswer:
        """See `Pool.send`."""
        answer = self._connection().send(method, target, headers, body)
        answer.released = self._released
        return answer

    def close(self) -> None:
        """Close what is open and not in use."""
        with self._turn:
            _close_all(self._idle)

    def _connection(self) -> Connection:
        while True:
            with self._turn:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if connection.is_idle():
                return connection
            connection.close()  # the server ended it
        wire = _connected(*self._place, self._shown, self._waits)
        if self._context is None:
            return Connection(wire, self._shown)
        secured = _secured(wire, self._context, self._place[0], self._shown, self._waits.read)
        return Connection(secured, self._shown)

    def _released(self, connection: Connection) -> None:
        with self._turn:
            if len(self._idle) < self._kept:
                self._idle.append(connection)
                return
        connection.close()


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def _connected(host: str, port: int, shown: str, waits: Waits) -> _socket.socket:
    """Connect to the first address of a host that answers."""
    failed: OSError | None = None
    try:
        for family, kind, protocol, _, address in _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
            wire = _socket.socket(family, kind, protocol)
            try:
                wire.settimeout(waits.connect)
                wire.connect(address)
                wire.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
                wire.settimeout(waits.read)
            except OSError as error:
                wire.close()
                failed = error
            else:
                return wire
    except (OSError, UnicodeError) as error:
        failed = error if isinstance(error, OSError) else OSError("invalid name")
    if isinstance(failed, TimeoutError):
        raise failed
    raise RegistryError(
        f"{shown}: cannot connect: {reason(failed or OSError('no address'))}",
        hint="check the name, the network and HTTPS_PROXY",
    ) from failed


def _secured(wire: _socket.socket, context: "ssl.SSLContext", host: str, shown: str, read: float) -> "ssl.SSLSocket":
    import socket
    import ssl

    plain = socket.socket(fileno=wire.detach())
    plain.settimeout(read)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLError as error:
        plain.close()
        raise untrusted(shown, error) from error
    except BaseException:
        plain.close()
        raise
