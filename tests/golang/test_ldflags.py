"""The text of -ldflags is read as the go command reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.golang.ldflags import join, split, with_values_hidden, without_values, x_values

WORD = st.text(st.characters(codec="utf-8", exclude_characters="'"), max_size=8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" -s\t-w\n", ["-s", "-w"]),
        ("-X 'main.a=b c'", ["-X", "main.a=b c"]),
        ('-X main.a="b c"', ["-X", 'main.a="b', 'c"']),
        ("\"\" ''", ["", ""]),
        ("'a'b", ["a", "b"]),
    ],
)
def test_split(text, words):
    """A quote counts at the beginning of a word only."""
    assert split(text) == words


@pytest.mark.parametrize("text", ["'a", 'x "'])
def test_open_quotes(text):
    """A quote that is not closed is an error to split, and no values to a reader."""
    with pytest.raises(ValueError, match="unclosed"):
        split(text)
    assert x_values(text) == []
    assert without_values(text, ()) == ("", ())
    assert with_values_hidden(text) == ""


@given(st.lists(WORD))
def test_joined_words_split_again(words):
    """Whatever the words hold."""
    assert split(join(words)) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-s -w", []),
        ("-X main.a=b -X=main.c=d", [("main.a", "b"), ("main.c", "d")]),
        ("--X main.a=b --X=main.c=d", [("main.a", "b"), ("main.c", "d")]),
        ("-X 'main.a=b c' -s", [("main.a", "b c")]),
        ("-X main.a==b", [("main.a", "=b")]),
        ("all=-X main.a=b", [("main.a", "b")]),
        ("-X -X=a=b", [("-X", "a=b")]),
        ("-X main.a", []),
    ],
)
def test_x_values(text, expected):
    """Each way to write -X."""
    assert x_values(text) == expected


@pytest.mark.parametrize(
    ("text", "kept", "left", "gone"),
    [
        ("-s -X main.token=t -w", (), "-s -w", ("main.token",)),
        ("-s -X=main.token=t", (), "-s", ("main.token",)),
        ("-X 'main.token=a b' -X main.v=1", ("main.v",), "-X main.v=1", ("main.token",)),
        ("-X a.b=1 -X a.b=2", (), "", ("a.b",)),
        ("all=-s -X a.b=1", (), "all=-s", ("a.b",)),
        ("-X main.token", (), "", ("main.token",)),
        ("-linkmode=internal", (), "-linkmode=internal", ()),
    ],
)
def test_values_taken_out(text, kept, left, gone):
    """Names stay known, values don't."""
    assert without_values(text, kept) == (left, gone)


@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,5}\.[a-z]{1,5}", fullmatch=True), WORD)))
def test_no_value_stays(pairs):
    """What is left of a text has no value in it."""
    text = join([word for name, value in pairs for word in ("-X", f"{name}=secret{value}")])

    left, gone = without_values(f"-s {text}", ())

    assert left == "-s"
    assert set(gone) == {name for name, _ in pairs}
    assert "secret" not in with_values_hidden(text)
