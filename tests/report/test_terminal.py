"""Tables fit a terminal: numbers are whole, the widest column loses its middle, and lines break between words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.size import BudgetCheck
from wherry.report.budgets import lines_of
from wherry.report.terminal import BAD, fitted, leave_whole, painted, shortened, table, wrapped

ROWS = [
    ("bytes", "module", "why"),
    ("1.2 MB", "github.com/organisation/project/internal/transport/http2/frames", "the toolchain"),
    ("340 kB", "golang.org/x/net", "same source: other parts are linked, and some of it is new"),
]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_table_fits(columns):
    """No row is wider than the terminal leaves room for, and no number is shortened."""
    with fitted(columns):
        lines = table(ROWS, right=(0,))

    assert max(map(len, lines)) <= columns - 2
    assert all(row[0] in line for row, line in zip(ROWS, lines, strict=True))


def test_the_widest_column_is_shortened():
    """Where one column is enough, others stay whole; both ends of a name are left."""
    with fitted(80):
        lines = table([("1 B", "a" * 5 + "/" + "b" * 90 + "/" + "c" * 5, "short words")], right=(0,))

    assert lines[0].endswith("short words")
    assert "aaaaa/" in lines[0]
    assert "/ccccc" in lines[0]


def test_without_a_terminal_all_is_whole():
    """A pipe gets every letter, and so does who asks for it."""
    whole = table(ROWS, right=(0,))
    with fitted(40):
        leave_whole()
        asked = table(ROWS, right=(0,))

    assert whole == asked
    assert ROWS[1][1] in whole[1]


@given(st.text(), st.integers(5, 60))
def test_shortened_fits(text, width):
    """Whatever the text, it is as long as it may be, and says so where it is cut."""
    found = shortened(text, width)

    assert len(found) <= max(width, 0)
    assert found == text or "…" in found


@given(st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), max_size=40), st.integers(0, 6))
def test_lines_break_between_words(words, indent):
    """Every word stays whole, in its order."""
    with fitted(40):
        lines = list(wrapped([" " * indent + " ".join(words)]))

    assert " ".join(lines).split() == words
    assert all(len(line) <= 40 for line in lines)


def test_colours_take_no_room():
    """A line that fits without its colour is not broken."""
    line = painted("x" * 30 + " " + "y" * 9, BAD)
    with fitted(40):
        assert list(wrapped([line])) == [line]


def test_a_broken_budget_is_red():
    """Red is what is over its limit, and nothing else of the table."""
    checks = [
        BudgetCheck(what=name, limit=100, actual=50 if ok else 150, ok=ok) for name, ok in (("a", True), ("b", False))
    ]
    lines = lines_of(checks, coloured=True)

    assert [line.startswith("\x1b[31m") for line in lines[1:3]] == [False, True]
    assert "\x1b" not in "".join(lines_of(checks))
