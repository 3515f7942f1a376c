"""`.dive-ci`: dive's limits for a pipeline.

    rules:
      lowestEfficiency: 0.95          # 0 to 1, or "disabled"
      highestWastedBytes: 20MB
      highestUserWastedPercent: 0.20  # 0 to 1

Keys count in any case, and other keys are ignored, as dive does. What the file does not say has dive's default.

Sources: dive 0.13.1, cmd/root.go (flags and defaults), runtime/ci/rule.go; dustin/go-humanize, bytes.go.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from wherry.errors import InvalidSettings

FILE = ".dive-ci"
_LARGEST = 1 << 16
_OFF = "disabled"
_UNITS = {
    "": 1, "b": 1,
    **{f"{letter}{unit}": 1000**power for power, letter in enumerate("kmgtpe", 1) for unit in ("", "b")},
    **{f"{letter}{unit}": 1024**power for power, letter in enumerate("kmgtpe", 1) for unit in ("i", "ib")},
}  # fmt: skip
_SIZE = re.compile(r"(?P<number>[0-9][0-9,]{0,20}(?:\.[0-9]{0,9})?)\s*(?P<unit>[A-Za-z]{0,3})")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class DiveRules:
    """What dive holds an image to; None: a rule that is off."""

    lowest_efficiency: float | None = 0.9
    highest_wasted_bytes: int | None = None
    highest_user_wasted_percent: float | None = 0.1
    """A part of 1, in spite of its name."""


def parse_dive_ci(text: str, name: str = FILE) -> DiveRules:
    """Read a `.dive-ci`.

    Raises:
        InvalidSettings: it is not YAML, or a rule has a value that dive would refuse; the rule is named.
    """
    rules = _rules(text, name)
    efficiency = rules.get("lowestefficiency", "0.9")
    wasted = rules.get("highestwastedbytes", _OFF)
    user = rules.get("highestuserwastedpercent", "0.1")
    return DiveRules(
        None if efficiency == _OFF else _ratio(name, "lowestEfficiency", efficiency),
        None if wasted == _OFF else _bytes(name, "highestWastedBytes", wasted),
        None if user == _OFF else _ratio(name, "highestUserWastedPercent", user),
    )


def _rules(text: str, name: str) -> dict[str, str]:
    import yaml

    if len(text) > _LARGEST:
        raise InvalidSettings(f"{name}: more than {_LARGEST} characters", hint="give the right file")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"line {line + 1}: " if line is not None else ""
        raise InvalidSettings(
            f"{name}: {where}{getattr(error, 'problem', None) or 'no valid YAML'}", hint="fix the line"
        ) from error
    if document is None:
        return {}
    table = (
        next((value for key, value in document.items() if str(key).lower() == "rules"), None)
        if isinstance(document, dict)
        else document
    )
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise InvalidSettings(f"{name}: rules must be a table", hint="write it as rules:, and a line a rule below")
    return {str(key).lower(): str(value) for key, value in table.items() if value is not None}


def _ratio(name: str, rule: str, text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise InvalidSettings(f"{name}: {rule}: {text[:40]!r} is not a number", hint=f"write it as {rule}: 0.9")
    number = float(text)
    if not 0 <= number <= 1:
        raise InvalidSettings(f"{name}: {rule}: {text[:40]} is not between 0 and 1", hint=f"write it as {rule}: 0.9")
    return number


def _bytes(name: str, rule: str, text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match["unit"].lower()) if match else None
    if match is None or unit is None:
        raise InvalidSettings(f"{name}: {rule}: {text[:40]!r} is not a size", hint=f"write it as {rule}: 20MB")
    return int(Fraction(match["number"].replace(",", "").rstrip(".")) * unit)
