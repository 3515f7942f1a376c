"""Many texts in one pass, wherever blocks end."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.searching import MARGIN, hits

WORDS = (b"ab", b"abc", b"zz")


@given(
    st.lists(st.sampled_from([b"ab", b"abc", b"z", b"-" * (MARGIN - 1), b"-" * 3, b"c"]), max_size=12),
    st.lists(st.integers(0, 4 * MARGIN), max_size=6),
)
def test_as_if_it_were_whole(pieces, cuts):
    """The hits of a stream are those of its bytes, with their margins, however it is cut."""
    whole = b"".join(pieces)
    borders = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    blocks = [whole[start:end] for start, end in pairwise(borders)]

    found = list(hits(blocks, WORDS, 1000))

    assert [(one.word, one.offset) for one in found] == [(one.word, one.offset) for one in hits([whole], WORDS, 1000)]
    for one in found:
        assert whole[one.offset :].startswith(one.word)
        start = one.offset - one.at
        assert one.context == whole[start : start + len(one.context)]
        assert one.at >= min(one.offset, MARGIN)
        assert len(one.context) - one.at >= min(len(whole) - one.offset, MARGIN)


def test_no_more_than_asked_for():
    """It ends after so many hits."""
    assert len(list(hits([b"zz" * 100], WORDS, 7))) == 7
