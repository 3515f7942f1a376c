"""What the board shows of clusters: pulls, starts and kills by the digest of an image."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from wherry.history.database import HistoryDatabase, parsed

IMAGES: Final = 20
KILLS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterImage:
    """One image, by its digest."""

    name: str
    digest: str
    pulls: int
    present: int
    """Starts of containers whose node had the image already."""
    median: float | None
    """Seconds of a pull."""
    longest: float | None
    size: int | None
    starts: int
    ready: float | None
    """Median of the seconds from a pod's creation until it was ready."""
    kills: int


@dataclass(frozen=True, slots=True)
class MemoryKill:
    """A container that was killed for memory."""

    at: float
    pod: str
    container: str
    image: str
    limit: int | None
    code: int | None


@dataclass(frozen=True, slots=True)
class PullsOfSize:
    """Pulls of images of a size, as the kubelets count them."""

    size: str
    count: int
    seconds: float
    """Of all of them."""


@dataclass(frozen=True, slots=True)
class BoardCluster:
    """All of it."""

    images: tuple[ClusterImage, ...] = ()
    kills: tuple[MemoryKill, ...] = ()
    """The latest."""
    kubelets: tuple[PullsOfSize, ...] = ()


@dataclass(slots=True)
class _Sums:
    name: str = ""
    at: float = -1.0
    seconds: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    size: int | None = None
    present: int = 0
    kills: int = 0


def cluster_of(database: HistoryDatabase, since: float = 0.0) -> BoardCluster:
    """Ask the history for what clusters did.

    Args:
        database: the history.
        since: only what happened after this moment.
    """
    images = sorted(_images(database, since), key=lambda one: (-one.pulls - one.starts - one.kills, one.name))
    return BoardCluster(tuple(images[:IMAGES]), tuple(_kills(database, since)), tuple(_kubelets(database, since)))


def _images(database: HistoryDatabase, since: float) -> Iterator[ClusterImage]:
    sums: dict[str, _Sums] = {}
    rows = database.ask(
        "SELECT i.digest, i.name, i.at, p.seconds, p.size, p.present, s.ready, c.reason = 'OOMKilled' FROM images i "
        "LEFT JOIN node_pulls p ON p.call = i.call LEFT JOIN pod_starts s ON s.call = i.call "
        "LEFT JOIN containers c ON c.call = i.call "
        "WHERE i.at >= ? AND COALESCE(p.call, s.call, c.call) IS NOT NULL",
        (since,),
    )
    for digest, name, at, seconds, size, present, ready, killed in rows:
        one = sums.setdefault(str(digest), _Sums())
        if float(str(at)) > one.at:
            one.name, one.at = str(name), float(str(at))
        one.size = int(str(size)) if size is not None else one.size
        one.present += bool(present)
        one.kills += bool(killed)
        one.seconds += [float(str(seconds))] if present == 0 else []
        one.ready += [float(str(ready))] if ready is not None else []
    for digest, one in sums.items():
        yield ClusterImage(
            name=one.name, digest=digest, pulls=len(one.seconds), present=one.present, size=one.size,
            median=median(one.seconds) if one.seconds else None, longest=max(one.seconds, default=None),
            starts=len(one.ready), ready=median(one.ready) if one.ready else None, kills=one.kills,
        )  # fmt: skip


def _kubelets(database: HistoryDatabase, since: float) -> Iterator[PullsOfSize]:
    """Add up the last counts of each start of each kubelet."""
    rows = database.ask(
        "SELECT size, SUM(counted), SUM(took) FROM (SELECT size, MAX(count) AS counted, MAX(seconds) AS took "
        "FROM kubelet_pulls WHERE at >= ? GROUP BY node, began, size) GROUP BY size ORDER BY 2 DESC, 1 LIMIT 20",
        (since,),
    )
    for size, count, seconds in rows:
        yield PullsOfSize(str(size), int(str(count)), float(str(seconds)))


def _kills(database: HistoryDatabase, since: float) -> Iterator[MemoryKill]:
    rows = database.ask(
        "SELECT document FROM calls JOIN containers ON call = id WHERE reason = 'OOMKilled' AND calls.at >= ? "
        "ORDER BY calls.at DESC, id LIMIT ?",
        (since, KILLS),
    )
    for (document,) in rows:
        entry = parsed(document)
        if entry is not None and (one := entry.container) is not None:
            name = entry.images[0].name if entry.images else ""
            yield MemoryKill(entry.at, one.pod, one.container, name, one.limit, one.code)
