"""Figures over time: the points of a metric, what it was before and is now, and where it jumped.

Each metric is one statement of SQL, so that what a page shows can be asked for by anyone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from wherry.history.database import HistoryDatabase

Point = tuple[float, float]
"""Seconds since the epoch, and a value."""
_WINDOW: Final = 20
"""Calls at either end that are compared, at most; never more than a quarter of all."""


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One figure that is followed."""

    key: str
    title: str
    unit: str
    """`bytes`, `seconds`, `share` or `count`."""
    source: str
    """What recorded it, in a reader's words."""
    statement: str
    """SQL that gives moment and value, in order of time."""
    better: str = "less"
    """`less` or `more`."""
    published: tuple[float, float] | None = None
    """Before and after of another service, as the article reports them that wherry starts from."""


_OF_BUILDS: Final = "FROM calls WHERE command IN ('build', 'resolve')"
_PULL: Final = (4.2, 0.9)
KINDS: Final = (
    MetricKind(
        "build-seconds", "Build time", "seconds", "wherry build, where something was built",
        f"SELECT at, seconds {_OF_BUILDS} AND ok AND NOT unchanged ORDER BY at, id",
    ),
    MetricKind(
        "again-seconds", "Build time when nothing changed", "seconds", "wherry build, where nothing changed",
        f"SELECT at, seconds {_OF_BUILDS} AND ok AND unchanged ORDER BY at, id",
    ),
    MetricKind(
        "hits", "Steps from the cache", "share", "steps of wherry build",
        f"SELECT at, 1.0 * hits / (hits + misses) {_OF_BUILDS} AND hits + misses > 0 ORDER BY at, id", "more",
    ),
    MetricKind(
        "memory", "Memory of a build", "bytes",
        "peak of wherry and of the largest program it started, from getrusage(2)",
        f"SELECT at, memory + compiler_memory {_OF_BUILDS} AND ok AND NOT unchanged AND memory > 0 ORDER BY at, id",
        published=(3.8e9, 1.1e9),
    ),
    MetricKind(
        "compiler-memory", "Memory of the compiler", "bytes",
        "peak of the largest program that a build started, from getrusage(2)",
        f"SELECT at, compiler_memory {_OF_BUILDS} AND ok AND NOT unchanged AND memory > 0 ORDER BY at, id",
    ),
    MetricKind(
        "cpu", "Processor time of a build", "seconds", "wherry and what it started, from getrusage(2)",
        f"SELECT at, cpu + compiler_cpu {_OF_BUILDS} AND ok AND NOT unchanged AND memory > 0 ORDER BY at, id",
    ),
    MetricKind(
        "start", "Start of the image", "seconds", "wherry build --prove: until it listened or answered",
        "SELECT at, start FROM calls WHERE start IS NOT NULL ORDER BY at, id",
    ),
    MetricKind(
        "pull-seconds", "Pull time", "seconds", "wherry pull, where something was moved",
        "SELECT at, seconds FROM calls WHERE command = 'pull' AND ok AND sent > 0 ORDER BY at, id", published=_PULL,
    ),
    MetricKind(
        "node-pull-seconds", "Pull time on nodes", "seconds", "wherry watch: what kubelets say of pulls",
        "SELECT at, seconds FROM node_pulls WHERE NOT present ORDER BY at, call", published=_PULL,
    ),
    MetricKind(
        "node-images", "Images already on the node, a day", "share", "wherry watch: what kubelets say of pulls",
        "SELECT CAST(strftime('%s', at, 'unixepoch', 'start of day') AS REAL), AVG(present) "
        "FROM node_pulls GROUP BY 1 ORDER BY 1", "more",
    ),
    MetricKind(
        "pod-ready", "Start of a pod until ready", "seconds", "wherry watch: conditions of pods",
        "SELECT at, ready FROM pod_starts ORDER BY at, call",
    ),
    MetricKind(
        "push-seconds", "Push time", "seconds", "wherry push, where something was moved",
        "SELECT at, seconds FROM calls WHERE command = 'push' AND ok AND sent > 0 ORDER BY at, id",
    ),
    MetricKind(
        "scan-seconds", "Scan time", "seconds", "wherry scan",
        "SELECT at, seconds FROM calls WHERE command = 'scan' AND ok AND NOT unchanged ORDER BY at, id",
    ),
    MetricKind(
        "findings", "Vulnerable functions linked", "count", "wherry scan",
        "SELECT at, symbol FROM scans ORDER BY at, call",
    ),
    MetricKind(
        "coverage", "Programs that a scan reads", "share", "wherry scan: read, of all programs found",
        "SELECT at, 1.0 * programs / (programs + unscanned + others) FROM scans "
        "WHERE programs + unscanned + others > 0 ORDER BY at, call", "more",
    ),
    MetricKind(
        "database-age", "Age of the vulnerability database", "seconds", "wherry scan",
        "SELECT at, age FROM scans WHERE age IS NOT NULL ORDER BY at, call",
    ),
    MetricKind(
        "oom", "Containers killed for memory, a month", "count", "wherry watch, or imported lists of pods",
        "SELECT CAST(strftime('%s', calls.at, 'unixepoch', 'start of month') AS REAL), "
        "COALESCE(SUM(reason = 'OOMKilled'), 0) FROM calls LEFT JOIN containers ON call = id "
        "WHERE command = 'cluster' GROUP BY 1 ORDER BY 1", published=(2.3, 0.0),
    ),
    MetricKind(
        "restarts", "Restarts of containers, a month", "count", "wherry watch, or imported lists of pods",
        "SELECT CAST(strftime('%s', at, 'unixepoch', 'start of month') AS REAL), SUM(most) FROM "
        "(SELECT MAX(at) AS at, MAX(restarts) AS most FROM containers GROUP BY pod, container) GROUP BY 1 ORDER BY 1",
    ),
)  # fmt: skip
PULLED: Final = MetricKind(
    "pulled", "Pulled", "bytes", "wherry build: all layers, as stored",
    "SELECT at, pulled FROM images WHERE name = ? AND platform = ? AND pulled IS NOT NULL ORDER BY at, call",
)  # fmt: skip
UNPACKED: Final = MetricKind(
    "unpacked", "Unpacked", "bytes", "wherry build: all layers, unpacked",
    "SELECT at, unpacked FROM images WHERE name = ? AND platform = ? AND unpacked IS NOT NULL ORDER BY at, call",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its points."""

    kind: MetricKind
    points: tuple[Point, ...]
    target: float | None = None
    """The budget, where there is one."""

    @property
    def latest(self) -> float:
        """The last value."""
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Change:
    """What a metric was before, and is now: medians of some calls at either end."""

    metric: Metric
    before: float
    after: float
    count_before: int
    count_after: int

    @property
    def share(self) -> float | None:
        """How much it changed; None where it was nothing before."""
        return (self.after - self.before) / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Jump:
    """Two builds of an image, one after the other, with another digest and other bytes."""

    at: float
    before: int
    after: int
    call_before: str
    call: str


def points_of(
    database: HistoryDatabase, kind: MetricKind, values: Sequence[str] = (), since: float = 0.0
) -> tuple[Point, ...]:
    """Ask for a metric's points."""
    rows = database.ask(kind.statement, values)
    return tuple(
        (float(at), float(value))
        for at, value in rows
        if isinstance(at, int | float) and isinstance(value, int | float) and at >= since
    )


def metrics_of(database: HistoryDatabase, since: float = 0.0) -> Iterator[Metric]:
    """Give the metrics of all calls that have any points."""
    for kind in KINDS:
        if points := points_of(database, kind, since=since):
            yield Metric(kind, points)


def change_of(metric: Metric, split: float | None = None) -> Change | None:
    """Compare the first calls with the last; None where there are too few.

    Args:
        metric: with its points.
        split: all before this moment is before, all else after; None: some at either end.
    """
    values = [value for _, value in metric.points]
    if split is not None:
        first = [value for at, value in metric.points if at < split]
        last = [value for at, value in metric.points if at >= split]
    else:
        count = max(1, min(_WINDOW, len(values) // 4))
        first, last = values[:count], values[-count:] if len(values) > 1 else []
    if not first or not last:
        return None
    return Change(metric, median(first), median(last), len(first), len(last))


def jumps_of(
    database: HistoryDatabase, name: str, platform: str, *, since: float = 0.0, least: float = 0.01
) -> list[Jump]:
    """Find where an image's pulled bytes jumped, in order of time.

    Args:
        database: the history.
        name: the image's.
        platform: one of its platforms.
        since: only builds after this moment.
        least: share of the bytes from which on a change counts.
    """
    rows = database.ask(
        "SELECT at, pulled, call, digest FROM images WHERE name = ? AND platform = ? AND pulled IS NOT NULL "
        "AND at >= ? ORDER BY at, call",
        (name, platform, since),
    )
    found: list[Jump] = []
    before: tuple[object, ...] | None = None
    for row in rows:
        if before is not None and before[3] != row[3]:
            old, new = int(str(before[1])), int(str(row[1]))
            if abs(new - old) >= max(least * old, 1):
                found.append(Jump(float(str(row[0])), old, new, str(before[2]), str(row[2])))
        before = row
    return found


def thinned(points: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Leave out points where there are more than a chart has room for: of each part, its least and its most stay."""
    if len(points) <= most:
        return tuple(points)
    parts = max(1, (most - 2) // 2)
    kept = {0, len(points) - 1}
    for part in range(parts):
        places = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        kept |= {min(places, key=lambda place: points[place][1]), max(places, key=lambda place: points[place][1])}
    return tuple(points[place] for place in sorted(kept))


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some calls, one after the other, as one point of a chart."""

    at: float
    """Of the last of them."""
    low: float
    middle: float
    """Their median."""
    high: float


def buckets_of(points: Sequence[Point], most: int) -> tuple[Bucket, ...]:
    """Part points into as many groups as a chart has room for, each of the same number of calls."""
    parts = min(len(points), most)
    found = []
    for part in range(parts):
        some = points[part * len(points) // parts : (part + 1) * len(points) // parts]
        values = [value for _, value in some]
        found.append(Bucket(some[-1][0], min(values), median(values), max(values)))
    return tuple(found)
