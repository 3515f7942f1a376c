"""The supervisor of a container: the process that runs it, keeps its state and log, and answers on its socket.

For `wherry run` it is that process; for `wherry run -d` one in a session of its own, which a terminal's end does not
reach. It is no daemon: one a container, gone with it. When it is killed, the kernel ends the container too.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidUsage, WherryError
from wherry.runtime.control import ControlAnswer, ControlRequest, ControlServer
from wherry.runtime.health import HealthAnswer, HealthCheck, HealthWatch
from wherry.runtime.inside import ContainerHandles, run_inside
from wherry.runtime.logs import LogWriter
from wherry.runtime.records import OwnContainer
from wherry.sandbox.accounts import AccountFiles
from wherry.sandbox.attach import StreamMover, run_container
from wherry.sandbox.spec import Container, LauncherEvent
from wherry.sandbox.start import Launcher

_KILL = 9
_CHUNK = 1 << 16
_LONGEST_STOP = 86_400.0


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a container is run."""

    accounts: AccountFiles
    """Of its image."""
    health: HealthCheck | None
    stdin: bool
    streams: StreamMover | None
    """Where its output goes; None: to our standard streams."""
    notice: Callable[[str], None]
    why: Callable[[], str]
    executed: Callable[[], None]
    """Called once the program runs."""


def supervise(job: Container, own: OwnContainer, how: Supervision) -> int:
    """Run a container to its end, and keep its state; give its exit code.

    Args:
        job: what to run.
        own: its folder, which is let go of at the end.
        how: the rest.

    Raises:
        WherryError: as of `run_container`; the state has it too.
    """
    supervisor = _Supervisor({**job, "handles": True}, own, how)
    try:
        return supervisor.run()
    finally:
        own.close()


class _Supervisor:
    def __init__(self, job: Container, own: OwnContainer, how: Supervision) -> None:
        self._job = job
        self._own = own
        self._how = how
        self._launcher: Launcher | None = None
        self._descriptors: dict[str, int] = {}
        self._groups: tuple[str, ...] = ()
        self._health: HealthWatch | None = None
        self._ended = threading.Event()
        self._runs = self._failed = False
        self._turn = threading.Lock()
        """Held while the descriptors are used or closed."""

    def run(self) -> int:
        """Run it."""
        own, how = self._own, self._how
        server = ControlServer(own.folder, self._answer)
        try:
            code = run_container(
                self._job, stdin=how.stdin, notice=how.notice, why=how.why, streams=how.streams, watcher=self
            )
            own.change(status="exited", code=code, finished=time.time(), pid=0)
        except WherryError as error:
            reason = own.state.reason or str(error)
            own.change(status="exited", code=error.exit_code, finished=time.time(), pid=0, reason=reason)
            raise
        finally:
            if self._health is not None:
                self._health.stop()
            self._ended.set()
            self._let_go()
            server.close()
        return code

    def begun(self, launcher: Launcher) -> None:
        """Take the launcher."""
        self._launcher = launcher

    def hear(self, event: LauncherEvent, descriptor: int | None) -> bool:
        """Hear what becomes of the container."""
        if "groups" in event:
            self._groups = tuple(event["groups"])
        self._failed = self._failed or "error" in event
        if event.get("executed") and not self._failed:
            self._begin()
        if killed := event.get("killed", 0):
            self._own.change(reason="killed at its memory limit")
            what = "a process was" if killed == 1 else f"{killed} processes were"
            self._how.notice(f"{what} killed at the memory limit of the container: give it more with --memory")
        if "handle" in event and descriptor is not None:
            self._descriptors[event["handle"]] = descriptor
            return True
        return False

    def _begin(self) -> None:
        """Take note that the program runs."""
        own, health = self._own, self._how.health
        pid = _process_of(self._descriptors.pop("process", -1))
        own.change(status="running", pid=pid, started=time.time(), health="starting" if health else "")
        self._runs = True
        if health is not None:
            self._health = HealthWatch(health, self._check, self._keep)
        self._how.executed()

    def _check(self, argv: tuple[str, ...], seconds: float) -> tuple[int | None, str]:
        with self._turn:
            if self._ended.is_set():
                return None, ""
            copies = {name: os.dup(descriptor) for name, descriptor in self._descriptors.items()}
        try:
            return run_inside(ContainerHandles(self._job, copies, self._groups), argv, seconds)
        except (WherryError, OSError) as error:
            return None, str(error)
        finally:
            for descriptor in copies.values():
                os.close(descriptor)

    def _keep(self, answer: HealthAnswer) -> None:
        if self._ended.is_set():
            return
        before = self._own.state.health
        self._own.change(health=answer.health, failures=answer.failures, answer=answer.text)
        if before != answer.health:
            last = answer.text.strip().splitlines()[-1:] if answer.health == "unhealthy" else []
            self._how.notice(": ".join([f"health: {answer.health}", *last]))

    def _let_go(self) -> None:
        with self._turn:
            for descriptor in self._descriptors.values():
                os.close(descriptor)
            self._descriptors.clear()

    def _answer(self, request: ControlRequest) -> ControlAnswer:
        try:
            if request.ask == "enter":
                return self._handles(request)
        except WherryError as error:
            return ControlAnswer({"error": str(error), "hint": error.hint, "code": error.exit_code})
        if request.ask in ("signal", "stop"):
            self._send(request.signal)
        if request.ask == "stop" and not self._ended.wait(min(max(request.seconds, 0.0), _LONGEST_STOP)):
            self._send(_KILL)
        if request.ask in ("stop", "wait"):
            self._ended.wait()
        return ControlAnswer({"code": self._own.state.code})

    def _send(self, number: int) -> None:
        if self._launcher is not None and 0 < number < 65:  # noqa: PLR2004 - signal(7): 64 is the last
            self._launcher.send(number)

    def _handles(self, request: ControlRequest) -> ControlAnswer:
        """Give what it takes to enter; copies, since these may be closed before they are sent."""
        if not self._runs or self._ended.is_set():
            raise InvalidUsage(
                f"{self._own.record.name} does not run yet, or has ended", hint="`wherry ps -a` shows how it is"
            )
        job = dict(self._job)
        if request.user is not None:
            account = self._how.accounts.find(request.user)
            job |= {"uid": account.uid, "gid": account.gid, "groups": list(account.groups)}
        with self._turn:
            copies = tuple(os.dup(descriptor) for descriptor in self._descriptors.values())
            names = list(self._descriptors)
        return ControlAnswer({"job": job, "handles": names, "groups": list(self._groups)}, copies)


class LogStreams:
    """What a container prints, written to its log."""

    def __init__(self, log: LogWriter) -> None:
        """Make a pipe a stream."""
        self._log = log
        self.failure: OSError | None = None
        self.handed: dict[int, int] = {}
        self._ours: dict[int, str] = {}
        for stream, name in ((1, "stdout"), (2, "stderr")):
            read, write = os.pipe()
            self.handed[stream] = write
            self._ours[read] = name

    def let_go(self) -> None:
        """Close the container's ends, which it has by now."""
        for end in self.handed.values():
            os.close(end)
        self.handed.clear()

    def watch(self, poll: "select.poll") -> None:
        """Have our ends watched."""
        for end in self._ours:
            poll.register(end, select.POLLIN)

    def has(self, end: int) -> bool:
        """Report whether a descriptor is one of our ends."""
        return end in self._ours

    def move(self, end: int, poll: "select.poll | None") -> None:
        """Write what there is."""
        chunk = os.read(end, _CHUNK)
        if chunk:
            self._log.write(self._ours[end], chunk)
            return
        if poll is not None:
            poll.unregister(end)
        del self._ours[end]
        os.close(end)

    def finish(self) -> None:
        """Write what is left once the container has ended."""
        for end in list(self._ours):
            while self.has(end):
                self.move(end, None)
        self._log.close()


def _process_of(descriptor: int) -> int:
    """Give the process id that a pidfd has on this machine, and close it; 0: it ended, or /proc is another's."""
    if descriptor < 0:
        return 0
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        lines = []
    os.close(descriptor)
    found = next((line.partition(":")[2].strip() for line in lines if line.startswith("Pid:")), "0")
    return max(0, int(found))
