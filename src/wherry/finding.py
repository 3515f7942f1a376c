"""Findings: what a judge says of a user's image or module, as a value."""

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; `error` is what a build or a gate stops for."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement: which rule, how bad, where, what was seen, and what to do."""

    rule: str
    """A stable name in kebab-case, such as `missing-interpreter`; users filter by it."""
    severity: Severity
    place: str
    """A path in an image, a file with its line, a package: whatever the reader can go to."""
    message: str
    evidence: tuple[str, ...] = field(default=())
    """The facts the judgement rests on, a line each."""
    remedy: str = ""
