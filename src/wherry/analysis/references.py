"""References: which addresses the machine code and the data of a program mention.

Imported late: it needs numpy. Source: Arm Architecture Reference Manual, A64: ADRP, ADD (immediate), LDR
(immediate); `amd64.py` has those of the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wherry.analysis.amd64 import mentions
from wherry.analysis.spans import Ints

_ADRP, _ADRP_MASK = 0x90000000, 0x9F000000
_ADD, _ADD_MASK = 0x91000000, 0xFFC00000
_LOAD, _LOAD_MASK = 0x39000000, 0x3B000000
_WIDE_LOAD, _WIDE_LOAD_MASK = 0x3D800000, 0x3F800000
"""Vector loads of 16 bytes have their size in another bit."""
_WINDOW: Final = 4 << 20
"""Bytes of code read at once."""


@dataclass(frozen=True, slots=True)
class References:
    """Places that mention an address, and the address; two columns."""

    place: Ints
    target: Ints

    def inside(self, low: int, high: int) -> "References":
        """Give those to addresses of a range."""
        some = (self.target >= low) & (self.target < high)
        return References(self.place[some], self.target[some])


def code_references(code: memoryview, address: int, architecture: str, starts: Ints, targets: Ints) -> References:
    """Find what instructions mention.

    Args:
        code: machine code.
        address: of its first byte.
        architecture: as GOARCH says it; of others than amd64 and arm64 nothing is found.
        starts: bytes from its first byte to each function; one more says where the last one ends.
        targets: the ranges that references are wanted to: first and end, two columns.

    Cost: a window of 4 MiB at a time, some ten times that in memory.
    """
    scan = {"amd64": _amd64, "arm64": _arm64}.get(architecture)
    found = [References(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    if scan is not None and len(targets):
        low = int(starts[0])
        while low < min(len(code), int(starts[-1])):
            # Windows end where functions do; a function of more than a window is a window of its own.
            row = int(np.searchsorted(starts, low + _WINDOW, side="right")) - 1
            high = int(starts[row]) if starts[row] > low else int(starts[min(row + 1, len(starts) - 1)])
            inside = starts[(starts >= low) & (starts <= high)] - low
            found.append(scan(code[low:high], address + low, inside, targets))
            low = high
    return References(np.concatenate([one.place for one in found]), np.concatenate([one.target for one in found]))


def pointers(content: memoryview, address: int, word: np.dtype[np.unsignedinteger], targets: Ints) -> References:
    """Find aligned words that are addresses of the wanted ranges."""
    size = word.itemsize
    skipped = -address % size
    words = np.frombuffer(content[skipped:], dtype=word, count=max(0, len(content) - skipped) // size)
    values = words.astype(np.int64)
    some = np.flatnonzero(_within(values, targets))
    return References(some * size + address + skipped, values[some])


def _amd64(window: memoryview, address: int, starts: Ints, targets: Ints) -> References:
    place, target = mentions(window, starts)
    some = _within(target + address, targets)
    return References(place[some] + address, target[some] + address)


def _arm64(window: memoryview, address: int, _starts: Ints, targets: Ints) -> References:
    words = np.frombuffer(window, dtype="<u4", count=len(window) // 4).astype(np.int64)
    at = np.flatnonzero((words[:-1] & _ADRP_MASK) == _ADRP) if len(words) else np.zeros(0, np.int64)
    page = words[at]
    register, following = page & 31, words[at + 1]
    offset = ((page >> 5) & 0x7FFFF) << 2 | (page >> 29) & 3
    offset -= (offset & 0x100000) << 1
    base = ((address + 4 * at) & ~0xFFF) + (offset << 12)
    same = (following >> 5) & 31 == register
    add = same & ((following & _ADD_MASK) == _ADD)
    load = same & ((following & _LOAD_MASK) == _LOAD)
    wide = ((following & _WIDE_LOAD_MASK) == _WIDE_LOAD) & (following >> 30 == 0)
    scale = np.where(load, np.where(wide, 4, following >> 30), 0)
    target = base + (((following >> 10) & 0xFFF) << scale)
    some = (add | load) & _within(target, targets)
    return References(4 * at[some] + address, target[some])


def _within(values: Ints, ranges: Ints) -> NDArray[np.bool_]:
    found = np.zeros(len(values), dtype=bool)
    for low, high in _pairs(ranges):
        found |= (values >= low) & (values < high)
    return found


def _pairs(ranges: Ints) -> Iterator[tuple[int, int]]:
    yield from ((low, high) for low, high in ranges.tolist())
