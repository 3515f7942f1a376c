"""What a watch saw: a line for each figure, a summary, and metrics in Prometheus' text format.

Source: Prometheus, "Text-based format", 0.0.4.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from statistics import median

from wherry.app.watch_totals import BOUNDS, Histogram, ImageTotals, WatchTotals
from wherry.counted import counted
from wherry.history.entry import CallFigures
from wherry.report.history import seconds
from wherry.report.history_table import day_of
from wherry.report.openmetrics import labelled
from wherry.report.terminal import printable, size

_REMEMBERED = 10_000


def figure_line(entry: CallFigures) -> str:
    """Write a figure for people."""
    return printable(f"{day_of(entry.at)}  {_words(entry)}")


def _words(entry: CallFigures) -> str:
    image = entry.subject or ", ".join(dict.fromkeys(one.name for one in entry.images))
    if (pull := entry.node_pull) is not None:
        place = f"{pull.pod} {pull.container}".rstrip()
        if pull.present:
            return f"{place}  {image} was on {pull.node or 'its node'} already"
        more = [size(pull.size)] if pull.size is not None else []
        queued = (pull.waiting or 0.0) - pull.seconds
        more += [f"{seconds(queued)} in the queue"] if queued >= 0.1 else []  # noqa: PLR2004 - what a reader notices
        return f"{place}  pulled {image} in {seconds(pull.seconds)}" + (f" ({', '.join(more)})" if more else "")
    if (end := entry.container) is not None:
        place, reason = f"{end.pod} {end.container}", end.reason or "ended"
        code = f", exit code {end.code}" if end.code is not None else ""
        limit = f", limit {size(end.limit)}" if end.limit is not None else ""
        return f"{place}  {reason}{code}{limit}, {counted(end.restarts, 'restart')}"
    if (start := entry.pod_start) is not None:
        return f"{start.pod}  ready {seconds(start.ready)} after it was created, running after {seconds(start.started)}"
    if entry.kubelet is not None:
        pulls = sum(one.count for one in entry.kubelet.pulls)
        return f"{entry.kubelet.node}  its kubelet counts {counted(pulls, 'pull')}"
    return image


def summary_line(entries: "WatchSummary") -> str:
    """Write what was seen in all."""
    words = [counted(entries.pulls, "pull")]
    words[0] += f" (median {seconds(median(entries.seconds))})" if entries.seconds else ""
    words += [counted(entries.starts, "start"), counted(entries.ends, "end"), f"{entries.kills} by OOM"]
    words += [f"{entries.refused} documents that could not be read"] if entries.refused else []
    return ", ".join(words)


class WatchSummary:
    """Counts for the last line."""

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=_REMEMBERED)
        """Of the last pulls."""
        self.starts = self.ends = self.kills = self.refused = self.pulls = 0
        self._last: deque[str] = deque(maxlen=_REMEMBERED)
        self._known: set[str] = set()

    def add(self, entry: CallFigures) -> None:
        """Count one."""
        self.starts += entry.pod_start is not None
        if entry.node_pull is not None and not entry.node_pull.present:
            self.pulls += 1
            self.seconds.append(entry.node_pull.seconds)
        if entry.container is not None and entry.container.reason and entry.id not in self._known:
            if len(self._last) == _REMEMBERED:
                self._known.discard(self._last[0])
            self._last.append(entry.id)
            self._known.add(entry.id)
            self.ends += 1
            self.kills += entry.container.reason == "OOMKilled"


def watch_metrics(totals: WatchTotals) -> str:
    """Write the counts; they begin when the watch begins."""
    return "".join(_metrics(totals))


def _metrics(totals: WatchTotals) -> Iterator[str]:
    images = list(totals.images.items())

    def each(value: Callable[[ImageTotals], float]) -> Iterable[tuple[dict[str, str], float]]:
        return [({"image": name, "digest": digest}, found) for (name, digest), one in images if (found := value(one))]

    yield from _family(
        "wherry_node_pulls_total", "Images that nodes pulled for containers", each(lambda one: one.pulls)
    )
    yield from _family(
        "wherry_node_pull_seconds_total", "Seconds that these pulls took", each(lambda one: one.pull_seconds)
    )
    yield from _family(
        "wherry_node_images_present_total", "Images that were on the node already", each(lambda one: one.present)
    )
    yield from _family("wherry_pod_ready_total", "Pods that got ready for the first time", each(lambda one: one.starts))
    yield from _family("wherry_pod_ready_seconds_total", "Seconds until they were", each(lambda one: one.ready_seconds))
    yield from _family(
        "wherry_container_restarts_total", "Containers that were started again", each(lambda one: one.restarts)
    )
    ends = [
        ({"image": name, "digest": digest, "reason": reason}, float(count))
        for (name, digest), one in images
        for reason, count in one.ends.items()
    ]
    yield from _family("wherry_container_ends_total", "Containers that ended, by reason", ends)
    yield from _histogram("wherry_node_pull_duration_seconds", "Time of a pull", totals.pulls)
    yield from _histogram("wherry_pod_ready_duration_seconds", "Time from a pod's creation until ready", totals.starts)
    kubelets = [(one.node, row) for one in totals.kubelets.values() for row in one.pulls]
    counts = [({"node": node, "size": row.size}, float(row.count)) for node, row in kubelets]
    times = [({"node": node, "size": row.size}, row.seconds) for node, row in kubelets]
    yield from _family("wherry_kubelet_pulls_total", "Pulls that kubelets count, by size of the image", counts)
    yield from _family("wherry_kubelet_pull_seconds_total", "Seconds that these took", times)
    yield from _family("wherry_watch_up", "Whether the API server answers", [({}, int(not totals.away))], "gauge")
    yield from _family(
        "wherry_watch_last_figure_timestamp_seconds", "When the last figure came", [({}, totals.last)], "gauge"
    )


def _family(name: str, what: str, rows: Iterable[tuple[dict[str, str], float]], kind: str = "counter") -> Iterator[str]:
    rows = list(rows)
    if rows:
        yield f"# HELP {name} {what}.\n# TYPE {name} {kind}\n"
        yield from (f"{name}{labelled(labels)} {value!r}\n" for labels, value in rows)


def _histogram(name: str, what: str, found: Histogram) -> Iterator[str]:
    yield f"# HELP {name} {what}.\n# TYPE {name} histogram\n"
    for bound, count in zip(BOUNDS, found.counts, strict=True):
        yield f'{name}_bucket{{le="{bound}"}} {count}\n'
    yield f'{name}_bucket{{le="+Inf"}} {found.count}\n{name}_sum {found.seconds!r}\n{name}_count {found.count}\n'
