"""How events look: lines that stay, objects; `live.py` has the lines of a terminal that change.

Text that comes from outside (a package's path, a compiler's words) loses its control characters on the way.

Sources: no-color.org; UAX #11 (wide letters). The objects' schema is in `docs/reference/progress.md`.
"""

import json
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from wherry.app.progress import Event, EventKind
from wherry.counted import counted
from wherry.report.plain import plain
from wherry.report.terminal import size as size_of

_OFTEN = 0.25
"""Seconds between two objects that say how many bytes of a step went by."""
_BEAT = 10
"""Seconds after which a running step that had no line in a pipe gets one."""
_MINUTE = 60
_MOST_PRINTED = 50
"""Lines of a failed step's programs that stay on a terminal."""


@dataclass
class MemoryView:
    """Remembers events; for tests."""

    events: list[Event] = field(default_factory=list)

    def show(self, event: Event) -> None:
        """Remember it."""
        self.events.append(event)

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class RunningLine:
    """What is known of a step that runs."""

    name: str
    began: float
    event: Event | None = None
    """What it said last of what it does."""
    shown: float = 0.0
    """When a line of it was written."""
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_PRINTED))

    @property
    def detail(self) -> str:
        """What it does at the moment."""
        return text_of(self.event) if self.event else ""


class PlainView:
    """Lines for a pipe: what was done, when it was done; of a step with a label its beginning, and what it prints.

    A step that takes long is never silent: every 10 s without a line of it, one says what it does at the moment.
    """

    def __init__(
        self, stream: IO[str], *, colour: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._colour = colour
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._running: dict[int, RunningLine] = {}
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None

    def show(self, event: Event) -> None:
        """Write the lines that stay."""
        self._follow(event)
        match event.kind:
            case EventKind.STEP if event.label:
                lines = [f"  {plain(event.name)}"]
            case EventKind.PRINTED:
                lines = [printed_line(event)]
            case _:
                lines = lasting(event, colour=self._colour)
        if lines:
            with self._lock:
                self._stream.write("".join(line + "\n" for line in lines))
                self._stream.flush()

    def close(self) -> None:
        """End the watch over steps; every line was whole."""
        self._closed.set()
        if self._ticker is not None:
            self._ticker.join()

    def _follow(self, event: Event) -> None:
        """Keep in mind which steps run, what they do, and when each had its last line."""
        now = self._monotonic()
        with self._lock:
            match event.kind:
                case EventKind.STEP:
                    self._running[event.step] = RunningLine(event.name, now - event.seconds, shown=now)
                case EventKind.DETAIL | EventKind.PRINTED if event.step in self._running:
                    live = self._running[event.step]
                    if event.kind is EventKind.PRINTED:
                        live.shown = now
                    else:
                        live.event = event
                case EventKind.DONE | EventKind.FAILED:
                    self._running.pop(event.step, None)
            if self._running and self._ticker is None and not self._closed.is_set():
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()

    def _tick(self) -> None:
        while not self._closed.wait(1):
            with suppress(OSError, ValueError):  # a pipe that was closed ends nothing but the show
                self.beat()

    def beat(self) -> None:
        """Write a line for each running step that had none for 10 s."""
        with self._lock:
            now = self._monotonic()
            lines = []
            for live in self._running.values():
                if now - live.shown >= _BEAT:
                    live.shown = now
                    lines.append(f"  {fields(live.name, live.detail, duration(now - live.began))}\n")
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()


class QuietView:
    """Warnings only."""

    def __init__(self, stream: IO[str]) -> None:
        self._plain = PlainView(stream)

    def show(self, event: Event) -> None:
        """Write a warning."""
        if event.kind is EventKind.WARNING:
            self._plain.show(event)

    def close(self) -> None:
        """Do nothing."""


class JsonView:
    """One object a line, for a program."""

    def __init__(self, stream: IO[str], clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: dict[int, float] = {}

    def show(self, event: Event) -> None:
        """Write an object; keys that say nothing are left out."""
        if event.kind is EventKind.WAITING:
            return
        with self._lock:
            if counts(event) and event.seconds - self._counted.get(event.step, -_OFTEN) < _OFTEN:
                return
            if counts(event):
                self._counted[event.step] = event.seconds
            self._stream.write(json.dumps(self._document(event)) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Do nothing."""

    def _document(self, event: Event) -> dict[str, object]:
        moment = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document: dict[str, object] = {"time": moment, "event": str(event.kind)}
        if event.step:
            document |= {"step": event.step, "name": event.name}
        if event.kind in {EventKind.DONE, EventKind.FAILED, EventKind.PRINTED}:
            document["seconds"] = round(event.seconds, 3)
        if bytes_of(event) != (0, 0):
            document["bytes"], document["total"] = bytes_of(event)
        return document | ({"text": text} if (text := text_of(event)) else {})


def lasting(event: Event, *, colour: bool = False) -> list[str]:
    """Give the lines of an event that stay: none for a step that begins or goes on."""
    match event.kind:
        case EventKind.DONE | EventKind.FAILED if event.brief:
            return []
        case EventKind.LINE:
            return [f"  {plain(line)}" for line in event.text.splitlines()]
        case EventKind.WARNING:
            sign = "\x1b[1;33mwarning:\x1b[0m" if colour else "warning:"
            return [f"{sign} {plain(line)}" for line in event.text.splitlines()]
        case EventKind.DONE:
            return [f"  {fields(event.name, text_of(event) or duration(event.seconds))}"]
        case EventKind.FAILED:
            sign = "\x1b[31mfailed\x1b[0m" if colour else "failed"
            return [f"  {plain(event.name)}  {sign} after {duration(event.seconds)}"]
        case _:
            return []


def counts(event: Event) -> bool:
    """Report whether an event only says how many bytes of a step went by: there are many of them."""
    return event.kind is EventKind.DETAIL and (event.moved is not None or event.passed is not None)


def bytes_of(event: Event) -> tuple[int, int]:
    """Give the bytes of a step that went by, and all of them (0: not known)."""
    if event.moved is not None:
        return event.moved.sent, event.moved.total
    return event.passed or (0, 0)


def text_of(event: Event) -> str:
    """Give an event's text; figures of what was moved are written as words."""
    moved = event.moved
    if event.passed is not None:
        return amount_of(*event.passed)
    if moved is None:
        return event.text
    if event.kind is EventKind.DETAIL:
        there = moved.there + moved.mounted
        return amount_of(moved.sent, moved.total) + (f", {counted(there, 'blob')} there" if there else "")
    verb, done = ("fetch", "fetched") if event.name.startswith("pull ") else ("send", "sent")
    words = [f"{size_of(moved.sent)} {done}" if moved.blobs else f"nothing to {verb}"]
    words += [f"{moved.mounted} mounted"] if moved.mounted else []
    words += [f"{moved.there} already there"] if moved.there else []
    words += [f"{moved.left} foreign layers skipped"] if moved.left else []
    return ", ".join(words)


def amount_of(done: int, total: int) -> str:
    """Write how many bytes went by: `1.2 of 4.7 MB`, or `1.2 MB` where it is not known of how many."""
    if not total:
        return size_of(done)
    part, whole = size_of(min(done, total)), size_of(total)
    number, _, unit = part.partition(" ")
    return f"{number} of {whole}" if whole.endswith(f" {unit}") else f"{part} of {whole}"


def printed_line(event: Event) -> str:
    """Write a line that a program of a step printed."""
    return f"    {plain(event.label)} {event.seconds:.1f} | {plain(event.text)}"


def duration(seconds: float) -> str:
    """Write a time for people: `0.3 s`, `1 min 05 s`."""
    if seconds < _MINUTE - 0.05:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest:02d} s"


def cut(line: str, columns: int) -> str:
    """Shorten a line without escapes to what fits on a terminal's row; wide letters take two columns."""
    if len(line) <= columns and line.isascii():
        return line
    used = 0
    fitting = 0
    for place, letter in enumerate(line):
        used += columns_of(letter)
        if used > columns:
            return line[:fitting] + "…" if columns > 0 else ""
        if used < columns:
            fitting = place + 1
    return line


def columns_of(letter: str) -> int:
    """Count the columns of a letter."""
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def fields(*parts: str) -> str:
    """Join what is said of a step."""
    return "  ".join(plain(part) for part in parts if part)
