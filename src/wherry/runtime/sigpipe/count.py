"""Broken pipes, counted: who wrote to whom, who had closed, after how long without data."""

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from wherry.runtime.sigpipe.events import PipeEvent

_MOST = 65_536
"""Connections that are remembered, and groups that are counted."""
_KEPT = 2_000
"""Times that are kept of a group, for its median."""
_STANDARD = {0: "stdin", 1: "stdout", 2: "stderr"}


@dataclass(slots=True)
class SeenConnection:
    """A connection of a process, as far as it was seen."""

    peer: str = ""
    accepted: bool | None = None
    """Whether the peer opened it; None: it was there before."""
    ended: float = -1.0
    """When its peer's end was seen; below 0: it was not."""
    reset: float = -1.0
    shut: float = -1.0
    """When the process itself closed its sending side."""
    idle: float = -1.0
    """Seconds without data before its end."""


@dataclass(frozen=True, slots=True)
class BreakKey:
    """What breaks are counted by."""

    pid: int
    program: str
    descriptor: str
    """`socket`, `pipe`, `stdout`, `stderr`."""
    call: str
    peer: str
    """Its address; without the port where the peer opened the connection."""
    closed_by: str
    """`peer`, `peer (reset)`, `the process itself`, `not seen`."""


@dataclass(slots=True)
class BreakTimes:
    """How often, and when."""

    count: int = 0
    fd: int = -1
    """The last one."""
    idle: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """Seconds between the close and the write."""

    def add(self, fd: int, idle: float, late: float) -> None:
        """Count one."""
        self.count += 1
        self.fd = fd
        for known, value in ((self.idle, idle), (self.late, late)):
            if value >= 0 and len(known) < _KEPT:
                known.append(value)

    @property
    def median_idle(self) -> float:
        """Seconds without data before the close, in the middle; below 0: not known."""
        return median(self.idle) if self.idle else -1.0

    @property
    def median_late(self) -> float:
        """Seconds between the close and the write, in the middle; below 0: not known."""
        return median(self.late) if self.late else -1.0


class BrokenPipes:
    """Hears events and counts."""

    def __init__(self, peers: Callable[[int], dict[int, str]], by_inode: Callable[[int], dict[int, str]]) -> None:
        """Begin.

        Args:
            peers: gives a process's peers by descriptor, at this moment.
            by_inode: gives those of its network by inode.
        """
        self._peers = peers
        self._by_inode = by_inode
        self._connections: dict[tuple[int, int], SeenConnection] = {}
        self._known: set[int] = set()
        self.breaks: dict[BreakKey, BreakTimes] = {}
        self.resets: Counter[tuple[int, str]] = Counter()
        """Writes and reads that ended with ECONNRESET, and without a signal: by process and peer."""
        self.silent = 0
        """EPIPE without a signal (MSG_NOSIGNAL, or SIGPIPE blocked)."""
        self._errors = 0
        self.seconds: Counter[int] = Counter()
        """Breaks by the second in which they came."""
        self.exits: dict[int, int] = {}
        """Codes of processes that ended; below 0 a signal killed them."""
        self.programs: dict[int, str] = {}

    @property
    def total(self) -> int:
        """SIGPIPE in all."""
        return sum(one.count for one in self.breaks.values())

    def meet(self, process: int) -> None:
        """Take note of the connections that a process has already."""
        self._known.add(process)
        for fd, peer in self._peers(process).items():
            self._connections.setdefault((process, fd), SeenConnection(peer))

    def hear(self, event: PipeEvent) -> None:  # noqa: C901 - one branch a kind of event
        """Take note of an event."""
        if event.pid not in self._known and len(self._known) < _MOST:
            self.meet(event.pid)
        if event.program:
            self.programs[event.pid] = event.program
        key = event.pid, event.fd
        if event.kind == "exit":
            self.exits[event.pid] = event.code
        elif event.kind in ("accept", "connect"):
            if len(self._connections) >= _MOST:
                self._connections.clear()
            self._connections[key] = SeenConnection(event.address, accepted=event.kind == "accept")
        elif event.kind == "close":
            self._connections.pop(key, None)
        elif event.kind in ("end", "reset", "shutdown"):
            one = self._connection(event)
            if event.kind == "shutdown":
                one.shut = event.at
            elif one.ended < 0 and one.reset < 0:
                one.idle = event.idle
                one.ended, one.reset = (event.at, -1.0) if event.kind == "end" else (-1.0, event.at)
            if event.kind == "reset":
                self.resets[event.pid, _host(one)] += 1
        elif event.kind == "epipe":
            self._errors += 1
            self._connection(event)
        elif event.kind == "sigpipe":
            self._break(event)
        self.silent = max(0, self._errors - self.total)

    def _connection(self, event: PipeEvent) -> SeenConnection:
        one = self._connections.setdefault((event.pid, event.fd), SeenConnection())
        if not one.peer and event.link.startswith("socket:"):
            from wherry.runtime.sigpipe.sockets import inode_of

            one.peer = self._by_inode(event.pid).get(inode_of(event.link), "")
        elif not one.peer and event.link:
            one.peer = event.link
        return one

    def _break(self, event: PipeEvent) -> None:
        one = self._connection(event)
        closed = max(one.ended, one.reset)
        who = "not seen"
        if one.shut >= 0 and (closed < 0 or one.shut <= closed):
            who, closed = "the process itself", one.shut
        elif one.reset >= 0:
            who = "peer (reset)"
        elif one.ended >= 0 or event.fd in _STANDARD or one.peer.startswith("pipe:") or one.accepted is not None:
            who = "peer"  # seen from its beginning and not shut down by us: it was the peer, read or not
        key = BreakKey(
            pid=event.pid,
            program=event.program or self.programs.get(event.pid, ""),
            descriptor=_descriptor(event.fd, one),
            call=event.call,
            peer=_host(one),
            closed_by=who,
        )
        if key not in self.breaks and len(self.breaks) >= _MOST:
            return
        idle = one.idle if closed >= 0 and who != "the process itself" else event.idle
        self.breaks.setdefault(key, BreakTimes()).add(event.fd, idle, event.at - closed if closed >= 0 else -1.0)
        self.seconds[int(event.at)] += 1


def _descriptor(fd: int, one: SeenConnection) -> str:
    if fd in _STANDARD:
        return _STANDARD[fd]
    return "pipe" if one.peer.startswith("pipe:") else "socket" if fd >= 0 else "unknown"


def _host(one: SeenConnection) -> str:
    """Give the peer's address; a port that it chose for a connection to us names nobody."""
    host, colon, port = one.peer.rpartition(":")
    if not colon or not port.isdecimal():
        return one.peer
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return one.peer
    return one.peer if one.accepted is False else host.strip("[]")
