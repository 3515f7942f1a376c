"""Sizes and growth as people write them: `5.5MB`, `857 kB`, `16MiB`, `2%`.

Sources: IEC 80000-13 (kB is 1000 bytes, KiB 1024); registries and `docker images` count decimally too.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from wherry.errors import InvalidUsage

_DECIMAL = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BINARY = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_UNITS = _DECIMAL | _BINARY
_NUMBER = r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?)"
_SIZE = re.compile(_NUMBER + r" ?(?P<unit>[A-Za-z]{0,3})")
_DURATION = re.compile(r"(?P<number>[0-9]{1,7}) ?(?P<unit>[smh]?)")
_PERCENT = re.compile(_NUMBER + r" ?%")
_LIKE = "write it as 5.5MB, 857kB, 16MiB or 5500000"
_LARGEST = 10**18


@dataclass(frozen=True, slots=True)
class Growth:
    """How much something may grow: by bytes, or by a part of what it was."""

    size: int = 0
    percent: Fraction | None = None
    """None: by `size` bytes."""

    def largest(self, before: int) -> int:
        """Give the most bytes that something of so many bytes may have."""
        if self.percent is None:
            return before + self.size
        return int(before + before * self.percent / 100)

    def __str__(self) -> str:
        return f"{self.size} bytes" if self.percent is None else f"{float(self.percent):g} %"


def parse_duration(text: str, what: str) -> float:
    """Read a time such as `90`, `90s`, `10m` or `2h`; give seconds.

    Args:
        text: the time.
        what: what it is for, such as `--timeout`; it starts the message.

    Raises:
        InvalidUsage: it is invalid.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise InvalidUsage(f"{what} {text}: not a time", hint="write it as 90s, 10m or 2h")
    return float(match["number"]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match["unit"]]


def parse_bytes(text: str) -> int:
    """Read a size in bytes; a part of a byte is left out.

    Raises:
        InvalidUsage: it is invalid.
    """
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match["unit"].lower()) if match else None
    if match is None or unit is None:
        raise InvalidUsage(f"{text!r} is not a size", hint=_LIKE)
    size = int(Fraction(match["number"]) * unit)
    if size > _LARGEST:
        raise InvalidUsage(f"{text!r} is too large", hint=_LIKE)
    return size


def parse_growth(text: str) -> Growth:
    """Read a size, or a percentage such as `2%`.

    Raises:
        InvalidUsage: it is neither.
    """
    if match := _PERCENT.fullmatch(text):
        return Growth(percent=Fraction(match["number"]))
    try:
        return Growth(parse_bytes(text))
    except InvalidUsage as error:
        raise InvalidUsage(f"{text!r} is neither a size nor a percentage", hint="write it as 200kB or 2%") from error
