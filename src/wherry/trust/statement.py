"""In-toto statements: a predicate about subjects that are named by digest.

Sources: in-toto attestation v1.1, spec/v1/statement.md (v0.1 is read too); cosign v3.1.3, doc of `--type`, for the
short names of predicates.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import msgspec

from wherry.digest import Digest
from wherry.errors import InvalidDocument, InvalidUsage
from wherry.typed import from_json

STATEMENT = "https://in-toto.io/Statement/v1"
SIGNED = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a signature, as cosign 3 writes it; its predicate is empty."""
PREDICATES: Mapping[str, tuple[str, ...]] = {
    "slsaprovenance1": ("https://slsa.dev/provenance/v1",),
    "slsaprovenance": ("https://slsa.dev/provenance/v0.2",),
    "slsaprovenance02": ("https://slsa.dev/provenance/v0.2",),
    "spdx": ("https://spdx.dev/Document",),
    "spdxjson": ("https://spdx.dev/Document",),
    "cyclonedx": ("https://cyclonedx.org/bom",),
    "openvex": ("https://openvex.dev/ns", "https://openvex.dev/ns/v0.2.0"),
    "vuln": ("https://cosign.sigstore.dev/attestation/vuln/v1",),
    "vsa": ("https://slsa.dev/verification_summary/v1",),
    "custom": ("https://cosign.sigstore.dev/attestation/v1",),
}
"""URIs by the short names of `--type`, which are cosign's; the first is written, all are found."""
LARGEST_STATEMENT = 32 << 20
"""Bytes of a statement that is read: an SBOM of a large image is one."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2000}")


class StatementSubject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a statement is about."""

    name: str = ""
    digest: dict[str, str]
    annotations: dict[str, object] = {}


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A claim about artifacts."""

    type: Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"] = msgspec.field(
        name="_type", default="https://in-toto.io/Statement/v1"
    )
    subject: Annotated[tuple[StatementSubject, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    predicate_type: str
    predicate: msgspec.Raw = msgspec.Raw(b"{}")

    @classmethod
    def about(
        cls,
        digest: Digest,
        predicate_type: str,
        predicate: bytes = b"{}",
        *,
        annotations: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a statement about one image.

        Args:
            digest: of its manifest or index.
            predicate_type: a URI.
            predicate: JSON; it is written unchanged.
            annotations: what the signer says besides.
        """
        return cls(
            subject=(
                StatementSubject(
                    digest={digest.algorithm: digest.encoded},
                    annotations=dict(sorted((annotations or {}).items())),
                ),
            ),
            predicate_type=predicate_type,
            predicate=msgspec.Raw(predicate),
        )

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read a statement.

        Raises:
            InvalidDocument: it is invalid; the message has the path of the wrong key.
        """
        if len(document) > LARGEST_STATEMENT:
            raise InvalidDocument(name, f"{len(document)} bytes; the limit for statements is {LARGEST_STATEMENT}")
        try:
            return from_json(document, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidDocument(name, f"not an in-toto statement: {error}") from error

    def subject_of(self, digest: Digest) -> StatementSubject | None:
        """Find the subject with a digest; None: the statement is about something else."""
        return next((one for one in self.subject if one.digest.get(digest.algorithm) == digest.encoded), None)

    def encoded(self) -> bytes:
        """Write it down; the same value gives the same bytes."""
        return msgspec.json.encode(self)


def predicate_types(name: str) -> tuple[str, ...]:
    """Give the URIs of a `--type`: a short name, or a URI itself.

    Raises:
        InvalidUsage: it is neither.
    """
    if name in PREDICATES:
        return PREDICATES[name]
    if _URI.fullmatch(name):
        return (name,)
    raise InvalidUsage(
        f"{name[:100]!r} is not a type of attestation", hint=f"give a URI, or one of {', '.join(PREDICATES)}"
    )
