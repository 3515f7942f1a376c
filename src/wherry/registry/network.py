"""Connections: pools, proxies, certificates; where urllib3's errors become ours.

Sources: docker/docs, "Verify repository client with certificates" (the folders of `certs.d`); Go's crypto/x509
(SSL_CERT_FILE), which Go's clients of registries share.
"""

import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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
from wherry.settings.proxies import Proxies

CONNECT, READ = 15.0, 60.0
"""Seconds we wait for a connection, and for the next bytes on one."""
_EMBEDDED = Path(__file__).parents[1] / "base" / "data" / "certificates.pem"
"""Mozilla's authorities, for a machine that has none."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How registries are reached; plain values, read from the environment and settings by the caller."""

    proxies: Proxies = field(default_factory=Proxies)
    ca_file: str = ""
    """Certificates to trust in place of the system's (SSL_CERT_FILE)."""
    certificate_folders: tuple[Path, ...] = ()
    """`certs.d` folders: HOST[:PORT]/*.crt is trusted for that host too, *.cert and *.key are shown to it."""
    insecure: frozenset[str] = frozenset()
    """Hosts whose certificate isn't checked, and that may speak plain HTTP."""
    connections: int = 8
    """Kept open to one host at most."""


_Pool = tuple[urllib3.PoolManager | urllib3.HTTPConnectionPool, bool]


class CutOff(RegistryError):
    """A connection ended before its time; asking again may help."""


class Connections:
    """Pools of connections, made when first asked for; safe to use from any thread."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._pools: dict[tuple[str, str], _Pool] = {}
        self._turn = threading.Lock()

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and wait for the head of its answer; nothing is followed, nothing is tried again.

        Raises:
            CutOff: the connection broke, or nothing came in time.
            RegistryError: no server answers, or its certificate is not trusted.
        """
        parts = urlsplit(url)
        with translated(parts.netloc):
            pool, whole = self._pool(parts.scheme, parts.netloc)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            return pool.urlopen(
                method,
                url if whole else path,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
            )

    def close(self) -> None:
        """Close what is open."""
        for pool, _ in self._pools.values():
            pool.clear() if isinstance(pool, urllib3.PoolManager) else pool.close()

    def _pool(self, scheme: str, netloc: str) -> "_Pool":
        with self._turn:
            key = scheme, netloc
            if key not in self._pools:
                self._pools[key] = self._made(scheme, netloc)
            return self._pools[key]

    def _made(self, scheme: str, netloc: str) -> "_Pool":
        """Make what sends requests to a host, and report whether it wants whole URLs: a proxy for plain HTTP does."""
        parts = urlsplit(f"{scheme}://{netloc}")
        context = self._context(netloc) if scheme == "https" else None
        options: dict[str, Any] = {
            "maxsize": self.network.connections,
            "timeout": urllib3.Timeout(connect=CONNECT, read=READ),
            "blocksize": 1 << 16,
            **({"ssl_context": context} if context else {}),
        }
        host, port = parts.hostname or "", parts.port or _PORTS[scheme]
        proxy = self.network.proxies.proxy_for(scheme, host, port)
        if proxy:
            manager = urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **options)
            return (manager, True) if scheme == "http" else (manager.connection_from_host(host, port, scheme), False)
        kind = urllib3.HTTPSConnectionPool if scheme == "https" else urllib3.HTTPConnectionPool
        return kind(host, port, **options), False

    def _context(self, netloc: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.network.ca_file or None)
        if not context.cert_store_stats()["x509_ca"] and not self.network.ca_file:
            context.load_verify_locations(_EMBEDDED)
        for folder in self.network.certificate_folders:
            _add_certificates(context, folder / netloc)
        if netloc in self.network.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            urllib3.disable_warnings(InsecureRequestWarning)  # the user has said so
        return context


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(urllib3.make_headers(proxy_basic_auth=pair))


def _add_certificates(context: ssl.SSLContext, folder: Path) -> None:
    try:
        for file in sorted(folder.glob("*.crt")):
            context.load_verify_locations(file)
        for file in sorted(folder.glob("*.cert")):
            context.load_cert_chain(file, file.with_suffix(".key"))
    except (OSError, ssl.SSLError) as error:
        raise RegistryError(
            f"{folder}: cannot read the certificates: {error}", hint="fix or remove the files"
        ) from error


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Turn what urllib3 raises into our errors."""
    try:
        yield
    except NewConnectionError as error:
        raise RegistryError(
            f"{host}: cannot connect: {_reason(error)}", hint="check the name, the network and HTTPS_PROXY"
        ) from error
    except ProxyError as error:
        raise RegistryError(
            f"{host}: the proxy refused the connection: {_reason(error)}", hint="check HTTPS_PROXY and NO_PROXY"
        ) from error
    except SSLError as error:
        raise RegistryError(
            f"{host}: certificate not trusted: {_reason(error)}",
            hint=f"put the CA's certificate into /etc/docker/certs.d/{host}/ca.crt, or set SSL_CERT_FILE",
        ) from error
    except TooLate as error:
        raise CutOff(f"{host}: timed out", hint="check the network, and run it again") from error
    except LocationParseError as error:
        raise RegistryError(f"{host}: invalid address", hint="write it as HOST[:PORT]") from error
    except (HTTPError, OSError) as error:
        raise CutOff(
            f"{host}: the connection broke: {_reason(error)}", hint="run it again; uploaded blobs are not sent twice"
        ) from error


def _reason(error: BaseException) -> str:
    """Find the innermost reason; urllib3 wraps the system's."""
    seen = error
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    return str(getattr(seen, "strerror", None) or seen or type(seen).__name__)[:200]
