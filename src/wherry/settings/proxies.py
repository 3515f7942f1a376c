"""HTTP_PROXY and similar variables: which proxy a request goes through, as Go's tools read them.

Source: golang.org/x/net, http/httpproxy (as of 2026).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Proxies:
    """What the environment says."""

    http: str = ""
    https: str = ""
    exceptions: tuple[str, ...] = ()
    """NO_PROXY, split."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the upper-case variable, else the lower-case one."""

        def value(name: str) -> str:
            return environment.get(name) or environment.get(name.lower()) or ""

        exceptions = tuple(word.strip().lower() for word in value("NO_PROXY").split(",") if word.strip())
        return cls(_url(value("HTTP_PROXY")), _url(value("HTTPS_PROXY")), exceptions)

    def proxy_for(self, scheme: str, host: str, port: int) -> str:
        """Name the proxy of a request; empty for none. This machine itself is never reached through one."""
        proxy = self.https if scheme == "https" else self.http
        if not proxy or is_loopback(host) or any(_excepts(word, host.lower(), port) for word in self.exceptions):
            return ""
        return proxy


def is_loopback(host: str) -> bool:
    """Report whether a host is this machine: `localhost`, 127.0.0.0/8, ::1."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _excepts(word: str, host: str, port: int) -> bool:
    if word == "*":
        return True
    name, colon, wanted = word.rpartition(":")
    if colon and wanted.isdigit() and (":" not in name or name.endswith("]")):
        if int(wanted) != port:
            return False
        word = name
    address, word = _address(host), word.strip("[]")
    if address is not None:
        try:
            return address in ipaddress.ip_network(word, strict=False)
        except ValueError:
            return False
    if word.startswith("*."):
        word = word[1:]
    return host.endswith(word) if word.startswith(".") else host == word or host.endswith("." + word)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _url(text: str) -> str:
    return text if not text or "://" in text else f"http://{text}"
