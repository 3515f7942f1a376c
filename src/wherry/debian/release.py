"""Release files: what a suite is, when it was made, and the digests of its indexes.

Source: Debian repository format ("Release" files, by-hash).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from wherry.debian.control import parse_paragraph
from wherry.errors import InvalidDocument

_LINE = re.compile(r"\s*(?P<sha>[0-9a-f]{64})\s+(?P<size>[0-9]{1,12})\s+(?P<path>\S+)")
_HINT = "fetch it again, or use another mirror"


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A signed release's content."""

    codename: str
    date: datetime
    valid_until: datetime | None
    """None where it never expires, as a stable release."""
    files: Mapping[str, tuple[str, int]]
    """SHA-256 in hex and size in bytes, by path."""

    @classmethod
    def parse(cls, text: str, name: str) -> "ReleaseFile":
        """Read it.

        Args:
            text: what was signed, without the signature.
            name: what the reader knows it by.

        Raises:
            InvalidDocument: a field is missing or is not what it should be.
        """
        fields = parse_paragraph(text, name)
        files = {}
        for line in fields.get("SHA256", "").splitlines():
            match = _LINE.fullmatch(line)
            if match:
                files[match["path"]] = (match["sha"], int(match["size"]))
        until = fields.get("Valid-Until")
        return cls(
            _field(fields, "Codename", name),
            _time(_field(fields, "Date", name), name),
            _time(until, name) if until else None,
            files,
        )


def _field(fields: Mapping[str, str], key: str, name: str) -> str:
    if not fields.get(key):
        raise InvalidDocument(name, f"has no {key}", hint=_HINT)
    return fields[key]


def _time(text: str, name: str) -> datetime:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError) as error:
        raise InvalidDocument(name, f"not a date: {text!r}", hint=_HINT) from error
    if found.tzinfo is None:
        raise InvalidDocument(name, f"a date without a time zone: {text!r}", hint=_HINT)
    return found
