"""Differences of two images or programs, as values."""

from dataclasses import dataclass

from wherry.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same in both."""

    level: str
    """`platform`, `config`, `annotation`, `manifest`, `layer`, `entry`, `file`, `header`, `section`, `build info`,
    `build id`, `function` or `bytes`."""
    place: str
    """Where it is, such as `config.User`, `layer 3 /app/api` or `.text main.run+0x12`."""
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Two images of one platform, or two programs."""

    platform: str
    """Empty for programs."""
    differences: tuple[Difference, ...]
    """From the outside in; none: they are identical to the byte."""
    cause: Finding | None
    """The likely cause; its `rule` is a stable name. None where there is no difference."""


def cause(rule: str, message: str, *evidence: str, remedy: str = "", place: str = "") -> Finding:
    """Name what probably made the difference."""
    return Finding(rule, Severity.NOTE, place, message, evidence, remedy)
