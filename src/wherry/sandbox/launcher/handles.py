"""Descriptors of a container that are handed to its caller, so that more programs can enter it.

A namespace's descriptor takes no right to read another process, which a container's first process forbids; and it is
the container's even where a process id has been given to another program since.

Source: namespaces(7), pidfd_open(2).
"""

import array  # noqa: F401 - socket.send_fds imports it, when nothing can be imported any more
import marshal
import os
import select
import socket

from wherry.sandbox.channel import LINE, tell
from wherry.sandbox.launcher import syscalls

KINDS = {
    "user": syscalls.CLONE_NEWUSER, "mnt": syscalls.CLONE_NEWNS, "pid": syscalls.CLONE_NEWPID,
    "net": syscalls.CLONE_NEWNET, "uts": syscalls.CLONE_NEWUTS, "ipc": syscalls.CLONE_NEWIPC,
}  # fmt: skip
"""Namespaces, in the order in which they are entered: the rights of the first count for the others."""


class Handles:
    """Made by a container's first process before its program is there."""

    def __init__(self) -> None:
        """Make the pipe that ends when the program is executed, or did not come to it."""
        self._executed, self._theirs = os.pipe()

    def give(self, program: int, proc: int, poll: "select.poll") -> None:
        """Hand them over, and have the pipe watched.

        Args:
            program: the process that will execute the program.
            proc: the host's /proc.
            poll: hears the pipe's end.
        """
        os.close(self._theirs)
        poll.register(self._executed, 0)
        opened = {"process": os.pidfd_open(program)}
        for name in KINDS:
            opened[name] = os.open(f"self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        with socket.socket(fileno=os.dup(LINE)) as line:
            for name, descriptor in opened.items():
                socket.send_fds(line, [marshal.dumps({"handle": name})], [descriptor])
                os.close(descriptor)

    def hear(self, ready: "dict[int, int]", poll: "select.poll") -> None:
        """Say that the program runs, once; its own failure would have been said before."""
        if self._executed in ready:
            poll.unregister(self._executed)
            os.close(self._executed)
            self._executed = -1
            tell({"executed": True})
