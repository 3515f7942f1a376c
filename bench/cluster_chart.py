"""A chart of seconds by nodes, both in powers of ten, as SVG that fits a light and a dark page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDE, _HIGH = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 200, 40, 48
_COLOURS = ("#2a9d5c", "#2f6fd0", "#c8511b", "#8a55c9", "#8c8c8c")
_TICKS = (1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0, 360_000.0)
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve."""

    title: str
    points: tuple[Point, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What was measured."""

    title: str
    point: Point


def chart(panels: Sequence[tuple[str, Sequence[Line], Sequence[Mark]]], label: str) -> str:
    """Draw panels, one below the other."""
    parts = [panel for number, one in enumerate(panels) for panel in _panel(*one, down=number * _HIGH)]
    style = (
        "path{fill:none;stroke-width:2}"
        "text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:13px}"
        ".grid{stroke:#ccc;stroke-width:1}"
        ".axis{stroke:#888}.paper{fill:#fff}.mark{fill:#d11f5f;stroke:#fff}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.paper{fill:#161616}.mark{stroke:#161616}}"
    )
    high = _HIGH * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}" role="img" aria-label="{escape(label)}">'
        f'<style>{style}</style><rect class="paper" width="{_WIDE}" height="{high}"/>{"".join(parts)}</svg>\n'
    )


def _panel(title: str, lines: Sequence[Line], marks: Sequence[Mark], *, down: int) -> list[str]:
    points = [point for line in lines for point in line.points] + [mark.point for mark in marks]
    seconds = [y for _, y in points]
    low = max((tick for tick in _TICKS if tick <= min(seconds)), default=_TICKS[0])
    high = min((tick for tick in _TICKS if tick >= max(seconds)), default=_TICKS[-1])
    most = max(x for x, _ in points)

    def across(nodes: float) -> float:
        return _LEFT + math.log10(nodes) / (math.log10(most) or 1) * (_WIDE - _LEFT - _RIGHT)

    def below(seconds: float) -> float:
        share = (math.log10(seconds) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return down + _TOP + (1 - share) * (_HIGH - _TOP - _BOTTOM)

    parts = [f'<text class="title" x="{_LEFT}" y="{down + 22}">{escape(title)}</text>']
    for tick in (one for one in _TICKS if low <= one <= high):
        y = below(tick)
        parts.append(f'<path class="grid" d="M{_LEFT},{y:.1f}H{_WIDE - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_seconds(tick)}</text>')
    for power in range(round(math.log10(most)) + 1):
        x = across(10.0**power)
        parts.append(f'<path class="grid" d="M{x:.1f},{down + _TOP}V{down + _HIGH - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{down + _HIGH - _BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{down + _HIGH - 10}" text-anchor="middle">nodes</text>')
    legend = down + _TOP + 8
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = "L".join(f"{across(x):.1f},{below(y):.1f}" for x, y in line.points)
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(f'<path stroke="{colour}"{dashes} d="M{path}"/>')
        parts.append(f'<path stroke="{colour}"{dashes} d="M{_WIDE - _RIGHT + 12},{legend}h22"/>')
        parts.append(f'<text x="{_WIDE - _RIGHT + 40}" y="{legend + 4}">{escape(line.title)}</text>')
        legend += 20
    for mark in marks:
        x, y = across(mark.point[0]), below(mark.point[1])
        parts.append(
            f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>{escape(mark.title)}</title></circle>'
        )
    if marks:
        parts.append(f'<circle class="mark" cx="{_WIDE - _RIGHT + 23}" cy="{legend}" r="6"/>')
        parts.append(f'<text x="{_WIDE - _RIGHT + 40}" y="{legend + 4}">measured, real cluster</text>')
    return parts


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:g} s"
    return f"{value / 60:.3g} min" if value < 3600 else f"{value / 3600:.3g} h"
