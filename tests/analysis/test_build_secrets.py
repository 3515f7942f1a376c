"""What a build would publish and should not."""

import pytest

from wherry.analysis.build_secrets import judge_arguments, judge_x_values, shown_flags
from wherry.finding import Severity

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
RANDOM = "q8Zt3LxVb0WnYc5RkPjU2sGhDfE7aTmQ"


def judged(name, value, *public):
    """Judge one variable; give rules with severities."""
    return [(one.rule, one.severity) for one in judge_x_values([(name, value)], public)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("main.version", "v1.2.3", []),
        ("main.commit", "0123456789abcdef0123456789abcdef01234567", []),
        ("main.apiToken", "x", [("x-secret", Severity.ERROR)]),
        ("main.apiToken", "", []),
        ("main.tokenURL", "https://id.example.com/token", []),
        ("main.where", TOKEN, [("x-token", Severity.ERROR)]),
        ("main.build", RANDOM, [("x-random", Severity.WARNING)]),
        ("main.repository", "https://me:s3cr3tw0rd@git.example.net/x", [("x-token", Severity.ERROR)]),
    ],
)
def test_x_values(name, value, expected):
    """Names and known forms are errors, chance alone is a warning."""
    assert judged(name, value) == expected


def test_public_values_are_not_judged():
    """A commit may be called as a secret is."""
    assert judged("main.tokenCommit", "0123abc", "main.tokenCommit") == []


def test_no_finding_shows_a_value():
    """What is printed can't be used."""
    (found,) = judge_x_values([("main.password", "correct horse")], ())

    assert "horse" not in repr(found)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("NPM_TOKEN", "x", [("build-secret", Severity.WARNING)]),
        ("EXTRA", TOKEN, [("build-token", Severity.ERROR)]),
        ("GO_VERSION", "1.26", []),
    ],
)
def test_arguments(name, value, expected):
    """A name alone is a warning, as BuildKit has it: the argument may be meant for a secret's name."""
    assert [(one.rule, one.severity) for one in judge_arguments({name: value}, "--build-arg")] == expected


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("-trimpath -ldflags=-s -X main.apiToken=abc -X=b=c -w", "-trimpath -ldflags=-s -X main.apiToken=… -X=b=… -w"),
        ("-ldflags=-X main.apiToken=abc", "-ldflags=-X main.apiToken=…"),
        ("-ldflags=all=-X main.apiToken=abc", "-ldflags=all=-X main.apiToken=…"),
        ("-ldflags=example.com/...=-X=main.apiToken=abc", "-ldflags=example.com/...=-X=main.apiToken=…"),
        ("-trimpath -ldflags=-s", "-trimpath -ldflags=-s"),
    ],
)
def test_flags_of_an_old_recipe(flags, shown):
    """A recipe of version 1 is shown without values."""
    assert shown_flags(flags) == shown
