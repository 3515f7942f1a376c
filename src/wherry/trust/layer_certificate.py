"""Signatures with a certificate in the old format of cosign: annotations of a layer, written again as a bundle.

What the log gave is a promise (a signed entry timestamp) that the entry is in it; a proof of inclusion is not stored in
this format. So the bundle that is written here has a placeholder for the proof, and whoever verifies it has to verify
the promise in its place.
Sources: cosign v2.6.5, pkg/oci/static/annotations.go, pkg/cosign/bundle/rekor.go; sigstore protobuf-specs v0.5.1.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

import msgspec

from wherry.errors import InvalidDocument
from wherry.trust.bundle import BUNDLE
from wherry.trust.simple_signing import CERTIFICATE, SIGNATURE
from wherry.typed import from_json

LOGGED = "dev.sigstore.cosign/bundle"
"""The annotation with the transparency log's entry."""
_LARGEST = 1 << 16
"""Bytes of one annotation that is read; those of cosign have 2 to 5 kB."""
_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_NO_PROOF = {
    "logIndex": "0",
    "rootHash": base64.b64encode(bytes(32)).decode(),
    "treeSize": "1",
    "hashes": [],
    "checkpoint": {"envelope": "not stored in this format"},
}


class _LoggedPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    body: bytes
    integrated_time: Annotated[int, msgspec.Meta(ge=1)]
    log_index: Annotated[int, msgspec.Meta(ge=0)]
    log_id: str = msgspec.field(name="logID")


class _Logged(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    signed_entry_timestamp: bytes
    payload: _LoggedPayload


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str
    api_version: str


@dataclass(frozen=True, slots=True)
class CertifiedLayer:
    """A payload, or an envelope, that an identity signed."""

    content: bytes
    """The layer: what was signed, or a DSSE envelope with it."""
    envelope: bool
    bundle: bytes
    """The same as a Sigstore bundle, with a placeholder for the proof of inclusion."""

    @classmethod
    def parse(cls, content: bytes, annotations: Mapping[str, str], name: str, *, envelope: bool) -> Self:
        """Read the annotations of a layer.

        Args:
            content: the layer.
            annotations: of its descriptor.
            name: what the user knows it by.
            envelope: whether the layer is a DSSE envelope, which has its signature inside.

        Raises:
            InvalidDocument: the certificate or the log's entry is missing or malformed.
        """
        entry = annotations.get(LOGGED, "")
        if not entry:
            raise InvalidDocument(
                name, "it was made with a certificate, and nothing shows that a transparency log has it"
            )
        certificate = _pem(annotations.get(CERTIFICATE, ""), name)
        if len(entry) > _LARGEST:
            raise InvalidDocument(name, f"an entry of a log with {len(entry)} bytes; at most {_LARGEST} are read")
        try:
            logged = from_json(entry, _Logged)
            kind = from_json(logged.payload.body, _Entry)
            log_id = bytes.fromhex(logged.payload.log_id)
            message = _envelope(content) if envelope else _message(content, annotations.get(SIGNATURE, ""))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise InvalidDocument(name, f"not the entry of a transparency log: {error}") from error
        row = {
            "logIndex": str(logged.payload.log_index),
            "logId": {"keyId": _b64(log_id)},
            "kindVersion": {"kind": kind.kind, "version": kind.api_version},
            "integratedTime": str(logged.payload.integrated_time),
            "inclusionPromise": {"signedEntryTimestamp": _b64(logged.signed_entry_timestamp)},
            "inclusionProof": _NO_PROOF,
            "canonicalizedBody": _b64(logged.payload.body),
        }
        material = {"certificate": {"rawBytes": _b64(certificate)}, "tlogEntries": [row]}
        return cls(
            content,
            envelope,
            msgspec.json.encode({"mediaType": BUNDLE, "verificationMaterial": material, **message}),
        )


def _message(content: bytes, signature: str) -> dict[str, object]:
    digest = {"algorithm": "SHA2_256", "digest": _b64(hashlib.sha256(content).digest())}
    return {
        "messageSignature": {
            "messageDigest": digest,
            "signature": _b64(base64.b64decode(signature, validate=True)),
        }
    }


def _envelope(content: bytes) -> dict[str, object]:
    return {"dsseEnvelope": msgspec.Raw(content)}


def _pem(text: str, name: str) -> bytes:
    found = _PEM.fullmatch(text) if len(text) <= _LARGEST else None
    try:
        if found:
            return base64.b64decode("".join(found[1].split()), validate=True)
    except binascii.Error:
        pass
    raise InvalidDocument(name, "its certificate is not one certificate in PEM")


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
