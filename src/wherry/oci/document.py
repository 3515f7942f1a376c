"""JSON documents to typed values and back, byte for byte the same each time.

Source: OCI image-spec v1.1.1, canonicalization.md; RFC 8259.
"""

from typing import TypeVar

import msgspec

from wherry.digest import Digest, InvalidDigest
from wherry.errors import InvalidDocument
from wherry.typed import from_json

T = TypeVar("T")

LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest, index or config we read.

Source: OCI distribution-spec v1.1.1, "Pushing Manifests": what every registry should accept.
"""


def encode(document: object) -> bytes:
    """Write a document: struct fields in their order, mappings by key, no white space."""
    return msgspec.json.encode(document, enc_hook=_to_json, order="deterministic")


def decode(document: bytes, shape: type[T], name: str) -> T:
    """Read a document; unknown keys are ignored, as the spec asks.

    Args:
        document: UTF-8 JSON.
        shape: the struct to give.
        name: what the reader knows the document by; it starts the message.

    Raises:
        InvalidDocument: a key is missing or wrong; the message has its path, such
            as `index.json: expected int >= 0 at $.manifests[3].size`.
    """
    if len(document) > LARGEST:
        raise InvalidDocument(name, f"{len(document)} bytes; the limit for documents is {LARGEST}")
    try:
        return from_json(document, shape, _from_json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(name, str(error)) from error


def _to_json(value: object) -> object:
    if isinstance(value, Digest):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} is not part of an OCI document")


def _from_json(shape: type, value: object) -> object:
    if shape is not Digest or not isinstance(value, str):
        raise TypeError(f"{shape.__name__} is not part of an OCI document")
    try:
        return Digest.parse(value)
    except InvalidDigest as error:
        raise ValueError(error.message) from error
