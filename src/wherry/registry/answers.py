"""What a registry's answers say: descriptors in headers, documents and tags in bodies.

Source: OCI distribution-spec v1.1.1, "Pulling manifests" and "Listing Tags".
"""

import json
from collections.abc import Iterator

from wherry.digest import Digest, InvalidDigest
from wherry.errors import InvalidDocument, SizeMismatch
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.reference import is_tag
from wherry.registry.client import Answer
from wherry.store.contract import CHUNK

DOCUMENTS = media.INDEXES | media.MANIFESTS
"""What is under `/manifests/`; all else is a blob."""
_PARTIAL = 206


def described(answer: Answer) -> Descriptor | None:
    """Read a HEAD; None where it does not say all."""
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        digest = Digest.parse(answer.headers.get("Docker-Content-Digest", ""))
    except InvalidDigest:
        return None
    if media_type not in DOCUMENTS or answer.length is None or not 0 < answer.length <= LARGEST:
        return None
    return Descriptor(media_type=media_type, digest=digest, size=answer.length)


def refuse_length(answer: Answer, blob: Descriptor, at: int, where: str) -> None:
    """Refuse a body that says it is longer than what was promised, before it is read."""
    if answer.length is None:
        return
    whole = answer.length + (at if answer.status == _PARTIAL else 0)
    if whole > blob.size:
        raise SizeMismatch(f"{where}@{blob.digest}", expected=blob.size, actual=whole)


def document_in(answer: Answer, what: str) -> bytes:
    """Read a document whole.

    Raises:
        InvalidDocument: it is longer than documents may be; no more of it was read.
        CutOff: it ended too early.
    """
    document = bytearray()
    for chunk in answer.chunks(CHUNK):
        document += chunk
        if len(document) > LARGEST:
            raise InvalidDocument(what, f"more than {LARGEST} bytes, the limit for documents")
    return bytes(document)


def hashed(document: bytes, algorithm: str) -> Digest:
    """Name bytes by one of the spec's algorithms."""
    state = Digest(f"{algorithm}:").hasher()
    state.update(document)
    return Digest.from_hash(state)


def tags_in(document: bytes, name: str) -> Iterator[str]:
    """Read a list of tags; a word that may not be one is passed over, so that what is printed can be pulled.

    Raises:
        InvalidDocument: it is invalid.
    """
    try:
        tags = json.loads(document).get("tags") or ()
    except (ValueError, AttributeError, RecursionError) as error:
        raise InvalidDocument(f"tags of {name}", "not a list of tags") from error
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str) and is_tag(tag):
            yield tag
