"""Metrics over HTTP for Prometheus: one page of text, and whether the process is well."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from wherry.errors import HostUnable, InvalidUsage

_PATIENCE: Final = 10.0
"""Seconds that a client may take for its request."""
_KIND: Final = "text/plain; version=0.0.4; charset=utf-8"


def listen_address(words: str) -> tuple[str, int]:
    """Read HOST:PORT, such as 127.0.0.1:9477, [::1]:9477 or 0.0.0.0:9477.

    Raises:
        InvalidUsage: it is none.
    """
    host, colon, port = words.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise InvalidUsage(f"--listen {words}: not an address", hint="write HOST:PORT, such as 127.0.0.1:9477")
    return host, int(port)


@contextmanager
def metrics_server(address: tuple[str, int], page: Callable[[], str], well: Callable[[], bool]) -> Iterator[str]:
    """Serve `/metrics` and `/healthz` until the block ends; gives the URL of the metrics.

    Args:
        address: where to listen; port 0 is a free one.
        page: writes the metrics, for each request; called from other threads.
        well: whether `/healthz` says that all is well.

    Raises:
        HostUnable: the address can't be listened at.
    """
    import socket

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        server = Server(address, _handler(page, well))
    except OSError as error:
        raise HostUnable(
            f"{shown}:{address[1]}: {error.strerror or error}", hint="choose another address with --listen"
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://{shown}:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()


def _handler(page: Callable[[], str], well: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD of two paths."""

        server_version = "wherry"
        sys_version = ""
        timeout = _PATIENCE

        def do_GET(self) -> None:
            """Give the page."""
            self._answer(body=True)

        def do_HEAD(self) -> None:
            """Give what stands before the page."""
            self._answer(body=False)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                status, text = HTTPStatus.OK, page()
            elif path == "/healthz":
                fine = well()
                status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
                text = "ok\n" if fine else "the API server does not answer\n"
            else:
                status, text = HTTPStatus.NOT_FOUND, "not found: /metrics and /healthz are\n"
            made = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", _KIND)
            self.send_header("Content-Length", str(len(made)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if body:
                self.wfile.write(made)

    return Handler
