"""A filter of system calls for containers: what Docker's default profile forbids and the kernel would let them have.

Most of what that profile forbids needs a capability that containers lack. Left are new namespaces, a user namespace
above all, in which a container would have every capability and the whole of the kernel's mount code before it;
keyrings, which namespaces don't part; interfaces that have had more holes than builds have uses: bpf, io_uring,
userfaultfd, perf; and sockets to the hypervisor (AF_VSOCK), which no network namespace parts.

A second filter is for containers that share the host's network: no packet, raw and audit sockets.

Sources: moby v28, profiles/seccomp/default.json; Linux 6.18, include/uapi/linux/{seccomp,filter,audit}.h,
include/linux/socket.h, net/socket.c (SOCK_PACKET) and each architecture's syscall table.
"""

import ctypes
import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOAD, _EQUAL, _SET, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x54, 0x06
"""BPF: load a word of the call's data; jump if equal, if a bit is set, if at least; mask; end."""
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32
"""Where in `struct seccomp_data` they are; of arguments the low half, as all tables are little endian."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
NOTIFY, SUCCEED = 0x7FC00000, 0x00050000
"""Hand a call over; do nothing and return 0."""
_TRACE = 0x7FF00000
"""Stop for the tracer."""
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW… flags."""
_X32 = 0x40000000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_CLONE3 = 435
_IO_URING = (425, 426, 427)
_SYS_ADMIN, _SYSLOG, _PERFMON, _BPF = 21, 34, 38, 39

_INET, _INET6, _NETLINK, _PACKET, _VSOCK, _XDP = 2, 10, 16, 17, 40, 44
_RAW, _OLD_PACKET, _TYPES = 3, 10, 0xF
"""SOCK_RAW; SOCK_PACKET, which makes AF_INET a packet socket; the mask of what is a socket's type."""
_AUDIT = 9

_CALLS = ("syslog", "add_key", "request_key", "keyctl", "unshare", "perf_event_open", "setns", "bpf", "userfaultfd")
_ALLOWED_TO = {
    "syslog": (_SYS_ADMIN, _SYSLOG), "unshare": (_SYS_ADMIN,), "setns": (_SYS_ADMIN,),
    "perf_event_open": (_SYS_ADMIN, _PERFMON), "bpf": (_SYS_ADMIN, _BPF),
}  # fmt: skip
"""Capabilities that a call comes with, as in Docker's profile."""


class _Table:
    """Numbers of one architecture's calls."""

    def __init__(
        self, architecture: int, clone: int, socket: int, socketcall: int, refused: "tuple[int, ...]", name: str
    ) -> None:
        self.architecture = architecture
        """Its AUDIT_ARCH_…."""
        self.clone, self.socket = clone, socket
        self.socketcall = socketcall
        """The call of many calls, whose arguments no filter can read; 0: there is none."""
        self.refused = dict(zip(_CALLS, refused, strict=True))
        self.name = name


_X86_64 = _Table(0xC000003E, 56, 41, 0, (103, 248, 249, 250, 272, 298, 308, 321, 323), "x86_64")
_I386 = _Table(0x40000003, 120, 359, 102, (103, 286, 287, 288, 310, 336, 346, 357, 374), "i386")
_AARCH64 = _Table(0xC00000B7, 220, 198, 0, (116, 217, 218, 219, 97, 241, 268, 280, 282), "aarch64")
_ARM = _Table(0x40000028, 120, 281, 0, (103, 309, 310, 311, 337, 364, 375, 386, 388), "arm")
_TABLES = {"x86_64": (_X86_64, _I386), "aarch64": (_AARCH64, _ARM)}


def known() -> bool:
    """Report whether there is a filter for this processor."""
    return os.uname().machine in _TABLES


def load(code: bytes) -> None:
    """Have the kernel filter this process and all that it starts.

    It takes CAP_SYS_ADMIN in our user namespace: without, set-uid programs would have to be given up for it.

    Args:
        code: `struct sock_filter`s.

    Raises:
        OSError: the kernel does not.
    """
    body = ctypes.create_string_buffer(code)
    header = struct.pack("HP", len(code) // 8, ctypes.addressof(body))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    words = (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(header), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if libc.prctl(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the kernel refused the seccomp filter: {os.strerror(number)}")


def load_listener(code: bytes) -> int:
    """Do the same, and give the descriptor through which calls that a filter hands over are answered.

    Raises:
        OSError: the kernel does not do it (before Linux 5.0, or where another listens already).
    """
    body = ctypes.create_string_buffer(code)
    header = struct.pack("HP", len(code) // 8, ctypes.addressof(body))
    libc = ctypes.CDLL(None, use_errno=True)
    words = (_SET_MODE_FILTER, _NEW_LISTENER)
    found: int = libc.syscall(
        ctypes.c_long(_SECCOMP[os.uname().machine]), *map(ctypes.c_ulong, words), ctypes.c_char_p(header)
    )
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the kernel hands no system calls over: {os.strerror(number)}")
    return found


def caught(numbers: "list[int]", action: int) -> bytes:
    """Write a filter that does something with some calls of this processor's own architecture, and allows all else."""
    table = _TABLES[os.uname().machine][0]
    lines = [_line(_LOAD, _ARCHITECTURE), _line(_EQUAL, table.architecture, 1, 0), _line(_RETURN, _ALLOW)]
    lines.append(_line(_LOAD, _NUMBER))
    for number in numbers:
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, action)]
    return b"".join((*lines, _line(_RETURN, _ALLOW)))


def traced(numbers: "dict[int, tuple[int, ...]]", *, everything: bool) -> bytes:
    """Write a filter that stops at some calls for the tracer, and allows all else.

    Args:
        numbers: which, by AUDIT_ARCH_….
        everything: whether it stops at every call.
    """
    if everything:
        return _line(_RETURN, _TRACE)
    lines = [_line(_LOAD, _ARCHITECTURE)]
    for architecture, wanted in numbers.items():
        section = [_line(_LOAD, _NUMBER)]
        for number in wanted:
            section += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _TRACE)]
        section.append(_line(_RETURN, _ALLOW))
        lines += [_line(_EQUAL, architecture, 0, len(section)), *section]
    return b"".join((*lines, _line(_RETURN, _ALLOW)))


def usual(capabilities: "list[int]", *, socketcall: bool) -> bytes:
    """Write the filter that containers get; b"" on a processor that no table is for.

    Args:
        capabilities: what the container may have; some calls come with some.
        socketcall: leave this call alone, which programs for 386 may know no other for (Go's); AF_VSOCK can then be
            had by it.
    """

    def rules(table: _Table) -> "list[bytes]":
        return _refusals(table, frozenset(capabilities)) + _no_sockets(table, _vsock, socketcall=socketcall)

    return _program(rules)


def closed_network() -> bytes:
    """Write the filter of containers that share the host's network; b"" on a processor that no table is for."""
    return _program(lambda table: _no_sockets(table, _vsock, _packets))


def _program(rules: "Callable[[_Table], list[bytes]]") -> bytes:
    lines = [_line(_LOAD, _ARCHITECTURE)]
    for table in _TABLES.get(os.uname().machine, ()):
        section = [_line(_LOAD, _NUMBER)]
        if table is _X86_64:
            section += [_line(_AT_LEAST, _X32, 0, 1), _end(errno.EPERM)]
        section += [*rules(table), _line(_RETURN, _ALLOW)]
        lines += [_line(_EQUAL, table.architecture, 0, len(section)), *section]
    return b"".join((*lines, _end(errno.EPERM))) if len(lines) > 1 else b""


def _refusals(table: _Table, capabilities: "frozenset[int]") -> "list[bytes]":
    lines: list[bytes] = []
    for name, number in table.refused.items():
        if capabilities.isdisjoint(_ALLOWED_TO.get(name, ())):
            lines += [_line(_EQUAL, number, 0, 1), _end(errno.EPERM)]
    for number in _IO_URING:
        lines += [_line(_EQUAL, number, 0, 1), _end(errno.EPERM)]
    if _SYS_ADMIN in capabilities:
        return lines
    # What can't be looked into is not there: libraries then use clone, whose flags can be seen.
    lines += [_line(_EQUAL, _CLONE3, 0, 1), _end(errno.ENOSYS)]
    return [
        *lines,
        _line(_EQUAL, table.clone, 0, 4), _line(_LOAD, _FIRST), _line(_SET, _NEW_NAMESPACES, 0, 1), _end(errno.EPERM),
        _line(_LOAD, _NUMBER),
    ]  # fmt: skip


def _no_sockets(table: _Table, *kinds: "Callable[[], list[bytes]]", socketcall: bool = False) -> "list[bytes]":
    """Refuse kinds of sockets; the call of many calls is not there, and libraries then use the one that can be seen."""
    body = [line for kind in kinds for line in kind()]
    lines = [_line(_EQUAL, table.socketcall, 0, 1), _end(errno.ENOSYS)] if table.socketcall and not socketcall else []
    return [*lines, _line(_EQUAL, table.socket, 0, len(body) + 1), *body, _line(_RETURN, _ALLOW)]


def _vsock() -> "list[bytes]":
    return [_line(_LOAD, _FIRST), _line(_EQUAL, _VSOCK, 0, 1), _end(errno.EPERM)]


def _packets() -> "list[bytes]":
    lines = [_line(_LOAD, _FIRST)]
    for family in (_PACKET, _XDP):
        lines += [_line(_EQUAL, family, 0, 1), _end(errno.EPERM)]
    # A kernel without audit says this, and only then programs such as useradd go on without.
    audit = [_line(_LOAD, _THIRD), _line(_EQUAL, _AUDIT, 0, 1), _end(errno.EPROTONOSUPPORT), _line(_RETURN, _ALLOW)]
    lines += [_line(_EQUAL, _NETLINK, 0, len(audit)), *audit]
    raw = [_line(_LOAD, _SECOND), _line(_AND, _TYPES)]
    raw += [_line(_EQUAL, _RAW, 1, 0), _line(_EQUAL, _OLD_PACKET, 0, 1), _end(errno.EPERM), _line(_RETURN, _ALLOW)]
    return [*lines, _line(_EQUAL, _INET, 1, 0), _line(_EQUAL, _INET6, 0, len(raw)), *raw]


def _line(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("HBBI", code, true, false, value)


def _end(number: int) -> bytes:
    return _line(_RETURN, _REFUSE | number)
