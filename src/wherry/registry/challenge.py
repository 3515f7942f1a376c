"""What a registry asks for when it answers 401.

Sources: RFC 9110, section 11.6.1 (WWW-Authenticate); distribution's "Token Authentication Specification".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NEXT = re.compile(
    rf"""[\s,]*(?:
        (?P<key>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]*))
        | (?P<scheme>{_WORD})(?=\s|,|$)
    )""",
    re.VERBOSE,
)
_LONGEST = 16 * 1024
"""Characters of a header that are read; a longer one is not a challenge."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a registry offers."""

    scheme: str
    """Lower case: `bearer`, `basic`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name: realm, service, scope, error."""


def challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read all challenges of an answer, in their order; what is not a challenge is passed over."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        at = 0
        while len(header) <= _LONGEST and (match := _NEXT.match(header, at)):
            at = match.end()
            if match["scheme"]:
                found.append((match["scheme"].lower(), {}))
            elif found:
                value = match["bare"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
                found[-1][1].setdefault(match["key"].lower(), value)
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)
