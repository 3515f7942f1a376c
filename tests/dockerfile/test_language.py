"""The language, judged by the cases of the reference's own suites, and by what must hold for any text."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.needs import corpus

from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import BadPattern, Patterns, read_ignore_file
from wherry.dockerfile.lint import lint
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse
from wherry.dockerfile.syntax import Node, directive_of, parse_heredoc, read_syntax
from wherry.dockerfile.words import Style, expand
from wherry.platform import Platform

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
    elif any("\0" in word for node in syntax.nodes for word in node.arguments):
        with pytest.raises(DockerfileError, match="zero byte"):  # BuildKit reads it, and no program can start so
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


def brought(case: dict) -> tuple[set[str], set[str]]:
    """Give the files and the folders that a context has under its ignore file."""
    patterns = Patterns(read_ignore_file(case["ignorefile"] or ""))
    paths = {path.strip("/"): path.endswith("/") for path in case["tree"]}
    for path in list(paths):
        for end in (place for place, letter in enumerate(path) if letter == "/"):
            paths[path[:end]] = True
    judged: dict[str, tuple[bool, list[bool]]] = {"": (False, [])}
    for path in sorted(paths):
        judged[path] = patterns.judge(path, judged[path.rpartition("/")[0]][1])
    kept = {path for path in paths if not judged[path][0]}
    return {path for path in kept if not paths[path]}, {path for path in kept if paths[path]}


@pytest.mark.parametrize("case", cases("dockerignore.jsonl", "tree"))
def test_trees(case):
    """What a context has is what the reference's has; a folder is there too for the sake of what is in it."""
    case = present(case)
    if "files" not in case["expected"]:
        with pytest.raises(BadPattern):
            brought(case)
        return

    files, folders = brought(case)

    assert files == set(case["expected"]["files"])
    assert folders <= set(case["expected"]["dirs"])


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a*a*a*a*a*a*a*b", "a" * 255),
        ("**/a/**/a/**/a/**/a/**/b", "a/" * 1000),
        ("**/a*a*a*a*/**/*a*a*b", "aaaaaaaa/" * 400),
        ("**a**a**a**b", "a/" * 2000),
    ],
)
def test_no_pattern_is_slow(pattern, path):
    """Many wildcards on a long path are matched at once."""
    assert not Patterns([pattern]).fit(f"{path}c")
    assert Patterns([pattern]).fit(f"{path}b" if pattern[1] == "*" and "a*a" not in pattern else f"{path}aab")


@pytest.mark.parametrize(
    ("patterns", "path", "meant"),
    [
        (["**a"], "ba", True),
        (["a|b"], "xb", False),
        (["a*|b"], "xb", True),
        (["?{2}"], "ab", True),
        (["?{2}"], "a", False),
        (["*/x", "!foo"], "foo/x", False),
    ],
)
def test_corners_of_patterns(patterns, path, meant):
    """Where the reference makes an expression of a pattern, letters mean what they do in one."""
    assert Patterns(patterns).fit(path) is meant


def test_a_walk_forgets_what_it_did_not_ask():
    """On a walk, a pattern that brings back what nothing took away does not count for what is below."""
    patterns = Patterns(["*/x", "!foo"])
    out, above = patterns.judge("foo", [])

    assert not out
    assert patterns.judge("foo/x", above)[0]
    assert not patterns.fit("foo/x")


PARTS = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "*b", "[ab]", "[^a]", "\\*"])
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "*", "c"]), min_size=1, max_size=4)


def oracle(pattern: list[str], path: list[str]) -> bool:
    """Tell whether a pattern fits a path or one above it, folder by folder: slow, plain, and nothing of ours."""
    if not pattern:
        return True  # what is in it is meant, too
    first, *rest = pattern
    if first == "**":
        return bool(path) and (oracle(rest, path) or oracle(pattern, path[1:]))
    named = fnmatchcase(path[0], first.replace("\\*", "[*]").replace("[^", "[!")) if path else False
    return named and oracle(rest, path[1:])


@given(st.lists(PARTS, min_size=1, max_size=5), PATHS)
def test_patterns_against_a_plain_reading(pattern, path):
    """Whatever the pattern, it fits what a reading folder by folder fits; `**` between slashes is any folders."""
    assert Patterns(["/".join(pattern)]).fit("/".join(path)) is oracle(pattern, path)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("${a//*/x}", "x"),
        ("${a//b/<$b>}", "<1>anana"),
        ("${a//a?/-}", "b--a"),
        ("${a/a*a/-}", "b-"),
        ("${e//*/x}", "x"),
        ("${n%%*c}", "a\n"),
        (r"${a//n/\$0$0}", r"ba\n\na\n\na"),
    ],
)
def test_corners_of_patterns_in_words(word, text):
    """Patterns are as greedy as Go's, and an empty match behind another is none."""
    assert expand(word, {"a": "banana", "b": "1", "e": "", "n": "a\nbc", "0": r"\$0"}).text == text


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nENV v=" + "${a:-" * 5000 + "}" * 5000,
        "FROM a\n" + "ONBUILD " * 5000 + "RUN x",
        "FROM a\nRUN " + "[" * 50_000,
        "FROM a\nHEALTHCHECK --interval=" + "9" * 5000 + "s --retries=" + "9" * 5000 + " CMD x",
        "FROM a\nRUN --mount=type=tmpfs,target=/x,size=" + "9" * 5000 + " x",
        "FROM a\nRUN --mount=type=cache,target=/x,uid=" + "9" * 5000 + " x",
        "FROM a\nCOPY --from=" + "9" * 5000 + " a b",
        "FROM a\nENV v=" + "a" * 50_000 + "\nENV w=${v#*a*a*a*a*a*a*b}${v//*a*a*a*b/x}",
        "FROM a\nENV v=aaaaaaaaaa\n" + "ENV v=$v$v$v$v$v$v$v$v$v$v\n" * 20,
        "FROM a\nENV v=" + "a" * 50_000 + "\nENV w=${v//a/$v}",
        "FROM a\n# c\n" + "# c\n" * 100_000 + "RUN x",
        "FROM a\nRUN x \\\n" + "\n# c\n" * 100_000 + "y",
        "FROM a\nENV a=" + "$b" * 20_000,
    ],
)
def test_hostile_files(text):
    """Whatever is deep, long, or doubles itself ends soon, in a value or in an error with its line."""
    around = Around(platform=Platform("linux", "amd64"), build_platform=Platform("linux", "amd64"))

    linted = lint("Dockerfile", text, around)

    assert linted.error is None or linted.error.lines
    assert linted.error is None or len(linted.error.shown("Dockerfile", text).message) < 20_000


INSTRUCTIONS = st.sampled_from(
    [
        "RUN", "RUN --mount=type=cache,target=/c --network=none", "COPY --from=x --chmod=755", "ADD --link", "ENV",
        "LABEL", "ARG", "CMD", "ENTRYPOINT", "HEALTHCHECK --retries=2 CMD", "EXPOSE", "VOLUME", "USER", "WORKDIR",
        "STOPSIGNAL", "SHELL", "ONBUILD RUN", "ONBUILD COPY",
    ]
)  # fmt: skip
WORDS = st.lists(
    st.sampled_from(
        ["a", "/b", "k=v", 'k="v w"', "'x y'", "$z", "${z:-q}", '["a", "b"]', "a\\ b", "é", "#", "\\\n", "=", "80/tcp"]
    ),
    min_size=1,
    max_size=4,
)


@given(st.lists(st.tuples(INSTRUCTIONS, WORDS), min_size=1, max_size=4))
def test_an_instructions_text_is_the_instruction(parts):
    """What is shown of an instruction, read again, is that instruction."""
    text = "FROM x\n" + "\n".join(f"{instruction} {' '.join(words)} z" for instruction, words in parts)
    try:
        file = parse(text)
    except DockerfileError:
        return

    for instruction in file.stages[0].instructions:
        (again,) = parse(f"FROM x\n{instruction.text}").stages[0].instructions
        assert replace(again, lines=instruction.lines) == instruction
