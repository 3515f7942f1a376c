"""A tracer for one question: which writes go to a connection or pipe that nobody reads any more.

It follows reads and writes of sockets and pipes, keeps the time of the last bytes of each descriptor, and reports only
what ends a connection: its peer's end (a read of 0 bytes), a reset, a write that fails with EPIPE, and SIGPIPE.

The kernel sends SIGPIPE to the thread that writes, before the call ends with EPIPE; a tracer sees the call's end first.
The first write after a reset ends with ECONNRESET and without a signal.

Sources: tcp(7), pipe(7), signal(7); Linux 6.18, net/core/stream.c, sk_stream_error; the numbers are those of
`traced_calls.py`'s sources.
"""

import errno
import os
import signal
import time

from wherry.sandbox.launcher import ptrace
from wherry.sandbox.launcher.traced_calls import AARCH64, ARM, HERE, I386, X86_64
from wherry.sandbox.launcher.tracer import FIRST_WORD, LONGEST_ADDRESS, Tracer, memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import TraceEvent

_NUMBERS = {
    X86_64: {
        "read": 0, "write": 1, "close": 3, "readv": 19, "writev": 20, "sendfile": 40, "connect": 42, "accept": 43,
        "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "shutdown": 48, "accept4": 288, "sendmmsg": 307,
    },
    I386: {
        "read": 3, "write": 4, "close": 6, "readv": 145, "writev": 146, "sendfile": 187, "sendfile64": 239,
        "sendmmsg": 345, "connect": 362, "accept4": 364, "sendto": 369, "sendmsg": 370, "recvfrom": 371,
        "recvmsg": 372, "shutdown": 373,
    },
    AARCH64: {
        "close": 57, "read": 63, "write": 64, "readv": 65, "writev": 66, "sendfile": 71, "accept": 202, "connect": 203,
        "sendto": 206, "recvfrom": 207, "shutdown": 210, "sendmsg": 211, "recvmsg": 212, "accept4": 242,
        "sendmmsg": 269,
    },
    ARM: {
        "read": 3, "write": 4, "close": 6, "readv": 145, "writev": 146, "sendfile": 187, "sendfile64": 239,
        "connect": 283, "accept": 285, "sendto": 290, "recvfrom": 292, "shutdown": 293, "sendmsg": 296, "recvmsg": 297,
        "accept4": 366, "sendmmsg": 374,
    },
}  # fmt: skip
_CALLS = {architecture: {number: name for name, number in table.items()} for architecture, table in _NUMBERS.items()}
_READS = frozenset({"read", "readv", "recvfrom", "recvmsg"})
_WRITES = frozenset({"write", "writev", "sendfile", "sendfile64", "sendto", "sendmsg", "sendmmsg"})
_SIZED = frozenset({"read", "recvfrom"})
"""Reads of which the third argument is the size: a read of no bytes is no end."""
_BROKEN = (-errno.EPIPE, -errno.ECONNRESET)
_MOST = 65_536
"""Descriptors that are remembered."""


def pipe_numbers() -> "dict[int, tuple[int, ...]]":
    """Give the numbers to trace by architecture, for this processor; empty where there is no table."""
    return {architecture: tuple(_CALLS[architecture]) for architecture in HERE.get(os.uname().machine, ())}


class PipeTracer(Tracer):
    """Follows tasks as `Tracer` does."""

    def __init__(self, out: int, *, filtered: bool, main: int = 0) -> None:
        """Begin with no task; see `Tracer`."""
        super().__init__(out, filtered=filtered, main=main)
        self._last: dict[tuple[int, int], int] = {}
        """When a descriptor of a process last had bytes, in nanoseconds."""
        self._closed: set[tuple[int, int]] = set()
        """Descriptors of which the peer's end was reported."""
        self._arguments: dict[int, tuple[int, ...]] = {}
        """Of the calls that are awaited, by task."""
        self._broken: dict[int, TraceEvent] = {}
        """The last write that failed, by task."""

    def _signalled(self, task: int, number: int) -> None:
        broken = self._broken.pop(task, None)
        if number != signal.SIGPIPE or not self._began or broken is None:
            return  # without a failed write it is sent on purpose: Go dies of a broken stdout by its own hand
        event = self._event(task)
        event["signal"], event["sender"] = number, ptrace.sender(task)
        event["descriptor"], event["call"] = broken["descriptor"], broken["call"]
        self._write(event)

    def _forget(self, task: int) -> None:
        self._arguments.pop(task, None)
        self._broken.pop(task, None)
        super()._forget(task)

    def _entered(self, task: int, architecture: int, number: int, words: "tuple[int, ...]") -> None:
        name = _CALLS.get(architecture, {}).get(number)
        if name is None or not self._began:
            return
        event = self._event(task)
        event["call"], event["descriptor"] = name, words[0] & FIRST_WORD
        if name == "connect":
            event["address"] = memory(task, words[1], min(words[2] & FIRST_WORD, LONGEST_ADDRESS))
        self._arguments[task] = words
        self._pending[task] = event

    def _finished(self, task: int, event: "TraceEvent") -> None:
        words = self._arguments.pop(task, ())
        if not words:
            super()._finished(task, event)  # of the command itself
            return
        call, result = event["call"], event["result"]
        if call in _READS or call in _WRITES:
            self._moved(task, event, words)
        elif call.startswith("accept") and result >= 0:
            event["descriptor"] = result
            event["address"] = memory(task, words[1], LONGEST_ADDRESS) if words[1] else b""
            self._new(event)
        elif call == "connect" and result in (0, -errno.EINPROGRESS):
            self._new(event)
        elif call == "shutdown" and result == 0:
            event["flags"] = words[1] & FIRST_WORD
            self._write(event)
        elif call == "close":
            key = event["process"], event["descriptor"]
            if self._last.pop(key, None) is not None or key in self._closed:
                self._closed.discard(key)
                self._write(event)

    def _new(self, event: "TraceEvent") -> None:
        key = event["process"], event["descriptor"]
        self._closed.discard(key)
        self._bytes(key)
        self._write(event)

    def _moved(self, task: int, event: "TraceEvent", words: "tuple[int, ...]") -> None:
        """Take note of bytes that moved; report an end, a reset, and a write to nobody."""
        call, result, key = event["call"], event["result"], (event["process"], event["descriptor"])
        if result > 0:
            self._bytes(key)
            return
        end = result == 0 and call in _READS and not (call in _SIZED and words[2] == 0)
        if not (result in _BROKEN or (end and key not in self._closed)):
            return
        link = self._link(key)
        if end and not link.startswith("socket:"):
            return
        event["path"] = link
        if key in self._last:
            event["idle"] = time.monotonic_ns() - self._last[key]
        if end:
            self._closed.add(key)
        elif result == -errno.EPIPE:
            self._broken[task] = event
        self._write(event)

    def _bytes(self, key: "tuple[int, int]") -> None:
        if len(self._last) >= _MOST:
            self._last.clear()
            self._closed.clear()
        self._last[key] = time.monotonic_ns()

    def _link(self, key: "tuple[int, int]") -> str:
        try:
            return os.readlink(f"/proc/{key[0]}/fd/{key[1]}")
        except OSError:
            return ""
