"""A history in a registry: an OCI artifact of one gzip layer of JSON lines, under a tag, for CI.

Many jobs may merge into one tag: each adds its own entries to what is there, and looks again until they stay.
Sources: OCI image-spec v1.1.1, manifest.md "Guidelines for Artifact Usage".
"""

import gzip
import zlib
from io import BytesIO
from typing import Final

from wherry.app.attachments import NO_CONFIG
from wherry.app.history import ImportedHistory, export_history
from wherry.app.session import Session
from wherry.errors import InvalidDocument, NotFound
from wherry.history.database import HistoryDatabase
from wherry.history.exchange import MOST_BYTES, Exchange, read
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.oci.reference import SCHEME, Reference
from wherry.registry.referrers import RegistryAttachments

ARTIFACT: Final = "application/vnd.wherry.history.v1"
LAYER: Final = "application/vnd.wherry.history.v1+jsonl.gzip"
_LEVEL: Final = 9
_WINDOW: Final = 31
"""Of zlib: gzip, with its largest window."""


def pull_history(session: Session, name: str) -> Exchange:
    """Read the history under a reference.

    Raises:
        NotFound: there is nothing under it.
        InvalidDocument: it is no history.
        RegistryError, AccessDenied: the registry would not give it.
    """
    place, tag = _place(session, name)
    found = place.tagged(tag)
    if found is None:
        raise NotFound(f"{name}: no such artifact", hint=f"create it: wherry history merge {name}")
    return _read(session, place, found[1], name)


def push_history(session: Session, database: HistoryDatabase, name: str) -> str:
    """Write the own history under a reference, in place of what is there; give its digest."""
    place, tag = _place(session, name)
    document = _manifest(session, database, place)
    root = Descriptor.of(media.OCI_MANIFEST, document)
    place.tag(tag, root, document)
    return str(root.digest)


def merge_artifact(session: Session, database: HistoryDatabase, name: str) -> ImportedHistory:
    """Take in what is under a reference, and put all there is in its place; see `merge_history`."""
    place, tag = _place(session, name)
    done = ImportedHistory(name, 0, 0)
    written = b""

    def change(current: bytes | None) -> bytes | None:
        nonlocal done, written
        if current is not None and current == written:
            return None
        if current is not None:
            found = _read(session, place, current, name)
            own = {one.id for one in database.entries()}
            added = database.add(found.entries)
            done = ImportedHistory(name, len(found.entries), done.added + added, found.ahead, found.future)
            if own <= {one.id for one in found.entries}:
                return None  # nothing to add, or another writer added to ours
        written = _manifest(session, database, place)
        return written

    place.amend(tag, change)
    return done


def _place(session: Session, name: str) -> tuple[RegistryAttachments, str]:
    reference = Reference.parse(name.removeprefix(SCHEME), default_tag="history")
    return RegistryAttachments(session.registries.repository(reference)), reference.tag


def _manifest(session: Session, database: HistoryDatabase, place: RegistryAttachments) -> bytes:
    lines = b"".join(export_history(session, database))
    layer = place.add_blob(LAYER, gzip.compress(lines, _LEVEL, mtime=0))
    return Manifest(
        schema_version=2,
        media_type=media.OCI_MANIFEST,
        artifact_type=ARTIFACT,
        config=place.add_blob(media.OCI_EMPTY, NO_CONFIG),
        layers=(layer,),
    ).encoded()


def _read(session: Session, place: RegistryAttachments, document: bytes, name: str) -> Exchange:
    manifest = Manifest.parse(document, name)
    if manifest.artifact_type != ARTIFACT or len(manifest.stack) != 1:
        raise InvalidDocument(name, "is not a history; its type is not " + ARTIFACT)
    packed = b"".join(place.read(manifest.stack[0])) if manifest.stack[0].size <= MOST_BYTES else b""
    unpacker = zlib.decompressobj(_WINDOW)
    try:
        lines = unpacker.decompress(packed, MOST_BYTES + 1)
    except zlib.error as error:
        raise InvalidDocument(name, f"its layer is damaged: {error}") from error
    if len(lines) > MOST_BYTES or not packed:
        raise InvalidDocument(name, f"more than {MOST_BYTES} bytes, too large for a history")
    return read(BytesIO(lines), name, session.clock())
