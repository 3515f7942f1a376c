"""Tables of values by place in the code, as the pclntab packs them.

Imported late: it needs numpy. Source: Go 1.20 to 1.27, runtime/symtab.go (`step`, `pcvalue`),
cmd/internal/obj/pcln.go (`funcpctab`: how they are written).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherry.golang.columns import Ints

_MOST_STEPS = 1 << 14
"""Ranges of one function: a hundred times what large programs have."""
_LONGEST_VARINT = 5


@dataclass(frozen=True, slots=True)
class ValueRanges:
    """Ranges of code with their value, a row a range."""

    table: Ints
    """Which of the tables that were asked for."""
    start: Ints
    """Bytes from the function's start."""
    end: Ints
    value: Ints


def decode(content: memoryview, offsets: Ints, quantum: int) -> ValueRanges:
    """Read tables, all side by side.

    Args:
        content: the bytes that contain the tables.
        offsets: where each begins.
        quantum: bytes that places in the code are counted by: 1 on amd64 and 386, 4 where instructions have 4.

    Returns:
        The ranges whose value is not -1. A table that runs out of the content ends there, and reading ends where
        tables have more ranges than the content has bytes: they overlap on purpose.

    Cost: as many steps as the longest table has ranges, each over all tables that are not at their end.
    """
    octets = np.concatenate([np.frombuffer(content, dtype=np.uint8), np.zeros(2 * _LONGEST_VARINT, np.uint8)])
    inside = (offsets >= 0) & (offsets < len(content))
    table, at = np.flatnonzero(inside), offsets[inside].astype(np.int64)
    value, place = np.full(len(table), -1), np.zeros(len(table), np.int64)
    rows: list[tuple[Ints, Ints, Ints, Ints]] = []
    left = len(content)
    for step in range(_MOST_STEPS):
        delta, at = _varint(octets, at)
        going = (delta != 0) if step else np.ones(len(table), dtype=bool)
        going &= at < len(content)
        left -= int(going.sum())
        if left < 0 or not going.any():
            break
        table, at, delta, value, place = (column[going] for column in (table, at, delta, value, place))
        value = value + np.where(delta & 1, ~(delta >> 1), delta >> 1)
        length, at = _varint(octets, at)
        end = place + length * quantum
        some = value >= 0
        rows.append((table[some], place[some], end[some], value[some]))
        place = end
    none = np.zeros(0, np.int64)
    return ValueRanges(*(np.concatenate(column) for column in zip((none,) * 4, *rows, strict=True)))


def first_values(content: memoryview, offsets: Ints) -> Ints:
    """Read the first value of each table: what holds at a function's start; -1 where there is no table.

    Args:
        content: the bytes that contain the tables.
        offsets: where each begins; 0 is not a table.
    """
    octets = np.concatenate([np.frombuffer(content, dtype=np.uint8), np.zeros(2 * _LONGEST_VARINT, np.uint8)])
    inside = (offsets > 0) & (offsets < len(content))
    delta, _ = _varint(octets, np.where(inside, offsets, 0).astype(np.int64))
    return np.where(inside, np.where(delta & 1, ~(delta >> 1), delta >> 1) - 1, -1)


def _varint(octets: NDArray[np.uint8], at: Ints) -> tuple[Ints, Ints]:
    result = np.zeros(len(at), np.int64)
    more = np.ones(len(at), dtype=bool)
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        byte = octets[at].astype(np.int64)
        result += np.where(more, (byte & 0x7F) << shift, 0)
        at = at + more
        more &= byte >= 0x80  # noqa: PLR2004 - a varint goes on
        if not more.any():
            break
    return result, np.minimum(at, len(octets) - _LONGEST_VARINT)
