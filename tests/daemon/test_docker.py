"""Daemons that take images: an engine of the test's own on a socket, and programs."""

import contextlib
import io
import json
import socketserver
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from small_images import AMD64, ARM64, put_image, put_index
from wherry.daemon.docker import SOCKET, endpoint, engine_at
from wherry.daemon.errors import NoDaemon, NotLoaded
from wherry.daemon.find import ByApi, find_daemon
from wherry.daemon.give import give
from wherry.host.process import Command, FakeRunner, Outcome
from wherry.image.recompress import recompress
from wherry.layer.compress import Encoding
from wherry.oci import media
from wherry.store.memory import MemoryStore


class Engine:
    """Answers as dockerd does, and keeps the archives it is given."""

    def __init__(self, version: str = "27.0.1", arch: str = "amd64", refusal: str = "") -> None:
        self.version, self.arch, self.refusal = version, arch, refusal
        self.archives: list[bytes] = []


@contextlib.contextmanager
def running(engine: Engine, folder: Path) -> Iterator[str]:
    """Serve on a socket until the block ends; give DOCKER_HOST."""

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer({"Version": engine.version, "Os": "linux", "Arch": engine.arch})

        def do_POST(self) -> None:
            taken = bytearray()
            while size := int(self.rfile.readline(), 16):
                taken += self.rfile.read(size)
                self.rfile.readline()
            engine.archives.append(bytes(taken))
            self._answer({"error": engine.refusal} if engine.refusal else {"stream": "Loaded image"})

        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    path = folder / "d.sock"
    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


def names_in(archive: bytes) -> list[object]:
    """Read what `docker load` reads first."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.extractfile("manifest.json")
        assert member
        return json.load(member)


def test_takes_the_engines_platform(tmp_path):
    """Of several platforms, one is loaded, under its name."""
    store, engine = MemoryStore(), Engine(arch="arm64")
    root = put_index(store)

    with running(engine, tmp_path) as host:
        (given,) = give(ByApi(engine_at(host), None), store, {"api:dev": root}, AMD64)

    assert [entry["RepoTags"] for entry in names_in(engine.archives[0])] == [["api:dev"]]
    assert str(ARM64) in given.notices[0]


@pytest.mark.parametrize(
    ("version", "media_type"), [("20.10.24", media.OCI_LAYER_GZIP), ("23.0.0", media.OCI_LAYER_ZSTD)]
)
def test_old_engines_get_gzip(tmp_path, version, media_type):
    """Docker unpacks zstd since 23; an older one gets the layers encoded anew, and the user is told."""
    store, engine = MemoryStore(), Engine(version)
    root = recompress(put_image(store), store, store, Encoding.default("zstd"))

    with running(engine, tmp_path) as host:
        (given,) = give(ByApi(engine_at(host), None), store, {"api:dev": root}, AMD64)

    assert media_type.encode() in engine.archives[0]
    assert bool(given.notices) == (media_type == media.OCI_LAYER_GZIP)


def test_its_own_words(tmp_path):
    """What the engine says against an image is the error."""
    store = MemoryStore()

    with running(Engine(refusal="no space left on device"), tmp_path) as host, pytest.raises(NotLoaded) as caught:
        give(ByApi(engine_at(host), None), store, {"api:dev": put_image(store)}, AMD64)

    assert "no space left on device" in caught.value.message


def test_endpoint(tmp_path):
    """DOCKER_HOST, else the context in use, else the usual socket."""
    folder = tmp_path / "contexts/meta" / "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "tcp://there:2375"}}}))
    (tmp_path / "config.json").write_text('{"currentContext": "hello"}')

    assert endpoint({"DOCKER_HOST": "tcp://x:1"}, tmp_path) == "tcp://x:1"
    assert endpoint({}, tmp_path) == "tcp://there:2375"
    assert endpoint({"DOCKER_CONTEXT": "default"}, tmp_path) == SOCKET
    assert endpoint({}, tmp_path / "nowhere") == SOCKET


def test_programs(tmp_path):
    """Without a socket, a program on PATH takes the archive from a file."""
    store, seen = MemoryStore(), []

    def answer(command: Command) -> Outcome:
        seen.append((command.argv[1:-1], names_in(Path(command.argv[-1]).read_bytes())))
        return Outcome(0, b"", b"")

    (tmp_path / "nerdctl").write_text("")
    (tmp_path / "nerdctl").chmod(0o755)
    environment = {"PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_CONTEXT": "default"}
    if Path(SOCKET.removeprefix("unix://")).exists():
        pytest.skip("a Docker is running here")

    give(find_daemon(FakeRunner(answer), environment, tmp_path), store, {"api:dev": put_image(store)}, AMD64)

    assert seen[0][0] == ("load", "--input")
    assert seen[0][1][0]["RepoTags"] == ["api:dev"]


@pytest.mark.parametrize(
    "host", ["unix:///nowhere/d.sock", "tcp://127.0.0.1:1", "ssh://there", "npipe://x", "tcp://x:y"]
)
def test_nobody(tmp_path, host):
    """A daemon that was named and isn't there is an error; no other is taken in its place."""
    with pytest.raises(NoDaemon) as caught:
        find_daemon(FakeRunner(lambda _: Outcome(0, b"", b"")), {"DOCKER_HOST": host, "PATH": "/usr/bin"}, tmp_path)

    assert host in caught.value.message
    assert caught.value.hint


def test_somebody_else(tmp_path):
    """What answers and is no engine is said to be none."""
    with running(Engine(version=""), tmp_path) as host:
        engine = engine_at(host)
    assert engine.takes_zstd is False
