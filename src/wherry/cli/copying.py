"""Images from one place to another: what `wherry copy` does."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from wherry.app.progress import Progress
from wherry.cli.places import Kind, Place, find, pushable, target_of
from wherry.cli.shipping import push, telling, told
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference, names_registry
from wherry.platform import Platform
from wherry.registry.transfer import Tally, Transfer
from wherry.report.progress import progress_for
from wherry.store.contract import BlobSource
from wherry.store.disk import DiskStore
from wherry.store.over import narrowed


@dataclass(frozen=True, slots=True)
class Asked:
    """How an image shall be copied."""

    platforms: tuple[Platform, ...]
    """Empty: all."""
    compression: str | None
    """None: layers stay as they are."""
    level: int | None
    quiet: bool


def trust(world: World, *names: str) -> None:
    """Let the registries of some names speak plain HTTP."""
    for name in names:
        if name.startswith("docker://") or names_registry(name):
            world.insecure.add(Reference.parse(name.removeprefix("docker://")).registry)


def copy_one(world: World, source: str, target: str, asked: Asked) -> tuple[str, str]:
    """Copy one image; give its name there and its digest.

    Raises:
        WherryError: whatever stopped it; no name leads to half an image.
    """
    place = target_of(target)
    if place.kind is Kind.REGISTRY:
        pushable(place.name)
    at = find(world, source)
    blobs, root = narrowed(at.source, at.root, asked.platforms, source)
    with ExitStack() as stack:
        mode = "quiet" if asked.quiet else "auto"
        progress = stack.enter_context(progress_for(mode, world.stderr, world.environment, world.clock))
        if asked.compression:
            stack.enter_context(world.store.writing())
            blobs, root = _encoded(world, progress, blobs, root, asked)
        name = _put(world, progress, blobs, root, place, at.name)
    return name, str(root.digest)


def copy_all_tags(world: World, source: str, target: str, asked: Asked) -> list[tuple[str, str]]:
    """Copy every tag of a repository.

    Raises:
        InvalidUsage: one end is no repository of a registry.
    """
    place = target_of(target)
    repository = Reference.parse(source.removeprefix("docker://"), default_tag="")
    onto = Reference.parse(place.name, default_tag="") if place.kind is Kind.REGISTRY else None
    if onto is None or repository.tag or onto.tag:
        raise InvalidUsage(
            "--all-tags copies one repository of a registry to another",
            hint="name both without tags, such as localhost:5000/api",
        )
    return [
        copy_one(world, f"docker://{repository.name}:{tag}", f"docker://{onto.name}:{tag}", asked)
        for tag in world.registries.source(repository).tags()
    ]


def _encoded(
    world: World, progress: Progress, blobs: BlobSource, root: Descriptor, asked: Asked
) -> tuple[BlobSource, Descriptor]:
    from wherry.image.recompress import recompress
    from wherry.layer.compress import Encoding

    algorithm = asked.compression or "gzip"
    encoding = Encoding.default(algorithm) if asked.level is None else Encoding(algorithm, asked.level)
    with progress.step(f"encode {algorithm}") as step:
        left: list[Descriptor] = []
        new = recompress(root, blobs, world.store, encoding, threads=4, left_out=left.append)
        if left:
            progress.line(f"{len(left)} attestations speak of the old digest: left out")
        step.done(f"the digest changes: {root.digest.short} → {new.digest.short}")
    return world.store, new


def _put(world: World, progress: Progress, blobs: BlobSource, root: Descriptor, place: Place, own: str) -> str:
    match place.kind:
        case Kind.REGISTRY:
            return next(iter(push(world, progress, blobs, {place.name: root}).values())).partition("@")[0]
        case Kind.STORE:
            return _into(world, world.store, progress, blobs, root, str(Reference.parse(place.name)))
        case Kind.LAYOUT:
            name = place.tag or own
            return _into(world, DiskStore(world.cwd / place.name), progress, blobs, root, name)
        case Kind.ARCHIVE | Kind.DOCKER_ARCHIVE:
            return _archive(world, progress, blobs, root, place, own)


def _into(world: World, store: DiskStore, progress: Progress, blobs: BlobSource, root: Descriptor, name: str) -> str:
    with progress.step(f"copy to {store.folder if store is not world.store else 'the store'}") as step, store.writing():
        tally = Tally(telling(step))
        Transfer(source=blobs, sink=store, tally=tally).move(root)
        store.tag(_local(name), root)
        step.done(told(tally))
    return _local(name)


def _archive(world: World, progress: Progress, blobs: BlobSource, root: Descriptor, place: Place, own: str) -> str:
    from wherry.store.archive import write_docker_archive, write_oci_archive
    from wherry.store.files import replacing

    write: Callable[..., None] = write_oci_archive if place.kind is Kind.ARCHIVE else write_docker_archive
    name = place.tag or _local(own)
    with progress.step(f"write {place.name}"), replacing(world.cwd / place.name) as out:
        write(out, blobs, {name: root})
    return f"{place.name}:{name}"


def _local(name: str) -> str:
    """Give a name that a layout can keep: without a digest."""
    reference = Reference.parse(name)
    return f"{reference.name}:{reference.tag or 'latest'}"
