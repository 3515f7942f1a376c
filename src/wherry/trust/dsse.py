"""DSSE envelopes: a payload, its type, and a signature over both.

Sources: DSSE v1.0.2, envelope.md and protocol.md (PAE); sigstore protobuf-specs v0.5.1, sigstore_bundle.proto (an
envelope in a bundle has exactly one signature).
"""

from typing import Self

import msgspec

from wherry.errors import InvalidDocument
from wherry.typed import from_json

INTOTO = "application/vnd.in-toto+json"
"""The payload type of in-toto statements; no other is accepted."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Give the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class DsseSignature(msgspec.Struct, frozen=True):
    """A signature; a key id is read over, since it proves nothing, and never written: cosign finds none with one."""

    sig: bytes


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A signed payload."""

    payload: bytes
    payload_type: str
    signatures: tuple[DsseSignature, ...]

    @classmethod
    def of(cls, payload: bytes, signature: bytes) -> Self:
        """Wrap a statement with its one signature."""
        return cls(payload, INTOTO, (DsseSignature(signature),))

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read an envelope.

        Raises:
            InvalidDocument: it is none, its payload is not a statement, or it has not exactly one signature.
        """
        try:
            envelope = from_json(document, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidDocument(name, f"not a DSSE envelope: {error}") from error
        envelope.check(name)
        return envelope

    def check(self, name: str) -> None:
        """Refuse what no signature of ours has.

        Raises:
            InvalidDocument: as `parse`.
        """
        if self.payload_type != INTOTO:
            raise InvalidDocument(name, f"payload type {self.payload_type[:100]!r}; only {INTOTO} is accepted")
        if len(self.signatures) != 1:
            raise InvalidDocument(name, f"{len(self.signatures)} signatures; an envelope has exactly one")

    @property
    def signature(self) -> bytes:
        """The one signature."""
        return self.signatures[0].sig

    @property
    def signed(self) -> bytes:
        """The bytes that were signed."""
        return pae(self.payload_type, self.payload)

    def encoded(self) -> bytes:
        """Write it down."""
        return msgspec.json.encode(self)
