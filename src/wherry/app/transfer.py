"""Images between registries, the local store, layouts and archives: push, pull, copy, tags; see also `archives`.

All of them move blobs by `Transfer`; what is there already is not moved again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wherry.app.places import Place, Transport, find, pushable, target_of
from wherry.app.progress import Progress, ProgressStep, Silent, TransferCounts, moving_of
from wherry.app.session import Session
from wherry.app.shipping import known_place, remembered, ship, streaming
from wherry.counted import counted
from wherry.digest import Digest
from wherry.errors import InvalidUsage, NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import SCHEME, Reference, names_registry
from wherry.platform import Platform
from wherry.registry.errors import RegistryError
from wherry.registry.repository import Repository
from wherry.store.contract import BlobSource
from wherry.store.copy import Tally, Transfer
from wherry.store.disk import DiskStore
from wherry.store.find import Located
from wherry.store.over import narrowed

if TYPE_CHECKING:
    from wherry.layer.compress import Encoding


@dataclass(frozen=True, slots=True)
class Basis:
    """What a transfer depended on: while all of it stays the same, the same transfer has nothing to move."""

    asked: Mapping[str, Digest]
    """Names in registries, and the digests they resolve to."""
    local: tuple[Descriptor, ...] = ()
    """Roots in the local store."""

    def joined(self, other: "Basis") -> "Basis":
        """Depend on both."""
        return Basis({**self.asked, **other.asked}, (*self.local, *other.local))


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image under a name."""

    name: str
    """Where it is now: a reference, or a path with a name."""
    root: Descriptor
    """Of the manifest, or of the index where it has several platforms."""
    basis: Basis | None = field(default=None, compare=False, repr=False)
    """Of a transfer; None where it is not known, as for archives and mirrors."""
    sent: int | None = field(default=None, compare=False, repr=False)
    """Bytes that were moved for it and for others of its repository; None where that is not known."""

    @property
    def digest(self) -> str:
        """The digest of the manifest or index."""
        return str(self.root.digest)

    def __str__(self) -> str:
        """Give `NAME@DIGEST`; a name that has the digest already stays alone."""
        return self.name if self.digest in self.name else f"{self.name}@{self.digest}"


def trust(session: Session, *names: str) -> None:
    """Let the registries of some names speak plain HTTP, or show certificates that are not trusted.

    It counts until the session first reaches a registry.
    """
    for name in names:
        if name.startswith(SCHEME) or names_registry(name):
            session.insecure.add(Reference.parse(name.removeprefix(SCHEME), default_tag="").registry)


def push(
    session: Session,
    image: str,
    names: Sequence[str] = (),
    *,
    platforms: tuple[Platform, ...] = (),
    progress: Progress | None = None,
) -> tuple[NamedImage, ...]:
    """Push an image to registries.

    Args:
        session: where the image is, and who the user is.
        image: of the local store, a layout or an archive.
        names: where to; empty: its own name.
        platforms: the only ones to push; empty: all.
        progress: where steps are reported.

    Raises:
        InvalidUsage: a name has no registry; nothing was pushed.
        NotFound: there is no such image, or it has not these platforms.
        AccessDenied, RegistryError: a registry refused one; images before it are there.
    """
    wanted = tuple(names) or (image,)
    for name in wanted:
        pushable(name)
    at = find(session, image)
    source, root = narrowed(at.source, at.root, platforms, image)
    if at.source is session.store:
        session.store.require_sound(at.root if source is not at.source else root, image)
    pushed = push_roots(session, source, dict.fromkeys(wanted, root), progress or Silent())
    return tuple(replace(one, basis=_joined(_basis(session, at), one.basis)) for one in pushed)


def push_roots(
    session: Session, source: BlobSource, images: Mapping[str, Descriptor], progress: Progress
) -> tuple[NamedImage, ...]:
    """Push images by their roots.

    Args:
        session: who the user is.
        source: where the images are.
        images: roots by the names they are pushed to.
        progress: where steps are reported.

    Raises:
        InvalidUsage: a name has no registry; nothing was pushed.
        AccessDenied, RegistryError: a registry refused one; images before it are there.
    """
    references = {name: pushable(name) for name in images}
    sent: dict[str, int] = {}
    for place, tags in _by_repository(references).items():
        roots = {images[name].digest: images[name] for name in tags}
        for digest, root in roots.items():
            wanted = [references[name] for name in tags if images[name].digest == digest]
            sent[place] = sent.get(place, 0) + _push_one(session, progress, source, root, wanted, place)
    tagged = [(f"{one.name}:{one.tag}", images[name], sent[one.name]) for name, one in references.items()]
    return tuple(NamedImage(name, root, Basis({name: root.digest}), count) for name, root, count in tagged)


def pull(
    session: Session,
    name: str,
    *,
    tag: str = "",
    platforms: tuple[Platform, ...] = (),
    progress: Progress | None = None,
) -> NamedImage:
    """Pull an image of a registry into the local store; a download that was cut is resumed.

    Args:
        session: where the store is, and who the user is.
        name: such as `debian:12` or `localhost:5000/api@sha256:…`.
        tag: its name in the local store; empty: the same.
        platforms: the only ones to pull; empty: all.
        progress: where steps are reported.

    Raises:
        InvalidReference: the name is invalid.
        NotFound, AccessDenied, RegistryError: the registry has it not, or not for this user, or fails.
        NotVerified: wherry.toml requires a signature that it has not; nothing was pulled.
    """
    from wherry.app.required import require_signed

    reference = Reference.parse(name.removeprefix(SCHEME))
    store = session.store.unsettled()
    with (progress or Silent()).step(f"pull {reference}") as step, store.writing():
        remote = session.registries.source(reference)
        found = remote.resolve(str(reference.digest or reference.tag))
        require_signed(session, Located(str(reference), remote, found))
        source, root = narrowed(remote, found, platforms, str(reference))
        tally = Tally(_told(step))
        Transfer(source=source, sink=store, tally=tally).move(root)
        own = tag or f"{reference.name}:{reference.tag or f'sha256-{root.digest.short}'}"
        store.tag(own, root)
        step.moved(_amounts(tally), last=True)
    basis = _joined(_basis(session, Located(str(reference), remote, found)), Basis({}, (root,)))
    return NamedImage(str(Reference.parse(own)), root, basis, tally.sent)


def copy(
    session: Session,
    source: str,
    target: str,
    *,
    platforms: tuple[Platform, ...] = (),
    encoding: "Encoding | None" = None,
    progress: Progress | None = None,
) -> NamedImage:
    """Copy an image between registries, the local store, layout folders and archives.

    Args:
        session: where the store is, and who the user is.
        source: an image as `find` takes it.
        target: a place as `target_of` takes it.
        platforms: the only ones to copy; empty: all.
        encoding: compresses the layers again, which changes the digest; None: they stay unchanged.
        progress: where steps are reported.

    Raises:
        WherryError: what stopped it; no name resolves to half an image.
    """
    progress = progress or Silent()
    place = target_of(target)
    if place.kind is Transport.REGISTRY:
        pushable(place.name)
    at = find(session, source)
    blobs, root = narrowed(at.source, at.root, platforms, source)
    if encoding is None:
        put = _put(session, progress, blobs, root, place, at.name)
        return replace(put, basis=_joined(_basis(session, at), put.basis))
    with session.store.writing():
        root = _encoded(session, progress, blobs, root, encoding)
        return replace(_put(session, progress, session.store, root, place, at.name), basis=None)


def copy_all_tags(
    session: Session,
    source: str,
    target: str,
    *,
    platforms: tuple[Platform, ...] = (),
    encoding: "Encoding | None" = None,
    progress: Progress | None = None,
) -> tuple[NamedImage, ...]:
    """Copy every tag of one repository of a registry to another; otherwise as `copy`.

    Raises:
        InvalidUsage: one end is not a repository of a registry, or has a tag.
    """
    place = target_of(target)
    repository = Reference.parse(source.removeprefix(SCHEME), default_tag="")
    onto = Reference.parse(place.name, default_tag="") if place.kind is Transport.REGISTRY else None
    if onto is None or repository.tag or onto.tag:
        raise InvalidUsage(
            "--all-tags copies one repository of a registry to another",
            hint="give both without tags, such as localhost:5000/api",
        )
    return tuple(
        copy(
            session,
            f"{SCHEME}{repository.name}:{tag}",
            f"{SCHEME}{onto.name}:{tag}",
            platforms=platforms,
            encoding=encoding,
            progress=progress,
        )
        for tag in session.registries.source(repository).tags()
    )


def tags(session: Session, repository: str, *, digests: bool = False) -> dict[str, str]:
    """List the tags of a repository.

    Args:
        session: who the user is.
        repository: such as `localhost:5000/api`.
        digests: whether each tag is resolved, one request a tag; else digests are empty.

    Raises:
        NotFound, AccessDenied, RegistryError: as the registry answers.
    """
    reference = Reference.parse(repository.removeprefix(SCHEME), default_tag="")
    source = session.registries.source(reference)
    found: dict[str, str] = {}
    for tag in source.tags():
        session.checkpoint()
        found[tag] = str(source.resolve(tag).digest) if digests else ""
    return found


def _basis(session: Session, at: Located) -> Basis | None:
    if at.source is session.store:
        return Basis({}, (at.root,))
    return Basis({at.name: at.root.digest}) if isinstance(at.source, Repository) else None


def _joined(one: Basis | None, other: Basis | None) -> Basis | None:
    return one.joined(other) if one and other else None


def _encoded(
    session: Session, progress: Progress, blobs: BlobSource, root: Descriptor, encoding: "Encoding"
) -> Descriptor:
    from wherry.image.recompress import recompress

    with progress.step(f"encode {encoding.algorithm}") as step:
        left: list[Descriptor] = []
        new = recompress(
            root, blobs, session.store, encoding, threads=4, left_out=left.append, moving=moving_of(progress)
        )
        if left:
            progress.line(f"not copied, because of the old digest that they name: {counted(len(left), 'attestation')}")
        step.done(f"the digest changes: {root.digest.short} → {new.digest.short}")
    return new


def _put(
    session: Session, progress: Progress, blobs: BlobSource, root: Descriptor, place: Place, own: str
) -> NamedImage:
    match place.kind:
        case Transport.REGISTRY:
            return push_roots(session, blobs, {place.name: root}, progress)[0]
        case Transport.STORE:
            name = _local(str(Reference.parse(place.name)))
            sent = _into(session.store, "the store", progress, blobs, root, name)
            return NamedImage(name, root, Basis({}, (root,)), sent)
        case Transport.LAYOUT:
            name = _local(place.tag or own)
            store = DiskStore(session.cwd / place.name)
            _into(store, str(store.folder), progress, blobs, root, name)
        case Transport.ARCHIVE | Transport.DOCKER_ARCHIVE:
            name = f"{place.name}:{_archive(session, progress, blobs, root, place, own)}"
    return NamedImage(name, root)


def _into(store: DiskStore, shown: str, progress: Progress, blobs: BlobSource, root: Descriptor, name: str) -> int:
    with progress.step(f"copy to {shown}") as step, store.writing():
        tally = Tally(_told(step))
        Transfer(source=blobs, sink=store, tally=tally).move(root)
        store.tag(name, root)
        step.moved(_amounts(tally), last=True)
    return tally.sent


def _archive(session: Session, progress: Progress, blobs: BlobSource, root: Descriptor, place: Place, own: str) -> str:
    from wherry.store.archive import write_docker_archive, write_oci_archive
    from wherry.store.files import replacing

    name = place.tag or _local(own)
    with progress.step(f"write {place.name}"), replacing(session.cwd / place.name) as out:
        if place.kind is Transport.ARCHIVE:
            write_oci_archive(out, blobs, {name: root})
        else:
            write_docker_archive(out, blobs, {name: root})
    return name


def _local(name: str) -> str:
    """Give a name that a layout can keep: without a digest."""
    reference = Reference.parse(name)
    return f"{reference.name}:{reference.tag or 'latest'}"


def _by_repository(references: Mapping[str, Reference]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for name, reference in references.items():
        places.setdefault(reference.name, []).append(name)
    return places


def _push_one(
    session: Session,
    progress: Progress,
    source: BlobSource,
    root: Descriptor,
    references: Sequence[Reference],
    place: str,
) -> int:
    """Push one image; give the bytes that were sent."""
    repository = session.registries.repository(references[0])
    with progress.step(f"push {place}") as step, remembered(session) as results:
        tally = Tally(_told(step))
        ship(
            Transfer(
                source=streaming(session, source),
                sink=repository,
                tally=tally,
                mount_from=lambda blob: known_place(session, results, blob, source, repository),
            ),
            root,
            tuple(reference.tag for reference in references),
            results,
        )
        step.moved(_amounts(tally), last=True)
    return tally.sent


def leads_to(session: Session, name: str, digest: str) -> bool:
    """Ask a registry whether a tag resolves to a digest; False where it can't be reached."""
    reference = Reference.parse(name)
    try:
        return session.registries.repository(reference).resolve(reference.tag).digest == digest
    except (NotFound, RegistryError):
        return False


def _told(step: ProgressStep) -> Callable[[Tally], None]:
    """Make what reports how far a running step is."""
    return lambda tally: step.moved(_amounts(tally))


def _amounts(tally: Tally) -> TransferCounts:
    return TransferCounts(tally.sent, tally.blobs, tally.there, tally.mounted, tally.left, total=tally.wanted)
