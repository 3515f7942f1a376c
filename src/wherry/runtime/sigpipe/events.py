"""What is seen of broken pipes, in the same form whoever saw it: our own tracer, or bpftrace.

bpftrace 0.17 runs as root only and sees processes by their numbers on the machine. It is given tracepoints alone, since
kprobes and kfunc are off in many kernels. It prints one line an event, of words apart by blanks, an address last.

Sources: bpftrace(8) 0.17; Linux 6.18, include/trace/events/signal.h; man-pages 6.9, accept(2), connect(2).
"""

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from wherry.runtime.trace.observe import address_of
from wherry.sandbox.spec import TraceEvent

SIGPIPE = 13
_WINDOW = 1.0
"""Seconds within which events of several processors may come in another order."""
_NS = 1e9
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_LONGEST = 28  # struct sockaddr_in6


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeEvent:
    """Something happened to a descriptor of a process."""

    kind: str
    """`accept`, `connect`, `end` (of what the peer sends), `reset`, `epipe`, `sigpipe`, `shutdown`, `close`, `exit`."""
    at: float
    """Seconds since the watch began."""
    pid: int
    program: str = ""
    fd: int = -1
    call: str = ""
    address: str = ""
    link: str = ""
    """What /proc says that the descriptor is: `socket:[4711]`."""
    idle: float = -1.0
    """Seconds since bytes went through it; below 0: not known."""
    code: int = 0
    """Of an end of the process; below 0 a signal killed it."""


def traced_event(event: TraceEvent) -> PipeEvent | None:
    """Take an event of our tracer; None where it says nothing of pipes."""
    result, call = event.get("result", 0), event.get("call", "")
    if "exit" in event:
        kind = "exit"
    elif "signal" in event:
        kind = "sigpipe" if event["signal"] == SIGPIPE else ""
    elif result == -errno.EPIPE:
        kind = "epipe"
    elif result == -errno.ECONNRESET:
        kind = "reset"
    elif call in ("shutdown", "close", "connect"):
        kind = call
    elif call.startswith("accept"):
        kind = "accept"
    else:
        kind = "end" if "descriptor" in event and result == 0 else ""
    if not kind:
        return None
    return PipeEvent(
        kind=kind,
        at=event["at"] / _NS,
        pid=event["process"],
        program=event["program"].encode(errors="surrogateescape").decode(errors="replace"),
        fd=event.get("descriptor", -1),
        call=call,
        address=address_of(event.get("address", b"")),
        link=event.get("path", ""),
        idle=event["idle"] / _NS if "idle" in event else -1.0,
        code=event.get("exit", 0),
    )


def bpf_script(process: int) -> str:
    """Write the program of bpftrace that watches a process."""
    mine = f"/pid == {process}/"
    reads, writes = ("read", "readv", "recvfrom", "recvmsg"), ("write", "writev", "sendto", "sendmsg")
    entered = "".join(
        f"tracepoint:syscalls:sys_enter_{name} {mine} {{ @fd[tid] = (int64)args->fd + 1; }}\n"
        for name in (*reads, *writes)
    )
    left = "".join(
        f"tracepoint:syscalls:sys_exit_{name} /@fd[tid]/ {{\n"
        f"  $fd = @fd[tid] - 1; $last = @last[$fd];\n"
        f"  if (args->ret > 0) {{ @last[$fd] = nsecs; }}\n"
        f'  if (args->ret == -{errno.EPIPE}) {{ printf("epipe %lld %d {name} %lld -\\n", nsecs, $fd, $last); }}\n'
        f'  if (args->ret == -{errno.ECONNRESET}) {{ printf("reset %lld %d {name} %lld -\\n", nsecs, $fd, $last); }}\n'
        + (
            f"  if (args->ret == 0 && @ended[$fd] == 0) {{ @ended[$fd] = 1; "
            f'printf("end %lld %d {name} %lld -\\n", nsecs, $fd, $last); }}\n'
            if name in reads
            else ""
        )
        + "  delete(@fd[tid]);\n}\n"
        for name in (*reads, *writes)
    )
    opened = "".join(
        f"tracepoint:syscalls:sys_enter_{name} {mine} {{ @from[tid] = (uint64)args->upeer_sockaddr; @in[tid] = 1; }}\n"
        f"tracepoint:syscalls:sys_exit_{name} /@in[tid]/ {{\n"
        f"  if (args->ret >= 0) {{ @last[args->ret] = nsecs; @ended[args->ret] = 0; "
        f'printf("accept %lld %d {name} 0 %r\\n", nsecs, args->ret, buf(uptr((uint8*)@from[tid]), {_LONGEST})); }}\n'
        f"  delete(@from[tid]); delete(@in[tid]);\n}}\n"
        for name in ("accept", "accept4")
    )
    return (
        f'BEGIN {{ printf("ready %lld 0 - 0 -\\n", nsecs); }}\n{entered}{left}{opened}'
        f"tracepoint:syscalls:sys_enter_connect {mine} {{ @last[args->fd] = nsecs; @ended[args->fd] = 0; "
        f'printf("connect %lld %d connect 0 %r\\n", nsecs, args->fd, buf(uptr((uint8*)args->uservaddr), 16)); }}\n'
        f"tracepoint:syscalls:sys_enter_shutdown {mine} "
        f'{{ printf("shutdown %lld %d shutdown %lld -\\n", nsecs, args->fd, @last[args->fd]); }}\n'
        f"tracepoint:syscalls:sys_enter_close /pid == {process} && @last[args->fd]/ "
        f'{{ printf("close %lld %d close 0 -\\n", nsecs, args->fd); '
        f"delete(@last[args->fd]); delete(@ended[args->fd]); }}\n"
        f"tracepoint:signal:signal_generate /pid == {process} && args->sig == {SIGPIPE} && @fd[tid]/ "
        f'{{ printf("sigpipe %lld %d write %lld -\\n", nsecs, @fd[tid] - 1, @last[@fd[tid] - 1]); }}\n'
        f"tracepoint:sched:sched_process_exit /pid == {process} && tid == pid/ "
        f'{{ printf("exit %lld 0 - 0 -\\n", nsecs); exit(); }}\n'
        "END { clear(@fd); clear(@last); clear(@ended); clear(@from); clear(@in); }\n"
    )


class InOrder:
    """Puts events in the order in which they happened: each processor has a buffer, which is read by itself."""

    def __init__(self, hear: Callable[[PipeEvent], None]) -> None:
        """Take who hears them."""
        self._hear = hear
        self._waiting: list[tuple[float, int, float, PipeEvent]] = []
        self._count = 0

    def add(self, event: PipeEvent, now: float) -> None:
        """Take an event that came at a time."""
        self._count += 1
        heappush(self._waiting, (event.at, self._count, now, event))
        self.release(now)

    def release(self, now: float, *, every: bool = False) -> None:
        """Hand on those that nothing earlier can be waiting for; or all."""
        while self._waiting and (every or now - self._waiting[0][2] > _WINDOW):
            self._hear(heappop(self._waiting)[3])


class BpfLines:
    """Takes what bpftrace prints apart; what is no event of ours is left out."""

    def __init__(self, process: int, program: str) -> None:
        """Begin.

        Args:
            process: that is watched.
            program: what it executes.
        """
        self._process = process
        self._program = program
        self._from = 0
        self.ready = False
        """Whether bpftrace has attached its probes."""

    def events(self, line: str) -> Iterator[PipeEvent]:
        """Give the event of a line."""
        words = line.strip().split(" ", 5)
        if len(words) != 6 or not all(word.lstrip("-").isdecimal() for word in (words[1], words[2], words[4])):  # noqa: PLR2004
            return
        kind, at, fd, call, last = words[0], int(words[1]), int(words[2]), words[3], int(words[4])
        if kind == "ready":
            self.ready, self._from = True, at
            return
        yield PipeEvent(
            kind=kind,
            at=max(0, at - self._from) / _NS,
            pid=self._process,
            program=self._program,
            fd=fd,
            call=call,
            address=address_of(_bytes(words[5])) if words[5] != "-" else "",
            idle=(at - last) / _NS if last else -1.0,
        )


def _bytes(text: str) -> bytes:
    """Read what bpftrace prints by %r: printable bytes as they are, others as a backslash, x and two digits."""
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text.encode(errors="replace"))
