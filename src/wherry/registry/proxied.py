"""Requests through a proxy: urllib3's pools behind the promises of `pools.py`, and its errors as ours."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    InsecureRequestWarning,
    LocationParseError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as TooLate

from wherry.registry.errors import RegistryError
from wherry.registry.pools import PORTS, CutOff, Waits, reason, untrusted


class ProxiedPool:
    """Connections to one host through one proxy; safe to use from any thread."""

    def __init__(self, proxy: str, root: str, context: ssl.SSLContext | None, kept: int, waits: Waits) -> None:
        """Take the places; nothing is connected yet.

        Args:
            proxy: its URL; a name and a password in it are its own.
            root: scheme and place of the host.
            context: for TLS with the host; None: plain HTTP.
            kept: connections that are kept open while nothing is asked.
            waits: how long to wait for the host.
        """
        self._root, parts = root, urlsplit(root)
        self._host = parts.netloc
        options: dict[str, Any] = {
            "maxsize": kept,
            "timeout": urllib3.Timeout(connect=waits.connect, read=waits.read),
            "blocksize": 1 << 16,
            **({"ssl_context": context} if context else {}),
        }
        if context is not None and context.verify_mode is ssl.CERT_NONE:
            urllib3.disable_warnings(InsecureRequestWarning)  # the user has said so
        with _translated(self._host):
            self._manager = urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **options)
            port = parts.port or PORTS[parts.scheme]
            self._pool = self._manager.connection_from_host(parts.hostname or "", port, parts.scheme)

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> "ProxiedAnswer":
        """See `Pool.send`."""
        plain = self._root.startswith("http:")  # then the proxy is asked for the whole URL
        with _translated(self._host):
            answer = (self._manager if plain else self._pool).urlopen(
                method,
                f"{self._root}{target}" if plain else target,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
            )
        return ProxiedAnswer(answer, self._host)

    def close(self) -> None:
        """Close what is open."""
        self._manager.clear()


class ProxiedAnswer:
    """An answer of urllib3's."""

    def __init__(self, response: urllib3.BaseHTTPResponse, host: str) -> None:
        self._response = response
        self._host = host
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def read(self, size: int) -> bytes:
        """See `RawAnswer.read`."""
        with _translated(self._host):
            return self._response.read(size)

    def finish(self, limit: int) -> None:
        """See `RawAnswer.finish`."""
        rest = getattr(self._response, "length_remaining", None)  # an answer to HEAD has none, whatever its length says
        if rest is not None and rest <= limit:
            try:
                self._response.drain_conn()
            except (HTTPError, OSError):
                self._response.close()
        elif not self._response.closed:
            self._response.close()
        self._response.release_conn()


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(urllib3.make_headers(proxy_basic_auth=pair))


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """Turn what urllib3 raises into our errors."""
    try:
        yield
    except NewConnectionError as error:
        raise RegistryError(
            f"{host}: cannot connect: {reason(error)}", hint="check the name, the network and HTTPS_PROXY"
        ) from error
    except ProxyError as error:
        raise RegistryError(
            f"{host}: the proxy refused the connection: {reason(error)}", hint="check HTTPS_PROXY and NO_PROXY"
        ) from error
    except SSLError as error:
        raise untrusted(host, error) from error
    except TooLate as error:
        raise CutOff(f"{host}: timed out", hint="check the network, and run it again") from error
    except LocationParseError as error:
        raise RegistryError(f"{host}: invalid address", hint="write it as HOST[:PORT]") from error
    except (HTTPError, OSError) as error:
        raise CutOff(
            f"{host}: the connection broke: {reason(error)}", hint="run it again; uploaded blobs are not sent twice"
        ) from error
