"""The language by the repository's own cases (`tests/cases`), judged as the shared corpus is."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dockerfile import bases, judging
from dockerfile.building import Request
from dockerfile.laying import lay
from dockerfile.test_corpus_builds import builder, peer  # noqa: F401 - fixtures: wherry, or the peer it is compared with
from dockerfile.test_language import shown
from dockerfile.test_lint import rules
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import BadPattern, Patterns, read_ignore_file
from wherry.dockerfile.parser import parse
from wherry.dockerfile.syntax import read_syntax
from wherry.dockerfile.words import Style, expand

CASES = Path(__file__).parents[1] / "cases"
Case = Mapping[str, Any]


def cases(name: str) -> list[Any]:
    """Read a table."""
    return [pytest.param(case, id=case["name"]) for case in tomllib.loads((CASES / name).read_text())["case"]]


@pytest.mark.parametrize("case", cases("expansion.toml"))
def test_expansion(case: Case):
    """Variables, modifiers, quotes, escapes."""
    style = Style(escape=case.get("escape", "\\"))
    if case.get("fails"):
        with pytest.raises(DockerfileError):
            expand(case["input"], case.get("env", {}), style)
        return

    found = expand(case["input"], case.get("env", {}), style)

    if "words" in case:
        assert list(found.words) == case["words"]
    else:
        assert found.text == case["result"]


@pytest.mark.parametrize("case", cases("syntax.toml"))
def test_syntax(case: Case):
    """A text's instructions, with their lines; what is no Dockerfile is refused where it can be known."""
    if case.get("fails"):
        with pytest.raises(DockerfileError):
            read_syntax(case["text"])
        return
    syntax = read_syntax(case["text"])
    if case.get("refused"):
        with pytest.raises(DockerfileError):
            parse(case["text"])
        return

    assert syntax.escape == case.get("escape", "\\")
    assert [shown(node) for node in syntax.nodes] == [_wanted(node) for node in case["nodes"]]


def _wanted(node: Case) -> dict[str, object]:
    usual = {"expand": True, "chomp": False}
    return {
        "instruction": node["instruction"],
        "flags": node.get("flags", []),
        "json": node.get("json", False),
        "lines": tuple(node["lines"]),
        "heredocs": [
            (doc["name"], doc["content"], doc["expand"], doc["chomp"])
            for doc in ({**usual, **given} for given in node.get("heredocs", []))
        ],
        "words": node["words"],
    }


@pytest.mark.parametrize("case", cases("ignore.toml"))
def test_ignore(case: Case):
    """Which paths of a context a .dockerignore leaves."""
    if case.get("fails"):
        with pytest.raises(BadPattern):
            Patterns(read_ignore_file(case["file"]))
        return
    patterns = Patterns(read_ignore_file(case["file"]))

    assert sorted(path for path in case["paths"] if not patterns.fit(path)) == sorted(case["kept"])


@pytest.mark.parametrize("case", cases("checks.toml"))
def test_checks(case: Case):
    """Which build checks a file breaks, and where."""
    assert sorted(rules(case["text"])) == sorted(tuple(pair) for pair in case["broken"])


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("builds.toml"))
def test_builds(case: Case, builder, tmp_path: Path):  # noqa: F811 - the fixture
    """A context and a Dockerfile, built: files, config and layers."""
    context = tmp_path / "context"
    lay(list(_entries(case)), context)
    secrets = {name: tmp_path / f"secret-{name}" for name in case.get("secrets", {})}
    for name, file in secrets.items():
        file.write_text(case["secrets"][name])

    built = builder.build(
        Request(
            context=context,
            dockerfile=context / "Dockerfile",
            build_args=case.get("build_args", {}),
            contexts={"busybox": f"oci-layout://{bases.busybox()}"},
            secrets=secrets,
            names=(),
            platforms=(),
            target=case.get("target", ""),
        ),
        tmp_path / "out",
    )

    assert list(_complaints(case, built)) == []


def _entries(case: Case):
    yield {"type": "file", "path": "Dockerfile", "content": case["text"]}
    yield from ({"type": "file", "path": path, "content": text} for path, text in case.get("files", {}).items())
    yield from ({"type": "symlink", "path": path, "target": to} for path, to in case.get("links", {}).items())
    for path, files in case.get("archives", {}).items():
        entries = [{"type": "file", "name": name, "content": text} for name, text in files.items()]
        yield {"type": "tar.gz", "path": path, "entries": entries}


def _complaints(case: Case, built):
    if "fails" in case:
        yield from judging.failure({}, built, exactly=False)
        yield from (
            f"the message lacks {word!r}: {built.message}" for word in case["fails"] if word not in built.message
        )
    elif not built.ok:
        yield built.message
    else:
        expected = {key: case[key] for key in ("absent", "config", "layers") if key in case}
        yield from judging.behaviour({**expected, "files": case.get("tree", {})}, built, {})
