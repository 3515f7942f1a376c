"""Engines as dockerd is one, for tests that load images."""

import contextlib
import io
import json
import socket
import socketserver
import ssl
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from wherry.daemon.endpoint import Endpoint


class Engine:
    """Answers as dockerd does, and keeps the archives it is given."""

    def __init__(
        self,
        version: str = "27.0.1",
        arch: str = "amd64",
        refusal: str = "",
        limit: int = 1 << 40,
        *,
        containerd: bool = False,
    ) -> None:
        self.version, self.arch, self.refusal = version, arch, refusal
        self.limit = limit
        """Bytes of an archive after which it refuses without reading on."""
        self.driver_status = [["Backing Filesystem", "extfs"]]
        if containerd:
            self.driver_status = [["driver-type", "io.containerd.snapshotter.v1"]]
        self.archives: list[bytes] = []
        self.saved: dict[str, bytes] = {}
        """What it gives as archives, by name as a URL has it."""


def _facts(engine: Engine, path: str) -> object:
    """Answer `GET /info` and `GET /version`."""
    if path == "/info":
        return {"DriverStatus": engine.driver_status}
    return {"Version": engine.version, "Os": "linux", "Arch": engine.arch}


def _save(handler: BaseHTTPRequestHandler, engine: Engine) -> None:
    """Answer `GET /images/{name}/get`."""
    archive = engine.saved.get(handler.path.removeprefix("/images/").removesuffix("/get"))
    body = b'{"message": "No such image"}' if archive is None else archive
    handler.send_response(404 if archive is None else 200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: engine.limit])
    handler.close_connection = True


@contextlib.contextmanager
def running(engine: Engine, folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Serve until the block ends: on a socket in the folder, or by TLS on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.startswith("/images/"):
                _save(self, engine)
            else:
                self._answer(_facts(engine, self.path))

        def do_POST(self) -> None:
            taken = bytearray()
            while size := int(self.rfile.readline(), 16):
                taken += self.rfile.read(size)
                self.rfile.readline()
                if len(taken) > engine.limit:
                    self._answer({"message": engine.refusal}, 500)
                    return
            engine.archives.append(bytes(taken))
            self._answer({"error": engine.refusal} if engine.refusal else {"stream": "Loaded image"})

        def _answer(self, document: object, status: int = 200) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def get_request(server: socketserver.TCPServer) -> tuple[socket.socket, object]:
        connection, address = socketserver.TCPServer.get_request(server)
        return tls.wrap_socket(connection, server_side=True) if tls else connection, address

    base = socketserver.TCPServer if tls else socketserver.UnixStreamServer
    kind = type("Server", (socketserver.ThreadingMixIn, base), {"daemon_threads": True, "get_request": get_request})
    with kind(("127.0.0.1", 0) if tls else str(folder / "d.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Endpoint(f"tcp://127.0.0.1:{server.server_address[1]}" if tls else f"unix://{folder}/d.sock")
        finally:
            server.shutdown()
            thread.join()


def names_in(archive: bytes) -> list[object]:
    """Read what `docker load` reads first."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.extractfile("manifest.json")
        assert member
        return json.load(member)
