"""Values as a person at a prompt reads them: sizes in decimal units, tables in columns."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

GOOD: Final = 32
"""Green: it is well (ECMA-48, SGR)."""
CAUTION: Final = 33
"""Yellow: it works less well, or the reader should look."""
BAD: Final = 31
"""Red: it failed, or is over its limit."""
BUSY: Final = 36
"""Cyan: it is on its way."""
PASSING: Final = 2
"""Faint: what counts least, such as a time, or what will be gone in a moment."""
_COLUMNS: ContextVar[int | None] = ContextVar("columns", default=None)
"""What tables have to fit; None: they are as wide as they are."""
_INDENT = 2
"""Columns that callers may put before a table."""
_LEAST = 12
"""Columns below which no column is shortened."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""Select Graphic Rendition, which takes no columns."""
_BETWEEN = " /,;:@-"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000


def size(count: int) -> str:
    """Write bytes as registries and `docker images` do: decimal units, one digit after the point from 1 MB on."""
    value, unit = float(count), 0
    while round(value) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    digits = 1 if unit > 1 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Lay rows out in columns, two spaces apart; no row is wider than it must be.

    On a terminal that is narrower, the widest columns are shortened in their middle; see `fitted`.

    Args:
        rows: cells as text; rows may be of different length.
        right: columns that are set to the right, such as sizes; they are never shortened.
    """
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths.get(column, 0), len(cell))
    _fit(widths, right)
    return [
        "  ".join(
            cell.rjust(widths[column]) if column in right else shortened(cell, widths[column]).ljust(widths[column])
            for column, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def _fit(widths: dict[int, int], right: Sequence[int]) -> None:
    """Make the widest columns narrower, one letter at a time, until a row fits or nothing may be shortened."""
    columns = _COLUMNS.get()
    flexible = [column for column in widths if column not in right]
    if columns is None or not flexible:
        return
    room = columns - _INDENT - 2 * (len(widths) - 1)
    while sum(widths.values()) > room and max(widths[column] for column in flexible) > _LEAST:
        widest = max(flexible, key=lambda column: widths[column])
        widths[widest] -= 1


@contextmanager
def fitted(columns: int | None) -> Iterator[None]:
    """Lay out tables for a terminal of some columns while this lasts; None: leave them whole."""
    token = _COLUMNS.set(columns)
    try:
        yield
    finally:
        _COLUMNS.reset(token)


def leave_whole() -> None:
    """Shorten nothing from here on."""
    _COLUMNS.set(None)


def shortened(text: str, width: int) -> str:
    """Cut a text's middle out, between words where that leaves any; of a list, the last ones give way."""
    if len(text) <= width:
        return text
    if ", " in text and (kept := text[: width - 2].rfind(", ")) > 0:
        return f"{text[:kept]}, …"
    ends = [0, *(place + 1 for place, letter in enumerate(text) if letter in _BETWEEN)]
    starts = [*(place for place, letter in enumerate(text) if letter in _BETWEEN), len(text)]
    pairs = [(end, start) for end in ends for start in starts if end < start and end + len(text) - start < width]
    end, start = max(pairs, key=lambda pair: pair[0] - pair[1], default=(0, len(text)))
    if end + len(text) - start < width // 2:  # words are too long to be kept whole
        end, start = width // 2, len(text) - (width - 1) // 2
    return f"{text[:end]}…{text[start:]}"


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Break lines that a terminal has no room for between words, and indent what follows."""
    columns = _COLUMNS.get()
    for line in lines:
        if columns is None or len(_COLOUR.sub("", line)) <= columns:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            line, columns, initial_indent="", subsequent_indent=f"{indent}    ", break_long_words=False,
            break_on_hyphens=False, drop_whitespace=True,
        ) or [line]  # fmt: skip


def painted(text: str, colour: int) -> str:
    """Give a text a colour; each colour means one thing."""
    return f"\x1b[{colour}m{text}\x1b[0m"


def printable(text: str) -> str:
    """Escape control characters and broken bytes of untrusted text for the terminal."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    """Write a byte that is not UTF-8, which Python keeps as a surrogate (PEP 383), as that byte."""
    return f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else ascii(char)[1:-1]
