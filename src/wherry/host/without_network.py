"""Start a program without a network: in a network namespace of its own, with no interface that is up.

A program: `python -I -S without_network.py PROGRAM ARGUMENT…`. Sources: unshare(2), user_namespaces(7),
network_namespaces(7).
"""

import ctypes
import os
import sys

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_REFUSED = 125
"""Exit code where the kernel refuses the namespace; `docker run` has it for its own failures."""


def main() -> None:
    """Enter the namespaces and execute the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    flags = _NEWNET if uid == 0 else _NEWNET | _NEWUSER
    if libc.unshare(flags) and (flags & _NEWUSER or libc.unshare(_NEWNET | _NEWUSER)):
        print(f"no network namespace: {os.strerror(ctypes.get_errno())}", file=sys.stderr)  # noqa: T201 - a program
        sys.exit(_REFUSED)
    if os.getuid() != uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the whole purpose
    except OSError as error:
        print(f"{sys.argv[1]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a program
        sys.exit(127)


if __name__ == "__main__":
    main()
