"""The client's end of a WebSocket, against bytes of a server."""

import base64
import hashlib
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cluster.websocket import WebSocket, WebSocketRefused

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Server:
    """Answers the switch, then gives what it was given, in pieces."""

    def __init__(self, then: bytes, piece: int = 3, status: int = 101) -> None:
        self.sent, self._then, self._piece, self._status = b"", then, piece, status
        self._answer = b""

    def sendall(self, data: bytes, /) -> None:
        """Take what the client sends."""
        self.sent += data
        if key := re.search(rb"Sec-WebSocket-Key: (\S+)", data):
            accepted = base64.b64encode(hashlib.sha1(key[1] + MAGIC).digest())  # noqa: S324 - the protocol's own
            head = b"HTTP/1.1 %d Switching\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: v5\r\n\r\n"
            self._answer = head % (self._status, accepted) + self._then

    def recv(self, _size: int, /) -> bytes:
        """Give the next piece."""
        chunk, self._answer = self._answer[: self._piece], self._answer[self._piece :]
        return chunk


def opened(server: Server) -> WebSocket:
    """Switch."""
    return WebSocket(server, "host", "/attach?x=1", {"Authorization": "Bearer t"}, "v5, v4")


def test_messages():
    """Frames of all lengths and in pieces; pings are answered, the end is None."""
    long = b"x" * 70000
    frames = (
        b"\x82\x02hi" + b"\x02\x01a" + b"\x89\x01p" + b"\x80\x01b" + b"\x82\x7f" + len(long).to_bytes(8, "big") + long
    )
    server = Server(frames + b"\x82\x7e\x00\x80" + b"y" * 128 + b"\x88\x00")

    socket = opened(server)

    assert [socket.receive() for _ in range(5)] == [b"hi", b"ab", long, b"y" * 128, None]
    assert b"Authorization: Bearer t\r\n" in server.sent
    assert socket.protocol == "v5"


@given(st.binary(max_size=70000))
def test_what_is_sent_is_masked(payload):
    """Masked, as a client must, and whole."""
    server = Server(b"")
    socket = opened(server)
    server.sent = b""

    socket.send(payload)

    sent, size = server.sent, server.sent[1] & 0x7F
    at = 2 + (2 if size == 126 else 8 if size == 127 else 0)
    mask, masked = sent[at : at + 4], sent[at + 4 :]
    assert sent[0] == 0x82
    assert sent[1] & 0x80
    assert bytes(letter ^ mask[place % 4] for place, letter in enumerate(masked)) == payload


@pytest.mark.parametrize("then", [b"\xc2\x01a", b"\x82\x81aaaab", b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_bad_frames(then):
    """Reserved bits, a masked frame, a length beyond all measure."""
    with pytest.raises(WebSocketRefused):
        opened(Server(then)).receive()


def test_no_switch():
    """A server that answers with something else is quoted."""
    with pytest.raises(WebSocketRefused) as caught:
        opened(Server(b"no container", status=400))

    assert caught.value.status == 400
    assert "no container" in caught.value.message or "HTTP 400" in caught.value.message


@given(st.binary(max_size=300))
def test_any_bytes(then):
    """Whatever comes: messages, an end, or an error of ours."""
    socket = opened(Server(then, piece=50))
    with suppress(WebSocketRefused):
        while socket.receive() is not None:
            pass
