"""Versions as vulnerability data compares them: Go modules, Go releases, Debian packages.

Sources: semver.org 2.0.0, section 11; golang.org/x/vuln 1.9, internal/semver; OSV schema 1.7, "affected[].ranges[]";
Debian policy 4.7, 5.6.12.
"""

import re
from typing import Final

LOWEST: Final = "0"
"""What OSV writes for a version below every other one."""
DEVEL: Final = "(devel)"
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_SEMVER = re.compile(
    rf"(?:v|go)?{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:-(?P<pre>[0-9A-Za-z.-]{{1,200}}))?(?:\+[0-9A-Za-z.+-]{{0,200}})?",
    re.ASCII,
)
_RELEASE = re.compile(
    r"go([0-9]{1,9})(\.[0-9]{1,9})?(\.[0-9]{1,9})?(?:(rc|beta)([0-9]{1,9}))?(?![0-9A-Za-z.])", re.ASCII
)

Key = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
"""Sorts as versions do: three numbers, and what is before a release."""

_RELEASED = ((2, 0, ""),)
"""Sorts behind every pre-release."""


def semver(text: str) -> Key | None:
    """Read a version with or without `v`; build metadata such as `+incompatible` does not count. None: it is none."""
    match = _SEMVER.fullmatch(text)
    if match is None:
        return None
    before = match["pre"]
    return int(match[1]), int(match[2] or 0), int(match[3] or 0), _prerelease(before) if before else _RELEASED


def _prerelease(text: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(word[:18]), "") if _is_number(word) else (1, 0, word) for word in text.split("."))


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def go_release(text: str) -> str:
    """Write what a binary says of its Go as semver does: `go1.22rc1` is `1.22.0-rc.1`; empty for an unreleased one.

    Experiments (`go1.26.8 X:jsonv2`) and a vendor's words behind the version do not count.
    """
    match = _RELEASE.match(text)
    if match is None:
        return ""
    numbers = f"{match[1]}{match[2] or '.0'}{match[3] or '.0'}"
    return f"{numbers}-{match[4]}.{match[5]}" if match[4] else numbers


def go_name(version: str) -> str:
    """Write a version of Go as releases are named: `1.22.0-rc.1` is `go1.22rc1`, `1.24.2` is `go1.24.2`."""
    match = re.fullmatch(r"(\d+\.\d+)(\.\d+)?-(rc|beta)\.?(\d+)", version)
    if match:
        return f"go{match[1]}{match[3]}{match[4]}"
    return f"go{version.removesuffix('-0')}"


def debian(text: str) -> tuple[int, str, str] | None:
    """Split a Debian version into epoch, upstream version and revision; None where it is none."""
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    if not epoch.isdigit() or not upstream or len(text) > 200 or re.search(r"[^A-Za-z0-9.+~:-]", rest):  # noqa: PLR2004
        return None
    return int(epoch[:18]), upstream, revision


def debian_less(one: str, other: str) -> bool:
    """Tell whether a Debian package's version is below another; what is no version is below nothing."""
    left, right = debian(one), debian(other)
    if left is None or right is None:
        return False
    return debian_key(left) < debian_key(right)


_PART = re.compile(r"([^0-9]*)([0-9]*)")


def debian_key(version: tuple[int, str, str]) -> tuple[int, tuple[object, ...], tuple[object, ...]]:
    """Give what sorts as Debian versions do."""
    return version[0], _debian_parts(version[1]), _debian_parts(version[2])


def _debian_parts(text: str) -> tuple[object, ...]:
    """Cut into letters and numbers in turn; `~` sorts before the end, the end before letters, letters before others."""
    found: list[object] = []
    for letters, digits in _PART.findall(text):
        found.append((*tuple(_weight(letter) for letter in letters), 0))
        found.append(int(digits or 0))
    return tuple(found)


def _weight(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
