"""Run a program as uid 65532 in a user namespace of the caller's, chrooted: what a test looks into. Ends with it.

Called as a plain user by any Python 3.11: `python3 debug_target.py FIRST-SUB-ID ROOT PROGRAM [pivot]`.
FIRST-SUB-ID 0: only the caller's own id is there, and it is 65532.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

NEW = 0x10000000 | 0x20000 | 0x20000000 | 0x40000000 | 0x4000000 | 0x8000000
USER = 65532


def main() -> int:
    """Make the namespaces, then the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    sub, root, program, pivot = int(sys.argv[1]), sys.argv[2], sys.argv[3], "pivot" in sys.argv
    uid, gid, parent = os.getuid(), os.getgid(), os.getpid()
    ready, go = os.pipe(), os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.read(ready[0], 1)
        for name, own in (("uid", uid), ("gid", gid)):
            if sub:
                words = [f"new{name}map", str(parent), "0", str(own), "1", "1", str(sub), "65535"]
                subprocess.run(words, check=True)
            else:
                if name == "gid":
                    put(parent, "setgroups", "deny")
                put(parent, f"{name}_map", f"{USER} {own} 1")
        os.write(go[1], b"!")
        os._exit(0)
    if libc.unshare(NEW):
        return 1
    os.write(ready[1], b"!")
    os.read(go[0], 1)
    os.waitpid(mapper, 0)
    if sub:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.setgroups([])
    child = os.fork()
    if child:
        libc.prctl(36, 1, 0, 0, 0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    libc.prctl(1, 9, 0, 0, 0)
    if pivot:
        libc.mount(root.encode(), root.encode(), None, 0x1000 | 0x4000, None)
        os.chdir(root)
        libc.pivot_root(b".", b".")
        libc.umount2(b".", 2)
        os.chdir("/")
    else:
        os.chroot(root)
        os.chdir("/")
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(4, 1, 0, 0, 0)
    libc.prctl(1, 9, 0, 0, 0)
    os.execve(program, [program], {"SECRET": "s3cret"})  # noqa: S606 - this is what it is for
    return 1


def put(process: int, name: str, text: str) -> None:
    """Write a file of /proc."""
    Path(f"/proc/{process}/{name}").write_text(text)


sys.exit(main())
