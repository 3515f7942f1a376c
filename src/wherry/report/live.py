"""Progress on a terminal: lines that stay, and below them one for each running step, redrawn as time goes on.

Steps stand side by side: name, what it does or a bar where bytes are counted, and at the right edge its time; below
them what the others wait for. The cursor is never hidden and nothing waits for an answer, so a terminal is as it was
even after SIGKILL. Terminals wrap drawn lines again when they are made narrower, which is counted when going back up.
Lines are overwritten and only then is what is left of them erased: nothing flickers, and tmux, which keeps a screen
that is erased from its top, keeps no copies.

Sources: ECMA-48 (CPL, ED, SGR); UAX #11 (wide letters).
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from wherry.app.progress import Event, EventKind
from wherry.report.plain import plain
from wherry.report.terminal import BUSY, PASSING, painted
from wherry.report.views import (
    RunningLine,
    amount_of,
    bytes_of,
    columns_of,
    counts,
    cut,
    duration,
    fields,
    lasting,
    printed_line,
    text_of,
)

_TICK = 0.1
"""Seconds between two looks of the live lines: one digit of the time shown."""
_WIDEST = 100
"""Columns after which times are not moved further to the right."""
_NARROWEST = 40
"""Columns below which nothing stands side by side."""
_AMOUNT = len("12.3 of 123.4 MB")
_TAIL = 4
"""Lines that a step's program printed last, shown below it where there is room for two or more."""
_BARS = {80: 20, 60: 12, 0: 8}
"""Columns of a bar, by the columns there are."""


class LiveView:
    """Lines for a terminal.

    What a step's programs print is seen in its line, one after the other; the last lines of a step that fails stay.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        colour: bool,
        size: Callable[[], os.terminal_size],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._colour, self._size, self._monotonic = stream, colour, size, monotonic
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
        self._marks = ("━", "─") if encoding == "utf8" else ("#", ".")
        self._running: dict[int, RunningLine] = {}
        self._waiting = ""
        self._drawn: list[int] = []
        """Columns of each line that is drawn."""
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None

    def show(self, event: Event) -> None:
        """Take an event in and draw."""
        with self._lock:
            if self._closed.is_set():
                return
            staying = self._staying(event)
            match event.kind:
                case EventKind.STEP:
                    self._running[event.step] = RunningLine(event.name, self._monotonic() - event.seconds)
                case EventKind.DETAIL | EventKind.PRINTED if event.step in self._running:
                    self._running[event.step].event = event
                    if event.kind is EventKind.PRINTED:
                        self._running[event.step].printed.append(printed_line(event))
                case EventKind.DONE | EventKind.FAILED:
                    live = self._running.pop(event.step, None)
                    if live is not None and event.kind is EventKind.FAILED:
                        staying = [*live.printed, *staying]
                case EventKind.WAITING:
                    self._waiting = event.text
            if event.kind is not EventKind.WAITING and not counts(event):  # those come often: the next tick shows them
                self._draw(staying)
            if self._running and self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()

    def close(self) -> None:
        """Take the live lines away."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            self._running.clear()
            self._draw([])
            ticker = self._ticker
        if ticker is not None:
            ticker.join()

    def _tick(self) -> None:
        while not self._closed.wait(_TICK):
            with self._lock, suppress(OSError, ValueError):  # a terminal that went away ends nothing but the show
                if not self._running:
                    self._ticker = None  # the next step starts another: a container's output may follow now
                    return
                if not self._closed.is_set():
                    self._draw([])

    def _draw(self, staying: list[str]) -> None:
        size = self._size()
        live = self._live_lines(max(size.lines - 1, 1), size.columns - 1)
        rows = sum(max(1, -(-columns // size.columns)) for columns in self._drawn)
        back, rest, end = (f"\x1b[{rows}F", "\x1b[J", "\x1b[K\n") if rows else ("", "", "\n")
        text = back + "".join(line + end for line in [*staying, *(line for line, _ in live)]) + rest
        self._drawn = [columns for _, columns in live]
        if text:
            self._stream.write(text)
            self._stream.flush()

    def _staying(self, event: Event) -> list[str]:
        """Give the lines of an event that stay; that of a step has its time at the right, below the others'."""
        columns = min(self._size().columns - 1, _WIDEST)
        lines = lasting(event, colour=self._colour)
        if event.kind is not EventKind.DONE or not lines or columns < _NARROWEST:
            return lines
        line, took = f"  {fields(event.name, text_of(event))}", duration(event.seconds)
        space = " " * max(columns - _width(line) - len(took), 2)
        return [f"{line}{space}{self._paint(took, PASSING)}"]

    def _live_lines(self, room: int, columns: int) -> list[tuple[str, int]]:
        """Give the lines of what runs, none wider than the terminal, each with its columns."""
        now = self._monotonic()
        running = list(self._running.values())
        rows = [(plain(one.name), one.event, duration(now - one.began)) for one in running]
        tails = self._tails(running, room)
        hidden = len(rows) - room
        if hidden > 0:
            rows = rows[: room - 1]
        if columns < _NARROWEST:
            texts = [
                cut(f"  {fields(name, text_of(event) if event else '', took)}", columns) for name, event, took in rows
            ]
            lines = [(text, _width(text)) for text in texts]
        else:
            shown = [
                (name, None if tail else event, took) for (name, event, took), tail in zip(rows, tails, strict=False)
            ]
            lines = [
                line
                for row, tail in zip(self._side_by_side(shown, min(columns, _WIDEST)), tails, strict=False)
                for line in (row, *(self._tail(text, columns) for text in tail))
            ]
        more = f"  and {hidden + 1} more" if hidden > 0 else ""
        if not more and self._waiting and rows and len(lines) < room:
            more = f"  {plain(self._waiting)}"
        if more:
            text = cut(more, columns)
            lines.append((self._paint(text, PASSING), _width(text)))
        return lines

    def _tails(self, running: list[RunningLine], room: int) -> list[list[str]]:
        """Share the rows that are left among the steps whose programs print, for their last lines."""
        printing = sum(1 for one in running if one.printed)
        most = min((room - len(running) - 1) // printing, _TAIL) if printing else 0
        return [list(one.printed)[-most:] if most > 1 else [] for one in running]

    def _tail(self, printed: str, columns: int) -> tuple[str, int]:
        text = cut(f"      {printed.partition(' | ')[2]}", columns)
        return self._paint(text, PASSING), _width(text)

    def _side_by_side(self, rows: list[tuple[str, Event | None, str]], columns: int) -> list[tuple[str, int]]:
        if not rows:
            return []
        clock = max(len(took) for _, _, took in rows)
        bar = next(width for least, width in _BARS.items() if columns >= least)
        room = columns - clock - 6
        half = max((_width(name) for name, _, _ in rows), default=0)
        lines = []
        for name, event, took in rows:
            text, shown = self._middle(event, bar, room // 2)
            name = cut(name, room - _width(text))  # noqa: PLW2901 - it is the same name
            gap = max(min(half, room - _width(text)) - _width(name), 0)
            end = columns - 4 - _width(name) - gap - _width(text) - len(took)
            lines.append((f"  {name}{' ' * gap}  {shown}{' ' * end}{self._paint(took, PASSING)}", columns))
        return lines

    def _middle(self, event: Event | None, bar: int, room: int) -> tuple[str, str]:
        """Give what a step does, in at most so many columns: without colours, and with them."""
        if event is None:
            return "", ""
        done, total = bytes_of(event)
        if not total:
            text = cut(plain(text_of(event)), room)
            return text, text
        words = f"{amount_of(done, total):<{_AMOUNT}}"
        full = min(bar * done // total, bar)
        filled, empty = self._marks[0] * full, self._marks[1] * (bar - full)
        words = cut(words, max(room - bar - 1, 0))
        return f"{filled}{empty} {words}", f"{self._paint(filled, BUSY)}{self._paint(empty, PASSING)} {words}"

    def _paint(self, text: str, colour: int) -> str:
        return painted(text, colour) if self._colour and text else text


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(columns_of, text))
