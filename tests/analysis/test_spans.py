"""Claims on bytes: what is settled covers all, once, and the first claim counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.spans import Blobs, Confidence, SpanKind, Spans, settle, unique

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.integers(1, 5)), max_size=8)


def spans(rows: list[tuple[int, int, int]]) -> Spans:
    """Make spans of start, size and owner."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Spans.of(table[:, 0], table[:, 0] + table[:, 1], table[:, 2], SpanKind.DATA)


def painted(layers: list[Spans], low: int, high: int) -> list[int]:
    """Paint byte by byte: the slow way, to compare with."""
    owners = [0] * (high - low)
    for layer in reversed(layers):
        for start, end, owner in zip(layer.start.tolist(), layer.end.tolist(), layer.owner.tolist(), strict=True):
            for at in range(max(start, low), min(end, high)):
                owners[at - low] = owner
    return owners


@given(st.lists(RANGES, max_size=4))
def test_settled_as_painted(layers):
    """Settling many spans at once gives what painting bytes gives."""
    low, high = 10, 70
    made = [*map(spans, layers), Spans.one(low, high, 0, SpanKind.OTHER)]

    settled = settle(low, high, made)

    assert settled.start[0] == low
    assert settled.end[-1] == high
    assert (settled.start[1:] == settled.end[:-1]).all()
    bytes_ = [owner for owner, size in zip(settled.owner.tolist(), settled.sizes.tolist(), strict=True)
              for _ in range(size)]  # fmt: skip
    assert bytes_ == painted(made, low, high)


@given(RANGES)
def test_spans_do_not_lie_over_each_other(rows):
    """Of two ranges over each other, each byte is in one."""
    made = spans(rows)

    assert (made.sizes > 0).all()
    assert (made.start[1:] >= made.end[:-1]).all()
    covered = {at for start, size, _ in rows for at in range(start, start + size)}
    assert int(made.sizes.sum()) == len(covered)


def test_used_by_several():
    """A blob that one package uses is its own; of two packages it is shared; of one function it is that one's."""
    offsets, owners, functions = (np.array(column) for column in zip(
        (0, 7, 1), (0, 7, 1), (10, 7, 2), (10, 8, 3), (30, 8, 4), (30, 8, 5), strict=True
    ))  # fmt: skip

    blobs = Blobs.used(offsets, owners, functions, 40, 0)

    assert blobs.start.tolist() == [0, 10, 30]
    assert blobs.end.tolist() == [10, 30, 40]
    assert blobs.owner.tolist() == [7, 0, 8]
    assert blobs.function.tolist() == [1, -1, -1]
    assert blobs.confidence.tolist() == [Confidence.EXACT, Confidence.SHARED, Confidence.EXACT]
    assert Blobs.lowest(offsets, owners).tolist() == [7, 7, 8]


@given(st.lists(st.integers(-5, 5)))
def test_unique(values):
    """As a sorted set."""
    assert unique(np.array(values, dtype=np.int64)).tolist() == sorted(set(values))
