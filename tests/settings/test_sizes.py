"""Sizes and growth: what people write, and nothing else."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.settings.sizes import Growth, parse_bytes, parse_growth

UNITS = {
    "": 1, "B": 1, "b": 1, "kB": 1000, "KB": 1000, "kb": 1000, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "kib": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "size"),
    [("5.5MB", 5_500_000), ("857kB", 857_000), ("16 MiB", 16 << 20), ("0", 0), ("1.0000015MB", 1_000_001)],
)
def test_what_people_write(text, size):
    """Decimal units count by a thousand, those with an i by 1024."""
    assert parse_bytes(text) == size


@given(st.integers(0, 10**5), st.integers(0, 999), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_every_number_in_every_unit(whole, thousandths, unit, space):
    """A number with digits after the point is exact to the byte."""
    expected = (whole * 1000 + thousandths) * UNITS[unit] // 1000

    assert parse_bytes(f"{whole}.{thousandths:03}{space}{unit}") == expected
    assert parse_bytes(f"{whole}{space}{unit}") == whole * UNITS[unit]


@given(st.text(max_size=24))
def test_any_text(text):
    """A text is a size or is refused as such; none does anything else."""
    try:
        size = parse_bytes(text)
    except InvalidUsage:
        return
    assert size >= 0


@pytest.mark.parametrize(
    "text", ["", "MB", "-1MB", "1,5MB", "5 000", "1e6", "5.MB", ".5MB", "5MBB", "2%", "\u0665MB", "9e9TB"]
)
def test_what_is_no_size(text):
    """Signs, commas, exponents, other digits and other units are refused."""
    with pytest.raises(InvalidUsage):
        parse_bytes(text)


@given(st.integers(0, 10**12), st.integers(0, 10**6))
def test_growth_by_bytes(before, size):
    """So many bytes more than before are allowed."""
    assert parse_growth(f"{size}B").largest(before) == before + size


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_growth_by_a_part(before, hundredths):
    """A percentage is of what was before, exact to the byte."""
    growth = parse_growth(f"{hundredths // 100}.{hundredths % 100:02} %")

    assert growth == Growth(percent=Fraction(hundredths, 100))
    assert growth.largest(before) == before + before * hundredths // 10_000


def test_what_is_no_growth():
    """The hint names both kinds."""
    with pytest.raises(InvalidUsage) as caught:
        parse_growth("two")

    assert "2%" in caught.value.hint
