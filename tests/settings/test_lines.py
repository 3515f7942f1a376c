"""The locator knows every key that tomllib reads, and its line."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.settings.lines import Path, line_at, lines_of

DOCUMENT = '''
# a comment with key = 1
title = "a # b = [c]"
"quoted \\" key" = 1
'literal.key' = """
x = 1
[no.header]
\\""" still inside """
a.b . c = '\'\'\''two'\'\'\''

[build] # [not.this]
list = [
  "one", # "zero",
  [2, 3], { x = 1, y = [
    4 ] },
  \'\'\'
  five\'\'\',
]
inline = { p = { q = 1 }, "r s" = 2 }

[[services]]
name = "first"
[services.sub]
k = 1979-05-27T07:32:00Z
[[services]]
name = "second"
[[services.ports]]
p = 1
[[services.ports]]
p = +1_000
'''.replace("'''two'''", "''two''")


def paths_of(value: object, path: Path = ()) -> set[Path]:
    """Name every key and list entry of a parsed document."""
    found: set[Path] = set()
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in entries:
        found |= {(*path, key)} | paths_of(below, (*path, key))
    return found


def test_every_key_of_a_hard_document_is_found():
    """Comments, strings of four kinds, dotted and quoted keys, nested lists, tables in lists."""
    text = DOCUMENT
    lines = lines_of(text)

    assert set(lines) == paths_of(tomllib.loads(text))
    numbered = dict(enumerate(text.splitlines(), start=1))
    assert numbered[lines["title",]].startswith("title")
    assert numbered[lines["a", "b", "c"]].startswith("a.b . c")
    assert (
        numbered[lines["build", "list", 1, 0]] == numbered[lines["build", "list", 2, "x"]] == "  [2, 3], { x = 1, y = ["
    )
    assert numbered[lines["build", "list", 2, "y", 0]] == "    4 ] },"
    assert numbered[lines["services", 1, "ports", 1, "p"]] == "p = +1_000"
    assert lines["services", 1] == lines["services", 0] + 4


def test_a_path_that_is_not_there_has_its_tables_line():
    """What is missing is reported where it should stand."""
    lines = lines_of("\n\n[services.api]\nbase = 'x'\n")

    assert line_at(lines, ("services", "api", "package")) == 3
    assert line_at(lines, ("elsewhere",)) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_in_two_ways(end):
    """A file from Windows counts its lines the same."""
    text = end.join(["# one", "a = 1", "", "b = [", "1,", "2]", ""])

    assert lines_of(text) == {("a",): 2, ("b",): 4, ("b", 0): 5, ("b", 1): 6}


KEYS = st.text(st.sampled_from("ab-_1 .\"'\\#=[]{}é\t"), max_size=4)
SCALARS = st.one_of(
    st.integers(-9, 9), st.booleans(), st.text(st.sampled_from("a\"'\\\n#=[]{},é"), max_size=6), st.floats(0, 1)
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)
GAPS = st.sampled_from(["", " ", "\t"])


def quoted(text: str, style: int) -> str:
    """Write a text as one of TOML's strings."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    if style == 1 and "'" not in text and "\n" not in text:
        return f"'{text}'"
    if style == 2:
        return f'"""\n{escaped}"""'
    if style == 3 and "''" not in text and not text.startswith("\n"):
        return f"'''{text}'''" if not text.endswith("'") else f'"{escaped}"'.replace("\n", "\\n")
    return f'"{escaped}"'.replace("\n", "\\n")


def written(value: object, draw: st.DrawFn) -> str:
    """Write a value in one of the ways TOML allows."""
    gap = draw(GAPS)
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quoted(value, draw(st.integers(0, 3)))
        case list():
            line = draw(st.sampled_from(["", "\n", "# x = [\n"]))
            inside = "".join(f"{line}{written(entry, draw)}{gap}," for entry in value)
            return f"[{gap}{inside}{line}]"
        case dict():
            inside = f"{gap},{gap}".join(
                f"{quoted(key, 0)}{gap}={written(below, draw)}" for key, below in value.items()
            )
            return f"{{{gap}{inside}{gap}}}"
        case _:
            return str(value)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Write a random document: pairs, then tables, then tables in a list."""
    text = ""
    for key, value in draw(st.dictionaries(KEYS, VALUES, max_size=3)).items():
        text += f"{draw(GAPS)}{quoted(key, draw(st.integers(0, 1)))} = {written(value, draw)} # {{\n"
    for place, table in enumerate(draw(st.lists(st.dictionaries(KEYS, VALUES, max_size=2), max_size=3))):
        text += draw(st.sampled_from([f"[t{place}.x]\n", "[[list]]\n", f"[t{place}]\n", "[[list]]\n[list.'in ]']\n"]))
        text += "".join(f"d.{quoted(key, 0)} = {written(value, draw)}\n" for key, value in table.items())
    return text


@pytest.mark.slow
@settings(max_examples=150)
@given(documents())
def test_the_keys_are_those_tomllib_reads(text):
    """For any document: no key is missed, none is made up, and each key's text stands on its line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # two tables of one name
    assert set(lines_of(text)) == paths_of(document)
