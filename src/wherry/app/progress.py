"""Progress of a use case, as events: values that a caller shows, counts or ignores.

Steps may run side by side, in threads. How events look on a terminal is in `wherry.report.views`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from wherry.counted import Moved, Moving


@dataclass(frozen=True, slots=True)
class TransferCounts:
    """What was moved between two stores so far."""

    sent: int = 0
    """Bytes."""
    blobs: int = 0
    """Blobs that were sent; documents count."""
    there: int = 0
    """Blobs that were there already."""
    mounted: int = 0
    """Blobs that the registry took from another of its repositories."""
    left: int = 0
    """Foreign layers, which their makers do not let others pass on."""
    total: int = 0
    """Bytes that are sent once it is done, as far as is known; 0 where it isn't."""


class ProgressStep(AbstractContextManager["ProgressStep"], Protocol):
    """Something that takes a while; it ends with its `with` block."""

    def detail(self, text: str) -> None:
        """Say what it does at the moment; the next detail, or its end, takes the place of this one."""

    def printed(self, line: str) -> None:
        """Pass on a line that a program of the step printed."""

    def done(self, text: str) -> None:
        """Say what came of it; shown when the block ends. Without it, the time it took is shown."""

    def moved(self, moved: TransferCounts, *, last: bool = False) -> None:
        """Report what was moved so far; the last one is what came of the step."""

    def passed(self, done: int, total: int = 0) -> None:
        """Report the bytes that went by so far, and how many there are; 0: that is not known."""


class Progress(Protocol):
    """Where a use case reports what it does; safe to call from any thread."""

    def step(self, name: str, *, label: str = "", brief: bool = False) -> ProgressStep:
        """Begin something that takes a while.

        Args:
            name: what it is called.
            label: what stands before the lines that its programs print; with one, its start is also written to a pipe.
            brief: whether it is shown only while it runs, and leaves no line.
        """

    def line(self, text: str) -> None:
        """Say something once."""

    def waiting(self, text: str) -> None:
        """Say what is waited for, in place of what was said before; empty: nothing is."""

    def warn(self, text: str) -> None:
        """Say something the reader should act on; no mode leaves it out."""


def moving_of(progress: Progress) -> Moving:
    """Give what shows bytes on their way while they are, and leaves no line."""

    @contextmanager
    def moving(name: str) -> Iterator[Moved]:
        with progress.step(name, brief=True) as step:
            yield step.passed

    return moving


class EventKind(StrEnum):
    """What an event tells."""

    STEP = "step"
    DETAIL = "detail"
    PRINTED = "printed"
    DONE = "done"
    FAILED = "failed"
    LINE = "line"
    WARNING = "warning"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    kind: EventKind
    text: str = ""
    step: int = 0
    """Which step, from 1 on; 0 where it is of none."""
    name: str = ""
    """The step's name."""
    seconds: float = 0.0
    """Since the step began."""
    label: str = ""
    """What stands before the lines that its programs print; empty where it has none."""
    moved: TransferCounts | None = None
    """What was moved between two stores; None where the step moves nothing."""
    passed: tuple[int, int] | None = None
    """Bytes that went by, and all of them (0: not known); None where none are counted."""
    brief: bool = False
    """Whether the step leaves no line."""


class ProgressView(Protocol):
    """One way to show events; called from any thread."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def close(self) -> None:
        """Leave the stream as a reader wants to find it; nothing is shown afterwards."""


class Reporter:
    """The `Progress` of a process: numbers the steps, takes their time, hands events to a view."""

    def __init__(self, view: ProgressView, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._monotonic = monotonic
        self._count = 0
        self._lock = threading.Lock()
        self.closed = False

    def step(self, name: str, *, label: str = "", brief: bool = False) -> "RunningStep":
        """Begin a step when its block is entered."""
        with self._lock:
            self._count += 1
            first = Event(EventKind.STEP, step=self._count, name=name, label=label, brief=brief)
        return RunningStep(self._view, first, self._monotonic)

    def line(self, text: str) -> None:
        """Show a line."""
        self._view.show(Event(EventKind.LINE, text))

    def warn(self, text: str) -> None:
        """Show a warning."""
        self._view.show(Event(EventKind.WARNING, text))

    def waiting(self, text: str) -> None:
        """Show what is waited for."""
        self._view.show(Event(EventKind.WAITING, text))

    def close(self) -> None:
        """End it; steps that still run are shown no more."""
        self.closed = True
        self._view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RunningStep:
    """A step of a `Reporter`."""

    def __init__(self, view: ProgressView, first: Event, monotonic: Callable[[], float]) -> None:
        self._view, self._first, self._monotonic = view, first, monotonic
        self._began = 0.0
        self._result = ""
        self._moved: TransferCounts | None = None

    def detail(self, text: str) -> None:
        """Say what it does at the moment."""
        self._tell(EventKind.DETAIL, text)

    def printed(self, line: str) -> None:
        """Pass on a line that a program printed."""
        self._tell(EventKind.PRINTED, line)

    def done(self, text: str) -> None:
        """Say what came of it."""
        self._result = text

    def moved(self, moved: TransferCounts, *, last: bool = False) -> None:
        """Report what was moved so far."""
        if last:
            self._moved = moved
        else:
            self._tell(EventKind.DETAIL, "", moved)

    def passed(self, done: int, total: int = 0) -> None:
        """Report the bytes that went by so far."""
        seconds = self._monotonic() - self._began
        self._view.show(replace(self._first, kind=EventKind.DETAIL, seconds=seconds, passed=(done, total)))

    def __enter__(self) -> Self:
        self._began = self._monotonic()
        self._tell(EventKind.STEP, "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._tell(EventKind.DONE, self._result, self._moved)
        else:
            self._tell(EventKind.FAILED, "")

    def _tell(self, kind: EventKind, text: str, moved: TransferCounts | None = None) -> None:
        seconds = self._monotonic() - self._began
        self._view.show(replace(self._first, kind=kind, text=text, seconds=seconds, moved=moved))


class Silent:
    """The `Progress` of a caller that wants to know nothing."""

    def step(self, name: str, *, label: str = "", brief: bool = False) -> "RunningStep":
        """Begin a step that nothing shows."""
        del brief
        return RunningStep(_NOWHERE, Event(EventKind.STEP, name=name, label=label), time.monotonic)

    def line(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def waiting(self, text: str) -> None:
        """Say nothing."""


class Calls:
    """A view that calls a function for each event; whatever the function raises ends the use case."""

    def __init__(self, call: Callable[[Event], None]) -> None:
        self._call = call

    def show(self, event: Event) -> None:
        """Call it."""
        self._call(event)

    def close(self) -> None:
        """Do nothing."""


_NOWHERE = Calls(lambda _: None)
