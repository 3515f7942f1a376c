"""Names of system calls, by libseccomp, which has those of every architecture.

Source: seccomp_syscall_resolve_num_arch(3).
"""

import ctypes
from collections.abc import Iterable, Iterator
from typing import Any

from wherry.errors import HostUnable


def call_names(calls: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Give the names of system calls; a number that is none has no name.

    Args:
        calls: AUDIT_ARCH_… and number.

    Raises:
        HostUnable: this machine has no libseccomp.
    """
    library, libc = _library(), ctypes.CDLL(None)
    for architecture, number in sorted(calls):
        found = library.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(architecture), ctypes.c_int(number))
        if found:
            yield ctypes.string_at(found).decode()
            libc.free(ctypes.c_void_p(found))


def _library() -> Any:
    try:
        library: Any = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise HostUnable(
            "naming system calls needs libseccomp.so.2, which is not installed",
            hint="install libseccomp (libseccomp2 on Debian and Ubuntu)",
        ) from error
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    return library
