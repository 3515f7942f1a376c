"""Sources and recipe of a build in a registry, as an OCI artifact: pushed by who asks, fetched by who builds.

Each context is a deterministic tar+zstd, so that the same files are one blob: what the repository has is not sent
again. What is fetched is hostile: each blob is verified by its digest, and unpacked within limits, files, folders and
links only, nothing ever outside of its folder.

Sources: OCI image-spec v1.1.1, manifest.md "Guidelines for Artifact Usage".
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from wherry import __version__
from wherry.app.build_contexts import gather
from wherry.app.gathered import GatheredBuild, GatheredCheckout, RemoteBuild, file_entries
from wherry.app.session import Session
from wherry.cluster.build_documents import (
    ARTIFACT,
    CONTEXT,
    LARGEST_RECIPE,
    RECIPE,
    VERSION,
    BuildRecipe,
    BuildTask,
    RecipeBuild,
    RecipeCheckout,
)
from wherry.cluster.build_run import artifact_tag, task_tag
from wherry.digest import Digest
from wherry.errors import InvalidDocument, InvalidUsage
from wherry.layer.compress import Encoding, pack
from wherry.layer.decompress import LayerStream, decompress
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind
from wherry.layer.tar import TarBody, read_tar
from wherry.layer.unpack import unpack
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.oci.reference import Reference
from wherry.registry.repository import Repository
from wherry.settings.values import parse_epoch
from wherry.store.contract import read_whole
from wherry.store.copy import BlobMove, Opener
from wherry.store.disk import DiskStore

_ENCODING: Final = Encoding("zstd", 3)
_MOST_ENTRIES: Final = 1_000_000
_THREADS: Final = 2
_KINDS: Final = frozenset({EntryKind.FILE, EntryKind.FOLDER, EntryKind.SYMLINK})
_LONGEST_TAG: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedArtifact:
    """Sources and recipe that are in a registry."""

    repository: str
    digest: str
    tag: str
    """What keeps it there; the client deletes it at the end."""
    recipe: BuildRecipe
    sent: int
    """Bytes that the registry did not have."""
    size: int
    """Bytes of all layers."""

    @property
    def reference(self) -> str:
        """What `wherry worker --artifact` takes."""
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedArtifact:
    """A recipe, and where its layers come from."""

    recipe: BuildRecipe
    layers: tuple[Descriptor, ...]
    repository: Repository

    def unpack_into(self, session: Session, number: int, folder: Path, *, git: bool = True) -> None:
        """Unpack a layer.

        Args:
            session: how much may be unpacked.
            number: of the layer.
            folder: made.
            git: whether it may have a `.git`, in which a stranger could name programs that git starts.

        Raises:
            InvalidDocument, InvalidArchive: it is not what a context has to be, or larger than the session allows.
            CannotWrite: there is no room.
        """
        unpack_context(self.repository.read(self._layer(number)), folder, session.unpack_limit, git=git)

    def _layer(self, number: int) -> Descriptor:
        if not 0 <= number < len(self.layers):
            raise InvalidDocument(str(self.repository), f"the recipe names layer {number} of {len(self.layers)}")
        layer = self.layers[number]
        if layer.media_type != CONTEXT:
            raise InvalidDocument(str(self.repository), f"layer {number} is {layer.media_type!r}, and no context")
        return layer


def push_artifact(
    session: Session,
    repository: str,
    builds: Sequence[RemoteBuild],
    name: str,
    stdin: Callable[[], IO[bytes]] | None = None,
) -> PushedArtifact:
    """Pack what builds read, and push it with their recipe.

    Args:
        session: where the sources are, and who the user is.
        repository: where it goes, without a tag, as this machine names it.
        builds: which; their tasks come in this order, by platform, then by copy.
        name: of the whole; tags have it.
        stdin: opens standard input, where a Dockerfile or a context comes from it.

    Raises:
        InvalidUsage, InvalidSettings, NotFound, DockerfileError: what is asked for can't be; nothing was sent.
        AccessDenied, RegistryError: the registry refused it.
    """
    if not builds:
        raise InvalidUsage("no image to build", hint="name a directory with a main package or a Dockerfile")
    tag = artifact_tag(name)
    if len(tag) > _LONGEST_TAG:
        raise InvalidUsage(f"{name}: too long for the name of a build", hint="choose a shorter one")
    place = Reference.parse(repository, default_tag="")
    with ExitStack() as stack:
        gathered = [gather(session, one, stack, stdin) for one in builds]
        target = session.registries.repository(place)
        packer = _Packer(session, target, stack)
        recipes = [packer.packed(one) for one in gathered]
        recipe = BuildRecipe(
            version=VERSION,
            wherry=__version__,
            epoch=parse_epoch(session.environment.get("SOURCE_DATE_EPOCH", "")),
            builds=tuple(recipes),
            tasks=tuple(tasks_of(builds, name)),
        )
        document = recipe.encoded()
        BuildRecipe.parse(document, f"the recipe of {name}")  # what pods would refuse is refused here
        config = packer.send(RECIPE, document)
        manifest = Manifest(
            schema_version=2,
            media_type=media.OCI_MANIFEST,
            artifact_type=ARTIFACT,
            config=config,
            layers=tuple(packer.layers) or (config,),
        ).encoded()
        root = Descriptor.of(media.OCI_MANIFEST, manifest)
        target.put(root, manifest, tag)
    size = sum(layer.size for layer in packer.layers)
    return PushedArtifact(
        repository=place.name, digest=str(root.digest), tag=tag, recipe=recipe, sent=packer.sent, size=size
    )


def tasks_of(builds: Sequence[RemoteBuild], name: str) -> Iterator[BuildTask]:
    """Give the tasks of builds: the completion index of a Job is the place in this order."""
    number = 0
    for build, one in enumerate(builds):
        for platform in one.platforms:
            for copy in range(one.copies):
                yield BuildTask(build=build, platform=str(platform), copy=copy, tag=task_tag(name, number))
                number += 1


def fetch_artifact(session: Session, reference: str) -> FetchedArtifact:
    """Read the recipe of an artifact.

    Args:
        session: who the user is.
        reference: `REPOSITORY@sha256:…`.

    Raises:
        InvalidUsage: it has no digest, so that anything could be built.
        InvalidDocument: it is no such artifact.
        NotFound, AccessDenied, RegistryError: as the registry answers.
    """
    place = Reference.parse(reference, default_tag="")
    if not place.digest:
        raise InvalidUsage(f"{reference}: an artifact is named by its digest", hint="write REPOSITORY@sha256:…")
    repository = session.registries.repository(place)
    root = repository.resolve(str(place.digest))
    manifest = Manifest.parse(read_whole(repository, root), reference)
    if manifest.artifact_type != ARTIFACT or manifest.config.media_type != RECIPE:
        raise InvalidDocument(
            reference, "is not what a build on a cluster is made of", hint="`wherry build --on kubernetes` pushes it"
        )
    if manifest.config.size > LARGEST_RECIPE:
        raise InvalidDocument(reference, f"a recipe of {manifest.config.size:,} bytes is too large")
    recipe = BuildRecipe.parse(read_whole(repository, manifest.config), reference)
    return FetchedArtifact(recipe=recipe, layers=manifest.stack, repository=repository)


def unpack_context(chunks: Iterator[bytes], folder: Path, limit: int, *, git: bool = True) -> None:
    """Unpack a context that anyone may have made.

    Args:
        chunks: the layer's bytes, verified against their digest as they come.
        folder: made; nothing is written outside of it.
        limit: most bytes of its files.
        git: whether it may have a `.git`.

    Raises:
        InvalidDocument, InvalidArchive: it is not what a context has to be, or too large.
        CannotWrite: there is no room.
    """
    limits = ArchiveLimits(entries=_MOST_ENTRIES, size=limit)
    stream = LayerStream(decompress(chunks, "zstd", name="context", limit=limit + (_MOST_ENTRIES << 10)))
    unpack(_plain(read_tar(stream, "context", limits), git=git), folder, limits=limits)


def _plain(entries: Iterator[tuple[Entry, TarBody]], *, git: bool) -> Iterator[tuple[Entry, TarBody]]:
    """Pass on files, folders and links; folders can be written to, and no program gets another user's rights."""
    for entry, body in entries:
        if entry.kind not in _KINDS:
            raise InvalidDocument("context", f"{entry.path[:200]!r} is neither a file, nor a directory, nor a link")
        if not git and ".git" in entry.path.lower().split("/"):
            raise InvalidDocument("context", f"{entry.path[:200]!r}: sources of Go come without a .git")
        mode = entry.mode & 0o777 | (0o700 if entry.kind is EntryKind.FOLDER else 0o400)
        yield replace(entry, mode=mode, xattrs={}), body


class _Packer:
    """Packs contexts into a folder, and sends those that a repository lacks."""

    def __init__(self, session: Session, target: Repository, stack: ExitStack) -> None:
        from tempfile import TemporaryDirectory

        session.cache_folder.mkdir(parents=True, exist_ok=True)
        scratch = stack.enter_context(TemporaryDirectory(prefix="artifact-", dir=session.cache_folder))
        self._session, self._target = session, target
        self._scratch = DiskStore(Path(scratch))
        self.layers: list[Descriptor] = []
        self.sent = 0

    def packed(self, one: GatheredBuild) -> RecipeBuild:
        """Pack and send what a build reads; give its part of the recipe."""
        numbers = [self._layer(entries) for entries in one.contexts]
        named = {name: numbers[place] for name, place in one.named.items()}
        return RecipeBuild(
            name=one.build.name,
            kind="go" if type(one.build.wanted).__name__ == "GoBuild" else "dockerfile",
            repository=one.build.repository,
            contexts=tuple(dict.fromkeys(numbers)),
            options=dict(one.options),
            folder=one.folder,
            named=named,
            environment=dict(one.environment),
            cache_from=one.build.cache_from,
            cache_to=one.build.cache_to,
            checkout=self._checkout(one.checkout) if one.checkout else None,
        )

    def send(self, media_type: str, document: bytes) -> Descriptor:
        """Send a small blob."""
        blob = Descriptor.of(media_type, document)
        self._upload(blob, lambda offset: iter([document[offset:]]))
        return blob

    def _checkout(self, checkout: GatheredCheckout) -> RecipeCheckout:
        files = {
            os.path.relpath(Path(here) / name, checkout.folder): Path(here) / name
            for here, _, names in os.walk(checkout.folder)
            for name in names
        }
        number = self._layer(file_entries(files, exact=False))
        return RecipeCheckout(layer=number, path=checkout.path, linked=checkout.linked)

    def _layer(self, entries: Sequence[Entry]) -> int:
        """Pack and send a layer, unless one of the same content is there; give its number."""
        self._session.checkpoint()
        made = pack(entries, _ENCODING, self._scratch, threads=_THREADS).blob
        blob = Descriptor(media_type=CONTEXT, digest=made.digest, size=made.size)
        for number, layer in enumerate(self.layers):
            if layer.digest == blob.digest:
                return number
        self._upload(blob, lambda offset: self._scratch.read(made, offset))
        self.layers.append(blob)
        return len(self.layers) - 1

    def _upload(self, blob: Descriptor, chunks: Callable[[int], Iterator[bytes]]) -> None:
        if self._target.upload(blob, Opener(chunks)) is not BlobMove.THERE:
            self.sent += blob.size


def digest_of(reference: str) -> Digest | None:
    """Give the digest that a reference names, if it names one."""
    return Reference.parse(reference, default_tag="").digest
