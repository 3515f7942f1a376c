"""The older payload of signatures: cosign 1 and 2 store it under the tag `sha256-HEX.sig`.

Sources: cosign v2.6.5, specs/SIGNATURE_SPEC.md; containers/image, docs/containers-signature.5.md (the JSON's origin).
"""

from collections.abc import Mapping
from typing import Literal, Self

import msgspec

from wherry.digest import Digest
from wherry.errors import InvalidDocument
from wherry.typed import from_json

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
"""The annotation of a layer that holds the signature, in base64."""
CERTIFICATE = "dev.sigstore.cosign/certificate"
"""The annotation with the certificate of a signature that was made without a key."""
_LARGEST = 1 << 20


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    docker_reference: str = msgspec.field(name="docker-reference", default="")


class _SignedImage(msgspec.Struct, frozen=True, kw_only=True):
    digest: str = msgspec.field(name="docker-manifest-digest")


class _Critical(msgspec.Struct, frozen=True, kw_only=True):
    identity: _Identity
    image: _SignedImage
    type: Literal["cosign container image signature"]


class SimpleSigning(msgspec.Struct, frozen=True, kw_only=True):
    """Which image was signed, as what, and what the signer said besides."""

    critical: _Critical
    optional: dict[str, object] | None

    @classmethod
    def of(cls, digest: Digest, repository: str, annotations: Mapping[str, str]) -> Self:
        """Make the payload for an image."""
        return cls(
            critical=_Critical(
                identity=_Identity(docker_reference=repository),
                image=_SignedImage(digest=str.__str__(digest)),
                type="cosign container image signature",
            ),
            optional=dict(sorted(annotations.items())) or None,
        )

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read a payload.

        Raises:
            InvalidDocument: it is none.
        """
        if len(document) > _LARGEST:
            raise InvalidDocument(name, f"{len(document)} bytes; a payload has at most {_LARGEST}")
        try:
            return from_json(document, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidDocument(name, f"not the payload of a signature: {error}") from error

    @property
    def digest(self) -> str:
        """The digest of the image that was signed."""
        return self.critical.image.digest

    def encoded(self) -> bytes:
        """Write it down; the same value gives the same bytes."""
        return msgspec.json.encode(self)
