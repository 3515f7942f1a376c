"""Go's quoted strings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.golang.quote import literal, unquote


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('""', ""),
        ('"a b"', "a b"),
        (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r'"\x41\101\u00e4\U0001F600"', "AAä😀"),
        (r'"\xc3\xa4"', "ä"),
        ("`a\\n\r`", "a\\n"),
    ],
)
def test_reads(text, value):
    """Escapes stand for what the language says."""
    assert unquote(text) == value


@pytest.mark.parametrize(
    "text", ["", "a", '"', '"a', '"a"b', "'a'", r'"\q"', r'"\x4"', r'"\400"', r'"\ud800"', '"\n"', '"\\']
)
def test_refuses(text):
    """What is no quoted string is no value."""
    with pytest.raises(ValueError):
        unquote(text)


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_reads_what_was_quoted(text):
    """Any text survives being quoted, escape by escape."""
    quoted = '"' + "".join(f"\\U{ord(char):08x}" if char in '"\\\n' else char for char in text) + '"'

    assert unquote(quoted) == text
    assert literal(quoted + " and more") == quoted


@settings(max_examples=200)
@given(st.text(alphabet='"`\\xu0aé\n '))
def test_never_anything_but_a_value_error(text):
    """Whatever comes, there is a value or a ValueError."""
    try:
        assert isinstance(unquote(text), str)
    except ValueError:
        assert not text or literal(text) != text or "\\" in text
