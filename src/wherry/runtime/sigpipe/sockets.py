"""Who is at the other end of a process's sockets: /proc, while they are connected.

Source: proc_pid_net(5), /proc/net/tcp; include/net/tcp_states.h: 10 listens.
"""

import ipaddress
import os
import re
import sys
from pathlib import Path

_LISTENS = "0A"
_FIELDS = 10
_MOST = 200_000
"""Lines that are read of a table."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def socket_peers(process: int, root: Path = Path("/proc")) -> dict[int, str]:
    """Give the peers of a process's sockets by descriptor, such as `10.0.0.7:41234`; those that listen have none."""
    tables = peers_by_inode(process, root)
    found = {}
    try:
        descriptors = os.listdir(root / str(process) / "fd")  # noqa: PTH208 - names are what is wanted
    except OSError:
        return {}
    for name in descriptors:
        peer = tables.get(inode_of(_link(root / str(process) / "fd" / name)))
        if peer:
            found[int(name)] = peer
    return found


def peers_by_inode(process: int, root: Path = Path("/proc")) -> dict[int, str]:
    """Give the peers of the connections in a process's network namespace."""
    found: dict[int, str] = {}
    for name in ("tcp", "tcp6"):
        try:
            with (root / str(process) / "net" / name).open(encoding="ascii", errors="replace") as lines:
                next(lines, "")
                for line, _ in zip(lines, range(_MOST), strict=False):
                    fields = line.split()
                    if len(fields) >= _FIELDS and fields[3] != _LISTENS and fields[9].isdecimal():
                        found[int(fields[9])] = _address(fields[2])
        except OSError:
            continue
    return found


def inode_of(link: str) -> int:
    """Read `socket:[4711]`; 0 where it is something else."""
    match = _SOCKET.fullmatch(link)
    return int(match[1]) if match else 0


def _address(text: str) -> str:
    host, _, port = text.partition(":")
    try:
        words = bytes.fromhex(host)
        if sys.byteorder == "little":
            words = b"".join(words[place : place + 4][::-1] for place in range(0, len(words), 4))
        address = ipaddress.ip_address(words)
        number = int(port, 16)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    shown = mapped or address
    return f"[{shown}]:{number}" if shown.version == 6 else f"{shown}:{number}"  # noqa: PLR2004 - IPv6


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
