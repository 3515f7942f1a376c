"""The system calls that a tracer reports: their numbers, and where each has its path, address or descriptor.

There is no `openat64`: programs that were built for large files call `openat` with O_LARGEFILE.

Sources: Linux 6.18, arch/x86/entry/syscalls, scripts/syscall.tbl, arch/arm/tools/syscall.tbl; man-pages 6.9, section 2.
"""

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
"""AUDIT_ARCH_…"""

_NUMBERS = {
    X86_64: {
        "open": 2, "stat": 4, "lstat": 6, "access": 21, "connect": 42, "bind": 49, "listen": 50, "execve": 59,
        "chdir": 80, "mkdir": 83, "creat": 85, "readlink": 89, "openat": 257, "mkdirat": 258, "newfstatat": 262,
        "readlinkat": 267, "faccessat": 269, "execveat": 322, "statx": 332, "openat2": 437, "faccessat2": 439,
    },
    I386: {
        "open": 5, "creat": 8, "execve": 11, "chdir": 12, "access": 33, "mkdir": 39, "readlink": 85, "stat": 106,
        "lstat": 107, "stat64": 195, "lstat64": 196, "openat": 295, "mkdirat": 296, "fstatat64": 300,
        "readlinkat": 305, "faccessat": 307, "execveat": 358, "bind": 361, "connect": 362, "listen": 363, "statx": 383,
        "openat2": 437, "faccessat2": 439,
    },
    AARCH64: {
        "mkdirat": 34, "faccessat": 48, "chdir": 49, "openat": 56, "readlinkat": 78, "newfstatat": 79, "bind": 200,
        "listen": 201, "connect": 203, "execve": 221, "execveat": 281, "statx": 291, "openat2": 437, "faccessat2": 439,
    },
    ARM: {
        "open": 5, "creat": 8, "execve": 11, "chdir": 12, "access": 33, "mkdir": 39, "readlink": 85, "stat64": 195,
        "lstat64": 196, "bind": 282, "connect": 283, "listen": 284, "openat": 322, "mkdirat": 323, "fstatat64": 327,
        "readlinkat": 332, "faccessat": 334, "execveat": 387, "statx": 397, "openat2": 437, "faccessat2": 439,
    },
}  # fmt: skip
HERE = {"x86_64": (X86_64, I386), "aarch64": (AARCH64, ARM)}
"""Architectures that processors run, by their name."""

CALLS = {architecture: {number: name for name, number in table.items()} for architecture, table in _NUMBERS.items()}
"""Names by architecture and number."""
PATHS = {
    "open": (-1, 0), "creat": (-1, 0), "execve": (-1, 0), "chdir": (-1, 0), "mkdir": (-1, 0), "access": (-1, 0),
    "readlink": (-1, 0), "stat": (-1, 0), "lstat": (-1, 0), "stat64": (-1, 0), "lstat64": (-1, 0),
    "openat": (0, 1), "openat2": (0, 1), "mkdirat": (0, 1), "newfstatat": (0, 1), "fstatat64": (0, 1), "statx": (0, 1),
    "readlinkat": (0, 1), "faccessat": (0, 1), "faccessat2": (0, 1), "execveat": (0, 1),
}  # fmt: skip
"""Of calls about a path: the arguments that are the folder's descriptor (-1: the working directory) and the path."""
FLAGS = {"open": 1, "openat": 2}
"""Of calls that open a file: the argument that has the flags."""
SOCKETS = ("connect", "bind", "listen")
"""Calls about sockets: the descriptor is the first argument, the address the second, its length the third."""


def numbers() -> "dict[int, tuple[int, ...]]":
    """Give the numbers to trace by architecture, for this processor; empty where there is no table."""
    import os

    return {architecture: tuple(CALLS[architecture]) for architecture in HERE.get(os.uname().machine, ())}
