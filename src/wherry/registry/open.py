"""Registries by name: made once for a command, from values that others have read."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wherry.errors import BlobMissing, NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference
from wherry.registry.client import Client, Patience
from wherry.registry.errors import AccessDenied, RegistryError
from wherry.registry.keyring import Keyring
from wherry.registry.network import Connections, Network
from wherry.registry.repository import Repository
from wherry.settings.registries_conf import RegistrySettings


class Registries:
    """Gives repositories; one connection pool, one token a scope, for a whole command."""

    def __init__(
        self,
        network: Network,
        keyring: Keyring,
        settings: RegistrySettings | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._network = network
        self._connections = Connections(network)
        self._keyring = keyring
        self._settings = settings or RegistrySettings()
        self._clients: dict[str, Client] = {}
        self._repositories: dict[str, Repository] = {}
        self._turn = threading.Lock()

    def known_as(self, keyring: Keyring) -> "Registries":
        """Give the same registries with other settings."""
        return Registries(self._network, keyring, self._settings, self._patience)

    def client(self, registry: str) -> Client:
        """Give the one client of a registry."""
        with self._turn:
            if registry not in self._clients:
                self._clients[registry] = Client(registry, self._connections, self._keyring, patience=self._patience)
            return self._clients[registry]

    def repository(self, reference: Reference) -> Repository:
        """Give a repository itself, to write to.

        Raises:
            AccessDenied: the user's settings block it.
        """
        name = f"{reference.registry}/{reference.repository}"
        if self._settings.is_blocked(name):
            raise AccessDenied(
                f"{name}: blocked by registries.conf", hint="remove `blocked` there, or use another registry"
            )
        client = self.client(reference.registry)
        with self._turn:
            return self._repositories.setdefault(name, Repository(client, reference.repository))

    def source(self, reference: Reference) -> "Repository | Mirrored":
        """Give a repository to read from: its mirrors first, where there are any."""
        origin = self.repository(reference)
        places = [Reference.parse(place, default_tag="") for place in self._settings.places(str(origin))]
        return Mirrored((*map(self.repository, places), origin)) if places else origin

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A repository and its mirrors, read in order: the first that has it, gives it."""

    places: tuple[Repository, ...]
    """The repository itself comes last."""

    def __str__(self) -> str:
        """Give the repository's own name."""
        return str(self.places[-1])

    def resolve(self, reference: str) -> Descriptor:
        """See `Repository.resolve`."""
        return self._first(lambda place: place.resolve(reference))

    def has(self, blob: Descriptor) -> bool:
        """Report whether the repository itself has the blob."""
        return self.places[-1].has(blob)

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob; a mirror that fails in its midst is followed by the next place, from there on."""
        at = offset
        for place in self.places[:-1]:
            try:
                for chunk in place.read(blob, at):
                    at += len(chunk)
                    yield chunk
            except (RegistryError, AccessDenied, BlobMissing, NotFound):
                continue
            return
        yield from self.places[-1].read(blob, at)

    def tags(self) -> Iterator[str]:
        """See `Repository.tags`."""
        return self.places[-1].tags()

    def _first(self, ask: Callable[[Repository], Descriptor]) -> Descriptor:
        for place in self.places[:-1]:
            try:
                return ask(place)
            except (RegistryError, AccessDenied, NotFound):
                continue
        return ask(self.places[-1])
