"""Histories as files: a line that says whose it is, then a line for each call.

The first line has the moment of the export by the clock of the machine that wrote it. No export is younger than its
import, so where its moment is in the future, that clock is ahead by at least as much, and the moments of that machine's
calls are set back by it. A clock that is behind cannot be told. Files can follow one another in one: each has its own
first line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Annotated, Final

import msgspec

from wherry.errors import InvalidDocument
from wherry.history.entry import LARGEST, CallFigures, Moment
from wherry.typed import from_json

VERSION: Final = 1
MOST: Final = 200_000
"""Lines of a file."""
MOST_BYTES: Final = 256 << 20
_HEAD: Final = b'{"wherryHistory":'
_LENIENT: Final = 2.0
"""Seconds that two good clocks may be apart."""


class ExchangeHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first line."""

    wherry_history: Annotated[int, msgspec.Meta(ge=1)]
    machine: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{1,32}$")]
    exported: Moment


@dataclass(frozen=True, slots=True)
class Exchange:
    """A file, read."""

    header: ExchangeHeader
    entries: tuple[CallFigures, ...]
    ahead: float = 0.0
    """Seconds by which the clock of its machine was ahead, at least; the moments were set back by them."""
    future: int = 0
    """Entries of other machines that are dated after now."""


def written(entries: Iterable[CallFigures], machine: str, now: float) -> Iterator[bytes]:
    """Write a file, line by line.

    Args:
        entries: each with its machine.
        machine: the one that writes.
        now: seconds since the epoch.
    """
    yield header_line(machine, now)
    for one in entries:
        yield one.encoded() + b"\n"


def header_line(machine: str, now: float) -> bytes:
    """Write the first line of a file."""
    return msgspec.json.encode(ExchangeHeader(wherry_history=VERSION, machine=machine, exported=now)) + b"\n"


def read(file: IO[bytes], name: str, now: float) -> Exchange:
    """Read a file, or several one after the other; all of it is checked before any of it counts.

    Args:
        file: its bytes; they may be anything.
        name: what the reader knows it by.
        now: seconds since the epoch.

    Raises:
        InvalidDocument: a line is none of a history, or there are too many; the message has its number.
    """
    parts: list[tuple[ExchangeHeader, list[CallFigures]]] = []
    size = 0
    for number, line in enumerate(iter(lambda: file.readline(LARGEST + 2), b""), 1):
        size += len(line)
        if len(line) > LARGEST + 1 or size > MOST_BYTES or number > MOST:
            raise InvalidDocument(name, f"line {number}: too long, or too many lines for a history")
        if not line.strip():
            continue
        try:
            if not parts or line.startswith(_HEAD):
                parts.append((from_json(line, ExchangeHeader), []))
            else:
                parts[-1][1].append(CallFigures.parse(line))
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidDocument(name, f"line {number}: {error}") from error
        if parts[-1][0].wherry_history > VERSION:
            raise InvalidDocument(name, f"line {number}: version {parts[-1][0].wherry_history} of a newer wherry")
    if not parts:
        raise InvalidDocument(name, "is empty; expected the output of `wherry history export`")
    right = [_set_right(header, entries, now) for header, entries in parts]
    return Exchange(
        parts[0][0], tuple(chain.from_iterable(one.entries for one in right)), max(one.ahead for one in right),
        sum(one.future for one in right),
    )  # fmt: skip


def _set_right(header: ExchangeHeader, entries: list[CallFigures], now: float) -> Exchange:
    ahead = header.exported - now if header.exported > now + _LENIENT else 0.0
    moved = tuple(
        msgspec.structs.replace(one, machine=one.machine or header.machine, at=max(one.at - ahead, 0.0))
        if (one.machine or header.machine) == header.machine
        else one
        for one in entries
    )
    return Exchange(header, moved, ahead, sum(one.at > now + _LENIENT for one in moved))
