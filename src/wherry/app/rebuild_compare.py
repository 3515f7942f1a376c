"""Two images, or two programs of images, compared platform by platform."""

from typing import TYPE_CHECKING

import msgspec

from wherry.analysis.difference import Compared
from wherry.app.images import open_image
from wherry.app.session import Session
from wherry.errors import NotFound
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.app.images import OpenImage
    from wherry.app.rebuild_recipe import RebuildRecipe


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry rebuild --json` prints."""

    version: int = 1
    identical: bool
    before: str
    """The image that was asked about, with its digest; or a program's path."""
    after: str
    """What it was compared with."""
    platforms: tuple[Compared, ...]
    notes: tuple[str, ...] = ()
    """What limits the answer."""


def compare(session: Session, before: str, after: str, *, platform: str | None = None) -> Rebuilt:
    """Compare two images, or two programs, without building.

    Args:
        session: where they are looked for.
        before: an image, or a program's file.
        after: the same.
        platform: of images with several, the only one to compare; None: all.

    Raises:
        NotFound: one is not there.
    """
    from wherry.app.subjects import is_program

    paths = session.cwd / before, session.cwd / after
    if all(map(is_program, paths)):
        from wherry.analysis.differing_programs import compare_files

        compared = compare_files(*paths, before)
        return Rebuilt(identical=not compared.differences, before=before, after=after, platforms=(compared,))
    return compared_images(open_image(session, before), open_image(session, after), platform, ())


def compared_programs(
    before: "OpenImage", after: "OpenImage", platform: str | None, recipe: "RebuildRecipe"
) -> Rebuilt:
    """Compare the one program of an image without a recipe with its rebuild."""
    from wherry.app.rebuild_program import compare_only_programs

    images = before.images(Platform.parse(platform) if platform else None)
    compared = compare_only_programs(before, after, images)
    return Rebuilt(
        identical=all(not one.differences for one in compared),
        before=f"{before.name}@{before.digest} {recipe.program}",
        after="the same program, built again",
        platforms=compared,
        notes=recipe.notes,
    )


def compared_images(before: "OpenImage", after: "OpenImage", platform: str | None, notes: tuple[str, ...]) -> Rebuilt:
    """Compare the platforms that both images have; one that only one has is a difference.

    Raises:
        NotFound: they have no platform in common.
    """
    from wherry.analysis.differing_images import compare_images

    wanted = Platform.parse(platform) if platform else None
    sides = [{str(image.platform): image for image in one.images(wanted)} for one in (before, after)]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared and len(sides[0]) == len(sides[1]) == 1:
        pairs = [(next(iter(sides[0].values())), next(iter(sides[1].values())))]
    elif not shared:
        raise NotFound(
            f"{before.name} and {after.name} have no platform in common",
            hint=f"{before.name} has {', '.join(sides[0])}; {after.name} has {', '.join(sides[1])}",
        )
    else:
        pairs = [(sides[0][name], sides[1][name]) for name in shared]
    compared = tuple(compare_images((before.source, one), (after.source, other)) for one, other in pairs)
    alone = [name for name in (*sides[0], *sides[1]) if (name in sides[0]) != (name in sides[1])] if shared else []
    same = not alone and all(not one.differences for one in compared)
    if alone:
        notes = (*notes, f"only in one of them: {', '.join(alone)}")
    return Rebuilt(
        identical=same, before=f"{before.name}@{before.digest}", after=f"{after.name}@{after.digest}",
        platforms=compared, notes=notes,
    )  # fmt: skip
