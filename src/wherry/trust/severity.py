"""Severity as data gives it: a word, or a CVSS vector that a word follows from. Nothing is guessed.

Source: FIRST, CVSS v3.1 specification, 7.1 (base metrics equations) and 5 (qualitative severity rating scale).
"""

import math
from typing import Final

import msgspec

UNKNOWN: Final = "unknown"
LEVELS: Final = ("low", "medium", "high", "critical")
"""From the least on; `unknown` is none of them."""

_WORDS = {"moderate": "medium", "important": "high", "negligible": "low", "unimportant": "low"}
_ATTACK = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_COMPLEXITY = {"L": 0.77, "H": 0.44}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_INTERACTION = {"N": 0.85, "R": 0.62}
_IMPACT = {"H": 0.56, "L": 0.22, "N": 0.0}
_RATINGS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))


class RatedSeverity(msgspec.Struct, frozen=True, array_like=True):
    """How bad a hole is, by whose word."""

    level: str = UNKNOWN
    score: float | None = None
    """CVSS 3 base score."""
    vector: str = ""
    source: str = ""
    """The entry that says so."""


def severity_of(word: str, vectors: tuple[tuple[str, str], ...], source: str) -> RatedSeverity | None:
    """Read what an entry says of its severity; None where it says nothing that is understood.

    Args:
        word: the database's own, such as `HIGH`.
        vectors: kinds (`CVSS_V3`) with their vectors.
        source: the entry's id.
    """
    named = _WORDS.get(word, word)
    vector = next((text for kind, text in vectors if kind in {"CVSS_V3", "CVSS_V4"}), "")
    score = next((base for kind, text in vectors if kind == "CVSS_V3" and (base := cvss3(text)) is not None), None)
    if named not in LEVELS:
        if score is None:
            return None
        named = next((rating for least, rating in _RATINGS if score >= least), "low")
    return RatedSeverity(named, score, vector, source)


def cvss3(vector: str) -> float | None:
    """Compute the base score of a CVSS 3 vector; None where it is none."""
    if not vector.startswith(("CVSS:3.0/", "CVSS:3.1/")):
        return None
    metrics = dict(part.partition(":")[::2] for part in vector.split("/")[1:])
    try:
        scope = metrics["S"]
        lost = 1 - math.prod(1 - _IMPACT[metrics[name]] for name in ("C", "I", "A"))
        ease = 8.22 * _ATTACK[metrics["AV"]] * _COMPLEXITY[metrics["AC"]]
        ease *= _PRIVILEGES[scope][metrics["PR"]] * _INTERACTION[metrics["UI"]]
    except KeyError:
        return None
    impact = 6.42 * lost if scope == "U" else 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15
    if impact <= 0:
        return 0.0
    return _rounded_up(min((impact + ease) * (1.0 if scope == "U" else 1.08), 10.0))


def _rounded_up(score: float) -> float:
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10
