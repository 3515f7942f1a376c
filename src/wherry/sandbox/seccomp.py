"""A filter of system calls for steps: what Docker's default profile forbids and the kernel would let them have.

Most of what that profile forbids needs a capability that steps lack. Left are new namespaces, a user namespace above
all, in which a step would have every capability and the whole of the kernel's mount code before it; keyrings, which
namespaces don't part; and interfaces that have had more holes than builds have uses: bpf, io_uring, userfaultfd, perf.

Sources: moby v28, profiles/seccomp/default.json; Linux 6.18, include/uapi/linux/{seccomp,filter,audit}.h and each
architecture's syscall table.
"""

import ctypes
import errno
import os
import struct

_LOAD, _EQUAL, _SET, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
"""BPF: load a word of the call's data; jump if equal, if a bit is set, if at least; end."""
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16
"""Where in `struct seccomp_data` they are; of the first argument the low half, as all tables are little endian."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW… flags."""
_X32 = 0x40000000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_CLONE3 = 435
_IO_URING = (425, 426, 427)

_X86_64 = (0xC000003E, 56, (103, 248, 249, 250, 272, 298, 308, 321, 323))
_I386 = (0x40000003, 120, (103, 286, 287, 288, 310, 336, 346, 357, 374))
_AARCH64 = (0xC00000B7, 220, (116, 217, 218, 219, 97, 241, 268, 280, 282))
_ARM = (0x40000028, 120, (103, 309, 310, 311, 337, 364, 375, 386, 388))
"""Its AUDIT_ARCH_…; clone; syslog, add_key, request_key, keyctl, unshare, perf_event_open, setns, bpf, userfaultfd."""
_TABLES = {"x86_64": (_X86_64, _I386), "aarch64": (_AARCH64, _ARM)}


def refuse_calls() -> bool:
    """Have the kernel refuse them to this process and all that it starts; tell whether it does.

    It takes CAP_SYS_ADMIN in our user namespace: without, set-uid programs would have to be given up for it. It is
    not done on a processor whose table isn't here either.
    """
    tables = _TABLES.get(os.uname().machine)
    if tables is None:
        return False
    code = program(tables)
    body = ctypes.create_string_buffer(code)
    header = struct.pack("HP", len(code) // 8, ctypes.addressof(body))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    words = (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(header), ctypes.c_ulong(0), ctypes.c_ulong(0))
    done: int = libc.prctl(*words)
    return done == 0


def program(tables: "tuple[tuple[int, int, tuple[int, ...]], ...]") -> bytes:
    """Write the filter, as `struct sock_filter`s."""
    lines = [_line(_LOAD, _ARCHITECTURE)]
    for architecture, clone, refused in tables:
        section = [_line(_LOAD, _NUMBER)]
        if architecture == _X86_64[0]:
            section += [_line(_AT_LEAST, _X32, 0, 1), _end(errno.EPERM)]
        for number in (*refused, *_IO_URING):
            section += [_line(_EQUAL, number, 0, 1), _end(errno.EPERM)]
        # What can't be looked into is not there: libraries then use clone, whose flags can be seen.
        section += [_line(_EQUAL, _CLONE3, 0, 1), _end(errno.ENOSYS)]
        section += [_line(_EQUAL, clone, 0, 3), _line(_LOAD, _FIRST)]
        section += [_line(_SET, _NEW_NAMESPACES, 0, 1), _end(errno.EPERM), _line(_RETURN, _ALLOW)]
        lines += [_line(_EQUAL, architecture, 0, len(section)), *section]
    return b"".join((*lines, _end(errno.EPERM)))


def _line(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("HBBI", code, true, false, value)


def _end(number: int) -> bytes:
    return _line(_RETURN, _REFUSE | number)
