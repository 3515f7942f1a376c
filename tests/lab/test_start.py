"""Programs started until they listen or end."""

import os
import socket
import subprocess
import sys
import textwrap

import pytest

from wherry.lab.start import DidNotStart, listens, start

LISTEN = """
import socket, time
time.sleep(0.2)
with socket.create_server(("127.0.0.1", 0)):
    time.sleep(60)
"""
SERVE = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def python(text: str, *arguments: str) -> list[str]:
    """Write a program down as Python."""
    return [sys.executable, "-c", textwrap.dedent(text), *arguments]


@pytest.mark.slow
def test_until_it_listens(tmp_path):
    """The time is that of the first socket that listens; then it has memory, and it is ended."""
    found = start(python(LISTEN), os.environ, tmp_path)

    assert found.listened
    assert 0.2 < found.seconds < 10
    assert found.pss > 1_000_000
    assert 0 < found.private <= found.pss
    assert found.cpu > 0


@pytest.mark.slow
def test_until_it_answers(tmp_path):
    """Where an address is named, its answer counts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    found = start(python(SERVE, str(port)), os.environ, tmp_path, ready=f"http://127.0.0.1:{port}/")

    assert found.listened


def test_until_it_ends(tmp_path):
    """A program that ends by itself is timed to its end."""
    found = start(["/bin/true"], os.environ, tmp_path)

    assert not found.listened
    assert found.pss == 0


def test_what_did_not_start(tmp_path):
    """An error is told with its last words; so is one that does nothing."""
    with pytest.raises(DidNotStart, match="no such flag"):
        start(["/bin/sh", "-c", "echo no such flag; exit 3"], os.environ, tmp_path)
    with pytest.raises(DidNotStart, match="neither listened nor ended"):
        start(["/bin/sleep", "30"], os.environ, tmp_path, patience=0.1)


def test_others_sockets_do_not_count():
    """A socket that somebody else listens on is not the process's own."""
    with socket.create_server(("127.0.0.1", 0)):
        assert listens(os.getpid())
    with subprocess.Popen(["/bin/sleep", "5"]) as child, socket.create_server(("127.0.0.1", 0)):
        assert not listens(child.pid)
        child.kill()
