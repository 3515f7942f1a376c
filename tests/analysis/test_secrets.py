"""Shapes of secrets: each rule finds its own, examples are passed over, and nothing is shown whole."""

import base64
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import token
from wherry.analysis.leaks import leaks_of
from wherry.analysis.secrets import RULES, masked

LETTERS = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + "234567"


def _jwt() -> str:
    parts = ('{"alg":"HS256","typ":"JWT"}', '{"sub":"1234","name":"somebody at all"}')
    head, body = (base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.{token(LETTERS, 43)}"


def _pem(kind: str) -> str:
    lines = "\n".join(token(LETTERS + "+/", 64, seed) for seed in range(20))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----"


SHAPES = {
    "secret-private-key": _pem("RSA PRIVATE KEY"),
    "secret-aws-key": "AKIA" + token(UPPER, 16),
    "secret-aws-secret": f'aws_secret_access_key = "{token(LETTERS + "/+", 40)}"',
    "secret-github": "ghs_" + token(LETTERS, 36),
    "secret-github-fine": f"github_pat_{token(LETTERS, 22)}_{token(LETTERS, 59)}",
    "secret-gitlab": "glpat-" + token(LETTERS, 20),
    "secret-slack": f"xoxb-{token(string.digits, 12)}-{token(string.digits, 13)}-{token(LETTERS, 24)}",
    "secret-slack-webhook": f"hooks.slack.com/services/T{token(UPPER, 9)}/B{token(UPPER, 9)}/{token(LETTERS, 24)}",
    "secret-google-key": "AIza" + token(LETTERS + "_-", 35),
    "secret-google-oauth": "GOCSPX-" + token(LETTERS, 28),
    "secret-jwt": _jwt(),
    "secret-stripe": "sk_live_" + token(LETTERS, 24),
    "secret-npm": "npm_" + token(LETTERS, 36),
    "secret-pypi": "pypi-AgEI" + token(LETTERS, 80),
    "secret-sendgrid": f"SG.{token(LETTERS, 22)}.{token(LETTERS, 43)}",
    "secret-anthropic": f"sk-ant-api03-{token(LETTERS, 93)}AA",
    "secret-openai": f"sk-proj-{token(LETTERS, 40)}T3BlbkFJ{token(LETTERS, 40)}",
    "secret-docker": "dckr_pat_" + token(LETTERS, 27),
    "secret-digitalocean": "dop_v1_" + token("0123456789abcdef", 64),
    "secret-vault": "hvs." + token(LETTERS, 95),
    "secret-azure-storage": f"AccountKey={token(LETTERS, 86)}==",
    "secret-age": "AGE-SECRET-KEY-1" + token("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "secret-url": f"https://deploy:{token(LETTERS, 16)}@git.corp.internal/x",
    "secret-password": f"password: '{token(LETTERS, 16, 8)}'",
}


def found(text: bytes) -> set[str]:
    """Name the rules that find something."""
    return {one.rule for one in leaks_of(text, "made.up").findings}


def test_every_rule_has_a_case():
    """And every case its rule."""
    assert SHAPES.keys() == {rule.name for rule in RULES}


@pytest.mark.parametrize("rule", SHAPES)
@pytest.mark.parametrize("around", [b"\0%b\0", b"words%bmore", b"%b"], ids=["alone", "between", "whole"])
def test_each_shape(rule, around):
    """A secret is found alone and between the strings that Go puts right beside it, and what is shown hides it."""
    text = SHAPES[rule]

    report = leaks_of(around % text.encode(), "made.up")

    assert rule in {one.rule for one in report.findings}
    secrets = [one.shape.search(text.encode())[1].decode() for one in RULES if one.name == rule]
    assert not [secret for secret in secrets if secret[-12:].strip("\n") in repr(report)]
    assert text not in masked(text)


@pytest.mark.parametrize("text", [
    "AKIAIOSFODNN7EXAMPLE", "ghp_" + "x" * 36, "https://user:password@example.com/", "https://user:pass@host/",
    "postgres://user:%s@localhost/db", 'password = "changeme"', "-----BEGIN RSA PRIVATE KEY-----", "sk_live_...",
    "password:'$PASSWORD1'"[:-1], "glpat-", 'password: "<your password 1>"',
])  # fmt: skip
def test_examples_are_none(text):
    """What documentation and parsers have in them."""
    assert found(text.encode() + b"\0 more of the text") == set()


@pytest.mark.parametrize("text", [
    "-----BEGIN PRIVATE KEY-----" + " " * 40_000, "-----BEGIN PRIVATE KEY-----" * 5_000, "eyJ" * 60_000,
    "https://a:" + "b" * 90_000, "://" * 60_000, "xoxb-" * 40_000, "password" * 20_000, 'password="' * 20_000,
    "/home/a/" * 20_000, "T3BlbkFJ" * 20_000, "AKIA" * 50_000,
], ids=lambda text: text[:16])  # fmt: skip
def test_nothing_takes_long(text):
    """Texts that make a careless pattern run for ever."""
    began = time.process_time()

    leaks_of(text.encode(), "made.up")

    assert time.process_time() - began < 5


@given(st.binary(max_size=400))
def test_any_bytes(content):
    """Anything can be looked through."""
    leaks_of(content, "made.up")


@given(st.sampled_from(sorted(SHAPES)), st.text(max_size=30), st.text(max_size=30))
def test_masking(rule, before, behind):
    """No text that is shown has a secret in it."""
    assert SHAPES[rule] not in masked(f"{before} {SHAPES[rule]} {behind}")
