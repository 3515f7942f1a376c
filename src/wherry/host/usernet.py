"""Networks in user mode: which program connects a network namespace here, and whom a container in one asks for names.

Sources: pasta(1), slirp4netns(1); resolv.conf(5); systemd-resolved.service(8), which keeps the list of name servers
that its own stub asks; moby v28, libnetwork/resolvconf, which falls back to that list in the same way.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from wherry.host.process import which

TUN = Path("/dev/net/tun")
RESOLV = Path("/etc/resolv.conf")
UPSTREAM = Path("/run/systemd/resolve/resolv.conf")
_ANSWERS = {"pasta": "169.254.1.1", "slirp4netns": "10.0.2.3"}
"""At which address each answers for the host's name server: pasta where we say, slirp4netns where it is built in."""
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class UserNetwork:
    """A program that connects network namespaces, and what containers in one need."""

    kind: Literal["pasta", "slirp4netns"]
    program: str
    forward: str
    """The address at which it has to answer for a name server on the host's loopback; empty: there is none."""
    resolv_conf: bytes
    """What a container has as its /etc/resolv.conf; empty: the host's."""


@dataclass(frozen=True, slots=True)
class NoUserNetwork:
    """There is none, why, and what to do about it."""

    reason: str
    remedy: str


def user_network(path: str, root: Path = Path("/")) -> UserNetwork | NoUserNetwork:
    """Find the program that connects network namespaces on this machine.

    Args:
        path: the folders to look in, as PATH has them.
        root: where /dev, /etc and /run are.
    """
    found = [(kind, program) for kind in _ANSWERS if (program := which(kind, path))]
    if not found:
        return NoUserNetwork("neither pasta nor slirp4netns is installed", "install passt (pasta) or slirp4netns")
    tun = root / TUN.relative_to("/")
    if not os.access(tun, os.R_OK | os.W_OK):
        there = tun.exists()
        return NoUserNetwork(
            f"{TUN} is {'not open to this user' if there else 'not there'}",
            f"as root: chmod 666 {TUN}"
            if there
            else "as root: modprobe tun; in a container, give it --device /dev/net/tun",
        )
    kind, program = found[0]
    own, upstream = (_text(root / file.relative_to("/")) for file in (RESOLV, UPSTREAM))
    content, forward = resolver(own, upstream, _ANSWERS[kind], six=kind == "pasta")
    return UserNetwork("pasta" if kind == "pasta" else "slirp4netns", program, forward, content)


def resolver(own: bytes, upstream: bytes, answers: str, *, six: bool) -> tuple[bytes, str]:
    """Choose whom a container in a namespace of its own asks for names.

    A name server on the host's loopback, such as systemd-resolved's at 127.0.0.53, can't be reached from there.

    Args:
        own: the host's /etc/resolv.conf.
        upstream: systemd-resolved's list of those that it asks itself; empty: there is none.
        answers: the address at which the program that connects the namespace can answer for the host's.
        six: whether it connects IPv6 too.

    Returns:
        The container's resolv.conf, empty where the host's is right; and the address, if the program has to answer.
    """
    for text in (own, upstream):
        lines = text.splitlines(keepends=True)
        servers = [line for line in lines if _server(line)]
        reachable = [line for line in servers if _reachable(_server(line), six=six)]
        if reachable:
            if text == own and servers == reachable:
                return b"", ""
            return b"".join(line for line in lines if line in reachable or line not in servers), ""
    rest = [line for line in own.splitlines(keepends=True) if not _server(line)]
    return b"".join((b"nameserver %s\n" % answers.encode(), *rest)), answers


def loopback_hosts(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Find proxies on the host's loopback, which a namespace of its own can't reach: variable, and host with port."""
    for name, value in variables.items():
        if not name.upper().endswith("PROXY") or name.upper() in ("NO_PROXY", "GONOPROXY"):
            continue
        for word in value.replace("|", ",").split(","):
            url = urlsplit(word if "://" in word else f"//{word}")
            host = url.hostname or ""
            if host == "localhost" or host.endswith(".localhost") or _is_loopback(host):
                yield name, url.netloc.rpartition("@")[2]


def _server(line: bytes) -> str:
    words = line.split()
    return words[1].decode(errors="replace") if len(words) > 1 and words[0] == b"nameserver" else ""


def _reachable(server: str, *, six: bool) -> bool:
    try:
        address = ipaddress.ip_address(server.partition("%")[0])
    except ValueError:
        return False
    return not _is_loopback(str(address)) and not address.is_unspecified and (six or address.version == 4)  # noqa: PLR2004 - IPv4


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _text(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return b""
