"""The board for a browser on this machine: loopback only, one page, nothing else."""

import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wherry.errors import HostUnable, WherryError

_ADDRESS = "127.0.0.1"
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
"""Names that no other site has; the port may be that of a tunnel, such as `ssh -L 8000:127.0.0.1:PORT`."""
_SAID: dict[int, str] = {
    HTTPStatus.FORBIDDEN: "the board answers to 127.0.0.1 and localhost only",
    HTTPStatus.NOT_FOUND: "there is one page, the board: /",
    HTTPStatus.NOT_IMPLEMENTED: "the board answers GET and HEAD",
}


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
        server = ThreadingHTTPServer((_ADDRESS, port), partial(_BoardHandler, page))
    except OSError as error:
        raise HostUnable(
            f"{_ADDRESS}:{port}: {error.strerror or error}", hint="choose another port with --port, or leave it out"
        ) from error
    with server:
        ready(f"http://{_ADDRESS}:{server.server_address[1]}/")
        server.serve_forever()


class _BoardHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of `/`, where the browser was sent to this address and by no other name."""

    server_version = "wherry"
    sys_version = ""

    def __init__(self, page: Callable[[], bytes], *connection: Any) -> None:
        """Take what makes the page, and a connection, which is answered at once."""
        self._page = page
        super().__init__(*connection)

    def do_GET(self) -> None:
        """Give the page."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Give what stands before the page."""
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in one line of text what is wrong."""
        del explain
        said = _SAID.get(code) or message or HTTPStatus(code).phrase
        text = f"{code}: {said}\n".encode(errors="replace")
        self.send_response(code)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _answer(self, *, body: bool) -> None:
        if not _HOST.fullmatch(self.headers.get("Host", "")):  # another site's name that resolves to this machine
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            made = self._page()
        except WherryError as error:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, error.message)
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
