"""Repositories of a hostile registry, opened with a keyring and a clock of the test's own."""

from hostile_registry import Hostile
from small_images import put_image
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.registry.client import Client
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Connections, Network
from wherry.registry.repository import Repository
from wherry.settings.docker_config import Credential
from wherry.store.copy import Transfer
from wherry.store.memory import MemoryStore

BLOB = bytes(range(256)) * 4096
DESCRIBED = Descriptor.of(media.OCI_LAYER, BLOB)
OTHER = Descriptor.of(media.OCI_LAYER, b"other")


class Keyring:
    """Knows one name and remembers who asked for it."""

    def __init__(self, credential: Credential) -> None:
        self.known = credential

    def credential(self, registry: str, repository: str) -> Credential | None:
        """Give it."""
        return self.known


class Slept:
    """A clock's `sleep` that only counts."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Count."""
        self.seconds.append(seconds)


def repository(registry: Hostile, keyring=None, slept=None, name="a/b") -> Repository:
    """Open a repository of it; waits are counted, not waited."""
    client = Client(registry.host, Connections(Network()), keyring or NoKeyring(), sleep=slept or Slept())
    return Repository(client, name)


def whole(chunks) -> bytes:
    """Join them."""
    return b"".join(chunks)


def push_image(registry: Hostile) -> Descriptor:
    """Put an image there under v1, past its door."""
    store = MemoryStore()
    root = put_image(store)
    Transfer(source=store, sink=repository(registry)).move(root, ["v1"])
    registry.asked.clear()
    return root
