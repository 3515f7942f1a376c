"""wherry.toml is changed by position: one key is another, and every other byte is what it was."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidSettings
from wherry.settings.rewrite import with_list

TEXT = """# a comment that stays

[build] # of all
base = "static"
go-tags = ["one", # the first
  'tw]o'] # behind

[services.api]
package = "./cmd/api"
"""


def test_a_list_is_replaced():
    """Only the list changes, though it has brackets in quotes and a comment in it."""
    changed = with_list(TEXT, "build", "go-tags", ["one", "three"])

    assert changed == TEXT.replace("""["one", # the first\n  'tw]o']""", '["one", "three"]')


def test_a_key_is_added():
    """Below the table's header, which may have a comment."""
    changed = with_list(TEXT, "services.api", "go-tags", ["x"])

    assert changed == TEXT.replace("[services.api]\n", '[services.api]\ngo-tags = ["x"]\n')


@pytest.mark.parametrize("text", ["", "[services.api]\npackage = '.'", "[services.api]\npackage = '.'\n\n"])
def test_a_table_is_added(text):
    """At the end, apart from what is there."""
    changed = with_list(text, "build", "go-tags", ["x"])

    assert changed.startswith(text)
    assert tomllib.loads(changed)["build"] == {"go-tags": ["x"]}


@pytest.mark.parametrize("table", ["build", "services.api", "services.new", 'services."a.b"'])
def test_line_ends_stay(table):
    """A file of another system has one kind of line end afterwards too."""
    text = (TEXT + '\n[services."a.b"] # of two parts\npackage = "."\n').replace("\n", "\r\n")

    changed = with_list(text, table, "go-tags", ["x"])

    assert "\n" not in changed.replace("\r\n", "")
    assert changed.replace("\r\n", "\n") == with_list(text.replace("\r\n", "\n"), table, "go-tags", ["x"])


@pytest.mark.parametrize("text", ["build = { base = 'static' }\n", "build.base = 'static'\n", "[build]\ngo-tags = 5\n"])
def test_what_is_not_changed(text):
    """A table that is written in another way is left alone, and what to add is told."""
    with pytest.raises((InvalidSettings, tomllib.TOMLDecodeError)):
        with_list(text, "build", "go-tags", ["x"])


@given(st.lists(st.text(min_size=1, max_size=8).filter(lambda word: word.isprintable()), max_size=4))
def test_any_words(words):
    """What is written is read again, and nothing else changes."""
    changed = tomllib.loads(with_list(TEXT, "build", "go-tags", words))
    before = tomllib.loads(TEXT)

    assert changed["build"] == {**before["build"], "go-tags": words}
    assert changed["services"] == before["services"]
