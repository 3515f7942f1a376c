"""End a build in a cluster: platforms compared, the index made, names moved last, what was temporary deleted.

The index is made of what a build on this machine would put into it, so it has the same digest.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from wherry.app.build.result import BuiltImage, BuiltPlatform
from wherry.app.on_kubernetes.board import task_name
from wherry.app.on_kubernetes.following import ClusterBuildFailed, FollowedRun
from wherry.app.session import Session
from wherry.cluster.build_documents import ARTIFACT
from wherry.cluster.build_run import ClusterRun, RunImage, RunTask
from wherry.errors import BlobMissing, InvalidDocument, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference
from wherry.platform import Platform
from wherry.registry.errors import NotInRegistry, NotTaken, RegistryError
from wherry.store.images import read_image

if TYPE_CHECKING:
    from wherry.app.rebuild_compare import Rebuilt
    from wherry.registry.repository import Repository

T = TypeVar("T")
_PAUSE: Final = 2.0


class PlatformsDiffer(ClusterBuildFailed):
    """A platform that was built twice is not the same both times; nothing was tagged."""

    exit_code = 1

    def __init__(self, where: str, digests: tuple[str, str], places: str, compared: "Rebuilt | None") -> None:
        """Take which platform, the digests, where it was built, and what differs."""
        super().__init__(
            f"{where}: built twice{places}, and not the same: {digests[0]}, {digests[1]}",
            hint="no name was changed; what differs first is printed above",
        )
        self.compared = compared


@dataclass(frozen=True, slots=True)
class BuiltRun:
    """Images of a build in a cluster, in the registry by their digests."""

    images: tuple[BuiltImage, ...]
    sources: "tuple[Repository, ...]"
    """Where each image is."""


def built_run(session: Session, run: ClusterRun, followed: FollowedRun) -> BuiltRun:
    """Read what pods pushed, check it, and push the index of each image by its digest; no name is changed.

    Args:
        session: who the user is.
        run: what was built.
        followed: what pods say of it.

    Raises:
        PlatformsDiffer: a platform that was built twice differs.
        ClusterBuildFailed: what a pod names is not in the registry, or is of another platform.
        AccessDenied, RegistryError: the registry refuses.
    """
    images: list[BuiltImage] = []
    sources = []
    for number, image in enumerate(run.images):
        repository = session.registries.repository(Reference.parse(image.repository, default_tag=""))
        tasks = [(index, task) for index, task in enumerate(run.tasks) if task.image == number]
        digests = {index: _digest(repository, run, index, followed) for index, _ in tasks}
        if run.verify:
            _compare(session, run, image, tasks, digests, followed)
        platforms = tuple(_platform(repository, run, task, digests[index]) for index, task in tasks if task.copy == 0)
        images.append(_image(repository, image, platforms))
        sources.append(repository)
    return BuiltRun(tuple(images), tuple(sources))


def patiently(session: Session, do: Callable[[], T]) -> T:
    """Do something that can be done again, for as long as a registry that is away is waited for."""
    due, said = time.monotonic() + session.patience, False
    while True:
        session.checkpoint()
        try:
            return do()
        except NotTaken:
            raise
        except RegistryError as error:
            if time.monotonic() > due:
                raise
            if not said:
                session.progress.warn(f"{error.message}; asking again")
                said = True
        time.sleep(_PAUSE)


def _digest(repository: "Repository", run: ClusterRun, index: int, followed: FollowedRun) -> Descriptor:
    """Find what a task pushed: by its pod's result, or by its tag where somebody deleted the pod."""
    task = run.tasks[index]
    result = followed.results.get(index)
    try:
        return repository.resolve(result.digest if result is not None else task.tag)
    except NotInRegistry as error:
        raise _not_there(task_name(run, task), repository, error) from error


def _not_there(where: str, repository: "Repository", error: WherryError) -> ClusterBuildFailed:
    return ClusterBuildFailed(
        f"{where}: what its pod pushed is not in {repository}: {error.message}",
        hint="registry below [kubernetes] has to name the same registry that this machine names; build again",
    )


def _platform(repository: "Repository", run: ClusterRun, task: RunTask, found: Descriptor) -> BuiltPlatform:
    platform = Platform.parse(task.platform)
    where = task_name(run, task)
    try:
        image = read_image(repository, msgspec.structs.replace(found, platform=PlatformDocument.of(platform)))
    except BlobMissing as error:
        raise _not_there(where, repository, error) from error
    except InvalidDocument as error:
        raise ClusterBuildFailed(
            f"{where}: what its pod pushed is not an image: {error.message}", hint="build again"
        ) from error
    variants = {platform.variant, image.platform.variant} - {""}
    named = (image.platform.os, image.platform.architecture)
    if named != (platform.os, platform.architecture) or len(variants) > 1:
        raise ClusterBuildFailed(f"{where}: its pod pushed an image of {image.platform}", hint="build again")
    return BuiltPlatform(platform=platform, image=image, own=())


def _image(repository: "Repository", image: RunImage, platforms: tuple[BuiltPlatform, ...]) -> BuiltImage:
    root = platforms[0].image.descriptor
    if len(platforms) > 1:
        index = Index.of(tuple(built.image.descriptor for built in platforms), dict(image.annotations)).encoded()
        root = Descriptor.of(media.OCI_INDEX, index)
        repository.put(root, index)
    return BuiltImage(
        names=image.names, title=image.title, root=root, platforms=platforms, base=image.base, package=image.package
    )


def _compare(
    session: Session,
    run: ClusterRun,
    image: RunImage,
    tasks: Sequence[tuple[int, RunTask]],
    digests: Mapping[int, Descriptor],
    followed: FollowedRun,
) -> None:
    """Compare the two copies of each platform."""
    pairs: dict[str, list[int]] = {}
    for index, task in tasks:
        pairs.setdefault(task.platform, []).append(index)
    for platform, indexes in pairs.items():
        if len(indexes) != 2:  # noqa: PLR2004 - a copy, and another
            raise ClusterBuildFailed(
                f"{image.title} {platform}: it was not built twice", hint="build again with --verify"
            )
        first, second = indexes
        places = _places(followed.nodes.get(first, ""), followed.nodes.get(second, ""))
        where = task_name(run, run.tasks[first])
        if digests[first].digest == digests[second].digest:
            session.progress.line(f"{where}: built twice{places}, identical: {digests[first].digest}")
            continue
        both = str(digests[first].digest), str(digests[second].digest)
        raise PlatformsDiffer(where, both, places, _difference(session, image, both))


def _places(first: str, second: str) -> str:
    if not first or not second:
        return ""
    return f" on {first}, in different directories" if first == second else f" on {first} and {second}"


def _difference(session: Session, image: RunImage, digests: tuple[str, str]) -> "Rebuilt | None":
    from wherry.app.rebuild_compare import compare

    before, after = (f"docker://{image.repository}@{digest}" for digest in digests)
    try:
        return compare(session, before, after)
    except WherryError as error:
        session.progress.warn(f"what differs can't be read: {error.message}")
        return None


def temporary_tags(run: ClusterRun) -> list[tuple[str, str]]:
    """Name the tags that keep parts of a build in registries, each with its repository."""
    return [(run.images[task.image].repository, task.tag) for task in run.tasks]


def delete_temporary(session: Session, run: ClusterRun) -> None:
    """Delete what a build left in registries: tags of its parts, and its sources; say what can't be deleted."""
    artifact = Reference.parse(run.artifact, default_tag="")
    left: dict[str, str] = {}
    for name, reference in [(artifact.name, str(artifact.digest)), (artifact.name, run.tag), *temporary_tags(run)]:
        if name in left:
            continue
        try:
            repository = session.registries.repository(Reference.parse(name, default_tag=""))
            if reference != str(artifact.digest) or _is_artifact(repository, run.tag, reference):
                _delete(repository, reference)
        except WherryError as error:
            left[name] = error.message
    for name, why in left.items():
        session.progress.line(f"temporary tags stay in {name} (build-…, wherry-build-…): {why}")


def _is_artifact(repository: "Repository", tag: str, digest: str) -> bool:
    """Report whether a manifest is the sources of a build: whoever wrote the Job could have named any other."""
    found = repository.read_tag(tag)
    if found is None or str(found[0].digest) != digest:
        return False
    try:
        return Manifest.parse(found[1], tag).artifact_type == ARTIFACT
    except InvalidDocument:
        return False


def _delete(repository: "Repository", reference: str) -> None:
    """Delete a tag or a manifest, if it is there.

    Some registries delete manifests alone (distribution before 3). There a tag goes with a manifest of its own: the
    tag is moved to an empty one, and that is deleted, so that what the tag named before stays.
    """
    try:
        repository.delete(reference)
    except NotInRegistry:
        return
    except RegistryError:
        if ":" in reference or repository.read_tag(reference) is None:
            return
        config = Descriptor.of(media.OCI_EMPTY, b"{}")
        repository.write(config, [b"{}"])
        empty = Manifest.of(config, (), {"dev.wherry.deleted": reference}).encoded()
        root = Descriptor.of(media.OCI_MANIFEST, empty)
        repository.put(root, empty, reference)
        repository.delete(str(root.digest))


def pull_here(session: Session, built: BuiltRun) -> None:
    """Copy the images into the local store under their names, for what needs them on this machine."""
    from wherry.store.copy import Transfer

    store = session.store.unsettled()
    for image, source in zip(built.images, built.sources, strict=True):
        with session.progress.step(f"pull {image.names[0]}"), store.writing():
            Transfer(source=source, sink=store).move(image.root)
            for name in image.names:
                store.tag(name, image.root)


def names_of(images: Iterable[BuiltImage]) -> dict[str, Descriptor]:
    """Give what each name is to resolve to."""
    return {name: image.root for image in images for name in image.names}
