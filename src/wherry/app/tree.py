"""An image as the tree of its documents: index, manifests, configs, layers, and what is attached to them.

Sources: OCI image-spec v1.1.1, image-index.md and manifest.md (`subject`); BuildKit, docs/attestations
(`vnd.docker.reference.digest`); cosign, specs/SIGNATURE_SPEC.md (tags such as `sha256-HEX.sig`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wherry.app.places import find
from wherry.app.session import Session
from wherry.errors import BlobMissing, InvalidDocument, InvalidUsage, NotFound
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference, is_attachment
from wherry.registry.errors import AccessDenied, RegistryError
from wherry.registry.open import Mirrored
from wherry.registry.repository import Repository
from wherry.store.contract import DEEPEST, BlobSource, read_whole
from wherry.store.find import Located
from wherry.store.images import read_image
from wherry.store.layout import LayoutFolder

_REFERS = "vnd.docker.reference.digest"
_REFERS_AS = "vnd.docker.reference.type"


class Role(StrEnum):
    """What a node is to the image."""

    INDEX = "index"
    MANIFEST = "manifest"
    CONFIG = "config"
    LAYER = "layer"
    ATTACHMENT = "attachment"


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One document or blob, with what it points at."""

    role: Role
    digest: str
    media_type: str
    size: int
    """Bytes as stored."""
    label: str = ""
    """The platform of a manifest, the instruction that made a layer, the kind of an attachment."""
    children: tuple["TreeNode", ...] = ()
    here: bool = True
    """Whether the document could be read; where it could not, its children are unknown."""


def tree(session: Session, name: str) -> TreeNode:
    """Read an image's tree; layers are not read.

    Attachments are manifests that say they belong to another: by `subject` or BuildKit's annotation in the same index,
    under a tag `sha256-HEX…` of the same repository, or in the
    list that a registry with the referrers API gives.

    Args:
        session: where it is looked for.
        name: an image, as `open_image` takes it.

    Raises:
        NotFound, RegistryError, InvalidReference: there is none.
        InvalidDocument: a document is not what it says.
    """
    found = find(session, name)
    return _Reader(session.cancellable(found.source), _tagged(session, found), _api(found.source)).node(found.root, 0)


def _api(source: BlobSource) -> Callable[[Descriptor], tuple[Descriptor, ...]]:
    """Give what asks the referrers API of the image's registry, which may have attachments under no tag."""
    place = source.places[-1] if isinstance(source, Mirrored) else source
    if not isinstance(place, Repository):
        return lambda _: ()
    from wherry.registry.referrers import RegistryAttachments

    def listed(blob: Descriptor) -> tuple[Descriptor, ...]:
        try:
            return RegistryAttachments(place).listed(blob.digest)
        except (RegistryError, AccessDenied, InvalidDocument):
            return ()  # the image itself can be shown all the same

    return listed


def _tagged(session: Session, found: Located) -> Mapping[str, list[tuple[str, Descriptor]]]:
    """Give what tags such as `sha256-HEX.sig` attach, by the digest they name."""
    attached: dict[str, list[tuple[str, Descriptor]]] = {}
    for tag, root in _tags(session, found):
        digest, _, kind = tag.removeprefix("sha256-").partition(".")
        attached.setdefault(f"sha256:{digest}", []).append((kind or "referrers", root))
    return attached


def _tags(session: Session, found: Located) -> Iterator[tuple[str, Descriptor]]:
    source = found.source
    if isinstance(source, Repository | Mirrored):
        for tag in source.tags():
            session.checkpoint()
            if tag.startswith("sha256-"):
                yield tag, source.resolve(tag)
    elif isinstance(source, LayoutFolder):
        yield from _local_tags(source, found.name if source is session.store else "")


def _local_tags(folder: LayoutFolder, name: str) -> Iterator[tuple[str, Descriptor]]:
    """Give the tags of attachments in a folder; in the local store, of the repository of an image's name."""
    try:
        own = Reference.parse(name, default_tag="").name if name else ""
    except InvalidUsage:
        return
    for tagged, root in folder.tags().items():
        repository, _, tag = tagged.rpartition(":")
        if is_attachment(tagged) and (not name or repository == own):
            yield tag, root


@dataclass(frozen=True, slots=True)
class _Reader:
    source: BlobSource
    tagged: Mapping[str, list[tuple[str, Descriptor]]]
    listed: Callable[[Descriptor], tuple[Descriptor, ...]]
    """Asks a registry's referrers API."""

    def node(self, blob: Descriptor, depth: int, role: Role | None = None, label: str = "") -> TreeNode:
        if depth > DEEPEST:
            raise InvalidDocument(str(blob.digest), f"nested more than {DEEPEST} documents deep")
        if blob.media_type in media.INDEXES:
            return self._read(blob, depth, role or Role.INDEX, label)
        if blob.media_type in media.MANIFESTS:
            return self._read(
                blob, depth, role or Role.MANIFEST, label or (str(blob.platform.platform) if blob.platform else "")
            )
        return _leaf(blob, role or Role.LAYER, label)

    def _read(self, blob: Descriptor, depth: int, role: Role, label: str) -> TreeNode:
        try:
            document = read_whole(self.source, blob)
        except (BlobMissing, NotFound):
            return TreeNode(role, blob.digest, blob.media_type, blob.size, label, here=False)
        if blob.media_type in media.INDEXES:
            children = tuple(self._of_index(Index.parse(document, str(blob.digest)), depth))
        else:
            manifest = Manifest.parse(document, str(blob.digest))
            label = label or manifest.artifact_type or self._platform(blob)
            children = tuple(self._of_manifest(blob, manifest))
        attached = tuple(self._attached(blob, depth))
        return TreeNode(role, blob.digest, blob.media_type, blob.size, label, (*children, *attached))

    def _of_index(self, index: Index, depth: int) -> Iterator[TreeNode]:
        digests = {blob.digest for blob in index.manifests}
        belonging: dict[str, list[Descriptor]] = {}
        for blob in index.manifests:
            subject = (blob.annotations or {}).get(_REFERS, "")
            if subject in digests and subject != blob.digest:
                belonging.setdefault(subject, []).append(blob)
        below = {blob.digest for blobs in belonging.values() for blob in blobs}
        for blob in index.manifests:
            if blob.digest in below:
                continue
            node = self.node(blob, depth + 1)
            own = tuple(
                self.node(one, depth + 2, Role.ATTACHMENT, (one.annotations or {}).get(_REFERS_AS, ""))
                for one in belonging.get(blob.digest, ())
            )
            yield TreeNode(
                node.role, node.digest, node.media_type, node.size, node.label, (*node.children, *own), here=node.here
            )

    def _of_manifest(self, blob: Descriptor, manifest: Manifest) -> Iterator[TreeNode]:
        yield _leaf(manifest.config, Role.CONFIG, "")
        made_by = self._made_by(blob) if manifest.config.media_type in media.CONFIGS else ()
        for place, layer in enumerate(manifest.stack):
            yield _leaf(layer, Role.LAYER, made_by[place] if place < len(made_by) else "")

    def _attached(self, blob: Descriptor, depth: int) -> Iterator[TreeNode]:
        shown: set[str] = set()
        for kind, root in self.tagged.get(str(blob.digest), ()):
            node = self.node(root, depth + 1, Role.ATTACHMENT, kind)
            shown.update(child.digest for child in node.children)
            yield node
        for root in self.listed(blob):
            if root.digest not in shown:
                yield self.node(root, depth + 1, Role.ATTACHMENT, root.artifact_type or "")

    def _platform(self, blob: Descriptor) -> str:
        try:
            return str(read_image(self.source, blob).platform)
        except (BlobMissing, NotFound, InvalidDocument):
            return ""

    def _made_by(self, blob: Descriptor) -> tuple[str, ...]:
        """Give the instruction of each layer, by the config's history."""
        try:
            image = read_image(self.source, blob)
        except (BlobMissing, NotFound, InvalidDocument):
            return ()
        return tuple(step.created_by or "" for step in image.config.history or () if not step.empty_layer)


def _leaf(blob: Descriptor, role: Role, label: str) -> TreeNode:
    return TreeNode(role, blob.digest, blob.media_type, blob.size, label)
