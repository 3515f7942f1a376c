"""`wherry diff`, carried out: both measured or remembered, compared, and judged where that was asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from wherry.analysis.diff import DiffDocument
from wherry.analysis.diff_images import difference, platforms_of
from wherry.cli.sizing import size_of_any
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound
from wherry.settings.sizes import Growth, parse_growth


def say_difference(world: World, options: Mapping[str, Any]) -> int:
    """Carry `wherry diff` out.

    Raises:
        NotFound: one of the two is not there, or they have no platform in common.
    """
    limit = _limit(options["fail_on"])
    document = compared(world, options["before"], options["after"], options["platform"])
    if options["as_json"]:
        world.say(msgspec.json.encode(document).decode())
    else:
        from wherry.report.diff import lines_of, markdown_of

        write = markdown_of if options["markdown"] else lines_of
        by = options["by"] if document.binaries else "layer"
        for line in write(document, by=by, most=options["top"]):
            world.say(line)
    broken = list(_above(document, limit)) if limit else []
    for line in broken:
        world.note(line)
    return 1 if broken else 0


def compared(world: World, before: str, after: str, platform: str | None = None) -> DiffDocument:
    """Compare two programs or images by name.

    Raises:
        NotFound: one is not there, or they have no platform in common.
    """
    sides = [size_of_any(world, name, platform) for name in (before, after)]
    document = difference(*sides)
    if not document.binaries and not document.images:
        there = [platforms_of(side) for side in sides]
        raise NotFound(
            f"{before} and {after} have no platform in common",
            hint=f"{before} has {', '.join(there[0])}; {after} has {', '.join(there[1])}",
        )
    return document


def _limit(text: str | None) -> Growth | None:
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if name != "growth" or not equals:
        raise InvalidUsage(f"--fail-on {text}: unknown", hint="write it as --fail-on growth=200kB or growth=2%")
    return parse_growth(value)


def _above(document: DiffDocument, limit: Growth) -> Iterator[str]:
    """Say what grew by more than it may."""
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
            yield f"{name}: grew by {after - before} bytes, {over} more than {limit} allow"
