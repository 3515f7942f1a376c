"""Conditions, how they join, and what is said where something is not known."""

import pytest

from wherry.app.policy_file import parse_policy
from wherry.errors import InvalidSettings
from wherry.trust.evidence import HoleEvidence, ImageEvidence, PlatformEvidence, SignatureEvidence
from wherry.trust.policy import judge_image

DAY = 86400.0
GOOD = PlatformEvidence(
    platform="linux/amd64", user="65532", uid=65532, shells=(), pulled=1000, unpacked=3000, created=100 * DAY,
    base="registry.example/base/static", base_digest="sha256:1", source="https://git.example/team/api",
)  # fmt: skip
ROOT = PlatformEvidence(
    platform="linux/arm64", user="", uid=0, shells=("/bin/sh",), pulled=5000, unpacked=9000, created=10 * DAY,
)  # fmt: skip
UNKNOWN = PlatformEvidence(platform="linux/amd64", user="app")


def holds(rule: str, **known: object) -> bool | None:
    """Judge one rule by some evidence."""
    policy = parse_policy(f"[[rule]]\n{rule}\n", "policy.toml")
    (verdict,) = judge_image(policy, ImageEvidence(now=101 * DAY, **known)).rules
    assert verdict.verdict.reason
    return verdict.verdict.holds


@pytest.mark.parametrize(("rule", "good", "bad", "unknown"), [
    ("non-root = true", True, False, None), ("non-root = false", False, True, None),
    ("no-shell = true", True, False, None), ('max-pulled = "2kB"', True, False, None),
    ("max-unpacked = 3000", True, False, None), ('max-age = "2d"', True, False, None),
    ('base = ["registry.example/base/*"]', True, False, False), ('base = "*@sha256:1"', True, False, False),
    ('built-from = ["https://git.example/team/*"]', True, False, False),
    ('platforms = ["linux/amd64"]', True, False, True), ("not = { non-root = true }", False, True, None),
    ("non-root = true\nno-shell = true", True, False, None),
    ('any = [{ non-root = true }, { platforms = ["linux/s390x"] }]', True, False, None),
    ('all = [{ non-root = true }, { platforms = ["linux/s390x"] }]', False, False, False),
])  # fmt: skip
def test_conditions(rule, good, bad, unknown):
    """Each with an image that fulfils it, one that does not, and one of which too little is known."""
    assert holds(rule, platforms=(GOOD,)) is good
    assert holds(rule, platforms=(ROOT,)) is bad
    assert holds(rule, platforms=(UNKNOWN,)) is unknown


def test_one_platform_decides():
    """What one platform does not fulfil, the image does not."""
    assert holds("non-root = true", platforms=(GOOD, ROOT)) is False
    assert holds("non-root = true") is None


@pytest.mark.parametrize(("answer", "expected"), [
    ("signed", True), ("not-signed", False), ("signed-by-another", False), ("could-not-ask", None),
])  # fmt: skip
def test_signatures(answer, expected):
    """Who has to have signed; an answer about other keys or another kind of statement does not count."""
    given = SignatureEvidence(keys=("a.pub", "b.pub"), answer=answer)
    assert holds('signed-by = ["b.pub", "a.pub"]', signatures=(given,)) is expected
    assert holds('signed-by = ["c.pub"]', signatures=(given,)) is None
    rule = 'attested = { type = "slsaprovenance1", keys = ["a.pub", "b.pub"] }'
    assert holds(rule, signatures=(given,)) is None
    other = SignatureEvidence(keys=("a.pub", "b.pub"), type="slsaprovenance1", answer=answer)
    assert holds(rule, signatures=(given, other)) is expected


def test_signatures_by_an_identity():
    """An identity is another question than keys are; a root of another file is, too."""
    ann = 'identity = "ann@example.com", issuer = "https://a.example", trusted-root = "root.json"'
    said = {"identity": "ann@example.com", "issuer": "https://a.example", "trusted_root": "root.json"}
    good = SignatureEvidence(**said, answer="signed", signer="ann@example.com")

    assert holds(f"signed-by = {{ {ann} }}", signatures=(good,)) is True
    assert holds(f'signed-by = {{ {ann}, keys = ["a.pub"] }}', signatures=(good,)) is None
    assert holds(f"signed-by = {{ {ann.replace('root.json', 'x.json')} }}", signatures=(good,)) is None
    assert holds(f"signed-by = {{ {ann.replace('identity', 'identity-regexp')} }}", signatures=(good,)) is None
    assert holds(f'attested = {{ type = "spdx", {ann} }}', signatures=(good,)) is None
    assert holds(f"not = {{ signed-by = {{ {ann} }} }}", signatures=(good,)) is False


HOLES = (HoleEvidence(id="GO-1", level="package", severity="high", reviewed=True),
         HoleEvidence(id="GO-2", level="symbol", reviewed=False))  # fmt: skip


@pytest.mark.parametrize(("rule", "expected"), [
    ('"package"', False), ('{ level = "package", reviewed-only = true }', True), ('"none"', False),
    ('{ level = "high", reviewed-only = true }', True), ('{ level = "medium", reviewed-only = true }', False),
    ('"high"', False),
])  # fmt: skip
def test_holes(rule, expected):
    """By evidence or by severity; a severity that nobody gave may be any."""
    assert holds(f"no-known-hole-above = {rule}", holes=HOLES) is expected


def test_holes_that_are_not_known():
    """No scan, or a program that cannot be scanned, is not 'no holes'."""
    assert holds('no-known-hole-above = "none"') is None
    assert holds('no-known-hole-above = "none"', holes=(), unscanned=("/app: packed",)) is None
    assert holds('no-known-hole-above = "none"', holes=()) is True


def test_rebuilt():
    """Only a rebuild says so."""
    assert holds("reproduced = true") is None
    assert holds("reproduced = true", reproduced=True) is True
    assert holds("reproduced = true", reproduced=False) is False


def test_not_known_is_not_allowed():
    """Neither a condition nor its opposite counts where nothing is known."""
    for rule in ("non-root = true", "non-root = false"):
        policy = parse_policy(f"[[rule]]\n{rule}\n", "policy.toml")
        assert not judge_image(policy, ImageEvidence()).allowed


@pytest.mark.parametrize(("text", "line"), [
    ("[[rule]]\nsigned-by = []\n", 2), ("[[rule]]\nname = 'x'\n", 1), ("[[rule]]\nnon-rot = true\n", 2),
    ("[[rule]]\nnon-root = 1\n", 2), ("[[rule]]\nany = []\n", 2), ("[[rule]]\nmax-age = '3 moons'\n", 2),
    ("[[rule]]\nmax-pulled = 'much'\n", 2), ("[[rule]]\nplatforms = [3]\n", 2),
    ("[[rule]]\nplatforms = []\n", 2), ("rule = 3\n", 1), ("", 1),
    ("[[rule]]\nnon-root = true\n\n[[rule]]\nname = 'rule 1'\nno-shell = true\n", 6), ("[[rule\n", 1),
    ("[[rule]]\nsigned-by = { identity = 'a', issuer = 'b' }\n", 2),
    ("[[rule]]\nsigned-by = { identity = 'a', identity-regexp = 'b', issuer = 'c', trusted-root = 'd' }\n", 2),
    ("[[rule]]\nsigned-by = { identity-regexp = '(', issuer = 'c', trusted-root = 'd' }\n", 2),
    ("[[rule]]\nsigned-by = { key = 'a' }\n", 2), ("[[rule]]\nsigned-by = 3\n", 2),
    ("[[rule]]\nattested = { type = 'no such', keys = ['a'] }\n", 2), ("[[rule]]\nattested = { keys = ['a'] }\n", 2),
    ("[[rule]]\nattested = { type = 'spdx' }\n", 2), ("[[rule]]\nattested = { type = 'spdx', keys = [1] }\n", 2),
    ("[[rule]]\nno-known-hole-above = 'symbol'\n", 2), ("[[rule]]\nattested = ['a.pub']\n", 2), ("[rules]\n", 1),
    ("[[rule]]\nall = [\n{ non-root = true },\n{ any = [{ x = 1 }] },\n]\n", 4),
    ("[[rule]]\n" + "not = {" * 20 + "non-root = true" + "}" * 20, 2),
])  # fmt: skip
def test_wrong_policies(text, line):
    """Each is an error with its line."""
    with pytest.raises(InvalidSettings) as caught:
        parse_policy(text.replace("not = {not", "not = { not"), "policy.toml")
    assert f"line {line}" in caught.value.message
