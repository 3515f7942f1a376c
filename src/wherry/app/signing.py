"""Sign images, and attest to them: in the old format of cosign, in the new one, or in both.

The price of both: on an image that has a bundle, cosign 2.6 wants a trusted root file even to verify by a key
(`EMPTY_ROOT`), see docs/how-to/sign.md. Nothing is uploaded to a transparency log.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from wherry.app.attachments import NO_CONFIG, Attachments, places_of, repository_of
from wherry.app.places import find
from wherry.app.session import Session
from wherry.digest import Digest
from wherry.errors import InvalidDocument, InvalidUsage
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.manifest import Index, Manifest
from wherry.registry.referrers import fallback_tag
from wherry.store.contract import DEEPEST, BlobSource, read_whole
from wherry.trust.bundle import BUNDLE, SignatureBundle
from wherry.trust.dsse import Envelope, pae
from wherry.trust.keys import PublicKey, Signer
from wherry.trust.simple_signing import SIGNATURE, SIMPLE_SIGNING, SimpleSigning
from wherry.trust.statement import LARGEST_STATEMENT, SIGNED, Statement, predicate_types

DSSE_LAYER = "application/vnd.dsse.envelope.v1+json"
"""Of an attestation in the old format."""
_THREADS = 8
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
_CONTENT = "dev.sigstore.bundle.content"
_EPOCH = "0001-01-01T00:00:00Z"
"""What cosign writes for "no time"."""
EMPTY_ROOT = {
    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "tlogs": [],
    "certificateAuthorities": [],
    "ctlogs": [],
    "timestampAuthorities": [],
}
"""A trusted root that trusts nobody: what cosign 2.6 wants to see before it verifies a bundle by a key, offline."""


class SignatureFormat(StrEnum):
    """Which cosign reads a signature."""

    OLD = "old"
    """Any: the tags `.sig` and `.att`."""
    NEW = "new"
    """From 2.6 on: a Sigstore bundle as a referrer."""
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class SignedImage:
    """A manifest or an index that was signed or attested to."""

    name: str
    """As it was called, with its digest."""
    digest: Digest
    formats: tuple[str, ...]
    key: PublicKey = field(repr=False)


def sign(
    session: Session,
    image: str,
    key: Signer,
    *,
    annotations: Mapping[str, str] | None = None,
    recursive: bool = False,
    form: SignatureFormat = SignatureFormat.BOTH,
) -> tuple[SignedImage, ...]:
    """Sign an image by its digest; signing again with the same key adds nothing.

    Args:
        session: where the image is, and who the user is.
        image: as `find` takes it; a tag is resolved once. One of the local store is signed there, and in the registry
            that its name names, if that has it; `store:NAME` is the local store alone.
        key: signs.
        annotations: what the signature says besides; verifiers can ask for it.
        recursive: whether the manifests of an index are signed too.
        form: which formats are written.

    Raises:
        NotFound, RegistryError, AccessDenied: the image or the registry cannot be reached.
        InvalidUsage: it is in an archive.
    """
    located = find(session, image)
    places = places_of(session, located, image)
    said, repository = dict(annotations or {}), repository_of(located)

    def old(root: Descriptor) -> None:
        for place in places:
            _sign_old(place, root, SimpleSigning.of(root.digest, repository, said), key)

    def new(root: Descriptor) -> None:
        for place in places:
            _put_bundle(place, root, Statement.about(root.digest, SIGNED, annotations=said), key)

    roots = tuple(roots_of(located.source, located.root, recursive=recursive))
    return _carried_out(session, image, roots, key, _Writers(form, old, new))


def attest(  # noqa: PLR0913 - each is named
    session: Session,
    image: str,
    key: Signer,
    predicate: bytes,
    *,
    kind: str,
    recursive: bool = False,
    form: SignatureFormat = SignatureFormat.BOTH,
) -> tuple[SignedImage, ...]:
    """Sign a statement about an image: an SBOM, a provenance, anything in JSON.

    Args:
        session: where the image is, and who the user is.
        image: as `find` takes it; a tag is resolved once.
        key: signs.
        predicate: JSON; it is kept unchanged.
        kind: a URI, or one of cosign's short names for `--type`.
        recursive: whether the same is stated about the manifests of an index.
        form: which formats are written.

    Raises:
        InvalidUsage: the kind is unknown, or the image is in an archive.
        InvalidDocument: the predicate is not JSON, or too large.
        NotFound, RegistryError, AccessDenied: the image or the registry cannot be reached.
    """
    uri = predicate_types(kind)[0]
    check_predicate(predicate)
    located = find(session, image)
    places = places_of(session, located, image)

    def old(root: Descriptor) -> None:
        for place in places:
            _attest_old(place, root, Statement.about(root.digest, uri, predicate), key)

    def new(root: Descriptor) -> None:
        for place in places:
            _put_bundle(place, root, Statement.about(root.digest, uri, predicate), key)

    roots = tuple(roots_of(located.source, located.root, recursive=recursive))
    return _carried_out(session, image, roots, key, _Writers(form, old, new))


@dataclass(frozen=True, slots=True)
class _Writers:
    """What writes one image's signature in each format."""

    form: SignatureFormat
    old: Callable[[Descriptor], None]
    new: Callable[[Descriptor], None]

    @property
    def wanted(self) -> tuple[Callable[[Descriptor], None], ...]:
        match self.form:
            case SignatureFormat.OLD:
                return (self.old,)
            case SignatureFormat.NEW:
                return (self.new,)
            case SignatureFormat.BOTH:
                return self.old, self.new


def _carried_out(
    session: Session, image: str, roots: tuple[Descriptor, ...], key: Signer, writers: _Writers
) -> tuple[SignedImage, ...]:
    """Write all signatures side by side: each is looked for again after it was written, which is mostly waiting."""
    public = key.public

    def one(task: tuple[Callable[[Descriptor], None], Descriptor]) -> None:
        session.checkpoint()
        write, root = task
        write(root)

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(one, [(write, root) for root in roots for write in writers.wanted]):
            pass
    return tuple(SignedImage(_named(image, root), root.digest, _formats(writers.form), public) for root in roots)


def check_predicate(predicate: bytes) -> None:
    """Refuse what is no predicate before anything is written.

    Raises:
        InvalidDocument: it is not JSON, or too large.
    """
    if len(predicate) > LARGEST_STATEMENT - (1 << 20):
        raise InvalidDocument("the predicate", f"{len(predicate)} bytes; the limit is {LARGEST_STATEMENT - (1 << 20)}")
    try:
        read = msgspec.json.decode(predicate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument("the predicate", f"not JSON: {error}") from error
    if not isinstance(read, dict):
        raise InvalidDocument("the predicate", "not a JSON object")
    if (
        read.get("_type", "").startswith("https://in-toto.io/Statement/")
        if isinstance(read.get("_type"), str)
        else False
    ):
        raise InvalidUsage(
            "the predicate is a whole in-toto statement", hint="give what is under its key `predicate`, in a file"
        )


def roots_of(source: BlobSource, root: Descriptor, *, recursive: bool, depth: int = 0) -> Iterator[Descriptor]:
    """Yield an image's root and, if asked, all manifests and indexes below it, each once."""
    if depth > DEEPEST:
        raise InvalidDocument(str(root.digest), f"nested more than {DEEPEST} documents deep")
    yield Descriptor(media_type=root.media_type, digest=root.digest, size=root.size)
    if recursive and root.media_type in media.INDEXES:
        for entry in Index.parse(read_whole(source, root), str(root.digest)).manifests:
            if entry.media_type in media.INDEXES | media.MANIFESTS:
                yield from roots_of(source, entry, recursive=True, depth=depth + 1)


def _put_bundle(place: Attachments, root: Descriptor, statement: Statement, key: Signer) -> Descriptor:
    payload = statement.encoded()
    envelope = Envelope.of(payload, key.sign(pae("application/vnd.in-toto+json", payload)))
    layer = place.add_blob(BUNDLE, SignatureBundle.by_key(envelope, key.public).encoded())
    return put_referrer(
        place,
        root,
        layer,
        {_CONTENT: "dsse-envelope", PREDICATE_TYPE: statement.predicate_type},
    )


def put_referrer(
    place: Attachments, root: Descriptor, layer: Descriptor, annotations: Mapping[str, str] | None = None
) -> Descriptor:
    """Attach one blob to an image as an artifact of the blob's own type."""
    manifest = Manifest(
        schema_version=2,
        media_type=media.OCI_MANIFEST,
        artifact_type=layer.media_type,
        config=place.add_blob(media.OCI_EMPTY, NO_CONFIG),
        layers=(layer,),
        subject=root,
        annotations=dict(annotations or {}),
    )
    return place.attach(manifest.encoded())


def _sign_old(place: Attachments, root: Descriptor, payload: SimpleSigning, key: Signer) -> None:
    document = payload.encoded()
    layer = place.add_blob(SIMPLE_SIGNING, document)
    signature = key.sign(document)
    signed = msgspec.structs.replace(layer, annotations={SIGNATURE: base64.b64encode(signature).decode()})

    def same(there: Descriptor) -> bool:
        try:
            found = base64.b64decode(there.annotations.get(SIGNATURE, ""))
        except ValueError:
            return False
        return there.digest == layer.digest and key.public.verifies(found, document)

    _append(place, f"{fallback_tag(root.digest)}.sig", signed, same)


def _attest_old(place: Attachments, root: Descriptor, statement: Statement, key: Signer) -> None:
    payload = statement.encoded()
    envelope = Envelope.of(payload, key.sign(pae("application/vnd.in-toto+json", payload)))
    layer = place.add_blob(DSSE_LAYER, envelope.encoded())
    annotations = {"predicateType": statement.predicate_type, SIGNATURE: ""}
    signed = msgspec.structs.replace(layer, annotations=annotations)
    _append(place, f"{fallback_tag(root.digest)}.att", signed, lambda there: there.digest == layer.digest)


def _append(place: Attachments, tag: str, layer: Descriptor, same: Callable[[Descriptor], bool]) -> None:
    """Add a layer to the manifest under a tag, unless it is there."""

    def change(current: bytes | None) -> bytes | None:
        layers = Manifest.parse(current, tag).stack if current is not None else ()
        if any(map(same, layers)):
            return None
        config = place.add_blob(media.OCI_CONFIG, signature_config((*layers, layer)))
        document = Manifest.of(config, (*layers, layer)).encoded()
        if len(document) > LARGEST:
            raise InvalidDocument(tag, f"{len(layers)} signatures fill the manifest", hint="delete the tag, sign again")
        return document

    place.amend(tag, change)


def signature_config(layers: tuple[Descriptor, ...]) -> bytes:
    """Write the config that cosign writes: of no platform, with the layers' digests as diff ids."""
    return msgspec.json.encode(
        {
            "architecture": "",
            "created": _EPOCH,
            "history": [{"created": _EPOCH}] * len(layers),
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [str.__str__(layer.digest) for layer in layers]},
            "config": {},
        }
    )


def _formats(form: SignatureFormat) -> tuple[str, ...]:
    return ("old", "new") if form is SignatureFormat.BOTH else (form.value,)


def _named(image: str, root: Descriptor) -> str:
    return f"{image.partition('@')[0]}@{root.digest}"
