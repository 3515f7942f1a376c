"""Docker's config.json and podman's auth.json."""

import base64
import json

import pytest

from wherry.errors import InvalidSettings
from wherry.settings.docker_config import HUB_KEY, Credential, DockerConfig


def encoded(text: str) -> str:
    """Write a pair as the files do."""
    return base64.b64encode(text.encode()).decode()


def config(**document: object) -> DockerConfig:
    """Read a config of such keys."""
    return DockerConfig.parse(json.dumps(document), "config.json")


@pytest.mark.parametrize(
    "key",
    ["reg.example:5000", "https://reg.example:5000", "http://reg.example:5000/v2/", "https://reg.example:5000/v1/"],
)
def test_finds_a_host_however_it_is_written(key):
    """Old clients put a scheme and a version around a host."""
    found = config(auths={key: {"auth": encoded("ann:s3cret:x")}}).credential("reg.example:5000")

    assert found == Credential("ann", "s3cret:x")


def test_hub_has_a_name_of_its_own():
    """Docker Hub's entry is a URL."""
    found = config(auths={HUB_KEY: {"auth": encoded("ann:word")}})

    assert found.credential("docker.io") == Credential("ann", "word")
    assert found.credential("other.example") is None


def test_the_longest_path_wins():
    """Podman's keys may have a repository's path."""
    found = config(auths={"r.example": {"auth": encoded("all:1")}, "r.example/team/api": {"auth": encoded("team:2")}})

    assert found.credential("r.example", "team/api/server") == Credential("team", "2")
    assert found.credential("r.example", "team") == Credential("all", "1")


def test_identity_token():
    """A helper's or login's refresh token stands beside the name."""
    found = config(auths={"r.example": {"auth": encoded("00000000:"), "identitytoken": "refresh"}})

    assert found.credential("r.example") == Credential("00000000", "", "refresh")


def test_helpers():
    """`credHelpers` is for one host, `credsStore` for all others."""
    found = config(credHelpers={"gcr.io": "gcloud"}, credsStore="pass")

    assert (found.helper("gcr.io"), found.helper("ghcr.io")) == ("gcloud", "pass")


def test_writing_keeps_what_it_does_not_know():
    """Other keys, and other hosts, stay; an old spelling of the same host goes."""
    before = config(auths={"https://r.example/v1/": {"auth": encoded("old:1")}, "b": {}}, detachKeys="ctrl-e,e")

    after = json.loads(before.with_credential("r.example", Credential("ann", "word")))

    assert after == {"auths": {"b": {}, "r.example": {"auth": encoded("ann:word")}}, "detachKeys": "ctrl-e,e"}
    assert DockerConfig.parse(json.dumps(after), "x").without("r.example") is not None
    assert before.without("c.example") is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "line 1"),
        ("[]", "object"),
        ('{"auths": 3}', "auths"),
        ('{"auths": {"r": 3}}', "auths.r"),
        ('{"auths": {"r": {"auth": "%%%"}}}', "auths.r.auth"),
        (json.dumps({"auths": {"r": {"auth": encoded("nocolon")}}}), "auths.r.auth"),
    ],
)
def test_says_where_it_is_wrong(text, where):
    """An error has the key and no secret."""
    with pytest.raises(InvalidSettings) as caught:
        DockerConfig.parse(text, "config.json")

    assert where in caught.value.message
    assert "nocolon" not in caught.value.message


def test_a_secret_is_not_shown():
    """What is printed of a value has no secret in it."""
    assert "word" not in repr(config(auths={"r": {"auth": encoded("ann:word")}}))
