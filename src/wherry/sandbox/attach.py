"""A container attended: signals go in, its words and its exit code come out, the terminal is lent to it."""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from wherry.errors import CannotWrite
from wherry.sandbox.channel import FAILED
from wherry.sandbox.debug_spec import DebugEntry
from wherry.sandbox.enter_spec import Enter
from wherry.sandbox.relay import Relay
from wherry.sandbox.spec import Container, LauncherEvent
from wherry.sandbox.start import Launcher, SandboxRefused, raised
from wherry.sandbox.terminal import BorrowedTerminal

_PASSED_ON = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGCONT, signal.SIGWINCH,
)  # fmt: skip
_STOPPING = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP})
_TAKEN = frozenset({signal.SIGINT, signal.SIGQUIT})
"""Passed on even where they were ignored when we came."""
_PATIENCE = 3
"""A stopping signal is passed on so often at most; then the container is killed."""
_SIGNALLED = 128
"""Exit codes above it name the signal that ended the launcher."""


class StreamMover(Protocol):
    """What has the other ends of a container's standard streams."""

    handed: dict[int, int]
    """For each stream that is not ours, the end that the container gets."""
    failure: OSError | None
    """Why output could not be written, if it couldn't."""

    def let_go(self) -> None:
        """Close the container's ends, which it has by now."""

    def watch(self, poll: "select.poll") -> None:
        """Have our ends watched."""

    def has(self, end: int) -> bool:
        """Report whether a descriptor is one of our ends."""

    def move(self, end: int, poll: "select.poll | None") -> None:
        """Move what there is at one of our ends."""

    def finish(self) -> None:
        """Move what is left once the container has ended."""


class Watcher(Protocol):
    """Is told what becomes of a container."""

    def begun(self, launcher: Launcher) -> None:
        """Take the launcher, which was just started; it may be sent signals from any thread."""

    def hear(self, event: LauncherEvent, descriptor: int | None) -> bool:
        """Hear an event; report whether the descriptor that came with it was taken."""


def run_container(
    job: Container | Enter | DebugEntry,
    *,
    stdin: bool,
    notice: Callable[[str], None],
    why: Callable[[], str],
    streams: StreamMover | None = None,
    watcher: Watcher | None = None,
) -> int:
    """Run a container to its end, or one more program in a container.

    Args:
        job: what to run.
        stdin: whether the program reads our standard input; else it reads nothing.
        notice: called with messages for the user, a line at a time.
        why: asked why this machine may refuse a sandbox.
        streams: where its output goes; None: to our standard streams.
        watcher: told what becomes of it.

    Returns:
        The program's exit code; 128 and the signal where one killed it.

    Raises:
        NotStarted: the program is not there, or can't be executed.
        BadLayer: the image has something else where a mount belongs.
        SandboxRefused: this machine refuses what a sandbox needs.
    """
    with _signals() as caught:
        relay = streams or Relay(stdin=stdin)
        try:
            launcher = Launcher(job, stdin=stdin, streams=relay.handed)
        finally:
            relay.let_go()
        attendant = _Attendant(launcher, relay, caught, notice, reads=stdin, watcher=watcher)
        try:
            if watcher is not None:
                watcher.begun(launcher)
            attendant.attend()
        except BaseException:
            launcher.kill()
            raise
        finally:
            attendant.leave()
            code = launcher.end()
    if relay.failure is not None:
        raise CannotWrite(
            f"standard output: {relay.failure.strerror}", hint="free disk space, or redirect the output"
        ) from relay.failure
    if attendant.failure is not None and code <= _SIGNALLED:  # a killed launcher's children may still complain
        raise raised(attendant.failure, why)
    if code == FAILED and not attendant.started:
        raise SandboxRefused("the launcher failed", hint=why())
    return code


class _Attendant:
    """Watches a running container."""

    def __init__(
        self,
        launcher: Launcher,
        relay: StreamMover,
        caught: int,
        notice: Callable[[str], None],
        *,
        reads: bool,
        watcher: Watcher | None,
    ) -> None:
        self._watcher = watcher
        self._launcher = launcher
        self._relay = relay
        self._caught = caught
        self._notice = notice
        self._reads = reads
        self._asked = 0
        self._lent: BorrowedTerminal | None = None
        self.started = False
        """Whether the program itself was started: then every exit code is its own."""
        self.failure: LauncherEvent | None = None

    def attend(self) -> None:
        """Stay until the launcher ended."""
        poll = select.poll()
        poll.register(self._launcher.line, select.POLLIN)
        if self._caught >= 0:
            poll.register(self._caught, select.POLLIN)
        self._relay.watch(poll)
        while True:
            for ready, _ in poll.poll():
                if ready == self._caught:
                    self._pass_on()
                elif ready == self._launcher.line.fileno():
                    if not self._hear(poll):
                        return
                elif self._relay.has(ready):
                    self._relay.move(ready, poll)
                elif self._lent is not None:
                    self._lent.move(ready, poll)

    def leave(self) -> None:
        """Take the terminal back, and move what the container still wrote."""
        if self._lent is not None:
            self._lent.take_back()
        self._relay.finish()

    def _hear(self, poll: select.poll) -> bool:
        heard = self._launcher.hear()
        if heard is None:
            return False
        event, descriptor = heard
        if "error" in event:
            self.failure = event
        if "notice" in event:
            self._notice(event["notice"])
        self.started = self.started or event.get("started", False)
        if self._watcher is not None and self._watcher.hear(event, descriptor):
            return True
        if descriptor is not None:
            self._lent = BorrowedTerminal(descriptor, reads=self._reads)
            self._lent.lend(poll)
        return True

    def _pass_on(self) -> None:
        for number in os.read(self._caught, 64):
            if number == signal.SIGWINCH:
                if self._lent is not None:
                    self._lent.resize()
                continue
            self._asked += number in _STOPPING
            if self._asked > _PATIENCE:
                self._launcher.kill()
                return
            self._launcher.send(number)


@contextmanager
def _signals() -> Iterator[int]:
    """Collect signals meant for the container in a pipe, and give its end to read.

    Only the main thread can; elsewhere -1 is given, and signals stay what they were. SIGHUP stays ignored where it was
    (nohup); SIGINT and SIGQUIT, which a shell makes its background jobs ignore, are passed on as Docker does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield -1
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}
    woken = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        for number in _PASSED_ON:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN or number in _TAKEN:
                before[number] = handler
                signal.signal(number, _caught)
        yield read
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: not set from Python, so not to be given back from here
                signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(read)
        os.close(write)


def _caught(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: that the signal came stands in the pipe."""
