"""Connections: pools, certificates, proxies; where the system's errors become ours.

Without a proxy, requests go over `http1.py`; those through a proxy are urllib3's (`proxied.py`), which is loaded then.

Sources: docker/docs, "Verify repository client with certificates" (the folders of `certs.d`); Go's crypto/x509
(SSL_CERT_FILE), which Go's clients of registries share.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from wherry.registry.direct import DirectPool
from wherry.registry.errors import RegistryError
from wherry.registry.pools import PORTS, Pool, RawAnswer, Waits, translated
from wherry.settings.proxies import Proxies

if TYPE_CHECKING:
    import ssl

_EMBEDDED = Path(__file__).parents[1] / "base" / "data" / "certificates.pem"
"""Mozilla's authorities, for a machine that has none."""


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
    waits: Waits = field(default_factory=Waits)


class Connections:
    """Pools of connections, made when first asked for; safe to use from any thread."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._pools: dict[tuple[str, str], Pool] = {}
        self._turn = threading.Lock()

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> RawAnswer:
        """Send one request and wait for the head of its answer; nothing is followed, nothing is tried again.

        Raises:
            CutOff: the connection broke, or nothing came in time.
            RegistryError: no server answers, or its certificate is not trusted.
        """
        parts = urlsplit(url)
        with translated(parts.netloc):
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            return self._pool(parts).send(method, target, headers, body)

    def close(self) -> None:
        """Close what is open."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, parts: SplitResult) -> Pool:
        with self._turn:
            key = parts.scheme, parts.netloc
            if key not in self._pools:
                self._pools[key] = self._made(parts)
            return self._pools[key]

    def _made(self, parts: SplitResult) -> Pool:
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        context = self._context(parts.netloc) if parts.scheme == "https" else None
        proxy = self.network.proxies.proxy_for(parts.scheme, host, port)
        if proxy:
            from wherry.registry.proxied import ProxiedPool

            return ProxiedPool(
                proxy, f"{parts.scheme}://{parts.netloc}", context, self.network.connections, self.network.waits
            )
        return DirectPool(host, port, context, self.network.connections, self.network.waits)

    def _context(self, netloc: str) -> "ssl.SSLContext":
        import ssl

        context = ssl.create_default_context(cafile=self.network.ca_file or None)
        context.set_alpn_protocols(["http/1.1"])
        if not context.cert_store_stats()["x509_ca"] and not self.network.ca_file:
            context.load_verify_locations(_EMBEDDED)
        for folder in self.network.certificate_folders:
            _add_certificates(context, folder / netloc)
        if netloc in self.network.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _add_certificates(context: "ssl.SSLContext", folder: Path) -> None:
    try:
        for file in sorted(folder.glob("*.crt")):
            context.load_verify_locations(file)
        for file in sorted(folder.glob("*.cert")):
            context.load_cert_chain(file, file.with_suffix(".key"))
    except OSError as error:  # ssl's errors are some, too
        raise RegistryError(
            f"{folder}: cannot read the certificates: {error}", hint="fix or remove the files"
        ) from error
