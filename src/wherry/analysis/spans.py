"""Claims on bytes, and how they are settled: each byte counts once, for the first that claims it.

Imported late: it needs numpy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Numbers = NDArray[np.integer[Any]]
NOBODY: Final = -1
"""The function of bytes that no single function has."""

_HIGHEST: Final = 1 << 62
_TYPES: Final = (np.int64, np.int64, np.int32, np.int8, np.int8, np.int32)
"""Of the columns of spans: there can be millions."""


class SpanKind(IntEnum):
    """What bytes are for."""

    CODE = 0
    PCLNTAB = 1
    FUNCDATA = 2
    TYPES = 3
    STRINGS = 4
    DATA = 5
    EMBED = 6
    RODATA = 7
    DEBUG = 8
    SYMBOLS = 9
    LINKING = 10
    PADDING = 11
    HEADERS = 12
    OTHER = 13


class Confidence(IntEnum):
    """How an owner is known."""

    EXACT = 0
    """A table of the binary says so."""
    SHARED = 1
    """Several packages use the bytes, and the linker keeps one copy."""
    INFERRED = 2
    """What refers to the bytes is known, and they are taken to reach to the next that is referred to."""
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Spans:
    """Ranges of bytes with what is said of them, as columns; sorted, none over another."""

    start: Ints
    end: Ints
    owner: Numbers
    """A number of `Owners`."""
    kind: Numbers
    confidence: Numbers
    function: Numbers
    """The only function that owns these bytes, by its number in the pclntab; `NOBODY` otherwise."""

    @classmethod
    def of(
        cls,
        start: Ints,
        end: Ints,
        owner: Numbers | int,
        kind: SpanKind,
        confidence: Numbers | Confidence = Confidence.EXACT,
        function: Numbers | int = NOBODY,
    ) -> Self:
        """Make spans of ranges in any order; empty ones go, and of two over each other the first by address counts."""
        columns = [
            np.broadcast_to(np.asarray(column, dtype=dtype), start.shape)
            for column, dtype in zip((start, end, owner, int(kind), confidence, function), _TYPES, strict=True)
        ]
        order = np.lexsort((columns[1], columns[0]))
        first, last, *rest = (column[order] for column in columns)
        first = np.maximum(first, np.concatenate(([np.iinfo(np.int64).min], np.maximum.accumulate(last)[:-1])))
        some = last > first
        return cls(first[some], last[some], *(column[some] for column in rest))

    @classmethod
    def one(cls, start: int, end: int, owner: int, kind: SpanKind, confidence: Confidence = Confidence.EXACT) -> Self:
        """Make a single span; addresses above all that programs have are cut off."""
        low, high = (min(max(border, 0), _HIGHEST) for border in (start, end))
        return cls.of(np.array([low]), np.array([high]), owner, kind, confidence)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def sizes(self) -> Ints:
        """Bytes of each."""
        return self.end - self.start

    def columns(self) -> tuple[Numbers, ...]:
        """Give all six columns."""
        return self.start, self.end, self.owner, self.kind, self.confidence, self.function

    def moved(self, by: int) -> "Spans":
        """Give the same, so many bytes further on."""
        return Spans(self.start + by, self.end + by, self.owner, self.kind, self.confidence, self.function)


def unique(values: Ints) -> Ints:
    """Sort, and leave each once: `numpy.unique` hashes, which takes ten times as long on millions of addresses."""
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def concatenated(parts: Iterable[Spans]) -> Spans:
    """Put spans that do not overlap into one, in order."""
    rows = [part.columns() for part in parts]
    joined = [np.concatenate(column) for column in zip(*rows, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    return Spans(*(column[order] for column in joined))


def settle(low: int, high: int, layers: Sequence[Spans]) -> Spans:
    """Give every byte of a range to the first layer that claims it; the last layer has to claim all.

    Cost: O(n log n) in the number of spans, a few hundred bytes of memory for each.
    """
    borders = [np.array([low, high])]
    borders += [np.clip(side, low, high) for layer in layers for side in (layer.start, layer.end)]
    edges = unique(np.concatenate(borders))
    starts, ends = edges[:-1], edges[1:]
    columns: list[Numbers] = [np.full(len(starts), NOBODY, dtype) for dtype in _TYPES[2:]]
    open_ = np.ones(len(starts), dtype=bool)
    for layer in layers:
        if not len(layer):
            continue
        row = np.searchsorted(layer.start, starts, side="right") - 1
        taken = open_ & (row >= 0) & (layer.end[row] > starts)
        for column, said in zip(columns, layer.columns()[2:], strict=True):
            column[taken] = said[row[taken]]
        open_ &= ~taken
    return _joined(Spans(starts, ends, *columns))


def _joined(spans: Spans) -> Spans:
    """Join neighbours of which the same is said."""
    if not len(spans):
        return spans
    same = np.ones(len(spans) - 1, dtype=bool)
    for column in spans.columns()[2:]:
        same &= column[1:] == column[:-1]
    first = np.concatenate(([True], ~same))
    last = np.concatenate((~same, [True]))
    return Spans(spans.start[first], spans.end[last], *(column[first] for column in spans.columns()[2:]))


@dataclass(frozen=True, slots=True)
class Blobs:
    """Consecutive entries of a table, with their users."""

    start: Ints
    end: Ints
    owner: Ints
    """The one owner, or the one for what is shared."""
    confidence: Ints
    function: Ints

    @classmethod
    def used(cls, offsets: Ints, owners: Ints, functions: Ints, limit: int, shared: int) -> Self:
        """Find who uses what: a blob begins at each offset, and reaches to the next or to the limit.

        Args:
            offsets: a row a use.
            owners: who uses it.
            functions: which function does; `NOBODY` means none.
            limit: where the last blob ends.
            shared: the owner of what several use.
        """
        order = np.argsort(offsets, kind="stable")
        sorted_ = offsets[order]
        first = np.flatnonzero(np.concatenate(([True], sorted_[1:] != sorted_[:-1]))) if len(sorted_) else order
        starts = sorted_[first]
        ends = np.minimum(np.append(starts[1:], limit), limit) if len(starts) else starts
        owner, alone = _only(owners[order], first, shared)
        function, _ = _only(functions[order], first, NOBODY)
        confidence = np.where(alone & (owner != shared), Confidence.EXACT, Confidence.SHARED)
        return cls(starts, ends, owner, confidence, function)

    @staticmethod
    def lowest(offsets: Ints, values: Ints) -> Ints:
        """Give the lowest of what the users of each blob have, in the order of `used`."""
        order = np.argsort(offsets, kind="stable")
        sorted_ = offsets[order]
        first = np.flatnonzero(np.concatenate(([True], sorted_[1:] != sorted_[:-1]))) if len(sorted_) else order
        return np.minimum.reduceat(values[order], first) if len(first) else values[:0]

    def spans(self, at: int, kind: SpanKind) -> Spans:
        """Give them as spans of a table that begins at an address."""
        return Spans.of(self.start + at, self.end + at, self.owner, kind, self.confidence, self.function)


def _only(values: Ints, first: Ints, otherwise: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Give for each group the one value it has; where it has several, another."""
    if not len(first):
        return values[:0], np.zeros(0, dtype=bool)
    low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    return np.where(low == high, low, otherwise), low == high
