"""A kubelet's own histogram of image pulls, by the size of the image.

Source: Kubernetes 1.34, pkg/kubelet/metrics: `kubelet_image_pull_duration_seconds`, label `image_size_in_bytes`;
Prometheus, "Text-based format".
"""

import math
import re
from dataclasses import dataclass
from typing import Final

_METRIC: Final = "kubelet_image_pull_duration_seconds"
_LINE: Final = re.compile(
    rf'{_METRIC}_(sum|count)\{{[^}}]{{0,400}}?image_size_in_bytes="([^"]{{1,64}})"[^}}]{{0,400}}\}} '
    r"([0-9.eE+-]{1,40})"
)
_START: Final = re.compile(r"process_start_time_seconds ([0-9.eE+-]{1,40})")
_LARGEST: Final = 1 << 53
_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class KubeletPulls:
    """Pulls of a size that a kubelet counted since it started."""

    size: str
    """As the kubelet names it: `0-10MB`, `10MB-100MB`, `GT1GB`, `N/A`."""
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class KubeletReport:
    """What one kubelet counted."""

    node: str
    began: float
    """When the kubelet started; its counts begin again with each start."""
    pulls: tuple[KubeletPulls, ...]

    @property
    def key(self) -> str:
        """The same for the same counts."""
        return f"kubelet {self.node} {self.began:.0f} {[(one.size, one.count) for one in self.pulls]}"


def kubelet_report(node: str, text: str) -> KubeletReport | None:
    """Read a kubelet's metrics; None where it pulled nothing yet."""
    began, sums, counts = 0.0, dict[str, float](), dict[str, int]()
    for line in text.splitlines():
        if found := _LINE.match(line):
            value = _number(found[3])
            if value is None or len(sums.keys() | counts.keys() | {found[2]}) > _MOST:
                continue
            if found[1] == "sum":
                sums[found[2]] = value
            else:
                counts[found[2]] = int(value)
        elif start := _START.match(line):
            began = _number(start[1]) or 0.0
    pulls = tuple(KubeletPulls(size, counts[size], sums.get(size, 0.0)) for size in sorted(counts) if counts[size])
    return KubeletReport(node, began, pulls) if pulls else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= _LARGEST else None
