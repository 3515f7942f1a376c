"""Counts of what a watch saw, for Prometheus: bounded, however many images and containers there are."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from wherry.history.entry import CallFigures, KubeletFigures

SERIES: Final = 1000
"""Images that are told apart; those beyond are counted together, without a name."""
BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds of the histograms."""
_REMEMBERED: Final = 20_000
ImageLabels = tuple[str, str]
"""Name and digest."""


@dataclass(slots=True)
class Histogram:
    """Seconds of something."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    """How many took at most as long as each bound."""
    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.seconds += seconds
        for place, bound in enumerate(BOUNDS):
            self.counts[place] += seconds <= bound


@dataclass(slots=True)
class ImageTotals:
    """What was seen of one image."""

    pulls: int = 0
    pull_seconds: float = 0.0
    present: int = 0
    starts: int = 0
    ready_seconds: float = 0.0
    restarts: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    """By reason."""


@dataclass(slots=True)
class WatchTotals:
    """All of it."""

    images: dict[ImageLabels, ImageTotals] = field(default_factory=dict)
    pulls: Histogram = field(default_factory=Histogram)
    starts: Histogram = field(default_factory=Histogram)
    kubelets: dict[str, KubeletFigures] = field(default_factory=dict)
    """The latest, by node."""
    last: float = 0.0
    """When the last figure came."""
    away: bool = False
    """The API server does not answer."""
    _restarts: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """By container, the number that was seen last."""
    _ends: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def add(self, entry: CallFigures) -> None:
        """Count a figure; an end that is seen again counts once."""
        self.last = max(self.last, entry.at)
        if entry.kubelet is not None and (entry.kubelet.node in self.kubelets or len(self.kubelets) < SERIES):
            self.kubelets[entry.kubelet.node] = entry.kubelet
        if (pull := entry.node_pull) is not None and not pull.present:
            self.pulls.add(pull.seconds)
        if entry.pod_start is not None:
            self.starts.add(entry.pod_start.ready)
        for image in entry.images or ():
            self._count(entry, self._totals(image.name, image.digest))
        if not entry.images and entry.kubelet is None:
            self._count(entry, self._totals(entry.subject, ""))

    def _totals(self, name: str, digest: str) -> ImageTotals:
        labels = (name, digest)
        if labels not in self.images and len(self.images) >= SERIES:
            labels = ("", "")
        return self.images.setdefault(labels, ImageTotals())

    def _count(self, entry: CallFigures, totals: ImageTotals) -> None:
        if (pull := entry.node_pull) is not None:
            totals.present += pull.present
            totals.pulls += not pull.present
            totals.pull_seconds += pull.seconds
        if entry.pod_start is not None:
            totals.starts += 1
            totals.ready_seconds += entry.pod_start.ready
        if (end := entry.container) is not None:
            if end.reason and entry.id not in self._ends:
                _remember(self._ends, entry.id, None)
                totals.ends[end.reason] = totals.ends.get(end.reason, 0) + 1
            name = f"{end.pod} {end.container}"
            totals.restarts += max(end.restarts - self._restarts.get(name, max(end.restarts - 1, 0)), 0)
            _remember(self._restarts, name, end.restarts)


def _remember(known: "OrderedDict[str, int] | OrderedDict[str, None]", key: str, value: int | None) -> None:
    known[key] = value  # type: ignore[assignment] # each dict has its own kind of value
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
