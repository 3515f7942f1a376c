"""Words of profiles: what is chosen for a kind of machine, as `profile` of wherry.toml and `--profile` have them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wherry.errors import InvalidUsage
from wherry.settings.budgets import Budgets
from wherry.settings.options import BuildOptions
from wherry.settings.readers import FilePosition, read_text, read_texts
from wherry.settings.sizes import parse_bytes

EDGE: Final = "edge"
SMALL: Final = "small"
PROFILES: Final = (EDGE, SMALL)
CGO: Final = ("off", "musl")
LEAST_MEMORY: Final = 32 * 10**6
"""Bytes of a device below which Go's collector has too little room: at a limit of 8 MiB it took 29 times the CPU."""

_PATTERN = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9_.~/-]{0,254}")


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What wherry.toml says of the profile `edge`."""

    options: BuildOptions = field(default_factory=BuildOptions)
    budgets: Budgets = field(default_factory=Budgets)
    small: Budgets = field(default_factory=Budgets)
    """Of `edge,small`, above those of `edge`."""

    def budgets_of(self, profile: Sequence[str]) -> Budgets:
        """Give the budgets that hold with a profile."""
        found = self.budgets if EDGE in profile else Budgets()
        return found.under(self.small) if SMALL in profile else found


def parse_profile(text: str) -> tuple[str, ...]:
    """Read `edge` or `edge,small`, in any order.

    Raises:
        InvalidUsage: a word is unknown, or `small` stands alone.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in PROFILES:
            raise InvalidUsage(f"{word!r} is not a profile", hint="write it as edge or edge,small")
    if words == [SMALL]:
        raise InvalidUsage("small is a part of the profile edge", hint="write it as edge,small")
    return tuple(word for word in PROFILES if word in words)


def parse_device_memory(text: str) -> int:
    """Read the memory of a device.

    Raises:
        InvalidUsage: it is no size, or too little for a Go service.
    """
    size = parse_bytes(text)
    if size < LEAST_MEMORY:
        raise InvalidUsage(
            f"{text!r}: too little memory for a Go service",
            hint="give 32MB or more: with less, the garbage collector runs all the time",
        )
    return size


def read_profile(place: FilePosition, value: object) -> tuple[str, ...]:
    """Read a text, or a list of words; an empty list is no profile."""
    words = read_texts(place, value) if isinstance(value, list) else (read_text(place, value),)
    return parse_profile(",".join(words)) if words else ()


def read_device_memory(place: FilePosition, value: object) -> int:
    """Read the memory of a device."""
    return parse_device_memory(read_text(place, value))


def read_patterns(place: FilePosition, value: object) -> tuple[str, ...]:
    """Read patterns of packages, such as `google.golang.org/...`."""
    texts = read_texts(place, value)
    for at, text in enumerate(texts):
        if not is_pattern(text):
            raise place.below(at).wrong("is not a pattern of packages", "write it as google.golang.org/...")
    return texts


def is_pattern(text: str) -> bool:
    """Report whether a text is a pattern of packages, as `go build` takes it before the `=` of a flag."""
    return _PATTERN.fullmatch(text) is not None
