"""System calls that fail as they do on file systems without hard links, extended attributes or locks.

A seccomp filter lets the kernel itself refuse them, in a process and all that it starts. Sources: seccomp(2), Linux
6.18: Documentation/userspace-api/seccomp_filter.rst, the tables of system calls of x86-64 and of asm-generic.
"""

import ctypes
import os
import struct
from collections.abc import Callable, Mapping

_NUMBERS = {
    "x86_64": {"link": (86, 265), "setxattr": (188, 189, 190), "flock": (73,)},
    "aarch64": {"link": (37,), "setxattr": (5, 6, 7), "flock": (32,)},
}
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def failing(calls: Mapping[str, int]) -> Callable[[], None]:
    """Give what a child does before its program starts, so that calls fail.

    Args:
        calls: `link`, `setxattr` or `flock`, and the error that each gives.
    """
    numbers = _NUMBERS[os.uname().machine]
    program = [struct.pack("HBBI", _LOAD, 0, 0, 0)]
    for name, error in calls.items():
        for number in numbers[name]:
            program.append(struct.pack("HBBI", _IF_EQUAL, 0, 1, number))
            program.append(struct.pack("HBBI", _RETURN, 0, 0, _ERRNO | error))
    program.append(struct.pack("HBBI", _RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    libc = ctypes.CDLL(None, use_errno=True)

    def refuse() -> None:
        header = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
        for words in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, ctypes.addressof(header), 0, 0)):
            if libc.prctl(*map(ctypes.c_ulong, words)):
                raise OSError(ctypes.get_errno(), "prctl")

    return refuse
