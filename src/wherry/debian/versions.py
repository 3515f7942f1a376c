"""The order of Debian versions.

Source: Debian policy 4.7, section 5.6.12; deb-version(7).
"""

import re
from itertools import zip_longest

_PARTS = re.compile(r"([^0-9]*)([0-9]*)")


def compare_versions(one: str, other: str) -> int:
    """Compare two versions: below 0 where the first is older, 0 where they are equal, above 0 where it is newer."""
    for mine, yours in zip(_split(one), _split(other), strict=True):
        order = _compare(mine, yours)
        if order:
            return order
    return 0


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return epoch, upstream if dash else rest, revision if dash else "0"


def _compare(one: str, other: str) -> int:
    for (text, number), (others_text, others_number) in zip_longest(
        _PARTS.findall(one), _PARTS.findall(other), fillvalue=("", "")
    ):
        order = _order(text, others_text) or int(number or 0) - int(others_number or 0)
        if order:
            return order
    return 0


def _order(one: str, other: str) -> int:
    for mine, yours in zip_longest(map(_weight, one), map(_weight, other), fillvalue=0):
        if mine != yours:
            return mine - yours
    return 0


def _weight(letter: str) -> int:
    """Give a letter's place: a tilde before the end (0), letters before all else."""
    if letter == "~":
        return -1
    return ord(letter) if letter.isascii() and letter.isalpha() else ord(letter) + 256
