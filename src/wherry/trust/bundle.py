"""Sigstore bundles: a statement, its signature, and what verifies it, in one JSON document.

Sources: sigstore protobuf-specs v0.5.1, sigstore_bundle.proto; cosign v3.1.3, specs/BUNDLE_SPEC.md.
"""

from typing import Annotated, Self

import msgspec

from wherry.errors import InvalidDocument
from wherry.trust.dsse import Envelope
from wherry.trust.keys import PublicKey
from wherry.trust.statement import LARGEST_STATEMENT
from wherry.typed import from_json

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""The media type that is written, of the document, its layer and its artifact."""
LARGEST_BUNDLE = LARGEST_STATEMENT * 3 // 2
"""Bytes of a bundle that is read; its statement is base64."""
_READ = r"\Aapplication/vnd\.dev\.sigstore\.bundle(\.v0\.[0-9]+\+json|\+json;version=0\.[0-9]+)\Z"


class _KeyHint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    hint: str = ""


class _Material(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    public_key: _KeyHint | None = None
    certificate: dict[str, object] | None = None
    x509_certificate_chain: dict[str, object] | None = msgspec.field(name="x509CertificateChain", default=None)


class SignatureBundle(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A statement that was signed by a key or, with a certificate, by an identity."""

    media_type: Annotated[str, msgspec.Meta(pattern=_READ)]
    verification_material: _Material
    dsse_envelope: Envelope

    @classmethod
    def by_key(cls, envelope: Envelope, key: PublicKey) -> Self:
        """Make the bundle of a signature by a key."""
        return cls(
            media_type=BUNDLE,
            verification_material=_Material(public_key=_KeyHint(hint=key.hint)),
            dsse_envelope=envelope,
        )

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read a bundle.

        Raises:
            InvalidDocument: it is none, or its envelope is none that is accepted.
        """
        if len(document) > LARGEST_BUNDLE:
            raise InvalidDocument(name, f"{len(document)} bytes; the limit for bundles is {LARGEST_BUNDLE}")
        try:
            bundle = from_json(document, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidDocument(name, f"not a Sigstore bundle with a statement: {error}") from error
        bundle.dsse_envelope.check(name)
        return bundle

    @property
    def has_certificate(self) -> bool:
        """Whether an identity signed, so that a trusted root is needed and no key."""
        material = self.verification_material
        return material.certificate is not None or material.x509_certificate_chain is not None

    def encoded(self) -> bytes:
        """Write it down."""
        return msgspec.json.encode(self)


def is_bundle(media_type: str) -> bool:
    """Report whether a media type is a bundle's, of any version."""
    return media_type.startswith("application/vnd.dev.sigstore.bundle")
