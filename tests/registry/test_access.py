"""Who gets in, and registries that want us to come back."""

import pytest

from hostile_registry import hostile
from registries import token_server
from repositories import BLOB, DESCRIBED, OTHER, Keyring, Slept, repository, whole
from wherry.registry.client import ATTEMPTS, Client, Patience
from wherry.registry.errors import AccessDenied, RegistryBusy, RegistryError
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Connections, Network
from wherry.registry.repository import Repository
from wherry.settings.docker_config import Credential
from wherry.store.copy import Opener


def patient(registry, slept, notice) -> Repository:
    """Open a repository whose waits are counted and reported."""
    patience = Patience(notice=notice)
    return Repository(Client(registry.host, Connections(Network()), NoKeyring(), patience=patience, sleep=slept), "a/b")


class TestBusy:
    """Registries that want us to come back."""

    def test_waits_as_long_as_it_is_told(self, registry):
        """Retry-After counts, and what is waited for is said: whom for, how long, and in whose words."""
        registry.busy = [(429, {"Retry-After": "7"}), (503, {}), (429, {"Retry-After": "100"})]
        registry.error_body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
        slept, said = Slept(), []

        assert whole(patient(registry, slept, said.append).read(DESCRIBED)) == BLOB
        assert slept.seconds[0] == 7
        assert 0.5 < slept.seconds[1] < 1.1
        assert slept.seconds[2] == 100
        assert said == [
            f"waiting 7 s for {registry.host}, which answers 429: TOOMANYREQUESTS: slow down",
            f"waiting 100 s for {registry.host}, which answers 429: TOOMANYREQUESTS: slow down",
        ]

    @pytest.mark.parametrize("method", ["HEAD", "GET"])
    def test_waits_no_longer_than_allowed(self, registry, method):
        """A longer wait than is allowed fails at once, and names the wait, the limit and the option."""
        registry.busy = [(429, {"Retry-After": "3600"})] * 9
        registry.error_body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"quota used up"}]}'
        slept = Slept()

        place = repository(registry, slept=slept)
        ask = (lambda: place.resolve("v1")) if method == "HEAD" else (lambda: whole(place.read(DESCRIBED)))
        with pytest.raises(RegistryBusy) as caught:
            ask()

        assert slept.seconds == []
        assert "quota used up" in caught.value.message
        assert "3600 s" in caught.value.message
        assert "120 s" in caught.value.message
        assert "--timeout" in caught.value.hint

    def test_a_token_service_that_is_busy(self, registry):
        """Its words and its wait count as the registry's."""
        registry.challenge = f'Bearer realm="http://{registry.host}/token",service="x"'
        registry.busy = [(401, {"WWW-Authenticate": registry.challenge}), *[(429, {"Retry-After": "3600"})] * 9]
        registry.error_body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"no more tokens"}]}'
        slept = Slept()

        with pytest.raises(RegistryError) as caught:
            repository(registry, slept=slept).resolve("v1")

        assert "no more tokens" in caught.value.message
        assert slept.seconds == []

    def test_gives_up_with_the_registrys_own_words(self, registry):
        """After so many attempts the error has what it said, without what a terminal would obey."""
        registry.busy = [(429, {"Retry-After": "1"})] * 9
        registry.error_body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \\u001b[31mdown"}]}'

        with pytest.raises(RegistryBusy) as caught:
            whole(repository(registry).read(DESCRIBED))

        assert "TOOMANYREQUESTS: slow" in caught.value.message
        assert "\x1b" not in caught.value.message
        assert registry.count("GET", "/blobs/") == ATTEMPTS

    def test_a_huge_error_is_not_read_whole(self, registry):
        """An error's body is cut."""
        registry.busy, registry.error_body = [(400, {})], b"no " * 10_000_000

        with pytest.raises(RegistryError) as caught:
            repository(registry).has(DESCRIBED)

        assert len(caught.value.message) < 1000


class TestAccess:
    """Who gets in."""

    def test_basic(self, registry):
        """A name and a password, once it asks for them; then at once."""
        registry.challenge, registry.authorization = 'Basic realm="x"', "Basic YW5uOndvcmQ="
        place = repository(registry, Keyring(Credential("ann", "word")))

        assert place.has(DESCRIBED)
        assert place.has(DESCRIBED)
        assert sum("authorization" in asked.headers for asked in registry.asked) == 2

    def test_refused(self, registry):
        """The error says to log in."""
        registry.challenge = 'Basic realm="x"'
        registry.error_body = b'{"errors":[{"code":"UNAUTHORIZED","message":"this mirror wants a name"}]}'

        with pytest.raises(AccessDenied) as caught:
            repository(registry).has(DESCRIBED)

        assert f"wherry login {registry.host}" in caught.value.hint
        assert "this mirror wants a name" in caught.value.message  # though an answer to HEAD has no body

    def test_uploads_elsewhere_take_no_credentials_along(self, registry):
        """A registry that takes blobs at another host gets them there, without our name."""
        with hostile() as other:
            other.uploads = registry.uploads
            registry.uploads_at = other.host
            registry.challenge, registry.authorization = 'Basic realm="x"', "Basic YW5uOndvcmQ="

            repository(registry, Keyring(Credential("ann", "word"))).upload(OTHER, Opener(lambda _: iter([b"other"])))

            assert other.blobs[OTHER.digest] == b"other"
            assert all("authorization" not in asked.headers for asked in other.asked)

    @pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://x/", "", "//x"])
    def test_odd_realms(self, registry, realm):
        """Nothing is sent to a realm that is no web address."""
        registry.challenge = f'Bearer realm="{realm}",service="x"'

        with pytest.raises(AccessDenied):
            repository(registry, Keyring(Credential("ann", "word"))).has(DESCRIBED)

    @pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
    def test_another_host_has_no_realm(self, registry, scheme):
        """Where a blob is redirected to a host that wants a log-in of its own, it learns nothing of ours."""
        with hostile() as other, token_server(ann="word") as thief:
            registry.elsewhere = f"http://{other.host}"
            other.challenge = f'{scheme} realm="{thief.realm}",service="x"'
            other.authorization = "what nobody knows"

            with pytest.raises(AccessDenied):
                whole(repository(registry, Keyring(Credential("ann", "word"))).read(DESCRIBED))

            assert thief.asked == []
            assert all("authorization" not in asked.headers for asked in other.asked)

    def test_an_upload_elsewhere_has_no_realm(self, registry):
        """Neither has a host that blobs are sent to."""
        with hostile() as other, token_server(ann="word") as thief:
            registry.uploads_at = other.host
            other.challenge, other.authorization = f'Bearer realm="{thief.realm}"', "what nobody knows"

            with pytest.raises(AccessDenied):
                repository(registry, Keyring(Credential("ann", "word"))).upload(
                    OTHER, Opener(lambda _: iter([b"other"]))
                )

            assert thief.asked == []
