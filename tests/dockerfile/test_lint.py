"""The build checks, judged by the reference's own cases."""

import json
from pathlib import Path

import pytest
from tests.needs import corpus

from wherry.dockerfile.ignore import read_ignore_file
from wherry.dockerfile.lint import Linted, lint
from wherry.dockerfile.notes import Around, Base
from wherry.dockerfile.rules import RULES
from wherry.errors import WherryError
from wherry.finding import Severity
from wherry.oci.reference import Reference
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
BUSYBOX = Base(platform=AMD64, env={"PATH": "/bin"}, own_shell=False)
PORT = [("ExposeInvalidFormat", 3), ("ExposeProtoCasing", 3)]
CASES = Path(__file__).parents[2].parent / "shared" / "corpus" / "buildkit_lint.jsonl"


def known(name: str) -> bool:
    """Tell whether a text may name an image."""
    try:
        Reference.parse(name)
    except WherryError:
        return False
    return True


def around(**given: object) -> Around:
    """Give what a file is built with: bases are all busybox."""
    usual = {"platform": AMD64, "build_platform": AMD64, "base": lambda _name, _platform: BUSYBOX, "valid": known}
    return Around(**{**usual, **given})


def said(linted: Linted) -> set[tuple[str, str, int]]:
    """Give what was found, as a set."""
    return {(one.rule, one.message, int(one.place.rpartition(":")[2])) for one in linted.findings}


@pytest.mark.parametrize("line", CASES.read_text().splitlines() if CASES.is_file() else [""])
def test_cases(line):
    """What the reference warns of is found, and nothing else."""
    corpus("buildkit_lint.jsonl")
    case = json.loads(line)
    expected = case["expected"]

    linted = lint(
        "Dockerfile",
        case["dockerfile"],
        around(arguments=case.get("build_args", {}), ignored=tuple(read_ignore_file(case.get("dockerignore") or ""))),
    )

    assert said(linted) == {(one["rule"], one["detail"], one["line"]) for one in expected["warnings"]}
    if expected.get("error"):
        assert {one.severity for one in linted.findings} == {Severity.ERROR}


def rules(text: str, **given: object) -> list[tuple[str, int]]:
    """Give the rules a file breaks, with their lines."""
    linted = lint("Dockerfile", text, around(**given))
    assert linted.error is None, linted.error
    return [(one.rule, int(one.place.rpartition(":")[2])) for one in linted.findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM scratch AS context\n", [("ReservedStageName", 1)]),
        ("FROM scratch\nMAINTAINER me\n", [("MaintainerDeprecated", 2)]),
        ("FROM scratch\nENV a b\nLABEL a b\n", [("LegacyKeyValueFormat", 2), ("LegacyKeyValueFormat", 3)]),
        (
            "FROM --platform=linux/arm64 busybox\n",
            [("FromPlatformFlagConstDisallowed", 1), ("InvalidBaseImagePlatform", 1)],
        ),
        ("FROM scratch\nEXPOSE 127.0.0.1:80:80\nEXPOSE 1:2/UDP\n", [("ExposeInvalidFormat", 2), *PORT]),
        ("FROM scratch\nONBUILD ENV key=1\nFROM scratch\n", []),
        ("FROM scratch AS a\nONBUILD WORKDIR x\nFROM a\nENV b=1\n", [("WorkdirRelativePath", 3)]),
        ("FROM scratch AS a\nARG x\nFROM a\nENV b=$x\n", []),
        ("FROM scratch\nENV a=1 b=$a\n", [("UndefinedVar", 2)]),
        ("FROM scratch\nRUN --mount=type=cache,target=/c,id=$who true\n", [("UndefinedVar", 2)]),
        ("FROM scratch\nCOPY <<A <<'B' /\n$one\nA\n$two\nB\n", [("UndefinedVar", 2)]),
        ("ARG v\nFROM busybox:$v\n", [("InvalidDefaultArgInFrom", 2)]),
        ("ARG v=1\nFROM busybox:$vv\n", [("InvalidDefaultArgInFrom", 2), ("UndefinedArgInFrom", 2)]),
        ("FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=1\nENV a=$BUILDKIT_SBOM_SCAN_STAGE\n", []),
        (
            "# check=experimental=all;skip=all\n# x\nARG a\nFROM scratch\nMAINTAINER me\n",
            [("InvalidDefinitionDescription", 3)],
        ),
    ],
)
def test_rules(text, expected):
    """Each rule is given where it is broken, as the reference gives it."""
    assert sorted(rules(text, arguments={"v": "1"} if text.startswith("ARG v\n") else {})) == sorted(expected)


def test_a_base_not_at_hand_leaves_doubt():
    """What a base may set is a note, what is mistyped is not."""
    text = "FROM golang\nENV DIRS=1\nENV a=$GOPATH b=$DIR\n"

    found = lint("Dockerfile", text, around(base=lambda _name, _platform: None)).findings

    assert [(one.severity, bool(one.evidence)) for one in found] == [(Severity.NOTE, True), (Severity.WARNING, False)]


def test_a_base_tells_what_it_sets():
    """Its variables, its shell and its ONBUILD count."""
    base = Base(platform=AMD64, env={"GOPATH": "/go"}, own_shell=True, triggers=("WORKDIR src",))

    assert rules("FROM golang\nENV a=$GOPATH\nCMD go\n", base=lambda _name, _platform: base) == [
        ("WorkdirRelativePath", 1)
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\nFROM scratch\n", 4),
        ("FROM scratch AS a\nCOPY --from=a / /\n", 2),
        ("FROM scratch\nENV a=${b\n", 2),
        ("FROM scratch\nONBUILD RUN x\nMAINTAINER a\nNONE\n", 4),
        ("FROM $a\n", 1),
        ("FROM --platform=$a scratch\n", 1),
        ("FROM --platform=x/y/z/w scratch\n", 1),
    ],
)
def test_errors_have_their_place(text, line):
    """What can't be looked at is an error with its line; what was found before stays."""
    linted = lint("Dockerfile", text, around())

    assert linted.error is not None
    assert linted.error.lines is not None
    assert linted.error.lines.first == line
    assert ("MAINTAINER" in text) == ("MaintainerDeprecated" in {one.rule for one in linted.findings})


@pytest.mark.parametrize("options", ["skip", "skip=A;error=perhaps", "skipped=A", "=", ";"])
def test_check_options_that_are_none(options):
    """A directive that can't be read is an error."""
    assert lint("Dockerfile", f"# check={options}\nFROM scratch\n", around()).error is not None


def test_only_what_the_target_needs_is_looked_into():
    """Other stages' instructions are not, unless no target is named."""
    text = "FROM scratch AS a\nWORKDIR x\nFROM scratch AS b\nWORKDIR y\nFROM b AS c\n"

    assert rules(text, target="c") == [("WorkdirRelativePath", 4)]
    assert rules(text) == [("WorkdirRelativePath", 2), ("WorkdirRelativePath", 4)]
    assert lint("Dockerfile", text, around(target="d")).error is not None


@pytest.mark.slow
def test_a_long_chain_of_stages():
    """Many stages, each on the one above, and a circle at their end."""
    chain = "FROM scratch AS s0\n" + "".join(f"FROM s{number} AS s{number + 1}\n" for number in range(50_000))

    assert rules(chain) == []
    assert lint("Dockerfile", f"{chain}COPY --from=50001 / /\nFROM s0\nCOPY --from=50000 / /\n", around()).error


def test_the_documents_have_every_rule():
    """The table of build checks is that of the code."""
    page = (Path(__file__).parents[2] / "docs/reference/build-checks.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `") and line.count(" | ") == 2]

    named = {row[0].strip("|` "): row[2].strip("| ") for row in rows}
    assert {rule: named.get(rule) for rule in RULES} == {rule: RULES[rule].remedy for rule in RULES}
