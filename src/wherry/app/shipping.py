"""How blobs reach a registry: which repository they are mounted from, and what is remembered of that."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference
from wherry.registry.repository import Repository
from wherry.store.contract import BlobSource
from wherry.store.copy import Transfer
from wherry.store.over import DocumentOverlay

if TYPE_CHECKING:
    from wherry.store.results import Results


def ship(transfer: Transfer, root: Descriptor, tags: tuple[str, ...], results: "Results") -> None:
    """Move an image to a repository, and remember that its blobs are there now, for mounts to come."""
    transfer.move(root, tags)
    if isinstance(transfer.sink, Repository) and (transfer.tally.blobs or transfer.tally.mounted):
        from wherry.store.contract import walk

        registry, name = transfer.sink.client.registry, transfer.sink.name
        results.put_facts({_fact(registry, blob): name for blob in walk([root], transfer.source)})


def remembered(session: Session) -> "closing[Results]":
    """Open what is remembered between calls."""
    from wherry.store.results import Results

    return closing(Results(session.cache_folder))


def _fact(registry: str, blob: Descriptor) -> str:
    return f"{blob.digest} at {registry}"


def known_place(session: Session, results: "Results", blob: Descriptor, source: BlobSource, sink: Repository) -> str:
    """Name a repository of the same registry that has, or had, a blob."""
    candidates = [results.fact(_fact(sink.client.registry, blob)) or ""]
    origin = source.source if isinstance(source, DocumentOverlay) else source
    if isinstance(origin, Repository) and origin.client.registry == sink.client.registry:
        candidates.insert(0, origin.name)
    for place in session.store.elsewhere.places(blob.digest):
        reference = Reference.parse(place, default_tag="")
        if reference.registry == sink.client.registry:
            candidates.insert(0, reference.repository)
    return next((name for name in candidates if name and name != sink.name), "")


def streaming(session: Session, source: BlobSource) -> BlobSource:
    """Give a source that streams blobs of the local store that only a registry has."""
    return Streaming(session) if source is session.store else source


class Streaming:
    """The local store; blobs known to be in a registry are streamed and not stored."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        return self._passing(blob, offset) or self._store.read(blob, offset)

    def chunks(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `LayoutFolder.chunks`."""
        return self._passing(blob, offset) or self._store.chunks(blob, offset)

    def verified_file(self, blob: Descriptor) -> str:
        """See `DiskStore.verified_file`."""
        return self._store.verified_file(blob)

    def _passing(self, blob: Descriptor, offset: int) -> Iterator[bytes] | None:
        places = () if self._store.has(blob) else self._store.elsewhere.places(blob.digest)
        if not places:
            return None
        return self._session.registries.source(Reference.parse(places[0], default_tag="")).read(blob, offset)
