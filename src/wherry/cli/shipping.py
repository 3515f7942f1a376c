"""Images to and from registries, told to people: what `push`, `pull`, `copy` and `build --push` share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from wherry.app.progress import Progress, Step
from wherry.cli.places import pushable
from wherry.cli.world import World
from wherry.errors import NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference
from wherry.registry.errors import RegistryError
from wherry.registry.repository import Repository
from wherry.registry.transfer import Tally, Transfer
from wherry.report.terminal import size
from wherry.store.contract import BlobSource
from wherry.store.over import Over

if TYPE_CHECKING:
    from wherry.store.results import Results


def push(world: World, progress: Progress, source: BlobSource, images: Mapping[str, Descriptor]) -> dict[str, str]:
    """Push images under their names; give `name@digest` by name.

    Raises:
        InvalidUsage: a name has no registry; nothing was pushed.
        AccessDenied, RegistryError: a registry would not take one; images before it are there.
    """
    references = {name: pushable(name) for name in images}
    for place, tags in _by_repository(references).items():
        roots = {images[name].digest: images[name] for name in tags}
        for digest, root in roots.items():
            wanted = [references[name] for name in tags if images[name].digest == digest]
            _push_one(world, progress, source, root, wanted, place)
    return {name: f"{reference.name}:{reference.tag}@{images[name].digest}" for name, reference in references.items()}


def _by_repository(references: Mapping[str, Reference]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for name, reference in references.items():
        places.setdefault(reference.name, []).append(name)
    return places


def _push_one(
    world: World, progress: Progress, source: BlobSource, root: Descriptor, references: Sequence[Reference], place: str
) -> None:
    repository = world.registries.repository(references[0])
    with progress.step(f"push {place}") as step, remembered(world) as results:
        tally = Tally(telling(step))
        ship(
            Transfer(
                source=_streaming(world, source),
                sink=repository,
                tally=tally,
                mount_from=lambda blob: _known_place(world, results, blob, source, repository),
            ),
            root,
            tuple(reference.tag for reference in references),
            results,
        )
        step.done(told(tally))


def ship(transfer: Transfer, root: Descriptor, tags: tuple[str, ...], results: "Results") -> None:
    """Move an image to a repository, and remember that its blobs are there now, for mounts to come."""
    transfer.move(root, tags)
    if isinstance(transfer.sink, Repository) and (transfer.tally.blobs or transfer.tally.mounted):
        from wherry.store.contract import walk

        registry, name = transfer.sink.client.registry, transfer.sink.name
        results.put_facts({_fact(registry, blob): name for blob in walk([root], transfer.source)})


def told(tally: Tally) -> str:
    """Say what was moved."""
    words = [f"{size(tally.sent)} sent" if tally.blobs else "nothing to send"]
    words += [f"{tally.mounted} mounted"] if tally.mounted else []
    words += [f"{tally.there} already there"] if tally.there else []
    words += [f"{tally.left} foreign layers left out"] if tally.left else []
    return ", ".join(words)


def leads_to(world: World, name: str, digest: str) -> bool:
    """Ask a registry whether a tag leads to a digest by now; where it can't be reached, it is not known to."""
    reference = Reference.parse(name)
    try:
        return world.registries.repository(reference).resolve(reference.tag).digest == digest
    except (NotFound, RegistryError):
        return False


def remembered(world: World) -> "closing[Results]":
    """Open what is remembered between calls."""
    from wherry.store.results import Results

    return closing(Results(world.cache_folder))


def telling(step: Step) -> Callable[[Tally], None]:
    """Make what tells a running step how far it is."""
    return lambda tally: step.detail(f"{size(tally.sent)}, {tally.there + tally.mounted} blobs there")


def _fact(registry: str, blob: Descriptor) -> str:
    return f"{blob.digest} at {registry}"


def _known_place(world: World, results: "Results", blob: Descriptor, source: BlobSource, sink: Repository) -> str:
    """Name a repository of the same registry that has, or had, a blob."""
    candidates = [results.fact(_fact(sink.client.registry, blob)) or ""]
    origin = source.source if isinstance(source, Over) else source
    if isinstance(origin, Repository) and origin.client.registry == sink.client.registry:
        candidates.insert(0, origin.name)
    for place in world.store.elsewhere.places(blob.digest):
        reference = Reference.parse(place, default_tag="")
        if reference.registry == sink.client.registry:
            candidates.insert(0, reference.repository)
    return next((name for name in candidates if name and name != sink.name), "")


def _streaming(world: World, source: BlobSource) -> BlobSource:
    return Streaming(world) if source is world.store else source


class Streaming:
    """The local store, whose blobs that live elsewhere pass by and are not kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        return self._passing(blob, offset) or self._store.read(blob, offset)

    def chunks(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `LayoutFolder.chunks`."""
        return self._passing(blob, offset) or self._store.chunks(blob, offset)

    def _passing(self, blob: Descriptor, offset: int) -> Iterator[bytes] | None:
        places = () if self._store.has(blob) else self._store.elsewhere.places(blob.digest)
        if not places:
            return None
        return self._world.registries.source(Reference.parse(places[0], default_tag="")).read(blob, offset)
