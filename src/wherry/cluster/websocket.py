"""The client's end of a WebSocket, as far as a Kubernetes API server needs it.

Source: RFC 6455, sections 4.1, 5.2 and 5.3.
"""

import base64
import hashlib
import os
import socket
from collections.abc import Mapping
from typing import Protocol

from wherry.errors import HostUnable

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LARGEST = 16 << 20
_LARGEST_HEAD = 64 << 10
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_CONTROL = 8
_SHORT, _SHORT_LENGTH, _LONG_LENGTH = 126, 126, 127
_SWITCHING = 101


class Stream(Protocol):
    """A socket, with TLS or without."""

    def recv(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Write all of it."""


class WebSocketRefused(HostUnable):
    """The server did not switch protocols."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class WebSocket:
    """A connection that was switched; messages come whole."""

    def __init__(self, stream: Stream, host: str, path: str, headers: Mapping[str, str], protocols: str) -> None:
        """Switch.

        Args:
            stream: connected.
            host: as the Host header has it.
            path: with its query.
            headers: more of them.
            protocols: that are offered, best first.

        Raises:
            WebSocketRefused: the server answers with something else.
        """
        self._stream = stream
        self._left = b""
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key.decode()}", f"Sec-WebSocket-Protocol: {protocols}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]  # fmt: skip
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        status, fields = self._head()
        accepted = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()  # noqa: S324 - the protocol's own
        if status != _SWITCHING or fields.get("sec-websocket-accept") != accepted:
            text = self._left[:500].decode(errors="replace").strip()
            raise WebSocketRefused(f"{host}: HTTP {status}, no WebSocket: {text}", status=status)
        self.protocol = fields.get("sec-websocket-protocol", "")

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._send(_BINARY, message)

    def close(self) -> None:
        """Say that it is over."""
        self._send(_CLOSE, b"\x03\xe8")

    def receive(self) -> bytes | None:
        """Give the next message; None at the end.

        Raises:
            WebSocketRefused: what comes is no WebSocket, or a message is too large.
        """
        whole = b""
        while True:
            frame = self._frame()
            if frame is None:
                return None
            last, kind, payload = frame
            if kind == _CLOSE:
                return None
            if kind == _PING:
                self._send(_PONG, payload)
            if kind >= _CONTROL:
                continue
            whole += payload
            if len(whole) > _LARGEST:
                raise WebSocketRefused(f"a message of more than {_LARGEST} bytes")
            if last:
                return whole

    def _frame(self) -> tuple[bool, int, bytes] | None:
        head = self._exactly(2)
        if head is None:
            return None
        length = head[1] & 0x7F
        if head[0] & 0x70 or head[1] & 0x80:
            raise WebSocketRefused("the server sent a frame that no server may send")
        if length >= _SHORT:
            more = self._exactly(2 if length == _SHORT_LENGTH else 8)
            if more is None:
                return None
            length = int.from_bytes(more, "big")
        if length > _LARGEST:
            raise WebSocketRefused(f"a message of more than {_LARGEST} bytes")
        payload = self._exactly(length)
        return None if payload is None else (bool(head[0] & 0x80), head[0] & 0xF, payload)

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((0x80 | kind,))
        if size < _SHORT:
            head += bytes((0x80 | size,))
        elif size < 1 << 16:
            head += bytes((0x80 | _SHORT_LENGTH,)) + size.to_bytes(2, "big")
        else:
            head += bytes((0x80 | _LONG_LENGTH,)) + size.to_bytes(8, "big")
        mask = os.urandom(4)
        whole = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        self._stream.sendall(head + mask + whole.to_bytes(size, "big"))

    def _exactly(self, size: int) -> bytes | None:
        while len(self._left) < size:
            try:
                chunk = self._stream.recv(1 << 16)
            except (ConnectionResetError, socket.timeout):  # noqa: UP041 - its old name too
                chunk = b""
            if not chunk:
                return None
            self._left += chunk
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def _head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._left:
            chunk = self._stream.recv(1 << 16) if len(self._left) < _LARGEST_HEAD else b""
            if not chunk:
                raise WebSocketRefused("the server hung up")
            self._left += chunk
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        first, *lines = head.decode(errors="replace").split("\r\n")
        words = first.split()
        fields = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0, fields
