"""Take an image's attachments along: referrers, their own referrers, and what the tags `.sig` and `.att` hold.

Digests do not change, so signatures hold where the image goes. Attachments that are at the destination already stay.
"""

from dataclasses import replace

import msgspec

from wherry.app.attachments import Attachments, attachments_at, attachments_of
from wherry.app.places import find, target_of
from wherry.app.progress import Progress, Silent
from wherry.app.session import Session
from wherry.app.signing import roots_of, signature_config
from wherry.app.transfer import NamedImage, copy
from wherry.counted import counted
from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.platform import Platform
from wherry.registry.referrers import fallback_tag
from wherry.store.contract import DEEPEST, BlobSink, read_whole, write_document
from wherry.store.copy import Transfer
from wherry.store.over import narrowed

TAGS = ("sig", "att")
"""Endings of the tags that hold attachments in cosign's old format; `.sbom`, which cosign gave up, is not taken."""


def copy_with_referrers(
    session: Session,
    source: str,
    target: str,
    *,
    platforms: tuple[Platform, ...] = (),
    progress: Progress | None = None,
) -> NamedImage:
    """Copy an image with all that is attached to it; arguments as `transfer.copy`.

    Raises:
        InvalidUsage: one end is an archive; nothing was copied.
        WherryError: what stopped it; the image may be there without all its attachments.
    """
    progress = progress or Silent()
    place = target_of(target)
    located = find(session, source)
    origin = attachments_of(session, located)
    attachments_at(session, place, "x")  # refuses an archive
    copied = copy(session, source, target, platforms=platforms, progress=progress)
    name = place.name if place.kind == "docker" else copied.name
    goal, sink = attachments_at(session, place, name)
    blobs, root = narrowed(located.source, located.root, platforms, source)
    with progress.step(f"copy attachments to {target}") as step:
        count = sum(_attached(origin, goal, sink, one, 0) for one in roots_of(blobs, root, recursive=True))
        step.done(counted(count, "attachment"))
    return replace(copied, basis=None)


def _attached(origin: Attachments, goal: Attachments, sink: BlobSink, subject: Descriptor, depth: int) -> int:
    """Copy what is attached to one digest, and what is attached to that; give how many."""
    if depth > DEEPEST:
        raise InvalidDocument(str(subject.digest), f"attachments of attachments, more than {DEEPEST} deep")
    count = 0
    for entry in origin.referrers(subject.digest):
        if entry.media_type not in media.MANIFESTS:
            continue
        plain = Descriptor(media_type=entry.media_type, digest=entry.digest, size=entry.size)
        document = read_whole(origin, plain)
        manifest = Manifest.parse(document, str(plain.digest))
        if manifest.subject is None or manifest.subject.digest != subject.digest:
            continue
        Transfer(source=origin, sink=sink).move(plain)
        goal.attach(document)
        count += 1 + _attached(origin, goal, sink, plain, depth + 1)
    for ending in TAGS:
        count += _tagged(origin, goal, sink, f"{fallback_tag(subject.digest)}.{ending}")
    return count


def _tagged(origin: Attachments, goal: Attachments, sink: BlobSink, tag: str) -> int:
    """Copy the layers that the manifest under a tag has, and the one at the goal has not."""
    found = origin.tagged(tag)
    if found is None or found[0].media_type not in media.MANIFESTS:
        return 0
    root, document = found
    ours = Manifest.parse(document, tag)
    Transfer(source=origin, sink=sink).move(root)

    def change(current: bytes | None) -> bytes | None:
        if current is None:
            return document
        theirs = Manifest.parse(current, tag)
        more = tuple(layer for layer in ours.stack if layer not in theirs.stack)
        return _joined(sink, theirs, more) if more else None

    goal.amend(tag, change)
    return len(ours.stack)


def _joined(sink: BlobSink, theirs: Manifest, more: tuple[Descriptor, ...]) -> bytes:
    """Add layers to a manifest in cosign's old format; its config lists their digests."""
    layers = (*theirs.stack, *more)
    config = write_document(sink, theirs.config.media_type, signature_config(layers))
    return msgspec.structs.replace(theirs, config=config, layers=layers).encoded()
