"""Programs started until they listen or end."""

import os
import select
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from needs import need
from wherry.lab.listening import asked, listens, tabled
from wherry.lab.start import DidNotStart, start

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


def test_what_answers_already(tmp_path):
    """A server that was there before would be timed in the program's place."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        thread = threading.Thread(target=answer_once, args=(other,))
        thread.start()

        with pytest.raises(DidNotStart, match="before the program is started"):
            start(["/bin/true"], os.environ, tmp_path, ready=f"http://127.0.0.1:{port}/")
        thread.join()


def answer_once(server: socket.socket) -> None:
    """Answer one request, whatever it is."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.slow
def test_what_it_started_is_ended_too(tmp_path):
    """A child that outlives its parent would hold the port that the next run needs."""
    start(["/bin/sh", "-c", "sleep 300 & echo $! > child"], os.environ, tmp_path)

    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/status")
    assert not status.exists() or "zombie" in status.read_text() or gone(child)


def gone(pid: int) -> bool:
    """Wait until a process that was sent a signal has ended."""
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(pid)], [], [], 10)[0]
    return not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text()


def test_until_it_ends(tmp_path):
    """A program that ends by itself is timed to its end."""
    found = start(["/bin/true"], os.environ, tmp_path)

    assert not found.listened
    assert found.pss == 0


def test_what_did_not_start(tmp_path):
    """An error is told with its last words; so is one that does nothing."""
    with pytest.raises(DidNotStart, match="no such flag"):
        start(["/bin/sh", "-c", "echo no such flag; exit 3"], os.environ, tmp_path)
    with pytest.raises(DidNotStart, match="neither listened nor exited"):
        start(["/bin/sleep", "30"], os.environ, tmp_path, patience=0.1)


def test_others_sockets_do_not_count():
    """A socket that somebody else listens on is not the process's own."""
    with socket.create_server(("127.0.0.1", 0)):
        assert listens(os.getpid())
    with subprocess.Popen(["/bin/sleep", "5"]) as child, socket.create_server(("127.0.0.1", 0)):
        assert not listens(child.pid)
        child.kill()


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_says_what_its_tables_say(family, address):
    """By sock_diag as by net/tcp, of both families; a socket that is only bound or connected does not count."""
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"{address} is not here")
    with server, socket.socket(family) as bound, socket.create_connection(server.getsockname()[:2]) as connected:
        bound.bind((address, 0))
        inode, others = inode_of(server), {inode_of(bound), inode_of(connected)}
        said, tables = asked(), tabled(os.getpid())

    assert inode in said
    assert inode in tables
    assert others.isdisjoint(said | tables)


def inode_of(of: socket.socket) -> int:
    """Give a socket's inode."""
    return os.fstat(of.fileno()).st_ino


@pytest.mark.slow
def test_a_look_is_short(tmp_path):
    """It is taken again and again while a program starts; reading net/tcp takes up to 9 ms, longer than the start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        looks = []
        for _ in range(20):
            began = time.perf_counter()
            assert inode_of(server) in asked()
            looks.append(time.perf_counter() - began)

    assert min(looks) < 0.002


@pytest.mark.slow
def test_pages_of_the_file_are_not_its_own(tmp_path):
    """A program whose file is in memory, or waits for the disk, has written no more than one that is on it."""
    on_disk = listener(tmp_path)
    with on_disk.open("rb") as file:
        os.fsync(file.fileno())
    written = start([str(on_disk)], os.environ, tmp_path)
    with in_memory(on_disk) as program:
        waits = start([str(program)], os.environ, tmp_path)

    assert 0.7 < waits.private / written.private < 1.4


def listener(folder: Path) -> Path:
    """Link a program of some megabytes that listens."""
    (folder / "main.go").write_text(
        'package main\n\nimport "net/http"\n\nfunc main() { http.ListenAndServe("127.0.0.1:0", nil) }\n'
    )
    words = [need("go"), "build", "-o", "listener", "main.go"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GO111MODULE": "off"}
    subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=True)
    return folder / "listener"


@contextmanager
def in_memory(program: Path) -> Iterator[Path]:
    """Copy a program to where every page waits for ever."""
    try:
        folder = TemporaryDirectory(dir="/dev/shm")
    except OSError:
        pytest.skip("no /dev/shm")
    with folder as name:
        yield Path(shutil.copy(program, name))
