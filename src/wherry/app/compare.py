"""What grew between two programs or images, and by how much more than it may."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from wherry.analysis.diff import DiffDocument, FilesChange, WasteChange
from wherry.analysis.diff_images import difference, platforms_of
from wherry.app.session import Session
from wherry.app.sizes import size_of_any
from wherry.errors import NotFound
from wherry.settings.sizes import Growth


@dataclass(frozen=True, slots=True)
class Excess:
    """Something that grew by more than it may."""

    name: str
    grown: int
    """Bytes."""
    over: int
    """Bytes above the limit."""


def diff(session: Session, before: str, after: str, *, platform: str | None = None) -> DiffDocument:
    """Compare two programs or images: images by platform, programs by module, package and function.

    Args:
        session: where they are looked for.
        before: a program's file, or an image.
        after: the same.
        platform: of images with several, the only one to compare; None: all that both have.

    Returns:
        Sizes in bytes; `docs/reference/diff.md` describes the document.

    Raises:
        NotFound: one is not there, or they have no platform in common.
    """
    sides = [size_of_any(session, name, platform) for name in (before, after)]
    document = difference(*sides)
    if not document.binaries and not document.images:
        there = [platforms_of(side) for side in sides]
        raise NotFound(
            f"{before} and {after} have no platform in common",
            hint=f"{before} has {', '.join(there[0])}; {after} has {', '.join(there[1])}",
        )
    return with_files(session, document, before, after)


def with_files(session: Session, document: DiffDocument, before: str, after: str) -> DiffDocument:
    """Add what containers of two images see, and what is shipped in vain; a document of programs stays as it is."""
    if not document.images:
        return document
    from wherry.analysis.image.compare import content_at, files_change
    from wherry.analysis.image.union import Union
    from wherry.analysis.image.waste import Sizes, hidden_files, visible_files
    from wherry.app.images import open_image
    from wherry.app.layer_indexes import LayerIndexes

    kept = LayerIndexes.of(session)
    sides = [open_image(session, name) for name in (before, after)]
    images = [{str(image.platform): image for image in side.images()} for side in sides]

    same: set[tuple[str, str]] = set()

    def change(platform: str) -> tuple[FilesChange, WasteChange]:
        unions = [Union(kept.of_image(side.source, found[platform])) for side, found in zip(sides, images, strict=True)]
        sizes = [Sizes.of(union) for union in unions]
        hidden = [hidden_files(one, 0).bytes for one in sizes]
        twice = [visible_files(one, 0).duplicate_bytes for one in sizes]
        waste = WasteChange(before=hidden[0], after=hidden[1], duplicates_before=twice[0], duplicates_after=twice[1])
        paths = {one.path for one in document.binaries if one.platform == platform}
        same.update(
            (platform, path) for path in paths if path and content_at(unions[0], path) == content_at(unions[1], path)
        )
        return files_change(*unions), waste

    found = [(one, *change(one.platform)) for one in document.images]
    rows = (msgspec.structs.replace(one, files=files, waste=waste) for one, files, waste in found)
    # Of a program that is the same file, there is nothing to say: not even that it is not Go's.
    binaries = tuple(
        msgspec.structs.replace(one, notes=()) if (one.platform, one.path) in same else one for one in document.binaries
    )
    return msgspec.structs.replace(document, images=tuple(rows), binaries=binaries)


def beyond(document: DiffDocument, limit: Growth) -> Iterator[Excess]:
    """Give what grew by more than a limit: of images what is unpacked and what is pulled, else the program's file."""
    rows = [
        row
        for one in document.images
        for row in (
            (f"{one.platform} unpacked", one.before, one.after),
            (f"{one.platform} pulled", one.pulled_before, one.pulled_after),
        )
    ] or [(one.name_after or one.name_before, one.before, one.after) for one in document.binaries]
    for name, before, after in rows:
        over = after - limit.largest(before)
        if over > 0:
            yield Excess(name, after - before, over)
