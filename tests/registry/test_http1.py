"""HTTP/1.1 as servers speak it, and as those do that mean harm."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.registry.http1 import BadAnswer, Connection, FileBody, Response


class Script:
    """The other end: it says what it is told to, some bytes at a time, and keeps what it hears."""

    def __init__(self, said: bytes, step: int = 1 << 20) -> None:
        self.heard = b""
        self.closed = False
        self._said = said
        self._step = step

    def sendall(self, data: bytes, /) -> None:
        """Hear."""
        self.heard += data

    def recv(self, size: int, /) -> bytes:
        """Say the next bytes."""
        part = self._said[: min(size, self._step)]
        self._said = self._said[len(part) :]
        return part

    def fileno(self) -> int:
        """Have none."""
        return -1

    def gettimeout(self) -> float:
        """Wait for nothing."""
        return 0.0

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def answered(said: bytes, method: str = "GET", step: int = 1 << 20) -> tuple[Response, Script]:
    """Ask a script; give its answer."""
    script = Script(said, step)
    return Connection(script, "h:1").send(method, "/v2/", {"User-Agent": "t"}, None), script


def whole(answer: Response) -> bytes:
    """Read a body to its end."""
    return b"".join(iter(lambda: answer.read(5), b""))


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n"


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("said", "method", "body", "again"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", "GET", b"hello", True),
        (OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", "GET", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", "GET", b"", True),
        (OK + b"\r\nhello", "GET", b"hello", False),
        (OK + b"Content-Length: 5\r\n\r\n", "HEAD", b"", True),
        (b"HTTP/1.1 204\r\nContent-Length: 9\r\n\r\n", "GET", b"", True),
        (CHUNKED + b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n", "GET", b"hello", True),
        (OK + b"Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nhello", "GET", b"hello", False),
        (EARLY + OK + b"Content-Length: 0\r\n\r\n", "GET", b"", True),
        (OK + b"Content-Length: 5, 5\r\ncontent-length: 5\r\n\r\nhello", "GET", b"hello", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "GET", b"hi", True),
    ],
)  # fmt: skip
def test_bodies_and_their_ends(said: bytes, method: str, body: bytes, again: bool, step: int):  # noqa: FBT001 - a table
    """Whatever pieces it comes in; the connection is given back where another request may follow."""
    answer, script = answered(said, method, step)
    given_back: list[Connection] = []
    answer.released = given_back.append

    assert whole(answer) == body
    answer.finish(0)

    assert bool(given_back) == again
    assert script.closed != again


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n", OK + b"no colon\r\n\r\n", OK + b": none\r\n\r\n", OK + b" folded: x\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n", OK + b"A: " + b"x" * 200_000, OK + b"A: b\r\n" * 20_000,
        OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"xyz\r\n",
        CHUNKED + b"-1\r\n", CHUNKED + b"5\r\nhel",
        CHUNKED + b"1\r\nhello\r\n", CHUNKED + b"f" * 99 + b"\r\n",
        CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000,
    ],
)  # fmt: skip
def test_what_is_no_answer(said: bytes):
    """It ends the connection, and is not believed."""
    script = Script(said)
    with pytest.raises(BadAnswer):
        whole(Connection(script, "h").send("GET", "/", {}, None))

    assert script.closed


@given(said=st.binary(max_size=200), method=st.sampled_from(["GET", "HEAD"]), step=st.integers(1, 40))
def test_any_bytes(said: bytes, method: str, step: int):
    """They are an answer or none; nothing else goes wrong."""
    try:
        answer, _ = answered(OK + said, method, step)
        whole(answer)
    except BadAnswer:
        return
    answer.finish(100)


def test_a_request():
    """Its fields, its length, and a target with what may not be in one."""
    answer, script = answered(OK + b"Content-Length: 0\r\nA: 1\r\na: 2\r\n\r\n")
    assert answer.headers["A"] == "1, 2"
    assert script.heard == b"GET /v2/ HTTP/1.1\r\nHost: h:1\r\nAccept-Encoding: identity\r\nUser-Agent: t\r\n\r\n"

    script = Script(OK + b"\r\n")
    Connection(script, "h").send("POST", "/a b\r\n?x=\u00e9%20", {}, b"")
    assert script.heard.startswith(b"POST /a%20b%0D%0A?x=%C3%A9%20 HTTP/1.1\r\n")
    assert b"Content-Length: 0\r\n" in script.heard


@pytest.mark.parametrize("headers", [{"A": "x\r\nB: y"}, {"A\nB": "y"}, {"A": "\0"}])
def test_no_field_brings_another(headers: dict[str, str]):
    """What a registry gave, such as a token, can't add fields to a request."""
    script = Script(OK + b"\r\n")
    with pytest.raises(ValueError, match="line break"):
        Connection(script, "h").send("GET", "/", headers, None)
    assert script.heard == b""


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def test_a_file_is_sent_by_the_system(tmp_path: Path):
    """All of it arrives, however slowly it is taken; none of it is read here."""
    content = os.urandom(5 << 20)
    (tmp_path / "blob").write_bytes(content)
    sent: list[int] = []

    def unread(_: int) -> Iterator[bytes]:
        raise AssertionError("it was read")

    with pair() as (ours, theirs):
        heard = bytearray()

        def listen() -> None:
            while not heard.endswith(content[-1000:]):
                heard.extend(theirs.recv(50_000))
            theirs.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        listener = threading.Thread(target=listen)
        listener.start()
        body = FileBody(str(tmp_path / "blob"), len(content), unread, sent.append)
        connection = Connection(ours, "h")
        answer = connection.send("PUT", "/", {"Content-Length": str(len(content))}, body)
        listener.join()
        connection.close()

    assert answer.status == 201
    assert bytes(heard).endswith(b"\r\n\r\n" + content)
    assert sum(sent) == len(content)


def test_a_file_that_became_shorter(tmp_path: Path):
    """The connection ends, so that no registry takes what came for all of it."""
    (tmp_path / "blob").write_bytes(b"x" * 10)
    with pair() as (ours, _):
        connection = Connection(ours, "h")
        with pytest.raises(OSError, match="shorter"):
            connection.send(
                "PUT", "/", {"Content-Length": "11"}, FileBody(str(tmp_path / "blob"), 11, iter, lambda _: None)
            )
        assert connection.closed


def test_an_answer_to_half_a_body():
    """A server that refuses and hangs up is heard, and the connection is not used again."""
    with pair() as (ours, theirs):

        def body() -> Iterator[bytes]:
            yield b"x"
            theirs.recv(1000)
            theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            theirs.close()
            yield from (b"x" * 1000 for _ in range(100))

        connection = Connection(ours, "h")
        answer = connection.send("PUT", "/", {"Content-Length": "100001"}, body())
        assert (answer.status, whole(answer)) == (413, b"no")
        answer.finish(100)
        assert connection.closed


def test_an_idle_connection_that_ended():
    """It is known before it is used again, as is one that says more than it was asked."""
    for harm in (b"", b"HTTP/1.1 408 x\r\n\r\n"):
        with pair() as (ours, theirs):
            connection = Connection(ours, "h")
            assert connection.is_idle()
            theirs.sendall(harm)
            theirs.close()
            assert not connection.is_idle()
            connection.close()
