"""What a repository is fetched with: which secret goes to which host, and which goes nowhere."""

import base64
from collections.abc import Mapping

import pytest

from wherry.build.git import Credentials, LogIn, log_in_for
from wherry.errors import InvalidUsage
from wherry.source.git_address import GitAddress


def chosen(url: str, secrets: Mapping[str, bytes] = {"GIT_AUTH_TOKEN": b"t0ken"}) -> str:
    """Give the header that is sent to a repository."""
    return log_in_for(GitAddress.parse(url), Credentials(secrets)).header


def basic(words: str) -> str:
    """Write a header as RFC 7617 has it."""
    return f"Basic {base64.b64encode(words.encode()).decode()}"


HTTPS = "https://example.com/a.git"


def test_a_token_is_a_password():
    """Of the user that forges expect."""
    assert chosen(HTTPS) == basic("x-access-token:t0ken")


def test_a_header_is_sent_as_it_is():
    """And is stronger than a token."""
    assert chosen(HTTPS, {"GIT_AUTH_HEADER": b"Bearer x", "GIT_AUTH_TOKEN": b"t0ken"}) == "Bearer x"


def test_a_secret_of_a_host_is_stronger_than_one_for_all():
    """And goes to no other host."""
    secrets = {"GIT_AUTH_TOKEN.example.com": b"ours", "GIT_AUTH_TOKEN": b"all", "GIT_AUTH_TOKEN.other.com": b"theirs"}

    assert log_in_for(GitAddress.parse(HTTPS), Credentials(secrets)).header == basic("x-access-token:ours")
    assert log_in_for(GitAddress.parse("https://third.com/a.git"), Credentials(secrets)).header == basic(
        "x-access-token:all"
    )


def test_the_scope_is_one_host():
    """A redirect to another does not get the header."""
    found = log_in_for(GitAddress.parse("https://example.com:8443/a.git"), Credentials({"GIT_AUTH_TOKEN": b"x"}))

    assert found.scope == "https://example.com:8443/"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://example.com/a.git", False),
        ("http://localhost/a.git", True),
        ("http://127.0.0.1:8080/a.git", True),
        ("http://[::1]:8080/a.git", True),
        ("http://127.0.0.1.example.com/a.git", False),
        ("http://localhost.example.com/a.git", False),
        ("ssh://git@example.com/a.git", False),
        ("git://example.com/a.git", False),
    ],
)
def test_nothing_secret_goes_in_the_clear(url, sent):
    """Plain HTTP has it only to this machine."""
    assert bool(chosen(url)) == sent


@pytest.mark.parametrize("value", [b"", b"\n", b"a\nX-Other: b", b"a\rb", b"a\x00b"])
def test_a_secret_that_is_no_header(value):
    """A second line would be a header of its own; the value is in no message."""
    with pytest.raises(InvalidUsage) as caught:
        log_in_for(GitAddress.parse(HTTPS), Credentials({"GIT_AUTH_TOKEN": value}))

    assert "X-Other" not in str(caught.value)


def test_a_line_end_at_the_end_is_the_editors():
    """It is left out."""
    assert chosen(HTTPS, {"GIT_AUTH_TOKEN": b"t0ken\r\n"}) == basic("x-access-token:t0ken")


def test_secrets_are_in_no_repr():
    """Tracebacks and logs print values."""
    credentials = Credentials({"GIT_AUTH_TOKEN": b"s3cret"})
    found = log_in_for(GitAddress.parse(HTTPS), credentials)

    assert "s3cret" not in repr(credentials)
    assert found.header not in repr(found)


def test_identities_part_caches():
    """Another token, the user's own access, an agent and nothing are four readers."""
    texts = {
        LogIn("Basic a").identity,
        LogIn("Basic b").identity,
        LogIn(own=True).identity,
        LogIn(agent="/s").identity,
        LogIn().identity,
    }

    assert len(texts) == 5
    assert LogIn("Basic a").identity == LogIn("Basic a", "https://x/").identity
    assert "Basic a" not in LogIn("Basic a").identity
