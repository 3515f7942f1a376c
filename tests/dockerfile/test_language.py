"""The language, judged by the cases of the reference's own suites, and by what must hold for any text."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.needs import corpus

from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import BadPattern, Patterns, read_ignore_file
from wherry.dockerfile.parser import parse
from wherry.dockerfile.syntax import Node, directive_of, parse_heredoc, read_syntax
from wherry.dockerfile.words import Style, expand

ROOT = Path(__file__).parents[2]


def cases(name: str, *kinds: str) -> list[object]:
    """Give the cases of one file of the corpus."""
    return list(_cases(name, *kinds))


def _cases(name: str, *kinds: str) -> Iterator[object]:
    place = ROOT.parent / "shared" / "corpus" / name
    lines = place.read_text().splitlines() if place.is_file() else []
    for number, line in enumerate(lines):
        case = json.loads(line)
        if not kinds or case["kind"] in kinds:
            yield pytest.param(case, id=f"{case.get('name', case.get('id', ''))}-{number}")
    if not lines:
        yield pytest.param(None, id="absent")


def present(case: object) -> dict:
    """Give a case; without a corpus there is none."""
    if case is None:
        corpus("README.md")
    assert isinstance(case, dict)
    return case


@pytest.mark.parametrize("case", cases("expansion.jsonl"))
def test_expansion(case):
    """Words are expanded and split as the reference does."""
    case = present(case)
    style = Style(escape=case["escape"])
    expected = case["expected"]
    if "error" in expected:
        with pytest.raises(DockerfileError):
            expand(case["input"], case["env"], style)
        return

    found = expand(case["input"], case["env"], style)

    if case["mode"] == "word":
        assert found.text == expected["result"]
    else:
        assert list(found.words) == expected.get("words", expected.get("result"))


@pytest.mark.parametrize("case", cases("dockerfile_parse.jsonl", "dockerfile"))
def test_files(case):
    """A file's nodes are the reference's, and so is what is no file."""
    case = present(case)
    text, expected = case["dockerfile"], case["expected"]
    if isinstance(text, dict):
        text = text["template"].replace("{A}", "a" * 65536)
    if "error" in expected:
        with pytest.raises(DockerfileError):
            read_syntax(text)
        return

    syntax = read_syntax(text)

    assert syntax.escape == expected.get("escape", "\\")
    assert list(map(shown, syntax.nodes)) == [wanted(one) for one in expected["instructions"]]
    if expected.get("instructions_error"):
        with pytest.raises(DockerfileError):
            parse(text)
    elif any(one["instruction"].upper() == "FROM" for one in expected["instructions"]):
        parse(text)


def shown(node: Node) -> dict:
    """Describe a node."""
    described = {
        "instruction": node.instruction.upper(),
        "flags": list(node.flags),
        "json": node.json,
        "lines": (node.lines.first, node.lines.last),
        "heredocs": [(doc.name, doc.content, doc.expand, doc.chomp) for doc in node.heredocs],
    }
    if node.inner:
        return {**described, "words": (node.inner.instruction.upper(), list(node.inner.arguments), node.inner.json)}
    return {**described, "words": list(node.arguments)}


def wanted(one: dict) -> dict:
    """Describe an expected node in the same way."""
    words = list(one.get("args") or ()) if "pairs" not in one else None
    if words == [""] and not one.get("json"):
        words = []  # an instruction that nobody knows has no words of its own here
    if words is None:
        legacy = one.get("legacy")
        words = [part for pair in one["pairs"] for part in (*pair, "" if legacy else "=")]
    elif words and isinstance(words[0], dict):
        (sub,) = words[0]["sub"]
        words = (sub["instruction"].upper(), list(sub.get("args", [])), bool(sub.get("json", False)))
    return {
        "instruction": one["instruction"].upper(),
        "flags": one.get("flags") or [],
        "json": bool(one.get("json")),
        "lines": (one["start_line"], one["end_line"]),
        "heredocs": [(doc["name"], doc["content"], doc["expand"], doc["chomp"]) for doc in one.get("heredocs") or ()],
        "words": words,
    }


@pytest.mark.parametrize("case", cases("dockerfile_parse.jsonl", "heredoc_word"))
def test_heredoc_words(case):
    """`<<EOF` and its kin."""
    case = present(case)
    expected = case["expected"]
    if "error" in expected:
        with pytest.raises(DockerfileError):
            parse_heredoc(case["word"])
        return

    doc = parse_heredoc(case["word"])

    found = doc and {"name": doc.name, "chomp": doc.chomp, "expand": doc.expand}
    assert found == (expected["heredoc"] and {key: expected["heredoc"][key] for key in ("name", "chomp", "expand")})


@pytest.mark.parametrize("case", cases("dockerfile_parse.jsonl", "directive"))
def test_directives(case):
    """Directives are found where the reference finds them."""
    case = present(case)
    expected = case["expected"]

    found = directive_of(case.get("directive") or case.get("key") or "syntax", case["dockerfile"])

    assert found == (expected.get("ref") if expected else None)


@pytest.mark.parametrize("case", cases("dockerignore.jsonl", "pattern"))
def test_patterns(case):
    """A path is left out where the reference leaves it out."""
    case = present(case)
    if case.get("error"):
        with pytest.raises(BadPattern):
            Patterns(case["patterns"])
        return

    assert Patterns(case["patterns"]).fit(case["path"].rstrip("/") or case["path"]) is case["excluded"]


@pytest.mark.parametrize("case", cases("dockerignore.jsonl", "file"))
def test_ignore_files(case):
    """An ignore file's patterns are the reference's."""
    case = present(case)

    assert read_ignore_file(case["ignorefile"]) == case["patterns_out"]


@given(st.text(alphabet="aB1_ ${}:-+?#%/'\"\\<*\n", max_size=40))
@example("${a" * 300)
@example("${a:-" * 300 + "}" * 300)
def test_any_word(text):
    """Whatever a word is, it is expanded or refused."""
    with suppress(DockerfileError):
        expand(text, {"a": "1", "B": ""})


@given(st.text(alphabet="FROMRUNcopyenv <>=-\"'[]\\\n#EOF\t,$", max_size=120))
def test_any_file(text):
    """Whatever a file is, it is read or refused, and a refusal says where."""
    refused = None
    try:
        parse(text)
    except DockerfileError as error:
        refused = error.shown("Dockerfile", text)

    assert refused is None or refused.message.startswith("Dockerfile")


@pytest.mark.slow
def test_large_files():
    """Ten megabytes, and a heredoc of a million lines, take the time of reading them."""
    run = "RUN echo hello hello hello hello hello hello hello hello\n"
    file = parse("FROM scratch\n" + run * (10_000_000 // len(run)))
    heredoc = parse("FROM scratch\nRUN <<EOF\n" + "a line\n" * 1_000_000 + "EOF\n")

    assert len(file.stages[0].instructions) == 10_000_000 // len(run)
    assert heredoc.stages[0].instructions[0].lines.last == 1_000_003


def test_an_error_shows_its_place():
    """File, line, the lines around, a caret, and what was meant."""
    text = "FROM scratch\n\n  CPY a /\nENV a=b\n"

    with pytest.raises(DockerfileError) as caught:
        parse(text)

    message = caught.value.shown("Dockerfile", text).message
    assert "Dockerfile:3: unknown instruction: CPY (did you mean COPY?)" in message
    assert "  3 | >>>   CPY a /" in message
    assert "    |       ^^^^^^^" in message
