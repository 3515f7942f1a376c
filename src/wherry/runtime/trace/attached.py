"""A process that runs already, or a command of the user's own, traced: the caller's side."""

import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.runtime.trace.attend import EventReader
from wherry.sandbox.spec import Attach, LauncherEvent, TraceEvent
from wherry.sandbox.start import Launcher, raised

_CHUNK = 1 << 16
_GRACE = 3.0
"""Seconds between what asks a command to end and what ends it."""


def trace_process(
    process: int, hear: Callable[[TraceEvent], None], *, seconds: float = 0.0, pipes: bool = False
) -> None:
    """Trace a process that runs, all its threads and what it starts from now on; it goes on afterwards.

    Args:
        process: its id.
        hear: called with each event.
        seconds: how long; 0: until it ends, or a KeyboardInterrupt.
        pipes: whether broken pipes are traced, in place of files and sockets.

    Raises:
        SandboxRefused: it can't be traced; the hint says why.
    """
    job = Attach(task="attach", process=process, program="", argv=[], environment={}, folder="/", mask=0, pipes=pipes)
    _Attached(Launcher(job), hear, seconds).attend(lambda: why_not(process))


def trace_command(  # noqa: PLR0913 - a command, and how it is traced
    program: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    hear: Callable[[TraceEvent], None],
    *,
    seconds: float = 0.0,
    pipes: bool = False,
) -> int:
    """Run a command and trace it; its output goes to our standard error. Give its exit code.

    Args:
        program: its file.
        argv: its words.
        environment: its variables.
        folder: where it starts.
        hear: called with each event.
        seconds: when it is asked to end; 0: never.
        pipes: as of `trace_process`.

    Raises:
        NotStarted: it can't be executed.
        SandboxRefused: it can't be traced.
    """
    mask = os.umask(0)
    os.umask(mask)
    job = Attach(
        task="attach",
        process=0,
        program=program,
        argv=list(argv),
        environment=dict(environment),
        folder=str(folder),
        mask=mask,
        pipes=pipes,
    )
    return _Attached(Launcher(job, stdin=True, streams={1: 2}), hear, seconds).attend(lambda: "")


def why_not(process: int) -> str:
    """Say why a process may not be traced, and what to do."""
    folder = Path(f"/proc/{process}")
    try:
        status = folder.joinpath("status").read_text(errors="replace")
    except OSError:
        return "no such process; `ps` lists those that run"
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    owner, tracer = int(fields["Uid"].split()[0]), int(fields.get("TracerPid", "0"))
    if tracer:
        return f"process {tracer} traces it already: end that one first"
    if owner != os.geteuid() and os.geteuid() != 0:
        return f"it belongs to user {owner}: trace it as that user or as root"
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() != "0":
        return f"{scope} is {scope.read_text().strip()}: as root, write 0 to it, or trace as root"
    return "it has rights of its own (set-user-ID, or a file that may not be read): trace it as root"


@dataclass(slots=True)
class _Attached:
    _launcher: Launcher
    _hear: Callable[[TraceEvent], None]
    _seconds: float
    _reader: EventReader = field(default_factory=EventReader)
    _events: int = -1
    _failure: LauncherEvent | None = None
    _stopping: float = 0.0
    """When the trace was asked to end; 0: it was not."""

    def attend(self, why: Callable[[], str]) -> int:
        """Stay until the trace is over; give the exit code."""
        poll = select.poll()
        poll.register(self._launcher.line, select.POLLIN)
        ends = time.monotonic() + self._seconds if self._seconds else None
        try:
            while self._turn(poll, ends):
                pass
            while self._events >= 0 and self._read(poll):
                pass
        except BaseException:
            self._launcher.kill()
            raise
        finally:
            if self._events >= 0:
                os.close(self._events)
            code = self._launcher.end()
        if self._failure is not None:
            raise raised(self._failure, why)
        return code

    def _turn(self, poll: "select.poll", ends: float | None) -> bool:
        try:
            return self._wait(poll, ends)
        except KeyboardInterrupt:
            if self._stopping:
                raise
            self._stop()
        return True

    def _wait(self, poll: "select.poll", ends: float | None) -> bool:
        due = self._stopping + _GRACE if self._stopping else ends
        left = None if due is None else max(0.0, due - time.monotonic()) * 1000
        for ready, _ in poll.poll(left):
            if ready == self._events:
                self._read(poll)
            elif not self._listen(poll):
                return False
        if due is not None and time.monotonic() >= due:
            if self._stopping:
                self._launcher.kill()
                return False
            self._stop()
        return True

    def _stop(self) -> None:
        self._stopping = time.monotonic()
        self._launcher.send(signal.SIGTERM)

    def _listen(self, poll: "select.poll") -> bool:
        heard = self._launcher.hear()
        if heard is None:
            return False
        event, descriptor = heard
        if "error" in event:
            self._failure = self._failure or event
        if descriptor is not None:
            self._events = descriptor
            poll.register(descriptor, select.POLLIN)
        return True

    def _read(self, poll: "select.poll") -> bool:
        chunk = os.read(self._events, _CHUNK)
        if not chunk:
            poll.unregister(self._events)
            os.close(self._events)
            self._events = -1
            return False
        for event in self._reader.feed(chunk):
            self._hear(event)
        return True
