"""What grew between two programs or images, and by how much more than it may."""

from collections.abc import Iterator
from dataclasses import dataclass

from wherry.analysis.diff import DiffDocument
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
    return document


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
