"""Handshakes by hand: what a server says to each version of TLS; a real server is in tests/cli/test_profile.py."""

import socket
import ssl
import threading

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.trace.tls import NEW, OLD, TLS10, TLS12, TLS13, client_hello, read_answer, tls_floor


@given(st.binary(max_size=300))
def test_any_answer_is_read(record):
    """Whatever a server sends, there is an answer and no error."""
    answer = read_answer(record)

    assert bool(answer.version) != bool(answer.words)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"", "the connection was closed"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "alert 70 (protocol version)"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request", "the answer is not TLS"),
    ],
)
def test_refusals(record, words):
    """They are told apart."""
    assert read_answer(record).words == words


@pytest.mark.parametrize("version", [*OLD, *NEW])
def test_it_offers_one_version(version):
    """The record is whole, and names a version that is offered alone."""
    hello = client_hello(version, "localhost")

    assert hello[:3] == b"\x16\x03\x01"
    assert int.from_bytes(hello[3:5], "big") == len(hello) - 5
    assert int.from_bytes(hello[9:11], "big") == min(version, TLS12)
    assert (b"\x00\x2b\x00\x03\x02\x03\x04" in hello) == (version == TLS13)


def served(answers: int, serve) -> tuple[str, int]:
    """Serve some connections one after the other; give the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener:
            for _ in range(answers):
                opened, _ = listener.accept()
                with opened:
                    serve(opened)

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()


def floor_of(address: tuple[str, int]):
    """Ask a server."""
    return tls_floor(lambda: socket.create_connection(address, timeout=5), "localhost")


def test_openssl(tmp_path):
    """A server of 1.2 and 1.3, by another implementation than Go's, refuses the old ones."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def handshake(opened: socket.socket) -> None:
        try:
            context.wrap_socket(opened, server_side=True).close()
        except OSError:
            return

    floor = floor_of(served(4, handshake))

    assert floor.accepts == ("TLS 1.2", "TLS 1.3")
    assert not floor.old
    assert "TLS 1.0 (alert " in floor.refused  # which alert depends on the release of OpenSSL


def test_one_that_accepts_all():
    """A ServerHello of an old version is an acceptance, whoever sends it."""
    hello = bytes([22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1]) + bytes(33) + b"\x00\x2f\x00"

    def old(opened: socket.socket) -> None:
        opened.recv(1 << 12)
        opened.sendall(hello)

    floor = floor_of(served(4, old))

    assert floor.old == ("TLS 1.0",)
    assert read_answer(hello).version == TLS10


def test_plain():
    """A server of something else speaks no TLS."""

    def greet(opened: socket.socket) -> None:
        opened.sendall(b"220 ready\r\n")

    assert not floor_of(served(4, greet)).speaks
