"""The board for a browser on this machine: loopback only, one page, nothing else."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wherry.errors import HostUnable, WherryError

_ADDRESS = "127.0.0.1"


def serve(page: Callable[[], bytes], port: int, ready: Callable[[str], object]) -> None:
    """Serve the page until the process is interrupted.

    Args:
        page: makes it, for each visit.
        port: of 127.0.0.1; 0: a free one.
        ready: is given the address once it can be visited.

    Raises:
        HostUnable: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((_ADDRESS, port), _handler(page))
    except OSError as error:
        raise HostUnable(
            f"{_ADDRESS}:{port}: {error.strerror or error}", hint="choose another port with --port, or leave it out"
        ) from error
    with server:
        ready(f"http://{_ADDRESS}:{server.server_address[1]}/")
        server.serve_forever()


def _handler(page: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD of `/`, where the browser was sent to this address and by no other name."""

        server_version = "wherry"
        sys_version = ""

        def do_GET(self) -> None:
            """Give the page."""
            self._answer(body=True)

        def do_HEAD(self) -> None:
            """Give what stands before the page."""
            self._answer(body=False)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, *, body: bool) -> None:
            own = {f"{name}:{self.server.server_address[1]}" for name in (_ADDRESS, "localhost")}  # type: ignore[index] # it is a pair
            if self.headers.get("Host") not in own:  # another site's name that resolves to this machine
                self.send_error(HTTPStatus.FORBIDDEN)
                return
            if self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            try:
                made = page()
            except WherryError as error:
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=error.message)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(made)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("X-Frame-Options", "DENY")
            self.end_headers()
            if body:
                self.wfile.write(made)

    return Handler
