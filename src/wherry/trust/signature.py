"""The judge of signatures: which of those that an image has are by whom they should be, and why the others are not.

Two faults of cosign 3.1 are not repeated: a bundle that is not a signature (an SBOM, a provenance) does not make an
image signed, and a bundle by somebody else does not hide a good signature, in either format.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from wherry.digest import Digest
from wherry.errors import InvalidDocument
from wherry.trust.bundle import SignatureBundle
from wherry.trust.dsse import Envelope
from wherry.trust.keys import PublicKey
from wherry.trust.layer_certificate import CertifiedLayer
from wherry.trust.simple_signing import CERTIFICATE, SIGNATURE, SimpleSigning
from wherry.trust.statement import SIGNED, Statement


class SignatureAnswer(StrEnum):
    """What is said about an image, in words for machines."""

    SIGNED = "signed"
    NOT_SIGNED = "not-signed"
    BY_ANOTHER = "signed-by-another"
    COULD_NOT_ASK = "could-not-ask"


class Reason(StrEnum):
    """Why one signature counts or does not, in words for machines."""

    GOOD = "good"
    ANOTHER_SIGNER = "another-signer"
    ANOTHER_IMAGE = "another-image"
    ANNOTATIONS = "annotations"
    ATTESTATION = "attestation"
    """It states something else about the image."""
    MALFORMED = "malformed"


class SignatureForm(StrEnum):
    """Where a signature is stored, and how."""

    OLD = "old"
    """Under a tag such as `sha256-HEX.sig` or `.att`."""
    NEW = "new"
    """A Sigstore bundle, as a referrer."""


class IdentityJudge(Protocol):
    """Verifies what was signed with a certificate."""

    def check(self, bundle: bytes, name: str) -> str:
        """Verify a bundle; give the identity that signed.

        Raises:
            InvalidDocument: it is not by the identity that is wanted, or its proofs do not hold.
        """

    def check_layer(self, layer: CertifiedLayer, name: str) -> str:
        """Verify a signature or an attestation in the old format; as `check`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerNames:
    """Who must have signed, as a user writes it."""

    keys: tuple[str, ...] = ()
    """Public keys: a file, `env://NAME`, or `PLUGIN://RESOURCE`; any one of them is enough."""
    identity: str = ""
    """An email address or a URI, exactly."""
    pattern: str = ""
    """A regular expression that the whole identity has to match; instead of `identity`."""
    issuer: str = ""
    """URL of the OpenID provider."""
    trusted_root: str = ""
    """The file of the authorities and logs that are trusted."""

    @property
    def by_identity(self) -> bool:
        """Whether anything of an identity is named."""
        return bool(self.identity or self.pattern or self.issuer or self.trusted_root)

    def __str__(self) -> str:
        """Name them all."""
        by = f"{self.identity or self.pattern} ({self.issuer})" if self.by_identity else ""
        return ", ".join(filter(None, (*self.keys, by)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSigner:
    """Who must have signed."""

    keys: tuple[PublicKey, ...] = ()
    """Any one of them is enough."""
    identity: IdentityJudge | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    """What the signature has to say besides."""


@dataclass(frozen=True, slots=True)
class JudgedSignature:
    """One signature, and what is thought of it."""

    form: SignatureForm
    digest: str
    """Of the bundle's manifest, or of the layer below the tag."""
    reason: Reason
    problem: str = ""
    """For people; empty where it is good."""
    signer: str = ""
    """The key's name or the identity, where it is good."""
    annotations: Mapping[str, object] = field(default_factory=dict)
    """What it says besides, where it is good."""
    statement: Statement | None = field(default=None, repr=False)
    """Of an attestation that is good."""
    states: str = ""
    """The type of a statement that was not asked for."""


def answer_of(judged: Sequence[JudgedSignature], failures: Sequence[Exception]) -> SignatureAnswer:
    """Say what follows from all that was found."""
    reasons = {one.reason for one in judged}
    if Reason.GOOD in reasons:
        return SignatureAnswer.SIGNED
    if failures:
        return SignatureAnswer.COULD_NOT_ASK
    if reasons & {Reason.ANOTHER_SIGNER, Reason.ANNOTATIONS}:
        return SignatureAnswer.BY_ANOTHER
    return SignatureAnswer.NOT_SIGNED


def judge_layer(
    payload: bytes, annotations: Mapping[str, str], wanted: WantedSigner, *, image: Digest, layer: str
) -> JudgedSignature:
    """Judge a signature of the old form.

    Args:
        payload: the layer's bytes.
        annotations: of the layer's descriptor; they hold the signature.
        wanted: who must have signed.
        image: what must have been signed.
        layer: digest of the layer.
    """
    try:
        signature = base64.b64decode(annotations.get(SIGNATURE, ""), validate=True)
        signed = SimpleSigning.parse(payload, layer)
    except (binascii.Error, ValueError):
        return JudgedSignature(SignatureForm.OLD, layer, Reason.MALFORMED, "its signature is not base64")
    except InvalidDocument as error:
        return JudgedSignature(SignatureForm.OLD, layer, Reason.MALFORMED, error.problem)
    if signed.digest != image:
        return JudgedSignature(
            SignatureForm.OLD, layer, Reason.ANOTHER_IMAGE, f"it signs {signed.digest[:90]}, not this image"
        )
    key = next((key for key in wanted.keys if key.verifies(signature, payload)), None)
    signer = key.name if key else _layer_identity(wanted, payload, annotations, layer, envelope=False)
    if isinstance(signer, InvalidDocument):
        return JudgedSignature(SignatureForm.OLD, layer, Reason.ANOTHER_SIGNER, signer.problem)
    return _judged(SignatureForm.OLD, layer, signer, signed.optional or {}, wanted)


def judge_bundle(
    document: bytes,
    wanted: WantedSigner,
    *,
    image: Digest,
    manifest: str,
    predicate_types: Sequence[str] = (SIGNED,),
) -> JudgedSignature:
    """Judge a signature, or an attestation, in a Sigstore bundle.

    Args:
        document: the bundle.
        wanted: who must have signed.
        image: what it must be about.
        manifest: digest of the manifest that holds it.
        predicate_types: what it has to state; a signature is a statement too.
    """
    form = SignatureForm.NEW
    try:
        bundle = SignatureBundle.parse(document, manifest)
        statement = Statement.parse(bundle.dsse_envelope.payload, manifest)
    except InvalidDocument as error:
        return JudgedSignature(form, manifest, Reason.MALFORMED, error.problem)
    if (refused := _refused(form, manifest, statement, image, predicate_types)) is not None:
        return refused
    if bundle.has_certificate:
        signer = _identity(wanted, lambda judge: judge.check(document, manifest))
    else:
        signer = _key_name(wanted, bundle.dsse_envelope)
    if isinstance(signer, InvalidDocument):
        return JudgedSignature(form, manifest, Reason.ANOTHER_SIGNER, signer.problem)
    return _judged(form, manifest, signer, _said(statement, image), wanted, statement)


def judge_envelope(
    document: bytes,
    wanted: WantedSigner,
    *,
    image: Digest,
    layer: str,
    predicate_types: Sequence[str],
    annotations: Mapping[str, str] | None = None,
) -> JudgedSignature:
    """Judge an attestation of the old form: a DSSE envelope as a layer below the tag `.att`; arguments as above."""
    form = SignatureForm.OLD
    try:
        envelope = Envelope.parse(document, layer)
        statement = Statement.parse(envelope.payload, layer)
    except InvalidDocument as error:
        return JudgedSignature(form, layer, Reason.MALFORMED, error.problem)
    if (refused := _refused(form, layer, statement, image, predicate_types)) is not None:
        return refused
    signer = _key_name(wanted, envelope)
    if isinstance(signer, InvalidDocument):
        signer = _layer_identity(wanted, document, annotations or {}, layer, envelope=True)
    if isinstance(signer, InvalidDocument):
        return JudgedSignature(form, layer, Reason.ANOTHER_SIGNER, signer.problem)
    return _judged(form, layer, signer, _said(statement, image), wanted, statement)


def _refused(
    form: SignatureForm, place: str, statement: Statement, image: Digest, predicate_types: Sequence[str]
) -> JudgedSignature | None:
    if statement.subject_of(image) is None:
        about = ", ".join(f"{key}:{text}" for key, text in statement.subject[0].digest.items())[:90]
        return JudgedSignature(form, place, Reason.ANOTHER_IMAGE, f"it is about {about or 'nothing'}, not this image")
    if statement.predicate_type not in predicate_types:
        return other_statement(form, place, statement.predicate_type)
    return None


def other_statement(form: SignatureForm, place: str, states: str) -> JudgedSignature:
    """Judge a statement of another type than is asked for."""
    what = "a signature" if states == SIGNED else f"a statement of type {states[:100]}"
    return JudgedSignature(
        form,
        place,
        Reason.ATTESTATION,
        f"it is {what}, which was not asked for",
        states="" if states == SIGNED else states[:100],
    )


def _key_name(wanted: WantedSigner, envelope: Envelope) -> str | InvalidDocument:
    for key in wanted.keys:
        if key.verifies(envelope.signature, envelope.signed):
            return key.name
    return InvalidDocument("", _not_by(wanted))


def _identity(wanted: WantedSigner, check: Callable[[IdentityJudge], str]) -> str | InvalidDocument:
    if wanted.identity is None:
        return InvalidDocument("", "it was made with a certificate, not with a key")
    try:
        return check(wanted.identity)
    except InvalidDocument as error:
        return error


def _layer_identity(
    wanted: WantedSigner, content: bytes, annotations: Mapping[str, str], layer: str, *, envelope: bool
) -> str | InvalidDocument:
    if CERTIFICATE not in annotations:
        return InvalidDocument("", _not_by(wanted))

    def check(judge: IdentityJudge) -> str:
        return judge.check_layer(CertifiedLayer.parse(content, annotations, layer, envelope=envelope), layer)

    return _identity(wanted, check)


def _not_by(wanted: WantedSigner) -> str:
    if not wanted.keys:
        return "it was made with a key, not with a certificate"
    return f"it is not by {' or '.join(key.name for key in wanted.keys)}"


def _said(statement: Statement, image: Digest) -> Mapping[str, object]:
    subject = statement.subject_of(image)
    return subject.annotations if subject else {}


def _judged(
    form: SignatureForm,
    place: str,
    signer: str,
    said: Mapping[str, object],
    wanted: WantedSigner,
    statement: Statement | None = None,
) -> JudgedSignature:
    """Give a signature that verifies, unless it does not say what it has to."""
    for key, text in wanted.annotations.items():
        if said.get(key) != text:
            found = f"says {key}={said[key]!r}"[:120] if key in said else f"does not say {key}"
            return JudgedSignature(
                form, place, Reason.ANNOTATIONS, f"it is by {signer}, but {found}; {key}={text} is asked for"
            )
    return JudgedSignature(form, place, Reason.GOOD, "", signer, said, statement)
