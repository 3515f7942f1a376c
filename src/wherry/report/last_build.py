"""What changed since the last build, in one line for each image and platform."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from wherry.app.last_build import PulledBytes
from wherry.report.terminal import size

_WEEK = 6
_TENTH = 0.05
"""Per cent below which a change is said in bytes."""


def lines_of(found: Iterable[PulledBytes], now: float) -> Iterator[str]:
    """Say how many bytes are pulled, against the last build.

    Args:
        found: what was compared.
        now: seconds since the epoch.
    """
    for one in found:
        yield f"{one.name}  {one.platform}  {size(one.now)} pulled, {_change(one)} since {_when(one.at, now)}"


def _change(one: PulledBytes) -> str:
    change = one.now - one.before
    if not change:
        return "no change"
    share = 100 * change / one.before if one.before else 100.0
    sign = "+" if change > 0 else "-"
    return f"{sign}{abs(share):.1f} %" if abs(share) >= _TENTH else f"{sign}{size(abs(change))}"


def _when(at: float, now: float) -> str:
    """Name a moment by what a reader calls it, in local time."""
    moment, today = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone()
    days = (today.date() - moment.date()).days
    if days == 0:
        return f"{moment:%H:%M}"
    if days == 1:
        return f"yesterday {moment:%H:%M}"
    return f"{moment:%A}" if 1 < days <= _WEEK else f"{moment:%Y-%m-%d}"
