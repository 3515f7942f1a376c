"""Figures of an admission server, as Prometheus reads them.

Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram's buckets, in seconds."""
_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "requests": ("Requests answered, by what was decided", ("endpoint", "decision")),
    "verdicts": ("Images judged, by reason and mode", ("reason", "mode")),
    "cache": ("Questions about images: answered by what was known, joined to one under way, or asked", ("result",)),
    "pinned": ("Tags that became digests", ()),
    "exemptions": ("Images that were not judged, by the exemption that let them in", ("exemption",)),
    "throttled": ("Images that are not known since a registry limits requests", ()),
    "reloads": ("Times that configuration, policies, keys or certificates changed", ("result",)),
}


@dataclass
class RequestDurations:
    """Durations of one kind."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self.buckets[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass
class AdmissionMetrics:
    """Counts since the start; changed by one thread only."""

    counts: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: {name: Counter() for name in _COUNTERS})
    durations: dict[str, RequestDurations] = field(default_factory=dict)
    gauges: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By name: what it is, and its value now."""

    def count(self, name: str, *labels: str) -> None:
        """Count one."""
        self.counts[name][labels] += 1

    def observe(self, endpoint: str, seconds: float) -> None:
        """Count the duration of a request."""
        self.durations.setdefault(endpoint, RequestDurations()).observe(seconds)

    def text(self) -> str:
        """Write all of it."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, (help_text, labels) in _COUNTERS.items():
            full = f"wherry_admission_{name}_total"
            yield from _head(full, "counter", help_text)
            rows = self.counts[name] or ({(): 0} if not labels else {})
            for values, count in sorted(rows.items()):
                yield f"{full}{_labelled(dict(zip(labels, values, strict=True)))} {count}"
        full = "wherry_admission_request_duration_seconds"
        yield from _head(full, "histogram", "Seconds from a request to its answer")
        for endpoint, histogram in sorted(self.durations.items()):
            seen = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), histogram.buckets, strict=True):
                seen += count
                yield f"{full}_bucket{_labelled({'endpoint': endpoint, 'le': bound})} {seen}"
            yield f"{full}_sum{_labelled({'endpoint': endpoint})} {histogram.total:.6f}"
            yield f"{full}_count{_labelled({'endpoint': endpoint})} {seen}"
        for name, (help_text, value) in sorted(self.gauges.items()):
            yield from _head(f"wherry_admission_{name}", "gauge", help_text)
            yield f"wherry_admission_{name} {value:g}" if value < 1e6 else f"wherry_admission_{name} {value:.0f}"  # noqa: PLR2004 - where %g rounds


def _head(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}."
    yield f"# TYPE {name} {kind}"


def _labelled(labels: Mapping[str, str]) -> str:
    rows = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{rows}}}" if rows else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
