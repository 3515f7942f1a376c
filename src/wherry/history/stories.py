"""How an image came about: the call that made it, and what differs from the one before."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wherry.errors import InvalidUsage, NotFound
from wherry.history.database import HistoryDatabase, parsed
from wherry.history.entry import CallFigures, ImageFigures, StepFigures

_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")
_SHORT: Final = re.compile(r"sha256:[0-9a-f]{0,5}|[0-9a-f]{1,5}")


@dataclass(frozen=True, slots=True)
class FigureChange:
    """One thing that two builds differ in."""

    what: str
    """`commit`, `toolchain`, `base`, `dependency` or `package`."""
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ImageStory:
    """One platform of an image: who made it, and from what it differs."""

    image: ImageFigures
    entry: CallFigures
    """The call that built it first."""
    calls: int
    """How many calls named it, of any command."""
    unpacked: int | None
    before: ImageFigures | None = None
    """The image that had its name before."""
    before_at: float = 0.0
    changes: tuple[FigureChange, ...] = ()
    missed: tuple[StepFigures, ...] = ()
    """Steps that were done, with the reasons."""


def stories_of(database: HistoryDatabase, wanted: str) -> tuple[ImageStory, ...]:
    """Tell of every image whose digest, or index's digest, begins with some letters; or of the latest with a name.

    Raises:
        InvalidUsage: it is too short for a digest, and no name.
        NotFound: no build of the history has it.
    """
    if stories := tuple(story for digest in _latest(database, wanted) for story in _of_digest(database, digest)):
        return stories
    found = _DIGEST.fullmatch(wanted.rpartition("@")[2].lower())
    rows = _of_digest(database, found[1]) if found else ()
    if rows:
        return rows
    hint = "`wherry history` lists the names of images, `wherry history --json` has all digests"
    if found is None and _SHORT.fullmatch(wanted.lower()):
        raise InvalidUsage(f"{wanted[:100]}: too short for a digest", hint="give six hex digits of it or more")
    raise NotFound(f"{wanted[:200]}: no build of the history has this {'digest' if found else 'name'}", hint=hint)


def _latest(database: HistoryDatabase, name: str) -> list[str]:
    """Give the digests that a name was built to last, one a platform."""
    rows = database.ask(
        "SELECT substr(digest, 8), MAX(at) FROM images WHERE name IN (?, ?) AND pulled IS NOT NULL GROUP BY platform "
        "ORDER BY platform",
        (name, f"{name}:latest"),
    )
    return [str(digest) for digest, _ in rows]


def _of_digest(database: HistoryDatabase, start: str) -> tuple[ImageStory, ...]:
    low, high = f"sha256:{start}", f"sha256:{start}g"
    rows = database.ask(
        "SELECT i.digest, MIN(c.at), c.document, i.place FROM images i JOIN calls c ON c.id = i.call "
        "WHERE (i.digest >= ? AND i.digest < ? OR i.root >= ? AND i.root < ?) AND c.command IN ('build', 'resolve') "
        "GROUP BY i.digest, i.name ORDER BY 2",
        (low, high, low, high),
    )
    found = ((parsed(row[2]), int(str(row[3]))) for row in rows)
    return tuple(_story(database, entry, place) for entry, place in found if entry and place < len(entry.images))


def _story(database: HistoryDatabase, entry: CallFigures, place: int) -> ImageStory:
    image = entry.images[place]
    counted = database.ask("SELECT COUNT(DISTINCT call), MAX(unpacked) FROM images WHERE digest = ?", (image.digest,))
    before = database.ask(
        "SELECT c.document, c.at FROM images i JOIN calls c ON c.id = i.call WHERE i.name = ? AND i.platform = ? "
        "AND i.digest <> ? AND c.at < ? AND c.command IN ('build', 'resolve') ORDER BY c.at DESC LIMIT 1",
        (image.name, image.platform, image.digest, entry.at),
    )
    older = parsed(before[0][0]) if before else None
    old = next((one for one in older.images if _same(one, image)), None) if older else None
    return ImageStory(
        image=image,
        entry=entry,
        calls=int(str(counted[0][0])),
        unpacked=int(str(counted[0][1])) if counted[0][1] is not None else None,
        before=old,
        before_at=older.at if older else 0.0,
        changes=tuple(changes_between(database, older, entry, old, image)) if older else (),
        missed=tuple(one for one in steps_of(entry, image) if not one.cached),
    )


def steps_of(entry: CallFigures, image: ImageFigures | None) -> Iterator[StepFigures]:
    """Give the steps of a build that an image came about by, without those of the build's other platforms.

    A step that two platforms share has the name of none; of the steps of a Dockerfile that they don't share, all but
    the first platform's begin with theirs.
    """
    own = image.platform if image is not None else ""
    others = {one.platform for one in entry.images if one.platform and one.platform != own}
    if not own or not others:
        yield from entry.steps
        return
    names = {one.name for one in entry.steps}
    for one in entry.steps:
        words = one.name.lstrip("[").split()
        named = f"[{own} {one.name[1:]}" if one.name.startswith("[") else f"{own} {one.name}"
        if own in words or (others.isdisjoint(words) and named not in names):
            yield one


def _same(one: ImageFigures, other: ImageFigures) -> bool:
    return (one.name, one.platform) == (other.name, other.platform)


def changes_between(
    database: HistoryDatabase,
    before: CallFigures,
    after: CallFigures,
    old: ImageFigures | None,
    new: ImageFigures | None,
) -> Iterator[FigureChange]:
    """Say what two builds differ in, as far as both recorded it."""
    if before.revision and after.revision and before.revision != after.revision:
        yield FigureChange("commit", after.branch, before.revision[:12], after.revision[:12])
    if before.go and after.go and before.go != after.go:
        yield FigureChange("toolchain", "go", before.go, after.go)
    if before.requires and after.requires:
        yield from _required(before.requires, after.requires)
    if old is not None and new is not None:
        if old.base != new.base:
            yield FigureChange("base", "base", old.base, new.base)
        yield from _packages(database, old.digest, new.digest)


def _required(before: dict[str, str], after: dict[str, str]) -> Iterator[FigureChange]:
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path, ""), after.get(path, "")
        if was != now:
            yield FigureChange("dependency", path, was, now)


def _packages(database: HistoryDatabase, old: str, new: str) -> Iterator[FigureChange]:
    """Name the packages that changed most, where both programs were measured."""
    statement = "SELECT path, bytes FROM packages WHERE digest = ?"
    was = {str(path): int(str(size)) for path, size in database.ask(statement, (old,))}
    now = {str(path): int(str(size)) for path, size in database.ask(statement, (new,))}
    if not was or not now:
        return
    moved = {path: now.get(path, 0) - was.get(path, 0) for path in was.keys() & now.keys()}
    for path in sorted(moved, key=lambda one: -abs(moved[one]))[:5]:
        if moved[path]:
            yield FigureChange("package", path, str(was[path]), str(now[path]))
