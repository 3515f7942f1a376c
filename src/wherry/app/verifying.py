"""Verify the signatures and attestations of images: both formats of cosign, by key or by identity, offline.

Three answers besides "signed", each with a word for machines and an exit code: nothing that is a signature of this
image is there; there are signatures, and none is by whom it should be; the place would not say.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from wherry.app.attachments import Attachments, attachments_of, registry_of
from wherry.app.places import find
from wherry.app.session import Session
from wherry.app.signing import DSSE_LAYER, PREDICATE_TYPE, roots_of
from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch, InvalidDocument, NotFound, SizeMismatch, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.manifest import Manifest
from wherry.registry.referrers import fallback_tag
from wherry.store.contract import read_whole
from wherry.store.find import Located
from wherry.trust.bundle import LARGEST_BUNDLE, is_bundle
from wherry.trust.signature import (
    JudgedSignature,
    Reason,
    SignatureAnswer,
    SignatureForm,
    WantedSigner,
    answer_of,
    judge_bundle,
    judge_envelope,
    judge_layer,
    other_statement,
)
from wherry.trust.simple_signing import SIMPLE_SIGNING
from wherry.trust.statement import SIGNED, predicate_types

MOST = 1000
"""Attachments of one image that are read: whoever may push can add any number."""
_SMALL = 1 << 20
"""Bytes of the payload of a signature in the old format."""
_UNTYPED = frozenset({"", media.OCI_EMPTY, media.OCI_CONFIG, media.DOCKER_CONFIG})
"""Types of an entry that say nothing: older tools write the config's; the manifest is read then."""
EXIT_CODES = {
    SignatureAnswer.SIGNED: 0,
    SignatureAnswer.NOT_SIGNED: 1,
    SignatureAnswer.BY_ANOTHER: 4,
    SignatureAnswer.COULD_NOT_ASK: 69,
}
"""Exit codes of `verify` and `verify-attestation`, and of what asks for a signature first."""


class NotVerified(WherryError):
    """An image has no signature that is good enough; nothing was done with it."""

    def __init__(self, verified: "VerifiedImage", *, statements: bool = False) -> None:
        unsigned = statements and verified.answer is SignatureAnswer.NOT_SIGNED
        hint = _NO_STATEMENT if unsigned else _HINTS[verified.answer]
        super().__init__(f"{verified.name}: {verified.answer}{_because(verified, statements=statements)}", hint=hint)
        self.verified = verified
        self.exit_code = EXIT_CODES[verified.answer]


_NO_STATEMENT = "no statement of this type is signed: wherry attest --key KEY --type TYPE --predicate FILE IMAGE"
_HINTS = {
    SignatureAnswer.SIGNED: "",
    SignatureAnswer.NOT_SIGNED: "sign it: wherry sign --key KEY IMAGE; an SBOM does not make an image signed",
    SignatureAnswer.BY_ANOTHER: "check the key, the identity and the annotations that are asked for",
    SignatureAnswer.COULD_NOT_ASK: "check the registry and the log-in; nothing is known about signatures",
}


@dataclass(frozen=True, slots=True)
class VerifiedImage:
    """What is said about one manifest or index."""

    name: str
    """As it was called, with its digest."""
    root: Descriptor
    answer: SignatureAnswer
    signatures: tuple[JudgedSignature, ...]
    """All that were looked at, the good ones first."""
    failures: tuple[WherryError, ...] = field(default=(), repr=False)
    """What could not be read."""

    @property
    def digest(self) -> Digest:
        """The digest that was verified."""
        return self.root.digest

    @property
    def good(self) -> tuple[JudgedSignature, ...]:
        """The signatures that count."""
        return tuple(one for one in self.signatures if one.reason is Reason.GOOD)


def verify(session: Session, image: str, wanted: WantedSigner, *, recursive: bool = False) -> tuple[VerifiedImage, ...]:
    """Verify that an image is signed.

    Args:
        session: where the image is, and who the user is.
        image: as `find` takes it; a tag is resolved once, and the answer is about that digest. Signatures of an image
            of the local store are looked for there, then in the registry that its name names.
        wanted: who must have signed.
        recursive: whether each manifest of an index must be signed as well.

    Returns:
        One answer for the image, and with `recursive` one for each manifest below it. A place that would not even say
        what the tag stands for is an answer too.

    Raises:
        NotFound: there is no such image.
    """
    return _each(session, image, lambda place, root: _signatures(place, root, wanted), recursive=recursive)


def verify_attestation(
    session: Session, image: str, wanted: WantedSigner, *, kind: str, recursive: bool = False
) -> tuple[VerifiedImage, ...]:
    """Verify that an image has a signed statement of a kind; the good ones hold it.

    Args:
        session: where the image is, and who the user is.
        image: as for `verify`.
        wanted: who must have signed.
        kind: a URI, or one of cosign's short names for `--type`.
        recursive: as for `verify`.

    Raises:
        InvalidUsage: the kind is unknown.
        NotFound: there is no such image.
    """
    types = predicate_types(kind)
    return _each(session, image, lambda place, root: _attestations(place, root, wanted, types), recursive=recursive)


def verify_located(session: Session, located: Located, wanted: WantedSigner) -> VerifiedImage:
    """Verify an image that was found already, by the digest it was found with.

    Raises:
        NotVerified: it is not signed as it should be, or the place would not say.
    """
    try:
        place = attachments_of(session, located)
        verified = _answered(located.name, located.root, _signatures(place, located.root, wanted))
    except WherryError as error:
        verified = VerifiedImage(located.name, located.root, SignatureAnswer.COULD_NOT_ASK, (), (error,))
    if verified.answer is not SignatureAnswer.SIGNED:
        raise NotVerified(verified)
    return verified


_Found = Iterator[JudgedSignature | WherryError]


def _each(
    session: Session, image: str, judged: "Callable[[Attachments, Descriptor], _Found]", *, recursive: bool
) -> tuple[VerifiedImage, ...]:
    nothing = Descriptor(media_type=media.OCI_MANIFEST, digest=Digest.of(b""), size=0)
    try:
        located = find(session, image)
        place, elsewhere = attachments_of(session, located), registry_of(session, located, image)
        roots = tuple(roots_of(located.source, located.root, recursive=recursive))
    except NotFound:
        raise
    except WherryError as error:
        if error.exit_code not in {69, 77}:
            raise
        return (VerifiedImage(image, nothing, SignatureAnswer.COULD_NOT_ASK, (), (error,)),)
    verified = []
    for root in roots:
        session.checkpoint()
        name = f"{image.partition('@')[0]}@{root.digest}"
        answer = _answered(name, root, judged(place, root))
        if elsewhere is not None and answer.answer is not SignatureAnswer.SIGNED:
            answer = _answered(name, root, chain(answer.signatures, answer.failures, judged(elsewhere, root)))
        verified.append(answer)
    return tuple(verified)


def _answered(name: str, root: Descriptor, found: _Found) -> VerifiedImage:
    judged: list[JudgedSignature] = []
    failures: list[WherryError] = []
    for one in found:
        (judged if isinstance(one, JudgedSignature) else failures).append(one)  # type: ignore[arg-type]  # parted by the test
    judged.sort(key=lambda one: one.reason is not Reason.GOOD)
    return VerifiedImage(name, root, answer_of(judged, failures), tuple(judged), tuple(failures))


def _signatures(place: Attachments, root: Descriptor, wanted: WantedSigner) -> _Found:
    """Judge all that may be signatures, in both formats; what could not be read is yielded as its error."""
    yield from _bundles(place, root, wanted, (SIGNED,))
    for layer, payload in _layers(place, f"{fallback_tag(root.digest)}.sig", SIMPLE_SIGNING, _SMALL):
        if isinstance(payload, WherryError):
            yield _unread(SignatureForm.OLD, layer, payload)
        else:
            yield judge_layer(payload, layer.annotations, wanted, image=root.digest, layer=str(layer.digest))


def _attestations(place: Attachments, root: Descriptor, wanted: WantedSigner, types: Sequence[str]) -> _Found:
    yield from _bundles(place, root, wanted, types)
    for layer, payload in _layers(place, f"{fallback_tag(root.digest)}.att", DSSE_LAYER, LARGEST_BUNDLE):
        if isinstance(payload, WherryError):
            yield _unread(SignatureForm.OLD, layer, payload)
        else:
            yield judge_envelope(
                payload,
                wanted,
                image=root.digest,
                layer=str(layer.digest),
                predicate_types=types,
                annotations=layer.annotations,
            )


def _bundles(place: Attachments, root: Descriptor, wanted: WantedSigner, types: Sequence[str]) -> _Found:
    try:
        listed = place.referrers(root.digest)
    except WherryError as error:
        yield error
        return
    if len(listed) > MOST:
        yield InvalidDocument(str(root.digest), f"{len(listed)} attachments; at most {MOST} are read")
    for entry in listed[:MOST]:
        kind = entry.artifact_type or ""
        if entry.media_type in media.MANIFESTS and (kind in _UNTYPED or is_bundle(kind)):
            yield from _bundle(place, root, entry, wanted, types)


def _bundle(
    place: Attachments, root: Descriptor, entry: Descriptor, wanted: WantedSigner, types: Sequence[str]
) -> _Found:
    try:
        manifest = Manifest.parse(read_whole(place, entry), str(entry.digest))
        layer = next((one for one in manifest.stack if is_bundle(one.media_type)), None)
        if layer is None:
            return
        if (refused := _unfit(root, entry, manifest, types)) is not None:
            yield refused
            return
        document = _read(place, layer, LARGEST_BUNDLE)
    except WherryError as error:
        yield _unread(SignatureForm.NEW, entry, error)
        return
    yield judge_bundle(document, wanted, image=root.digest, manifest=str(entry.digest), predicate_types=types)


def _unfit(root: Descriptor, entry: Descriptor, manifest: Manifest, types: Sequence[str]) -> JudgedSignature | None:
    """Judge a manifest by what it says of itself: so an SBOM of megabytes is not read to learn that it is one."""
    form, digest = SignatureForm.NEW, str(entry.digest)
    if manifest.subject is None or manifest.subject.digest != root.digest:
        subject = manifest.subject.digest if manifest.subject else "nothing"
        return JudgedSignature(form, digest, Reason.ANOTHER_IMAGE, f"it is attached to {subject}, not to this image")
    states = manifest.annotations.get(PREDICATE_TYPE, "")
    if states and states not in types:
        return other_statement(form, digest, states)
    return None


def _layers(
    place: Attachments, tag: str, media_type: str, limit: int
) -> Iterator[tuple[Descriptor, bytes | WherryError]]:
    """Read the layers of the manifest under a tag; an error stands for what could not be read."""
    unknown = Descriptor(media_type=media_type, digest=Digest.of(b""), size=0)
    try:
        found = place.tagged(tag)
        layers = Manifest.parse(found[1], tag).stack if found else ()
    except WherryError as error:
        yield unknown, error
        return
    for layer in layers[:MOST]:
        if layer.media_type != media_type:
            continue
        try:
            yield layer, _read(place, layer, limit)
        except WherryError as error:
            yield layer, error


def _read(place: Attachments, blob: Descriptor, limit: int) -> bytes:
    if blob.size > limit:
        raise InvalidDocument(str(blob.digest), f"{blob.size} bytes; at most {limit} are read")
    return read_whole(place, blob) if blob.size <= LARGEST else b"".join(place.read(blob))


def _unread(form: SignatureForm, blob: Descriptor, error: WherryError) -> JudgedSignature | WherryError:
    """Tell what is broken from what could not be asked for."""
    if isinstance(error, BlobMissing | InvalidDocument | DigestMismatch | SizeMismatch):
        return JudgedSignature(form, str(blob.digest), Reason.MALFORMED, error.message)
    return error


def _because(verified: VerifiedImage, *, statements: bool) -> str:
    """Name up to three reasons; statements of other types are counted among them only where there is nothing else."""
    said = list(dict.fromkeys(error.message for error in verified.failures)) or [
        f"{one.form} signature {Digest(one.digest).short}: {one.problem}"
        for one in verified.signatures
        if one.reason is not Reason.ATTESTATION
    ]
    more = f"; and {len(said) - 3} more" if len(said) > 3 else ""  # noqa: PLR2004 - as the docstring says
    if said:
        return f": {'; '.join(said[:3])}{more}"
    nothing = "no statement of this type is there" if statements else "no signature is there"
    others = sorted({one.states for one in verified.signatures if one.states})
    return f": {nothing}, only statements of other types: {', '.join(others)[:300]}" if others else f": {nothing}"
