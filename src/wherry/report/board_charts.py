"""Charts as plain SVG: a line or stacked areas, stretched to its box; labels are text next to it.

Moments and values are written next to the drawing, so that the page's script can read one out at a time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from wherry.history.trends import Point, buckets_of, thinned
from wherry.report.history_table import figure
from wherry.report.page_tables import Markup, text

POINTS = 120
"""Of a chart: where there are more calls, a point is the median of some, and a pale band has all of them."""
_WIDE, _HIGH = 1000, 200
_NARROW = 0.6
"""A range above this share of its most does not begin at 0."""


def line_chart(points: Sequence[Point], unit: str, label: str, *, target: float | None = None) -> Markup:
    """Draw a metric.

    Args:
        points: at least one.
        unit: of the values.
        label: what is read to those who do not see it.
        target: a value that is drawn as a line, where there is one.
    """
    buckets = buckets_of(points, POINTS)
    kept = [(one.at, one.middle) for one in buckets]
    ends = [value for one in buckets for value in (one.low, one.high)]
    low, high = _range([*ends, *([] if target is None else [target])], unit)
    shapes = ""
    if len(buckets) < len(points):
        upper = _places([(one.at, one.high) for one in buckets], low, high)
        lower = _places([(one.at, one.low) for one in buckets], low, high)
        shapes = f'<path class="band" d="M{"L".join(f"{x},{y}" for x, y in (*upper, *reversed(lower)))}Z"/>'
    places = _places(kept, low, high)
    path = "L".join(f"{x},{y}" for x, y in places) + ("h1" if len(places) == 1 else "")
    shapes += f'<path class="line" d="M{path}"/>'
    if target is not None:
        y = _down(target, low, high)
        shapes += f'<path class="target" d="M0,{y}H{_WIDE}"/>'
    return _plot(shapes, kept, unit, (low, high), label)


def area_chart(
    parts: Sequence[tuple[str, Sequence[Point]]], unit: str, label: str, *, target: float | None = None
) -> Markup:
    """Draw parts of a sum, one on the other, from 0 on; all have the same moments."""
    whole = [sum(pair) for pair in zip(*([value for _, value in points] for _, points in parts), strict=True)]
    moments = [at for at, _ in parts[0][1]]
    kept = thinned(list(zip(moments, whole, strict=True)), POINTS)
    chosen = {at: place for place, at in enumerate(moments)}
    at_places = [chosen[at] for at, _ in kept]
    high = max([*whole, *([] if target is None else [target * 1.05])]) or 1.0
    below = [0.0] * len(kept)
    shapes = ""
    for number, (_, points) in enumerate(parts):
        above = [base + points[place][1] for base, place in zip(below, at_places, strict=True)]
        upper = _places([(at, value) for (at, _), value in zip(kept, above, strict=True)], 0.0, high)
        lower = _places([(at, value) for (at, _), value in zip(kept, below, strict=True)], 0.0, high)
        if len(upper) == 1:
            upper, lower = [(0, upper[0][1]), (_WIDE, upper[0][1])], [(0, lower[0][1]), (_WIDE, lower[0][1])]
        outline = "L".join(f"{x},{y}" for x, y in (*upper, *reversed(lower)))
        shapes += f'<path class="part{number}" d="M{outline}Z"/>'
        below = above
    if target is not None:
        shapes += f'<path class="target" d="M0,{_down(target, 0.0, high)}H{_WIDE}"/>'
    legend = "".join(
        f'<li><i class="swatch part{number}"></i>{text(name)} {text(figure(points[-1][1], unit))}</li>'
        for number, (name, points) in enumerate(parts)
    )
    return Markup(f'{_plot(shapes, kept, unit, (0.0, high), label)}<ul class="legend">{legend}</ul>')


def spark_chart(points: Sequence[Point], label: str) -> Markup:
    """Draw a small line without labels."""
    kept = [(one.at, one.middle) for one in buckets_of(points, POINTS // 3)]
    low, high = _range([value for _, value in kept], "count")
    places = _places(kept, low, high)
    path = "L".join(f"{x},{y}" for x, y in places) + ("h1" if len(places) == 1 else "")
    return Markup(
        f'<svg class="spark" viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}"><path class="line" d="M{path}"/></svg>'
    )


def _plot(shapes: str, kept: Sequence[Point], unit: str, bounds: tuple[float, float], label: str) -> Markup:
    """Put a drawing into its box with the labels of its edges; `data-t` has differences, which are short."""
    moments = [round(at) for at, _ in kept]
    steps = ",".join(map(str, [moments[0], *(b - a for a, b in pairwise(moments))]))
    values = ",".join(f"{value:.6g}" if unit != "bytes" else f"{value:.0f}" for _, value in kept)
    low, high = bounds
    return Markup(
        f'<div class="plot" tabindex="0" role="img" aria-label="{text(label)}" data-unit="{unit}" data-t="{steps}" '
        f'data-v="{values}"><svg viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" aria-hidden="true">'
        f'{shapes}</svg><span class="top">{text(figure(high, unit))}</span>'
        f'<span class="bottom">{text(figure(low, unit))}</span></div>'
        f'<div class="ends"><span>{day(kept[0][0])}</span><output></output><span>{day(kept[-1][0])}</span></div>'
    )


def _range(values: Sequence[float], unit: str) -> tuple[float, float]:
    """Choose where a chart begins and ends: at 0, unless all values are far from it."""
    low, high = min(values), max(values)
    if unit == "share":
        return 0.0, max(high, 1.0)
    if low < high * _NARROW or high <= 0:
        return 0.0, high or 1.0
    room = max((high - low) * 0.15, high * 0.01)
    return max(low - room, 0.0), high + room


def _places(points: Sequence[Point], low: float, high: float) -> list[tuple[int, int]]:
    first, last = points[0][0], points[-1][0]
    wide = last - first
    return [(round((at - first) / wide * _WIDE) if wide else 0, _down(value, low, high)) for at, value in points]


def _down(value: float, low: float, high: float) -> int:
    return round(_HIGH - (value - low) / ((high - low) or 1.0) * _HIGH)


def day(at: float) -> str:
    """Write a day, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
