"""One more program in a container that runs: for a health check, and for `wherry exec`."""

import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from wherry.sandbox.attach import run_container
from wherry.sandbox.enter_spec import Enter
from wherry.sandbox.spec import Container, LauncherEvent
from wherry.sandbox.start import Launcher

_KEPT = 4096
"""Bytes that are kept of what a health check prints."""
_GRACE = 1.0
"""Seconds between what ends a program and what ends its launcher."""


@dataclass(frozen=True, slots=True)
class ContainerHandles:
    """By what a container that runs is entered."""

    job: Container
    """As it was started."""
    descriptors: Mapping[str, int]
    """Of its namespaces, by name."""
    groups: tuple[str, ...] = ()
    """Folders of its control groups."""

    def enter(self, argv: Sequence[str], **fields: object) -> Enter:
        """Give what is asked of the launcher.

        Args:
            argv: the program.
            fields: what is other than in the container's own job.
        """
        changed = {"argv": list(argv), "terminal": False, "handles": False, "control": [], **fields}
        job = cast("Container", {**self.job, **changed})
        return Enter(task="enter", container=job, handles=list(self.descriptors), groups=list(self.groups))


def run_inside(handles: ContainerHandles, argv: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Run a program in a container without input; give its exit code and the beginning of what it printed.

    Args:
        handles: of the container.
        argv: the program.
        seconds: after which it is killed; its code is then None, as where it could not be run.
    """
    read, write = os.pipe()
    try:
        launcher = Launcher(handles.enter(argv), streams={1: write, 2: write})
    finally:
        os.close(write)
    _Hand(handles).begun(launcher)
    with os.fdopen(read, "rb", buffering=0) as stream:
        running = _Inside(launcher, stream.fileno(), time.monotonic() + seconds)
        running.attend()
        code = launcher.end()
    text = running.printed.decode(errors="replace")
    if running.problem:
        return None, running.problem
    if running.late:
        return None, f"{text}\nno end within {seconds:g} s".lstrip()
    return code, text


class _Inside:
    def __init__(self, launcher: Launcher, output: int, due: float) -> None:
        self._launcher = launcher
        self._output = output
        self._due = due
        self.printed = b""
        self.problem = ""
        self.late = False

    def attend(self) -> None:
        """Stay until the launcher ended, or was ended."""
        poll = select.poll()
        poll.register(self._launcher.line, select.POLLIN)
        poll.register(self._output, select.POLLIN)
        while True:
            left = max(0.0, self._due - time.monotonic()) * 1000
            ready = [descriptor for descriptor, _ in poll.poll(left)]
            if self._output in ready and not self._read():
                poll.unregister(self._output)
            if self._launcher.line.fileno() in ready and not self._hear():
                return
            if time.monotonic() >= self._due and not self._end():
                return

    def _read(self) -> bool:
        chunk = os.read(self._output, 1 << 16)
        self.printed = (self.printed + chunk)[:_KEPT]
        return bool(chunk)

    def _hear(self) -> bool:
        heard = self._launcher.hear()
        if heard is not None and "error" in heard[0]:
            self.problem = heard[0]["error"]
        return heard is not None

    def _end(self) -> bool:
        """End what takes too long: the program at first, then the launcher; report whether to go on waiting."""
        if self.late:
            self._launcher.kill()
            return False
        self.late, self._due = True, time.monotonic() + _GRACE
        self._launcher.send(9)
        return True


def attach_inside(
    enter: Enter, handles: ContainerHandles, *, stdin: bool, notice: Callable[[str], None], why: Callable[[], str]
) -> int:
    """Run a program in a container with our standard streams; give its exit code.

    Raises:
        NotStarted: it is not in the container, or can't be executed.
        SandboxRefused: the container can't be entered.
    """
    return run_container(enter, stdin=stdin, notice=notice, why=why, watcher=_Hand(handles))


class _Hand:
    """Hands the descriptors to the launcher as soon as it is there."""

    def __init__(self, handles: ContainerHandles) -> None:
        self._handles = handles

    def begun(self, launcher: Launcher) -> None:
        """Send them."""
        with suppress(OSError):  # it ended: what it said comes next
            socket.send_fds(launcher.line, [b"h"], list(self._handles.descriptors.values()))

    def hear(self, _event: LauncherEvent, _descriptor: int | None) -> bool:
        """Take nothing."""
        return False
