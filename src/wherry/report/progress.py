"""What is going on: one live line a running step on a terminal, plain lines in a pipe, objects for a program.

Steps may run side by side, in threads. A step's last line stays; what it did in between does not. How events
look is in `wherry.report.views`.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from types import TracebackType
from typing import IO, Protocol, Self

from wherry.errors import InvalidUsage

MODES = ("auto", "plain", "json", "quiet")


class Step(AbstractContextManager["Step"], Protocol):
    """Something that takes a while; it ends with its `with` block."""

    def detail(self, text: str) -> None:
        """Say what it does at the moment; the next detail, or its end, takes the place of this one."""

    def printed(self, line: str) -> None:
        """Pass on a line that a program of the step printed."""

    def done(self, text: str) -> None:
        """Say what came of it; shown when the block ends. Without it, the time it took is shown."""


class Progress(Protocol):
    """Whom a pipeline tells what it does; safe to call from any thread."""

    def step(self, name: str, *, label: str = "") -> Step:
        """Begin something that takes a while.

        Args:
            name: what it is called.
            label: what stands before the lines that its programs print; with one, a pipe is told when it begins.
        """

    def line(self, text: str) -> None:
        """Say something once."""

    def warn(self, text: str) -> None:
        """Say something the reader should act on; no mode leaves it out."""


class Kind(StrEnum):
    """What an event tells."""

    STEP = "step"
    DETAIL = "detail"
    PRINTED = "printed"
    DONE = "done"
    FAILED = "failed"
    LINE = "line"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    kind: Kind
    text: str = ""
    step: int = 0
    """Which step, from 1 on; 0 where it is of none."""
    name: str = ""
    """The step's name."""
    seconds: float = 0.0
    """Since the step began."""
    label: str = ""
    """What stands before the lines that its programs print; empty where it has none."""


class View(Protocol):
    """One way to show events; called from any thread."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def close(self) -> None:
        """Leave the stream as a reader wants to find it; nothing is shown afterwards."""


class Reporter:
    """The `Progress` of a process: numbers the steps, takes their time, hands events to a view."""

    def __init__(self, view: View, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._monotonic = monotonic
        self._count = 0
        self._lock = threading.Lock()

    def step(self, name: str, *, label: str = "") -> "RunningStep":
        """Begin a step when its block is entered."""
        with self._lock:
            self._count += 1
            return RunningStep(self._view, Event(Kind.STEP, step=self._count, name=name, label=label), self._monotonic)

    def line(self, text: str) -> None:
        """Show a line."""
        self._view.show(Event(Kind.LINE, text))

    def warn(self, text: str) -> None:
        """Show a warning."""
        self._view.show(Event(Kind.WARNING, text))

    def close(self) -> None:
        """End it; steps that still run are shown no more."""
        self._view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RunningStep:
    """A step of a `Reporter`."""

    def __init__(self, view: View, first: Event, monotonic: Callable[[], float]) -> None:
        self._view, self._first, self._monotonic = view, first, monotonic
        self._began = 0.0
        self._result = ""

    def detail(self, text: str) -> None:
        """Say what it does at the moment."""
        self._tell(Kind.DETAIL, text)

    def printed(self, line: str) -> None:
        """Pass on a line that a program printed."""
        self._tell(Kind.PRINTED, line)

    def done(self, text: str) -> None:
        """Say what came of it."""
        self._result = text

    def __enter__(self) -> Self:
        self._began = self._monotonic()
        self._tell(Kind.STEP, "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._tell(Kind.DONE, self._result)
        else:
            self._tell(Kind.FAILED, "")

    def _tell(self, kind: Kind, text: str) -> None:
        self._view.show(replace(self._first, kind=kind, text=text, seconds=self._monotonic() - self._began))


def progress_for(
    mode: str, stream: IO[str], environment: Mapping[str, str], clock: Callable[[], float] = time.time
) -> Reporter:
    """Choose how progress is shown; use it in a `with` statement, so that the terminal is left clean.

    Args:
        mode: one of `MODES`; `auto` is live on a terminal and plain elsewhere.
        stream: where it is shown: stderr.
        environment: NO_COLOR and TERM are read.
        clock: seconds since the epoch, for `json`.

    Raises:
        InvalidUsage: there is no such mode.
    """
    from wherry.report.views import JsonView, LiveView, PlainView, QuietView

    terminal = stream.isatty() and environment.get("TERM") != "dumb"
    colour = terminal and not environment.get("NO_COLOR")
    match mode:
        case "auto" if terminal:
            return Reporter(LiveView(stream, colour=colour, size=lambda: _size_of(stream)))
        case "auto" | "plain":
            return Reporter(PlainView(stream, colour=colour))
        case "json":
            return Reporter(JsonView(stream, clock))
        case "quiet":
            return Reporter(QuietView(stream))
    raise InvalidUsage(f"--progress {mode}: there is no such mode", hint="use " + ", ".join(MODES))


def _size_of(stream: IO[str]) -> os.terminal_size:
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return os.terminal_size((size.columns or 80, size.lines or 24))
