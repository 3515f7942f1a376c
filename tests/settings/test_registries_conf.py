"""Mirrors and insecure hosts in the files of podman and docker."""

import pytest

from wherry.errors import InvalidSettings
from wherry.settings.registries_conf import RegistrySettings

CONF = """
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.example/hub"
insecure = true
[[registry]]
prefix = "old.example/team"
location = "new.example/people"
[[registry]]
location = "lab.example:5000"
insecure = true
[[registry]]
prefix = "bad.example"
blocked = true
"""


def test_containers():
    """Mirrors come first, a moved prefix is read at its place, others are themselves."""
    settings = RegistrySettings.of_containers(CONF, "registries.conf")

    assert list(settings.places("docker.io/library/debian")) == ["mirror.example/hub/library/debian"]
    assert list(settings.places("old.example/team/api")) == ["new.example/people/api"]
    assert list(settings.places("old.example/teams")) == []
    assert settings.insecure == {"mirror.example", "lab.example:5000"}
    assert settings.is_blocked("bad.example/x")
    assert not settings.is_blocked("bad.example.org/x")


def test_daemon():
    """Docker's mirrors stand for Docker Hub."""
    settings = RegistrySettings.of_daemon(
        '{"registry-mirrors": ["http://m.example:5000"], "insecure-registries": ["r.example", "10.0.0.0/8"]}',
        "daemon.json",
    )

    assert list(settings.places("docker.io/library/debian")) == ["m.example:5000/library/debian"]
    assert settings.insecure == {"r.example", "m.example:5000"}


def test_joined():
    """Two files, one value; the first one's mirrors come first."""
    one = RegistrySettings({"docker.io": ("a",)}, frozenset({"x"}))
    two = RegistrySettings({"docker.io": ("b",), "ghcr.io": ("c",)})

    assert list(one.joined(two).places("docker.io/d")) == ["a/d", "b/d"]
    assert list(one.joined(two).places("ghcr.io/d")) == ["c/d"]


@pytest.mark.parametrize("text", ["[registries.search]\nregistries = ['x']\n[[registry]]\nlocation='a'\n", CONF])
def test_keys_of_other_tools_are_passed_over(text):
    """What the file says to others is no concern of ours."""
    RegistrySettings.of_containers(text, "registries.conf")


@pytest.mark.parametrize("text", ["registry = 3", "registry = [", "[registry]\nlocation = 'a'"])
def test_wrong(text):
    """What is no TOML, or of another shape, is an error with the file's name."""
    with pytest.raises(InvalidSettings) as caught:
        RegistrySettings.of_containers(text, "registries.conf")

    assert "registries.conf" in caught.value.message
