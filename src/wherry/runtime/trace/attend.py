"""A traced container, from its start to its end: events, probes, output, and who ended it."""

import marshal
import os
import queue
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from wherry.runtime.trace.probes import Asking, Probe, ProbeAnswer
from wherry.sandbox.channel import FAILED
from wherry.sandbox.spec import Container, LauncherEvent, TraceEvent
from wherry.sandbox.start import Launcher, SandboxRefused, raised

_CHUNK = 1 << 16
_TAIL = 1 << 14
"""Bytes of the program's output that are kept, the last ones."""
_LENGTH = 4
_NO_LIMIT = 3600.0  # then it is looked at again


class TraceUntil(StrEnum):
    """What ends a trace before its time is up; the program's own end always does."""

    EXIT = "exit"
    PROBES = "probes"
    LISTENING = "listening"


class TraceEndedBy(StrEnum):
    """What ended a trace."""

    EXIT = "exit"
    PROBES = "probes"
    LISTENING = "listening"
    TIME = "time"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLimits:
    """How long a program is traced."""

    seconds: float = 10.0
    """At most; 0: until it ends."""
    until: TraceUntil = TraceUntil.EXIT
    probes: tuple[Probe, ...] = ()
    grace: float = 3.0
    """Seconds between the signal that asks the program to end and the one that ends it."""
    stop_signal: int = signal.SIGTERM
    interruptible: bool = False
    """Whether Ctrl-C ends the trace as the end of its time does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOutcome:
    """How a trace ended."""

    ended_by: TraceEndedBy
    code: int
    """The program's exit code; 128 and the signal where one killed it."""
    seconds: float
    """From its start until it ended or was asked to end."""
    prepared: float
    """Seconds that the sandbox took before that."""
    answers: tuple[ProbeAnswer, ...]
    killed: bool
    """Whether it did not end when it was asked to."""
    whole: bool
    """Whether the tracer saw the program's end."""
    output: bytes
    """The end of what it printed, on both streams."""
    printed: int
    """Bytes that it printed."""


class EventReader:
    """Takes a tracer's batches of events apart."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[TraceEvent]:
        """Give the events that are whole by now."""
        self._rest += chunk
        while len(self._rest) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._rest[:_LENGTH], "little")
            if len(self._rest) < end:
                return
            batch = self._rest[_LENGTH:end]
            self._rest = self._rest[end:]
            yield from marshal.loads(batch)  # noqa: S302 - our own process wrote it


def trace_container(
    job: Container,
    limits: TraceLimits,
    hear: Callable[[TraceEvent], None],
    *,
    notice: Callable[[str], None],
    why: Callable[[], str],
) -> TraceOutcome:
    """Run a container and hear what its program does.

    Args:
        job: the container, with `trace`.
        limits: when it ends.
        hear: called with each event.
        notice: called with messages for the user.
        why: asked why this machine may refuse a sandbox.

    Raises:
        NotStarted: the program is not in the image, or can't be executed.
        SandboxRefused: this machine refuses what a sandbox, or a trace, needs.
    """
    output, theirs = os.pipe()
    try:
        launcher = Launcher(job, streams={1: theirs, 2: theirs})
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(theirs)
    attendant = _TraceAttendant(launcher, output, limits, hear, notice)
    try:
        attendant.attend()
    except BaseException:
        launcher.kill()
        raise
    finally:
        attendant.close()
        code = launcher.end()
    if attendant.failure is not None:
        raise raised(attendant.failure, why)
    if code == FAILED and not attendant.started:
        raise SandboxRefused("the launcher failed", hint=why())
    return attendant.outcome(code)


@dataclass(slots=True)
class _TraceAttendant:
    _launcher: Launcher
    _output: int
    _limits: TraceLimits
    _hear: Callable[[TraceEvent], None]
    _notice: Callable[[str], None]
    started: bool = False
    failure: LauncherEvent | None = None
    _events: int = -1
    _reader: EventReader = field(default_factory=EventReader)
    _poll: "select.poll" = field(default_factory=select.poll)
    _asking: Sequence[Asking] = ()
    _sockets: "queue.SimpleQueue[socket.socket]" = field(default_factory=queue.SimpleQueue)
    _woken: tuple[int, int] = (-1, -1)
    _began: float = 0.0
    _ended: float = 0.0
    _called: float = 0.0
    _ended_by: TraceEndedBy | None = None
    _listening: bool = False
    _whole: bool = False
    _killed: bool = False
    _tail: bytes = b""
    _printed: int = 0

    def attend(self) -> None:
        """Stay until the container ended."""
        self._called = self._began = time.monotonic()
        self._woken = os.pipe()
        for descriptor in (self._launcher.line.fileno(), self._output, self._woken[0]):
            self._poll.register(descriptor, select.POLLIN)
        while True:
            try:
                if not self._turn():
                    break
            except KeyboardInterrupt:
                if not self._limits.interruptible or self._ended_by is not None:
                    raise
                self._stop(TraceEndedBy.INTERRUPT)
        for asking in self._asking:
            asking.stop()
        self._drain()

    def close(self) -> None:
        """Let go of everything."""
        for asking in self._asking:
            asking.stop()
        for descriptor in (self._events, self._output, *self._woken):
            if descriptor >= 0:
                os.close(descriptor)

    def outcome(self, code: int) -> TraceOutcome:
        """Say how it ended."""
        return TraceOutcome(
            ended_by=self._ended_by or TraceEndedBy.EXIT,
            code=code,
            seconds=(self._ended or time.monotonic()) - self._began,
            prepared=self._began - self._called,
            answers=tuple(asking.answer() for asking in self._asking),
            killed=self._killed,
            whole=self._whole,
            output=self._tail[-_TAIL:],
            printed=self._printed,
        )

    def _turn(self) -> bool:
        """Wait for something and act on it; report whether the container still runs."""
        for ready, _ in self._poll.poll(max(0.0, self._left()) * 1000):
            if ready == self._launcher.line.fileno():
                if not self._listen_to_launcher():
                    self._ended = self._ended or time.monotonic()
                    return False
            elif ready == self._woken[0]:
                os.read(ready, _CHUNK)
            elif ready == self._events:
                self._read_events()
            else:
                self._read_output()
        if self._ended_by is None:
            if (reason := self._reason()) is not None:
                self._stop(reason)
        elif self._left() <= 0 and not self._killed:
            self._killed = True
            self._launcher.kill()
        return True

    def _left(self) -> float:
        """Give the seconds until something has to happen."""
        if self._ended_by is not None:
            return _NO_LIMIT if self._killed else self._ended + self._limits.grace - time.monotonic()
        if not self._limits.seconds:
            return _NO_LIMIT
        return self._began + self._limits.seconds - time.monotonic()

    def _reason(self) -> TraceEndedBy | None:
        """Say why the trace is to end now, if it is."""
        until = self._limits.until
        if until is TraceUntil.LISTENING and self._listening:
            return TraceEndedBy.LISTENING
        if until is TraceUntil.PROBES and self._asking and all(asking.over for asking in self._asking):
            return TraceEndedBy.PROBES
        return TraceEndedBy.TIME if self._left() <= 0 else None

    def _stop(self, reason: TraceEndedBy) -> None:
        self._ended_by, self._ended = reason, time.monotonic()
        for asking in self._asking:
            asking.stop()
        self._launcher.send(self._limits.stop_signal)

    def _listen_to_launcher(self) -> bool:
        heard = self._launcher.hear()
        if heard is None:
            return False
        event, descriptor = heard
        if "error" in event:
            self.failure = self.failure or event
        if "notice" in event:
            self._notice(event["notice"])
        if descriptor is not None and event.get("traced"):
            self._events = descriptor
            self._poll.register(descriptor, select.POLLIN)
        elif descriptor is not None:
            self._sockets.put(socket.socket(fileno=descriptor))
        if event.get("started") and not self.started:
            self.started, self._began = True, time.monotonic()
            self._asking = [Asking(probe, self._new_socket, self._wake) for probe in self._limits.probes]
            for asking in self._asking:
                asking.start()
        return True

    def _new_socket(self, version: int) -> socket.socket:
        """Get a socket in the container's network; called from the threads of probes."""
        self._launcher.line.send(bytes((0, version)))
        try:
            return self._sockets.get(timeout=self._limits.grace)
        except queue.Empty:
            raise OSError(0, "the container gave no socket") from None

    def _wake(self) -> None:
        with suppress(OSError):
            os.write(self._woken[1], b"!")

    def _read_events(self) -> bool:
        chunk = os.read(self._events, _CHUNK)
        if not chunk:
            self._poll.unregister(self._events)
            os.close(self._events)
            self._events = -1
            return False
        for event in self._reader.feed(chunk):
            self._whole = self._whole or "left" in event
            self._listening = self._listening or (event.get("call") == "listen" and event.get("result") == 0)
            self._hear(event)
        return True

    def _read_output(self) -> bool:
        chunk = os.read(self._output, _CHUNK)
        if not chunk:
            self._poll.unregister(self._output)
            os.close(self._output)
            self._output = -1
            return False
        self._printed += len(chunk)
        self._tail = (self._tail + chunk)[-_TAIL:]
        return True

    def _drain(self) -> None:
        """Read what was written before the end; nobody writes any more."""
        while self._events >= 0 and self._read_events():
            pass
        while self._output >= 0 and self._read_output():
            pass
