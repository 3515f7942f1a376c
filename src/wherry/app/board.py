"""What the board shows: the figures of the history, by image and by kind, with what was before and what is meant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from wherry.app.board_cluster import BoardCluster, cluster_of
from wherry.history.database import HistoryDatabase, parsed
from wherry.history.entry import CallFigures, ImageFigures
from wherry.history.stories import FigureChange, changes_between, steps_of
from wherry.history.trends import (
    PULLED,
    UNPACKED,
    Change,
    Jump,
    Metric,
    Point,
    change_of,
    jumps_of,
    metrics_of,
    points_of,
)

IMAGES: Final = 12
"""Images that have charts; the others have a row."""
JUMPS: Final = 20
"""Latest jumps of an image that are explained."""
STEPS: Final = 12
_FIRST: Final = ("node-pull-seconds", "pull-seconds", "memory", "oom", "build-seconds", "hits")
"""Metrics that come first in the comparison of before and after; then the images, then the others."""


@dataclass(frozen=True, slots=True)
class ExplainedJump:
    """A jump of an image's bytes, and what changed with it."""

    jump: Jump
    changes: tuple[FigureChange, ...]
    reasons: tuple[str, ...]
    """Why steps of the later build were not cached."""


@dataclass(frozen=True, slots=True)
class SizePart:
    """A part of an image's bytes over time."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class BoardImage:
    """One platform of an image over time."""

    name: str
    platform: str
    builds: int
    pulled: Metric
    unpacked: Metric | None
    pulled_parts: tuple[SizePart, ...]
    unpacked_parts: tuple[SizePart, ...]
    jumps: tuple[ExplainedJump, ...]
    packages: tuple[tuple[str, int], ...]
    """The largest packages of the latest program that was measured."""


@dataclass(frozen=True, slots=True)
class BoardStep:
    """A step of builds over time, where it was done."""

    name: str
    median: float
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class BoardBudget:
    """A budget as the latest build found it."""

    image: str
    platform: str
    what: str
    limit: int
    actual: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Board:
    """All of it."""

    calls: int
    of_clusters: int
    """Of them, figures of clusters."""
    machines: int
    first: float
    last: float
    failed: int
    metrics: tuple[Metric, ...]
    changes: tuple[Change, ...]
    """The comparison of before and after, of all metrics and the first images."""
    titles: tuple[str, ...]
    """What each of them is of."""
    images: tuple[BoardImage, ...]
    others: tuple[tuple[str, str, int], ...]
    """Images without charts: name, platform, builds."""
    steps: tuple[BoardStep, ...]
    budgets: tuple[BoardBudget, ...]
    cluster: BoardCluster
    split: float | None = None


def board_of(database: HistoryDatabase, *, since: float = 0.0, split: float | None = None) -> Board:
    """Ask the history for all that the board shows.

    Args:
        database: the history.
        since: only calls after this moment.
        split: what is before this moment is compared with what is after; None: the first calls with the last.
    """
    ((calls, of_clusters, machines, first, last, failed),) = database.ask(
        "SELECT COUNT(*), COALESCE(SUM(command = 'cluster'), 0), COUNT(DISTINCT machine), "
        "COALESCE(MIN(at), 0), COALESCE(MAX(at), 0), "
        "COALESCE(SUM(NOT ok AND command <> 'cluster'), 0) FROM calls WHERE at >= ?",
        (since,),
    )
    named = _named(database, since)
    budgets = tuple(_budgets(database, since))
    images = tuple(_image(database, name, platform, count, since, budgets) for name, platform, count in named[:IMAGES])
    metrics = tuple(metrics_of(database, since))
    by_key = {one.kind.key: one for one in metrics}
    compared = [(by_key[key].kind.title, change_of(by_key[key], split)) for key in _FIRST if key in by_key]
    for image in images[:3]:
        sizes = filter(None, (image.pulled, image.unpacked))
        compared += [
            (f"{image.name} {image.platform}, {one.kind.title.lower()}", change_of(one, split)) for one in sizes
        ]
    compared += [(one.kind.title, change_of(one, split)) for one in metrics if one.kind.key not in _FIRST]
    told = [(title, change) for title, change in compared if change is not None]
    return Board(
        calls=int(str(calls)),
        of_clusters=int(str(of_clusters)),
        machines=int(str(machines)),
        first=float(str(first)),
        last=float(str(last)),
        failed=int(str(failed)),
        metrics=metrics,
        changes=tuple(change for _, change in told),
        titles=tuple(title for title, _ in told),
        images=images,
        others=tuple(named[IMAGES:]),
        steps=tuple(_steps(database, since)),
        budgets=budgets,
        cluster=cluster_of(database, since),
        split=split,
    )


def _named(database: HistoryDatabase, since: float) -> list[tuple[str, str, int]]:
    rows = database.ask(
        "SELECT name, platform, COUNT(*) FROM images WHERE pulled IS NOT NULL AND at >= ? GROUP BY name, platform "
        "ORDER BY 3 DESC, 1, 2",
        (since,),
    )
    return [(str(name), str(platform), int(str(count))) for name, platform, count in rows]


def _image(
    database: HistoryDatabase, name: str, platform: str, builds: int, since: float, every: Sequence[BoardBudget]
) -> BoardImage:
    values = (name, platform)
    unpacked = points_of(database, UNPACKED, values, since)
    budgets = {one.what: float(one.limit) for one in every if (one.image, one.platform) == values}
    rows = database.ask(
        "SELECT at, pulled, base, unpacked, program FROM images WHERE name = ? AND platform = ? "
        "AND pulled IS NOT NULL AND at >= ? ORDER BY at, call",
        (*values, since),
    )
    jumps = jumps_of(database, name, platform, since=since)[-JUMPS:]
    return BoardImage(
        name=name,
        platform=platform,
        builds=builds,
        pulled=Metric(PULLED, points_of(database, PULLED, values, since), budgets.get("pulled")),
        unpacked=Metric(UNPACKED, unpacked, budgets.get("unpacked")) if unpacked else None,
        pulled_parts=_parts([(row[0], row[1], row[2]) for row in rows], "own layers", "base"),
        unpacked_parts=_parts([(row[0], row[3], row[4]) for row in rows], "base and other files", "program"),
        jumps=tuple(_explained(database, one, name, platform) for one in jumps),
        packages=_packages(database, name, platform),
    )


def _parts(rows: Sequence[tuple[object, object, object]], rest: str, part: str) -> tuple[SizePart, ...]:
    """Part a sum in two; none where a part is not known."""
    known = [(float(str(at)), int(str(whole)), int(str(one))) for at, whole, one in rows if None not in (whole, one)]
    if not known:
        return ()
    return (
        SizePart(part, tuple((at, float(one)) for at, _, one in known)),
        SizePart(rest, tuple((at, float(max(whole - one, 0))) for at, whole, one in known)),
    )


def _explained(database: HistoryDatabase, jump: Jump, name: str, platform: str) -> ExplainedJump:
    before, after = (_call(database, one) for one in (jump.call_before, jump.call))
    if before is None or after is None:
        return ExplainedJump(jump, (), ())
    old, new = (_of(one, name, platform) for one in (before, after))
    reasons = dict.fromkeys(reason for step in steps_of(after, new) if not step.cached for reason in step.reasons)
    return ExplainedJump(jump, tuple(changes_between(database, before, after, old, new)), tuple(reasons)[:6])


def _call(database: HistoryDatabase, name: str) -> CallFigures | None:
    rows = database.ask("SELECT document FROM calls WHERE id = ?", (name,))
    return parsed(rows[0][0]) if rows else None


def _of(entry: CallFigures, name: str, platform: str) -> ImageFigures | None:
    return next((one for one in entry.images if (one.name, one.platform) == (name, platform)), None)


def _packages(database: HistoryDatabase, name: str, platform: str) -> tuple[tuple[str, int], ...]:
    rows = database.ask(
        "SELECT path, bytes FROM packages WHERE digest = (SELECT i.digest FROM images i JOIN packages p "
        "ON p.digest = i.digest WHERE i.name = ? AND i.platform = ? ORDER BY i.at DESC LIMIT 1) "
        "ORDER BY bytes DESC, path",
        (name, platform),
    )
    return tuple((str(path), int(str(size))) for path, size in rows)


def _steps(database: HistoryDatabase, since: float) -> Iterator[BoardStep]:
    rows = database.ask(
        "SELECT name FROM steps WHERE NOT cached AND at >= ? GROUP BY name ORDER BY SUM(seconds) DESC, name LIMIT ?",
        (since, STEPS),
    )
    for (name,) in rows:
        points = database.ask(
            "SELECT at, seconds FROM steps WHERE name = ? AND NOT cached AND at >= ? ORDER BY at, call", (name, since)
        )
        timed = tuple((float(str(at)), float(str(took))) for at, took in points)
        yield BoardStep(str(name), median(value for _, value in timed), timed)


def _budgets(database: HistoryDatabase, since: float) -> Iterator[BoardBudget]:
    rows = database.ask(
        "SELECT image, platform, what, bound, actual, ok, MAX(at) FROM budgets WHERE at >= ? GROUP BY 1, 2, 3", (since,)
    )
    for image, platform, what, limit, actual, ok, _ in rows:  # SQLite gives the row that has the most
        yield BoardBudget(str(image), str(platform), str(what), int(str(limit)), int(str(actual)), bool(ok))
