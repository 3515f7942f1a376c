"""Which versions have a hole, and which version is the first without it.

Source: OSV schema 1.7, "Evaluation"; golang.org/x/vuln 1.9, internal/semver (`ContainsSemver`): no range at all means
that every version is affected, and so does a range without events.
"""

from collections.abc import Callable
from typing import Final

from wherry.trust.database import VersionRange, Vulnerable
from wherry.trust.versions import LOWEST, debian, debian_less, semver

SEMVER: Final = "SEMVER"
Less = Callable[[str, str], bool]


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
    return any(_contains(ranged, version, semver_less) for ranged in ranges)


def go_fixed(version: str, parts: tuple[Vulnerable, ...]) -> str:
    """Give the lowest version above one in which all parts of a hole are fixed; empty where there is none."""
    ranges = [ranged for part in parts for ranged in part.ranges if ranged.kind == SEMVER]
    return _fixed(version, ranges, semver_less)


def debian_affected(version: str, part: Vulnerable) -> bool:
    """Tell whether a version of a Debian source package is affected."""
    if version in part.versions:
        return True
    ranges = [ranged for ranged in part.ranges if ranged.kind == "ECOSYSTEM"]
    return debian(version) is not None and any(_contains(ranged, version, debian_less) for ranged in ranges)


def debian_fixed(version: str, parts: tuple[Vulnerable, ...]) -> str:
    """Give the version in which a hole of a Debian package is fixed; empty where there is none."""
    ranges = [ranged for part in parts for ranged in part.ranges if ranged.kind == "ECOSYSTEM"]
    return _fixed(version, ranges, debian_less)


def _contains(ranged: VersionRange, version: str, less: Less) -> bool:
    if not ranged.events:
        return True
    affected = False
    for kind, at in _sorted(ranged.events, less):
        if kind == "introduced":
            affected = affected or at == LOWEST or not less(version, at)
        elif affected and kind == "fixed":
            affected = less(version, at)
        elif affected and kind == "last_affected":
            affected = not less(at, version)
    return affected


def _fixed(version: str, ranges: list[VersionRange], less: Less) -> str:
    """Go on from fix to fix until a version is in none of the ranges."""
    at = version
    for _ in range(len(ranges) + 1):
        holding = [ranged for ranged in ranges if _contains(ranged, at, less)]
        if not holding:
            return at if at != version else ""
        later = [fix for ranged in holding if (fix := _next_fix(ranged, at, less))]
        if len(later) < len(holding):
            return ""
        for fix in later:
            at = fix if less(at, fix) else at
    return ""


def _next_fix(ranged: VersionRange, version: str, less: Less) -> str:
    """Give the first fix of a range above a version; empty where there is none."""
    events = _sorted(ranged.events, less)
    return next((at for kind, at in events if kind == "fixed" and less(version, at)), "")


def _sorted(events: tuple[tuple[str, str], ...], less: Less) -> list[tuple[str, str]]:
    """Sort events by version; the beginning of time comes first, and events of one version stay in their order."""
    from functools import cmp_to_key

    def order(one: tuple[str, str], other: tuple[str, str]) -> int:
        if LOWEST in {one[1], other[1]} and one[1] != other[1]:
            return -1 if one[1] == LOWEST else 1
        return -1 if less(one[1], other[1]) else int(less(other[1], one[1]))

    return sorted(events, key=cmp_to_key(order))
