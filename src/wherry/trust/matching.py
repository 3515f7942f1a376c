"""Which versions have a hole, and which version is the first without it.

Source: OSV schema 1.7, "Evaluation"; golang.org/x/vuln 1.9, internal/semver (`ContainsSemver`): no range at all means
that every version is affected, and so does a range without events.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from wherry.trust.database import VersionRange, Vulnerable
from wherry.trust.versions import LOWEST, debian, debian_key, semver

SEMVER: Final = "SEMVER"
_Key = tuple[int, tuple[object, ...]]
"""Sorts as versions do; what is no version is below all that are, and above the beginning of time."""
_BEGINNING: Final[_Key] = (-1, ())
_NO_VERSION: Final[_Key] = (0, ())
KeyOf = Callable[[str], _Key]


@lru_cache(1 << 12)
def _go_key(version: str) -> _Key:
    if version == LOWEST:
        return _BEGINNING
    key = semver(version)
    return _NO_VERSION if key is None else (1, key)


@lru_cache(1 << 12)
def _debian_key(version: str) -> _Key:
    if version == LOWEST:
        return _BEGINNING
    parts = debian(version)
    return _NO_VERSION if parts is None else (1, debian_key(parts))


@dataclass(frozen=True, slots=True)
class _Interval:
    """Versions that are affected, from one on."""

    start: _Key
    end: _Key | None = None
    """None: all that follow."""
    last: bool = False
    """Whether the end is affected too."""
    fix: str = ""
    """The first version behind it that is fixed; empty where there is none."""

    def holds(self, at: _Key) -> bool:
        """Tell whether a version is in it."""
        return self.start <= at and (self.end is None or at < self.end or (self.last and at == self.end))


def semver_less(one: str, other: str) -> bool:
    """Tell whether a version of a Go module is below another; what is no version is below what is one."""
    left, right = semver(one), semver(other)
    if left is None or right is None:
        return left is None and right is not None
    return left < right


def go_affected(version: str, part: Vulnerable) -> bool:
    """Tell whether a version of a Go module is affected."""
    ranges = [ranged for ranged in part.ranges if ranged.kind == SEMVER]
    if not ranges:
        return not part.versions or version.removeprefix("v") in {one.removeprefix("v") for one in part.versions}
    return _affected(version, ranges, _go_key)


def go_fixed(version: str, parts: tuple[Vulnerable, ...]) -> str:
    """Give the lowest version above one in which all parts of a hole are fixed; empty where there is none."""
    ranges = [ranged for part in parts for ranged in part.ranges if ranged.kind == SEMVER]
    return _fixed(version, ranges, _go_key)


def debian_affected(version: str, part: Vulnerable) -> bool:
    """Tell whether a version of a Debian source package is affected."""
    if version in part.versions:
        return True
    ranges = [ranged for ranged in part.ranges if ranged.kind == "ECOSYSTEM"]
    return debian(version) is not None and _affected(version, ranges, _debian_key)


def debian_fixed(version: str, parts: tuple[Vulnerable, ...]) -> str:
    """Give the version in which a hole of a Debian package is fixed; empty where there is none."""
    ranges = [ranged for part in parts for ranged in part.ranges if ranged.kind == "ECOSYSTEM"]
    return _fixed(version, ranges, _debian_key)


def _affected(version: str, ranges: Iterable[VersionRange], key_of: KeyOf) -> bool:
    at = key_of(version)
    return any(interval.holds(at) for ranged in ranges for interval in _intervals(ranged, key_of))


def _fixed(version: str, ranges: Iterable[VersionRange], key_of: KeyOf) -> str:
    """Go on from fix to fix until a version is in none of the ranges.

    Cost: one pass over the intervals in order, so an entry with a hundred thousand events takes a second.
    """
    at, found = key_of(version), ""
    intervals = (interval for ranged in ranges for interval in _intervals(ranged, key_of))
    for interval in sorted(intervals, key=lambda one: one.start):
        if interval.holds(at):
            if not interval.fix:
                return ""
            at, found = key_of(interval.fix), interval.fix
    return found


def _intervals(ranged: VersionRange, key_of: KeyOf) -> Iterator[_Interval]:
    """Read the events of a range, which come in any order; those of one version count in the order they have."""
    if not ranged.events:
        yield _Interval(_BEGINNING)
        return
    events = sorted(((key_of(at), kind, at) for kind, at in ranged.events), key=lambda one: one[0])
    fixes = [""] * len(events)
    following = ""
    for number in range(len(events) - 1, -1, -1):
        following = events[number][2] if events[number][1] == "fixed" else following
        fixes[number] = following
    start: _Key | None = None
    for (key, kind, _), fix in zip(events, fixes, strict=True):
        if kind == "introduced":
            start = key if start is None else start
        elif start is not None:
            yield _Interval(start, key, kind == "last_affected", fix)
            start = None
    if start is not None:
        yield _Interval(start)
