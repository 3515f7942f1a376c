"""Registries as people run them: distribution 2.8 and 3, with TLS, names and tokens."""

import pytest

from registries import CNCF, DEBIAN, certificates, distribution, token_server
from small_images import put_image, put_index
from wherry.errors import WherryError
from wherry.oci.reference import Reference
from wherry.registry.errors import AccessDenied, RegistryError
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.repository import Repository
from wherry.settings.docker_config import Credential
from wherry.store.copy import Tally, Transfer
from wherry.store.memory import MemoryStore

pytestmark = pytest.mark.slow
PROGRAMS = pytest.mark.parametrize("program", [DEBIAN, CNCF])


class Ann:
    """A keyring with one name in it."""

    def __init__(self, word: str = "s3cret") -> None:
        self.word = word

    def credential(self, registry: str, repository: str) -> Credential | None:
        """Give it."""
        return Credential("ann", self.word)


def place(host: str, name: str = "team/api", **how) -> Repository:
    """Open a repository."""
    keyring = how.pop("keyring", NoKeyring())
    return Registries(Network(**how), keyring).repository(Reference.parse(f"{host}/{name}"))


def goes_round(repository: Repository) -> Tally:
    """Push an index, pull it again, compare."""
    store, back = MemoryStore(), MemoryStore()
    root = put_index(store)
    Transfer(source=store, sink=repository).move(root, ["v1", "v2"])
    assert repository.resolve("v2") == root
    assert sorted(repository.tags()) == ["v1", "v2"]
    Transfer(source=repository, sink=back).move(root)
    assert back.blobs == store.blobs
    again = Tally()
    Transfer(source=store, sink=repository, tally=again).move(root, ["v1"])
    return again


@PROGRAMS
def test_there_and_back(tmp_path, program):
    """What was pushed comes back the same, and is not sent twice."""
    with distribution(tmp_path, program=program) as registry:
        again = goes_round(place(registry.host))

    assert again.sent == 0


@PROGRAMS
def test_tls(tmp_path, program):
    """A certificate counts where it is trusted, by CA file or by folder; elsewhere it is an error that says how."""
    shown = certificates(tmp_path / "tls")
    with distribution(tmp_path, program=program, tls=shown) as registry:
        goes_round(place(registry.host, ca_file=str(shown.ca)))
        folder = tmp_path / "certs.d" / registry.host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(shown.ca.read_bytes())
        goes_round(place(registry.host, certificate_folders=(tmp_path / "certs.d",)))
        goes_round(place(registry.host, insecure=frozenset({registry.host})))

        with pytest.raises(RegistryError) as caught:
            place(registry.host).resolve("v1")

    assert f"certs.d/{registry.host}/ca.crt" in caught.value.hint


@PROGRAMS
def test_basic(tmp_path, program):
    """A name and a password."""
    with distribution(tmp_path, program=program, basic=("ann", "s3cret")) as registry:
        goes_round(place(registry.host, keyring=Ann()))
        for keyring in (NoKeyring(), Ann("wrong")):
            with pytest.raises(AccessDenied):
                place(registry.host, keyring=keyring).resolve("v1")


@PROGRAMS
def test_tokens(tmp_path, program):
    """Anybody may read, who has a name may write; a token is asked for once a scope."""
    with token_server(ann="s3cret") as tokens, distribution(tmp_path, program=program, token=tokens) as registry:
        goes_round(place(registry.host, keyring=Ann()))
        scopes = [asked["scope"] for asked in tokens.asked]
        assert sorted(map(str, scopes)) == sorted({str(scope) for scope in scopes})

        place(registry.host).resolve("v1")
        with pytest.raises(AccessDenied) as caught:
            Transfer(source=(store := MemoryStore()), sink=place(registry.host)).move(put_image(store), ["v3"])
        assert "wherry login" in caught.value.hint

        with pytest.raises(AccessDenied):
            place(registry.host, keyring=Ann("wrong")).resolve("v1")


@PROGRAMS
def test_tokens_that_end(tmp_path, program):
    """A token that no longer holds is replaced by a new one."""
    now = [0.0]
    with token_server(ann="s3cret") as tokens, distribution(tmp_path, program=program, token=tokens) as registry:
        from wherry.registry.client import Client
        from wherry.registry.network import Connections

        client = Client(registry.host, Connections(Network()), Ann(), monotonic=lambda: now[0])
        repository = Repository(client, "team/api")
        goes_round(repository)
        before = len(tokens.asked)
        now[0] += tokens.expires_in

        goes_round(repository)

        assert before < len(tokens.asked) <= 2 * before


@PROGRAMS
def test_mounts(tmp_path, program):
    """A blob of another repository is taken from there."""
    store = MemoryStore()
    root = put_image(store)
    with distribution(tmp_path, program=program) as registry:
        Transfer(source=store, sink=place(registry.host, "base")).move(root, ["v1"])
        tally = Tally()

        Transfer(source=store, sink=place(registry.host, "app"), tally=tally, mount_from=lambda _: "base").move(
            root, ["v1"]
        )

    assert (tally.mounted, tally.blobs) == (2, 1)


def test_nobody_there():
    """A host that does not answer is an error that says what to look at."""
    with pytest.raises(WherryError) as caught:
        place("127.0.0.1:1").resolve("v1")

    assert "127.0.0.1:1" in caught.value.message
    assert caught.value.hint
