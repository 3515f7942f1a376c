"""Registries that attack whoever pulls: redirects, realms, endless and lying answers, and what they try to learn.

Each behaviour is played by a server on loopback against a repository that holds a credential. What is asked for ends
with an error of ours in bounded time and memory, no wrong byte is taken, and the credential goes to the registry alone.
The kinds of CVE-2020-15157 (containerd: credentials to a foreign host), CVE-2021-41190 (documents of two kinds).
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_shell import Shell
from hostile_registry import Hostile, hostile
from repositories import BLOB, DESCRIBED, OTHER, Keyring, push_image, repository, whole
from wherry.digest import Digest
from wherry.errors import HostUnable, WherryError
from wherry.oci import media
from wherry.registry.repository import Repository
from wherry.settings.docker_config import Credential
from wherry.store.copy import Opener, Transfer
from wherry.store.memory import MemoryStore

ANN = Credential("ann-4711", "pass-4711")
BASIC = "Basic " + base64.b64encode(b"ann-4711:pass-4711").decode()
SECRETS = ("pass-4711", BASIC.partition(" ")[2])


@dataclass
class Place:
    """A hostile registry, its accomplice on another host, and a client with a credential for the first."""

    registry: Hostile
    other: Hostile

    @property
    def repository(self) -> Repository:
        """Open it."""
        return repository(self.registry, Keyring(ANN))

    def read(self) -> object:
        """Pull a blob."""
        return whole(self.repository.read(DESCRIBED))

    def pull(self) -> object:
        """Pull the image v1."""
        store = MemoryStore()
        source = self.repository
        Transfer(source=source, sink=store).move(source.resolve("v1"))
        assert all(Digest.of(blob) == digest for digest, blob in store.blobs.items())
        return store

    def push(self) -> object:
        """Push a blob."""
        return self.repository.upload(OTHER, Opener(lambda _: iter([b"other"])))


@pytest.fixture
def place() -> Iterator[Place]:
    """Run both."""
    with hostile() as registry, hostile() as other:
        registry.blobs[DESCRIBED.digest] = BLOB
        yield Place(registry, other)


def redirects(target: str) -> Callable[[Place], object]:
    """Send whoever asks for a blob elsewhere."""

    def play(place: Place) -> object:
        place.registry.busy = [(307, {"Location": target.format(other=place.other.host)})] * 9
        return place.read()

    return play


def realms(challenge: str) -> Callable[[Place], object]:
    """Ask for a token from elsewhere."""

    def play(place: Place) -> object:
        place.registry.challenge = challenge.format(other=place.other.host)
        place.registry.authorization = "of no one"
        return place.read()

    return play


def answers(**values: object) -> Callable[[Place], object]:
    """Behave so while a blob is pulled."""

    def play(place: Place) -> object:
        for name, value in values.items():
            setattr(place.registry, name, value)
        return place.read()

    return play


def tokens(document: bytes) -> Callable[[Place], object]:
    """Answer a request for a token with a document."""

    def play(place: Place) -> object:
        place.registry.challenge = f'Bearer realm="http://{place.other.host}/token",service="x"'
        place.registry.authorization = "of no one"
        place.other.busy, place.other.error_body = [(200, {})] * 9, document
        return place.read()

    return play


def manifests(document: bytes, kind: str = media.OCI_MANIFEST) -> Callable[[Place], object]:
    """Have a document as the image v1."""

    def play(place: Place) -> object:
        place.registry.manifests = dict.fromkeys(("v1", Digest.of(document)), (kind, document))
        return place.pull()

    return play


def uploads(location: str) -> Callable[[Place], object]:
    """Say where a blob goes."""

    def play(place: Place) -> object:
        place.registry.busy = [(202, {"Location": location.format(other=place.other.host)})]
        return place.push()

    return play


def swapped(place: Place) -> object:
    """Give another document under the digest of the first."""
    root = push_image(place.registry)
    place.registry.manifests[root.digest] = (media.OCI_MANIFEST, b'{"schemaVersion":2}')
    return place.pull()


def moved_with_a_log_in(place: Place) -> object:
    """Redirect to a host that asks who comes."""
    place.registry.elsewhere = f"http://{place.other.host}"
    place.registry.challenge, place.registry.authorization = 'Basic realm="x"', BASIC
    place.other.challenge, place.other.authorization = 'Basic realm="x"', "of no one"
    return place.read()


def lost(place: Place) -> object:
    """Name a layer that is not there."""
    root = push_image(place.registry)
    document = place.registry.manifests[root.digest][1]
    for digest in list(place.registry.blobs):
        if digest.encode() in document:
            del place.registry.blobs[digest]
    return place.pull()


_DEEP = b'{"schemaVersion":2,"manifests":' + b"[" * 100_000
BEHAVIOURS: dict[str, Callable[[Place], object]] = {
    "a redirect to a file": redirects("file:///etc/passwd"),
    "a redirect to FTP": redirects("ftp://{other}/x"),
    "a redirect to a socket": redirects("unix:///var/run/docker.sock"),
    "a redirect to data": redirects("data:,x"),
    "a redirect to no URL": redirects("http://[::1/"),
    "a redirect to no port": redirects("http://{other}99999/"),
    "a redirect without a host": redirects("http:///v2/"),
    "a redirect with credentials of its own": redirects("http://eve:evil@{other}/v2/a/b/blobs/x"),
    "redirects to one another": redirects("/v2/a/b/blobs/again"),
    "redirects to themselves": answers(loop=True),
    "a redirect to a host that asks for a log-in": moved_with_a_log_in,
    "a realm that is a file": realms('Bearer realm="file:///etc/passwd",service="x"'),
    "a realm that is no URL": realms('Bearer realm="http://[::1/",service="x"'),
    "a realm of no port": realms('Bearer realm="http://127.0.0.1:99999/",service="x"'),
    "a realm without a host": realms('Bearer realm="https://",service="x"'),
    "an empty realm": realms('Bearer realm=""'),
    "no realm": realms("Bearer"),
    "an unknown scheme": realms('Negotiate abc, Digest realm="x", NTLM'),
    "a challenge of 60,000 letters": realms('Bearer realm="' + "x" * 60_000 + '"'),
    "a challenge that injects a header": realms('Bearer realm="http://{other}/\\r\\nX-Evil: 1",service="a\\r\\nb"'),
    "a token that is no document": tokens(b"<html>"),
    "a token of a million letters": tokens(b'{"token":"' + b"x" * 1_000_000 + b'"}'),
    "a token that injects a header": tokens(b'{"token":"a\\r\\nX-Evil: 1"}'),
    "a token that is no ASCII": tokens(b'{"token":"\\u4e2d\\u00e9"}'),
    "a token that never ends": tokens(b'{"token":"a","expires_in":1e999}'),
    "a token of the wrong kind": tokens(b'{"token":{"a":1},"expires_in":"x"}'),
    "a token in a deep document": tokens(b"[" * 200_000),
    "bytes of another blob": answers(corrupt=True),
    "a body longer than was said": answers(surplus=1 << 22),
    "a body without an end": answers(surplus=1 << 26, silent_length=True),
    "a body shorter than was said": answers(short=1000),
    "a body that is cut again and again": answers(cuts=[0] * 60),
    "a server that is always busy": answers(busy=[(503, {"Retry-After": "99999999999999999999"})] * 60),
    "an error of 20 MB": answers(busy=[(400, {})], error_body=b"no " * 7_000_000),
    "an error that a terminal would obey": answers(busy=[(400, {})], error_body=b'{"errors":[{"code":"\\u001b[2J"}]}'),
    "an error that is no document": answers(busy=[(403, {})], error_body=b"\xff\x00" * 100),
    "another document under a digest": swapped,
    "a layer that is not there": lost,
    "a document that is a list": manifests(b"[]"),
    "a document of two kinds": manifests(b'{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}'),
    "a document of 8 MB": manifests(b'{"schemaVersion":2,"x":"' + b"x" * (8 << 20) + b'"}'),
    "a document of 100,000 levels": manifests(_DEEP, media.OCI_INDEX),
    "a document of Docker's first version": manifests(b'{"schemaVersion":1,"fsLayers":[]}', "application/json"),
    "an upload to a file": uploads("file:///etc/passwd"),
    "an upload to no URL": uploads("http://[::1/"),
    "an upload to nowhere": uploads(""),
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_ends_with_an_error(behaviour: str, place: Place):
    """Ours, fit for a terminal; the other host never learns who we are, and no header is injected."""
    with pytest.raises(WherryError) as caught:
        BEHAVIOURS[behaviour](place)

    said = caught.value.message + caught.value.hint
    assert len(said) < 1500
    assert all(letter.isprintable() for letter in said)
    assert not any(secret in said for secret in SECRETS)
    for asked in place.other.asked:
        assert "x-evil" not in asked.headers
        if "realm" not in behaviour and "token" not in behaviour and "challenge" not in behaviour:
            assert BASIC not in asked.headers.get("authorization", "")
    assert len(place.registry.asked) < 60


@pytest.mark.parametrize(
    "link",
    [
        '<http://elsewhere.invalid/v2/>; rel="next"',
        '<file:///etc/passwd>; rel="next"',
        '<http://[::1/>; rel="next"',
        '</v2/a/b/tags/list?n=2>; rel="next"',
        "<",
    ],
)
def test_pages_end(link: str, place: Place):
    """A next page elsewhere, of no URL, or the same again ends the list of tags or is an error."""
    place.registry.manifests = {f"v{number}": (media.OCI_MANIFEST, b"{}") for number in range(4)}
    place.registry.page, place.registry.next_link = 2, link

    try:
        tags = list(place.repository.tags())
    except WherryError as error:
        assert "invalid URL" in error.message  # noqa: PT017 - for one of them only
        tags = ["v0", "v1"]

    assert tags in (["v0", "v1"], ["v0", "v1", "v0", "v1"])
    assert place.other.asked == []


@pytest.mark.parametrize(
    "helper", ["../evil", "x/../../evil", "/evil", "evil;evil", "$(evil)", "-evil", "a\nb", "e vil"]
)
def test_names_of_credential_helpers(helper: str, tmp_path: Path):
    """A name in Docker's config that is a path or words for a shell starts no program outside of PATH."""
    shell = Shell(tmp_path / "home")
    tools = tmp_path / "tools"
    tools.mkdir()
    for evil in (tmp_path / "evil", tools / "evil", shell.root / "evil"):
        evil.write_text(f"#!/bin/sh\n: > {tmp_path}/ran\n")
        evil.chmod(0o755)
    shell.environment |= {"PATH": f"{tools}:/usr/bin:/bin", "DOCKER_CONFIG": str(shell.root)}
    shell.environment.pop("WHERRY_DEBUG")
    shell.write("config.json", json.dumps({"credsStore": helper}))
    with hostile() as registry:
        registry.challenge, registry.authorization = 'Basic realm="x"', "of no one"
        shell("tags", f"{registry.host}/a/b", code=HostUnable.exit_code)

    assert not (tmp_path / "ran").exists()
    assert "Traceback" not in shell.err
    assert "internal error" not in shell.err
