"""Metrics over HTTP for Prometheus: one page of text, and whether the process is well."""

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from wherry.app.extras import trusting
from wherry.errors import HostUnable, InvalidUsage

_KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"
_PATIENCE: Final = 10.0
"""Seconds for the server to start, and to end."""
_KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than the usual time between two scrapes."""
_CONNECTIONS: Final = 100
_OK, _NOT_FOUND, _NOT_ALLOWED, _UNAVAILABLE = 200, 404, 405, 503
_Message = MutableMapping[str, Any]


def listen_address(words: str) -> tuple[str, int]:
    """Read HOST:PORT, such as 127.0.0.1:9477, [::1]:9477 or 0.0.0.0:9477.

    Raises:
        InvalidUsage: it is none.
    """
    host, colon, port = words.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or len(port) > 5 or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise InvalidUsage(f"--listen {words}: not an address", hint="write HOST:PORT, such as 127.0.0.1:9477")
    return host, int(port)


@contextmanager
def metrics_server(address: tuple[str, int], page: Callable[[], str], well: Callable[[], bool]) -> Iterator[str]:
    """Serve `/metrics` and `/healthz` until the block ends; gives the URL of the metrics.

    Args:
        address: where to listen; port 0 is a free one.
        page: writes the metrics, for each request; called from another thread.
        well: whether `/healthz` says that all is well.

    Raises:
        HostUnable: the address can't be listened at, or the extra `admission` is not installed.
    """
    with trusting("a server of metrics"):
        import uvicorn

    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        listener = socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    except OSError as error:
        raise HostUnable(
            f"{shown}:{address[1]}: {error.strerror or error}", hint="choose another address with --listen"
        ) from error
    config = uvicorn.Config(
        _pages(page, well), http="h11", ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=1,
        limit_concurrency=_CONNECTIONS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    due = time.monotonic() + _PATIENCE
    while not server.started and thread.is_alive() and time.monotonic() < due:
        time.sleep(0.005)
    try:
        yield f"http://{shown}:{listener.getsockname()[1]}/metrics"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        listener.close()


def _pages(
    page: Callable[[], str], well: Callable[[], bool]
) -> Callable[[_Message, object, Callable[[_Message], Awaitable[None]]], Awaitable[None]]:
    async def application(scope: _Message, _receive: object, send: Callable[[_Message], Awaitable[None]]) -> None:
        status, text = _answer(str(scope["path"]), str(scope["method"]), page, well)
        body = text.encode()
        headers = [(b"content-type", _KIND), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application


def _answer(path: str, method: str, page: Callable[[], str], well: Callable[[], bool]) -> tuple[int, str]:
    if method not in {"GET", "HEAD"}:
        return _NOT_ALLOWED, "only GET and HEAD\n"
    if path == "/metrics":
        return _OK, page()
    if path == "/healthz":
        return (_OK, "ok\n") if well() else (_UNAVAILABLE, "the API server does not answer\n")
    return _NOT_FOUND, "not found: there are /metrics and /healthz\n"
