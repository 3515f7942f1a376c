"""The forkserver: a launcher that stays, and does job after job, each in a process of its own.

A build needs many sandboxes. Starting one by a fork of a process that has its user namespace already, and all it
imports, takes 2 ms; by a new launcher, 60.
"""

import os
import signal
import socket

from wherry.sandbox.channel import FRAMES, JOB, LINE, STREAMS, tell
from wherry.sandbox.launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_HANDED = 6


plain = False
"""Whether nothing can be mounted: steps run in a chroot then, and layers are copied together."""


def serve(perform: "Callable[[], int]", isolation: str) -> int:
    """Do jobs until the caller is gone; those at work then end with us.

    Args:
        perform: does the job on the descriptors of `channel.py`.
        isolation: `userns`: in namespaces, or not at all; `chroot`: without; `auto`: in namespaces where there are any.

    Raises:
        OSError: there are none, and they were asked for.
    """
    global plain  # noqa: PLW0603 - a property of this process and of all that it forks
    plain = isolation == "chroot"
    if not plain:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)  # in which any user may mount
            syscalls.make_private()
        except OSError:
            if isolation != "auto" or os.geteuid() != 0:
                raise
            plain = True
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # they are not waited for: they report their own end
    if (null := os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)) != JOB:  # so that nothing handed over gets its number
        os.dup2(null, JOB, inheritable=False)
    line = socket.socket(fileno=LINE)
    while True:
        message, descriptors, _, _ = socket.recv_fds(line, 1, _HANDED)
        if not message:
            return 0
        if os.fork() == 0:
            os._exit(_work(descriptors, perform))
        for descriptor in descriptors:
            os.close(descriptor)


def _work(descriptors: "list[int]", perform: "Callable[[], int]") -> int:
    syscalls.die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, place in zip(descriptors, (JOB, LINE, FRAMES), strict=False):
        os.dup2(descriptor, place, inheritable=False)
    for descriptor, place in zip(descriptors[len(STREAMS) :], STREAMS, strict=True):
        os.dup2(descriptor, place)
    syscalls.close_from(FRAMES + 1)
    code = perform()
    tell({"ended": code})
    return code
