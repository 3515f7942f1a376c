"""Where an image's attachments are: its registry, the local store, or a layout folder.

In the local store and in layouts they are stored as in a registry without the referrers API: under the tags
`sha256-HEX`, `sha256-HEX.sig` and `sha256-HEX.att` of the image's own repository.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from wherry.app.places import Place, Transport, pushable
from wherry.app.session import Session
from wherry.digest import Digest
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import SCHEME, Reference, names_registry
from wherry.registry.open import Mirrored
from wherry.registry.referrers import Change, RegistryAttachments, entry_of, fallback_tag, with_entry
from wherry.registry.repository import Repository
from wherry.store.contract import BlobSink, read_whole, write_document
from wherry.store.disk import DiskStore
from wherry.store.find import Located
from wherry.store.layout import LayoutFolder, media_type_of
from wherry.store.locks import alone
from wherry.store.prepare import OWN

NO_CONFIG = b"{}"
"""The config of a manifest that has none (OCI image-spec v1.1.1, manifest.md, "Guidance for an Empty Descriptor")."""


class Attachments(Protocol):
    """What is attached to the images of one place."""

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """List what is attached to a digest.

        Raises:
            WherryError: the place would not say; that is not "nothing".
        """

    def tagged(self, tag: str) -> tuple[Descriptor, bytes] | None:
        """Read the document under a tag of the image's repository; None: there is none.

        Raises:
            WherryError: the place would not say.
        """

    def add_blob(self, media_type: str, blob: bytes) -> Descriptor:
        """Store a blob."""

    def put(self, media_type: str, document: bytes) -> Descriptor:
        """Store a manifest or an index under its digest."""

    def attach(self, document: bytes) -> Descriptor:
        """Store a manifest that has a subject, and have it listed for that."""

    def amend(self, tag: str, change: Change) -> None:
        """Change the document under a tag so that no other writer's entry is lost."""

    def tag(self, tag: str, root: Descriptor, document: bytes) -> None:
        """Store a manifest or an index, and point a tag of the image's repository at it."""


class LocalAttachments:
    """Attachments of one repository's images in the local store or a layout folder."""

    def __init__(self, folder: LayoutFolder, repository: str) -> None:
        """Take a folder; only a `DiskStore` can be written to."""
        self._folder = folder
        self._repository = repository

    def __str__(self) -> str:
        """Give the folder and the repository."""
        return f"{self._folder.folder}:{self._repository}"

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        return self._folder.read(blob, offset)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """List what the index under the fallback tag has, and manifests of a layout that name the digest as subject."""
        found = self.tagged(fallback_tag(subject))
        listed = Index.parse(found[1], fallback_tag(subject)).manifests if found else ()
        own = {blob.digest for blob in listed}
        others = (root for root in self._folder.tags().values() if root.media_type in media.MANIFESTS)
        return (*listed, *(root for root in others if root.digest not in own and self._refers(root, subject)))

    def tagged(self, tag: str) -> tuple[Descriptor, bytes] | None:
        """Read the document under a tag; None: there is none."""
        tags = self._folder.tags()
        root = tags.get(f"{self._repository}:{tag}") or tags.get(tag)
        return (root, read_whole(self._folder, root)) if root else None

    def add_blob(self, media_type: str, blob: bytes) -> Descriptor:
        """Store a blob."""
        return write_document(self._store, media_type, blob)

    def put(self, media_type: str, document: bytes) -> Descriptor:
        """Store a manifest or an index."""
        return write_document(self._store, media_type, document)

    def attach(self, document: bytes) -> Descriptor:
        """Store a manifest that has a subject, and list it under the fallback tag."""
        described = self.put(media.OCI_MANIFEST, document)
        subject, entry = entry_of(document, described)
        self.amend(fallback_tag(subject), lambda current: with_entry(current, entry))
        return described

    def amend(self, tag: str, change: Change) -> None:
        """Change the document under a tag, alone."""
        store = self._store
        with store.writing(), alone(store.folder / OWN / "attachments.lock"):
            found = self.tagged(tag)
            new = change(found[1] if found else None)
            if new is not None:
                root = write_document(store, media_type_of(new) or media.OCI_MANIFEST, new)
                store.tag(f"{self._repository}:{tag}", root)

    def tag(self, tag: str, root: Descriptor, document: bytes) -> None:
        """Store a manifest or an index, and point a name at it."""
        with self._store.writing():
            self._store.write(root, [document])
            self._store.tag(f"{self._repository}:{tag}", root)

    def _refers(self, root: Descriptor, subject: Digest) -> bool:
        manifest = Manifest.parse(read_whole(self._folder, root), str(root.digest))
        return manifest.subject is not None and manifest.subject.digest == subject

    @property
    def _store(self) -> DiskStore:
        if not isinstance(self._folder, DiskStore):
            raise InvalidUsage(f"{self._folder.folder}: opened for reading only")
        return self._folder


def attachments_of(session: Session, located: Located) -> Attachments:
    """Give the place of an image's attachments.

    Raises:
        InvalidUsage: the image is in an archive, which has no place for them.
    """
    source = located.source
    if isinstance(source, Mirrored):
        return RegistryAttachments(source.places[-1])
    if isinstance(source, Repository):
        return RegistryAttachments(source)
    if isinstance(source, LayoutFolder):
        store = source if isinstance(source, DiskStore) else DiskStore(source.folder)
        return LocalAttachments(store, _repository_in(session, located, store))
    raise InvalidUsage(
        f"{located.name}: an archive has no place for signatures and attestations",
        hint="copy it to a registry or a layout directory first: wherry copy",
    )


def places_of(session: Session, located: Located, image: str) -> tuple[Attachments, ...]:
    """Give the places that attachments are written to: an image of the local store is signed where it was pushed, too.

    Args:
        session: where registries are.
        located: the image.
        image: as it was called; `store:NAME` is the local store alone.

    Raises:
        InvalidUsage: the image is in an archive.
        RegistryError, AccessDenied: the registry that its name names would not say whether it has the image.
    """
    here = attachments_of(session, located)
    there = registry_of(session, located, image)
    if there is None:
        return (here,)
    try:
        there.repository.resolve(str(located.root.digest))
    except NotFound:
        session.note(
            f"{image}: in the local store only; its registry does not have this digest: push it, then do this again"
        )
        return (here,)
    except WherryError as error:
        error.hint = f"{error.hint}; store:{located.name} is the image of the local store alone"
        raise
    return here, there


def registry_of(session: Session, located: Located, image: str) -> RegistryAttachments | None:
    """Give the registry that the name of an image of the local store names; None: none, or another place is meant."""
    if located.source is not session.store or image.startswith("store:") or not names_registry(located.name):
        return None
    try:
        reference = Reference.parse(located.name, default_tag="")
    except InvalidUsage:
        return None
    return RegistryAttachments(session.registries.repository(reference))


def attachments_at(session: Session, place: Place, name: str) -> tuple[Attachments, BlobSink]:
    """Give where attachments go at a destination, and the store there.

    Args:
        session: where the store is, and who the user is.
        place: the destination.
        name: of the image there.

    Raises:
        InvalidUsage: it is an archive.
    """
    repository = Reference.parse(name.partition("@")[0], default_tag="").name
    match place.kind:
        case Transport.REGISTRY:
            there = session.registries.repository(pushable(place.name))
            return RegistryAttachments(there), there
        case Transport.STORE:
            return LocalAttachments(session.store, repository), session.store
        case Transport.LAYOUT:
            store = DiskStore(session.cwd / place.name)
            return LocalAttachments(store, repository), store
        case Transport.ARCHIVE | Transport.DOCKER_ARCHIVE:
            raise InvalidUsage(
                f"{place.name}: an archive has no place for signatures and attestations",
                hint="copy to a layout directory, such as oci:DIR:NAME",
            )


def repository_of(located: Located) -> str:
    """Give the name that a signature says was signed: registry and repository, as cosign writes it."""
    try:
        reference = Reference.parse(located.name.removeprefix(SCHEME), default_tag="")
    except InvalidUsage:
        return Path(located.name.partition(":")[2] or located.name).name
    return f"{reference.registry}/{reference.repository}"


def _repository_in(session: Session, located: Located, store: DiskStore) -> str:
    """Give the repository of an image's name in the store, or in a layout: its attachments have the same."""
    names = sorted(name for name, root in store.tags().items() if root.digest == located.root.digest)
    if store.folder == session.store_folder:
        try:
            wanted = Reference.parse(located.name, default_tag="").name
        except InvalidUsage:
            wanted = ""
        if any(name.rpartition(":")[0] == wanted for name in names):
            return wanted
    return next((name.rpartition(":")[0] for name in names if not name.startswith("sha256:") and ":" in name), "local")
