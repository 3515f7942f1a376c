"""Attach documents to an image so that other tools find them: as referrers, in its index, or both.

- Referrers: an artifact of the document's own media type, which trivy and oras look for. The image keeps its digest.
- Index: BuildKit's attestation manifests, which `docker buildx imagetools inspect` reads. The index gets a new
  digest, so this comes before signing, and an image of one platform becomes an index.
Neither is signed; `app/signing.py` has `attest` for that.
Sources: BuildKit, docs/attestations/attestation-storage.md; trivy v0.7x, `--sbom-sources oci`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from wherry.app.attachments import NO_CONFIG, Attachments, places_of
from wherry.app.places import find
from wherry.app.session import Session
from wherry.app.signing import check_predicate, put_referrer, roots_of
from wherry.app.transfer import NamedImage
from wherry.digest import Digest
from wherry.errors import InvalidUsage
from wherry.oci import media
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import SCHEME, Reference
from wherry.store.contract import BlobSource, read_whole
from wherry.store.images import read_image
from wherry.trust.dsse import INTOTO
from wherry.trust.statement import Statement, predicate_types

ATTESTATION = "application/vnd.docker.attestation.manifest.v1+json"
REFERENCE_DIGEST, REFERENCE_TYPE = "vnd.docker.reference.digest", "vnd.docker.reference.type"
_ATTESTATION_TYPE = "attestation-manifest"
_PREDICATE_TYPE = "in-toto.io/predicate-type"
_NATIVE = {
    "https://spdx.dev/Document": "application/spdx+json",
    "https://cyclonedx.org/bom": "application/vnd.cyclonedx+json",
}
"""Media types of documents that are attached as they are; any other is wrapped in its statement."""


class AttachTo(StrEnum):
    """Where documents go."""

    REFERRERS = "referrers"
    INDEX = "index"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class AttachedDocument:
    """A document about an image."""

    kind: str
    """A URI, or one of cosign's short names for `--type`."""
    predicate: bytes
    """JSON: the SBOM, the provenance itself."""
    subject: Digest | None = None
    """The one manifest or index it is about; None: the image and each of its platforms."""


def attach(
    session: Session, image: str, documents: Sequence[AttachedDocument], to: AttachTo = AttachTo.REFERRERS
) -> NamedImage:
    """Attach documents to an image in a registry, the local store or a layout.

    Args:
        session: where the image is, and who the user is.
        image: as `sign` takes it; for `index` it needs a tag, which then points to the new index.
        documents: what to attach.
        to: as referrers, in the index, or both.

    Returns:
        The image as it is now.

    Raises:
        InvalidUsage: the image cannot take them there, or a type is unknown.
        InvalidDocument: a document is not JSON.
        NotFound, RegistryError, AccessDenied: the image or the registry cannot be reached.
    """
    for one in documents:
        predicate_types(one.kind)
        check_predicate(one.predicate)
    located = find(session, image)
    root = located.root
    for place in places_of(session, located, image):
        root = located.root
        if to is not AttachTo.REFERRERS:
            tag = _tag_of(image.removeprefix("store:"))
            root, index = _indexed(place, located.source, root, documents)
            place.tag(tag, root, index)
        if to is not AttachTo.INDEX:
            for one in documents:
                for subject in _subjects(place, root, one):
                    _refer(place, subject, one)
    return NamedImage(image.partition("@")[0], root)


def _subjects(source: BlobSource, root: Descriptor, document: AttachedDocument) -> Iterator[Descriptor]:
    for one in roots_of(source, root, recursive=True):
        if document.subject == one.digest or (document.subject is None and not _is_attestation(source, root, one)):
            yield one


def _is_attestation(source: BlobSource, root: Descriptor, one: Descriptor) -> bool:
    if root.media_type not in media.INDEXES:
        return False
    entries = Index.parse(read_whole(source, root), str(root.digest)).manifests
    return any(entry.digest == one.digest and REFERENCE_TYPE in entry.annotations for entry in entries)


def _refer(place: Attachments, subject: Descriptor, document: AttachedDocument) -> None:
    uri = predicate_types(document.kind)[0]
    native = _NATIVE.get(uri)
    content = document.predicate if native else Statement.about(subject.digest, uri, document.predicate).encoded()
    layer = place.add_blob(native or INTOTO, content)
    put_referrer(place, subject, layer, {_PREDICATE_TYPE: uri})


def _indexed(
    place: Attachments, source: BlobSource, root: Descriptor, documents: Sequence[AttachedDocument]
) -> tuple[Descriptor, bytes]:
    """Make the index that has the documents in attestation manifests."""
    if root.media_type in media.INDEXES:
        index = Index.parse(read_whole(source, root), str(root.digest))
    else:
        platform = PlatformDocument.of(read_image(source, root).platform)
        index = Index.of((msgspec.structs.replace(root, platform=platform, annotations={}),))
    own = {
        entry.annotations.get(REFERENCE_DIGEST, ""): entry
        for entry in index.manifests
        if entry.annotations.get(REFERENCE_TYPE) == _ATTESTATION_TYPE
    }
    images = [entry for entry in index.manifests if REFERENCE_TYPE not in entry.annotations]
    images = [entry for entry in images if entry.media_type in media.MANIFESTS]
    made = dict(own)
    for entry in images:
        wanted = [one for one in documents if one.subject in {None, entry.digest, root.digest}]
        if wanted:
            made[str(entry.digest)] = _attestation(place, source, entry, own.get(str(entry.digest)), wanted)
    others = [entry for entry in index.manifests if entry not in own.values()]
    document = msgspec.structs.replace(
        index, media_type=index.media_type or media.OCI_INDEX, manifests=(*others, *made.values())
    ).encoded()
    return Descriptor.of(index.media_type or media.OCI_INDEX, document), document


def _attestation(
    place: Attachments,
    source: BlobSource,
    image: Descriptor,
    old: Descriptor | None,
    documents: Sequence[AttachedDocument],
) -> Descriptor:
    """Store the attestation manifest of one image; what an old one states besides stays."""
    layers = {}
    if old is not None:
        for layer in Manifest.parse(read_whole(source, old), str(old.digest)).stack:
            layers[layer.annotations.get(_PREDICATE_TYPE, str(layer.digest))] = layer
    for one in documents:
        uri = predicate_types(one.kind)[0]
        layer = place.add_blob(INTOTO, Statement.about(image.digest, uri, one.predicate).encoded())
        layers[uri] = msgspec.structs.replace(layer, annotations={_PREDICATE_TYPE: uri})
    manifest = Manifest(
        schema_version=2,
        media_type=media.OCI_MANIFEST,
        artifact_type=ATTESTATION,
        config=place.add_blob(media.OCI_EMPTY, NO_CONFIG),
        layers=tuple(layers.values()),
        subject=Descriptor(media_type=image.media_type, digest=image.digest, size=image.size),
    )
    described = place.put(media.OCI_MANIFEST, manifest.encoded())
    return msgspec.structs.replace(
        described,
        annotations={REFERENCE_DIGEST: str.__str__(image.digest), REFERENCE_TYPE: _ATTESTATION_TYPE},
        platform=PlatformDocument(os="unknown", architecture="unknown"),
    )


def _tag_of(image: str) -> str:
    try:
        reference = Reference.parse(image.removeprefix(SCHEME))
    except InvalidUsage:
        reference = Reference.parse(image.rpartition(":")[2] or "latest")
        return reference.repository.removeprefix("library/")
    if reference.digest:
        raise InvalidUsage(
            f"{image}: documents in the index give the image a new digest, and a digest stays what it is",
            hint="give a tag; it then points to the new index",
        )
    return reference.tag
