"""The build checks, judged by the reference's own cases."""

import json
from pathlib import Path

import pytest
from tests.needs import corpus

from wherry.dockerfile.ignore import read_ignore_file
from wherry.dockerfile.lint import Linted, lint
from wherry.dockerfile.notes import Around, Base
from wherry.errors import WherryError
from wherry.finding import Severity
from wherry.oci.reference import Reference
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
BUSYBOX = Base(platform=AMD64, env={"PATH": "/bin"}, shell=False)
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
