"""Whether a process listens by TCP, asked for so often that the answer has to be quick.

The kernel's tables in `net/tcp` are walked whole for each reading, connections too: 9 ms where it has room for 262,144
of them, which is longer than a small program needs to start. `sock_diag` walks the sockets that listen, and no others.

Sources: sock_diag(7), netlink(7); Linux, include/uapi/linux/inet_diag.h; proc(5), `net/tcp` (state 0A listens), `fd`.
"""

import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_LISTENS = "0A"
_SOCK_DIAG = 4
"""NETLINK_SOCK_DIAG."""
_BY_FAMILY = 20
"""SOCK_DIAG_BY_FAMILY."""
_DUMP = 0x301
"""NLM_F_REQUEST and NLM_F_DUMP."""
_ERROR, _DONE = 2, 3
_STATES = 1 << 10
"""Of a request: sockets that listen (TCP_LISTEN is 10)."""
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_INODE = 68
"""Where an answer has its inode: behind 4 bytes, an identity of 48, and 4 numbers."""
_PATIENCE = 1.0
"""Seconds to wait for the kernel, which answers at once."""


def listens(pid: int) -> bool:
    """Report whether one of a process's own sockets listens by TCP; it is taken to be in our network.

    Cost: where it has no sockets, a look into its folder; else two questions to the kernel.
    """
    own = set(_sockets(pid))
    if not own:
        return False
    try:
        waiting = asked()
    except OSError:  # no netlink, or a kernel without tcp_diag
        waiting = tabled(pid)
    return not own.isdisjoint(waiting)


def _sockets(pid: int) -> Iterator[int]:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if found := _SOCKET.fullmatch(str(descriptor.readlink())):
                yield int(found[1])
    except OSError:  # it has ended, or closed one
        return


def asked() -> set[int]:
    """Ask the kernel for the inodes of all sockets that listen.

    Raises:
        OSError: it has no such answer.
    """
    inodes: set[int] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(_PATIENCE)
        for family in (socket.AF_INET, socket.AF_INET6):
            wanted = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _STATES)
            kernel.send(_HEADER.pack(_HEADER.size + len(wanted), _BY_FAMILY, _DUMP, family, 0) + wanted)
            inodes |= set(_answers(kernel))
    return inodes


def _answers(kernel: socket.socket) -> Iterator[int]:
    while True:
        answer = kernel.recv(1 << 16)
        at = 0
        while at + _HEADER.size <= len(answer):
            length, kind, _, _, _ = _HEADER.unpack_from(answer, at)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEADER.size + _INODE + 4:
                raise OSError("sock_diag has no answer")
            yield struct.unpack_from("=I", answer, at + _HEADER.size + _INODE)[0]
            at += length + 3 & ~3


def tabled(pid: int) -> set[int]:
    """Read the same from the tables of a process's network."""
    inodes: set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        inodes |= {int(columns[9]) for line in lines if (columns := line.split())[3] == _LISTENS}
    return inodes
