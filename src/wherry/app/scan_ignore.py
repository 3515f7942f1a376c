"""The ignore file of a scan: holes that somebody decided to live with, each with a reason and an expiry date.

[[ignore]]
id = "GO-2023-1988"            # or an alias: CVE-…, GHSA-…
module = "golang.org/x/net"    # optional: only in this module
reason = "the service renders no HTML"
until = 2027-01-31             # the last day on which it counts
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from wherry.errors import NotFound
from wherry.settings.lines import lines_of
from wherry.settings.readers import FilePosition
from wherry.settings.wherry_toml import parse_toml
from wherry.store.files import read_regular
from wherry.trust.known_holes import Hole

_LARGEST = 1 << 20
_KEYS = frozenset({"id", "module", "reason", "until"})


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """A hole to leave out."""

    id: str
    module: str
    reason: str
    until: date
    line: int

    def names(self, hole: Hole) -> bool:
        """Tell whether it is about a hole."""
        return self.id in {hole.id, *hole.aliases} and self.module in {"", hole.module, hole.required_as}


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """All rules of a file."""

    name: str = ""
    rules: tuple[IgnoreRule, ...] = ()

    def today(self, clock: float) -> date:
        """Give the day of a time, in UTC."""
        return datetime.fromtimestamp(clock, UTC).date()

    def matching(self, hole: Hole, today: date) -> IgnoreRule | None:
        """Find the rule that a hole is left out by; expired ones do not count."""
        return next((rule for rule in self.rules if rule.until >= today and rule.names(hole)), None)

    def stale(self, today: date, used: Collection[int]) -> tuple[str, ...]:
        """Name rules that expired, and those that match nothing."""
        return tuple(
            f"{self.name}: line {rule.line}: {rule.id} expired on {rule.until}"
            if rule.until < today
            else f"{self.name}: line {rule.line}: {rule.id} matches nothing"
            for rule in self.rules
            if rule.until < today or rule.line not in used
        )


def read_ignore_file(path: Path, name: str) -> IgnoreFile:
    """Read an ignore file.

    Raises:
        NotFound: there is none.
        InvalidSettings: it is not TOML, or a rule lacks its id, its reason or its date; the line is named.
    """
    content = read_regular(path, _LARGEST)
    if content is None:
        raise NotFound(f"{name}: not found", hint="give a file with tables [[ignore]]")
    return parse_ignore_file(content.decode(errors="replace"), name)


def parse_ignore_file(text: str, name: str) -> IgnoreFile:
    """Read the text of an ignore file; as `read_ignore_file`."""
    document = parse_toml(text, name)
    place = FilePosition(name, lines_of(text), ())
    for key in document:
        if key != "ignore":
            raise place.below(key).wrong("is unknown", "write tables [[ignore]]")
    listed = document.get("ignore", [])
    if not isinstance(listed, list):
        raise place.below("ignore").wrong("must be a list of tables", "write [[ignore]]")
    rules = [_rule(place.below("ignore").below(number), rule) for number, rule in enumerate(listed)]
    return IgnoreFile(name, tuple(rules))


def _rule(place: FilePosition, table: object) -> IgnoreRule:
    from wherry.settings.lines import line_at

    if not isinstance(table, dict):
        raise place.wrong("must be a table", "write [[ignore]]")
    for key in table:
        if key not in _KEYS:
            raise place.below(key).wrong("is unknown", f"use {', '.join(sorted(_KEYS))}")
    until = table.get("until")
    if isinstance(until, str):
        try:
            until = date.fromisoformat(until)
        except ValueError:
            until = None
    if isinstance(until, datetime):
        until = until.date()
    if not isinstance(until, date):
        raise place.below("until").wrong("must be a date", "write until = 2027-01-31, the last day on which it counts")
    texts = {key: table.get(key, "") for key in ("id", "module", "reason")}
    for key, text in texts.items():
        if not isinstance(text, str) or (not text.strip() and key != "module"):
            raise place.below(key).wrong("must be a non-empty string", 'write id = "GO-2023-1988" and reason = "…"')
    return IgnoreRule(texts["id"], texts["module"], texts["reason"], until, line_at(place.lines, place.path))
