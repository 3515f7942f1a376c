"""Tracing in a container: a process next to the container's first one traces the payload and all that it starts.

The tracer is in the container's namespaces and sees what the payload sees, has no right but those that reading another
user's process takes, and ends with the container. The payload is traced before it does anything of the image's.
"""

import marshal
import os
import signal
import socket

from wherry.sandbox.channel import LINE, describe, tell
from wherry.sandbox.launcher import seccomp, syscalls
from wherry.sandbox.launcher.traced_calls import numbers
from wherry.sandbox.launcher.tracer import Tracer

_RIGHTS = (1, 2, 19)
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE: the /proc entry of any user can be read."""
_OUT, _SYNC = 3, 4
_SOCKET_KINDS = {4: socket.AF_INET, 6: socket.AF_INET6}


class Tracing:
    """What a container's first process and its payload do so that the payload is traced."""

    def __init__(self, kind: str) -> None:
        """Hand the reading end of the tracer's pipe to the caller.

        Raises:
            OSError: no calls are known of this processor.
        """
        if not numbers():
            raise OSError(0, f"the tracer has no table of system calls for {os.uname().machine}")
        self._kind = kind
        self._ours, self._theirs = socket.socketpair()
        read, self._out = os.pipe()
        with socket.socket(fileno=os.dup(LINE)) as line:
            socket.send_fds(line, [marshal.dumps({"traced": True})], [read])
        os.close(read)
        self._tracer = 0

    def submit(self) -> None:
        """Wait, as the payload, until we are traced.

        Raises:
            OSError: we are not.
        """
        syscalls.allow_inspection()
        self._ours.close()
        self._theirs.send(b"?")
        if not self._theirs.recv(1):
            raise OSError(0, "the program cannot be traced")

    def filter(self) -> bytes:
        """Give the filter that stops the payload where the tracer wants it."""
        return seccomp.traced(numbers(), everything=self._kind == "calls")

    def follow(self, payload: int, null: int) -> None:
        """Start the tracer, as the container's first process."""
        self._tracer = os.fork()
        if self._tracer == 0:
            try:
                self._trace(payload, null)
            finally:
                os._exit(0)
        self._ours.close()
        self._theirs.close()
        os.close(self._out)

    def finish(self) -> None:
        """Wait, after the payload ended, until the tracer has written all."""
        try:
            os.waitpid(self._tracer, 0)
        except ChildProcessError:
            return  # it was reaped with others

    def _trace(self, payload: int, null: int) -> None:
        syscalls.die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads no more ends us, and so what we trace
        tracer = Tracer(_OUT, filtered=True, calls=self._kind == "calls", main=payload)
        self._theirs.close()
        self._ours.recv(1)
        try:
            tracer.take(payload, kill=True)
        except OSError as error:
            tell({"error": f"the program cannot be traced: {describe(error)}", "stage": "trace"})
            return
        self._ours.send(b"!")
        syscalls.keep_capabilities(_RIGHTS)
        out, sync = os.dup(self._out), os.dup(self._ours.fileno())
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.dup2(out, _OUT)
        os.dup2(sync, _SYNC)
        syscalls.close_from(_SYNC)
        tracer.run()


def hand_socket(family: int) -> None:
    """Give the caller a socket that is in the container's network; who asked for one waits for it."""
    with socket.socket(_SOCKET_KINDS[family], socket.SOCK_STREAM) as made, socket.socket(fileno=os.dup(LINE)) as line:
        socket.send_fds(line, [marshal.dumps({"socket": True})], [made.fileno()])
