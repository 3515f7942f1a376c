"""OSV documents: what is known of a hole, and which versions of what have it.

Only what a scan asks is taken; unknown keys are passed over, as the schema wants. Sources: OSV schema 1.7.3
(ossf.github.io/osv-schema); go.dev/security/vuln/database, "Schema" (`ecosystem_specific`).
"""

from typing import Annotated

import msgspec

from wherry.errors import InvalidDocument
from wherry.typed import from_json

LARGEST = 16 << 20
"""Bytes of one entry; the largest of Go's, Debian's and GitHub's data have under 1 MiB."""
_LONGEST = 10_000
_MOST = 100_000

Text = Annotated[str, msgspec.Meta(max_length=_LONGEST)]


class OsvEvent(msgspec.Struct, frozen=True):
    """A version at which a range begins or ends."""

    introduced: Text = ""
    fixed: Text = ""
    last_affected: Text = ""


class OsvRange(msgspec.Struct, frozen=True):
    """Versions between events."""

    type: Text = ""
    events: tuple[OsvEvent, ...] = ()


class OsvImport(msgspec.Struct, frozen=True):
    """A package of a Go module that has the hole."""

    path: Text = ""
    symbols: tuple[Text, ...] = ()
    """Functions, and methods as `Type.Method`; empty: all of the package."""
    goos: tuple[Text, ...] = ()
    goarch: tuple[Text, ...] = ()


class _EcosystemSpecific(msgspec.Struct, frozen=True):
    imports: tuple[OsvImport, ...] = ()
    urgency: object = ""


class _Package(msgspec.Struct, frozen=True):
    name: Text = ""
    ecosystem: Text = ""


class OsvAffected(msgspec.Struct, frozen=True):
    """A module or a package that has it, and in which versions."""

    package: _Package = _Package()
    ranges: tuple[OsvRange, ...] = ()
    versions: tuple[Text, ...] = ()
    ecosystem_specific: _EcosystemSpecific | None = None
    severity: "tuple[OsvScore, ...]" = ()


class OsvScore(msgspec.Struct, frozen=True):
    """A severity, as its source gives it."""

    type: Text = ""
    score: Text = ""


class _DatabaseSpecific(msgspec.Struct, frozen=True):
    url: Text = ""
    review_status: Text = ""
    severity: object = ""


class OsvEntry(msgspec.Struct, frozen=True):
    """One entry."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    modified: Text = ""
    published: Text = ""
    withdrawn: Text | None = None
    aliases: tuple[Text, ...] | None = ()
    upstream: tuple[Text, ...] | None = ()
    summary: Text = ""
    severity: tuple[OsvScore, ...] | None = ()
    affected: tuple[OsvAffected, ...] | None = ()
    database_specific: _DatabaseSpecific | None = None

    @property
    def stated_severity(self) -> str:
        """The word that the entry's own database has for it; empty where it has none."""
        word = self.database_specific.severity if self.database_specific else ""
        return word.lower() if isinstance(word, str) else ""


def parse_entry(content: bytes | memoryview, name: str) -> OsvEntry:
    """Read one entry.

    Raises:
        InvalidDocument: it is not JSON, or a key has another kind of value than the schema says; its path is named.
    """
    if len(content) > LARGEST:
        raise InvalidDocument(name, f"{len(content)} bytes; an OSV entry may have {LARGEST}")
    try:
        entry = from_json(bytes(content), OsvEntry)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument(
            name, f"not an OSV entry: {str(error)[:200]}", hint="give OSV files, such as GO-2023-1988.json"
        ) from error
    if sum(map(_length, entry.affected or ())) > _MOST:
        raise InvalidDocument(name, f"more than {_MOST} versions, events and functions in one entry")
    return entry


def _length(one: OsvAffected) -> int:
    """Count what a part of an entry lists."""
    imports = one.ecosystem_specific.imports if one.ecosystem_specific else ()
    events = sum(1 + len(ranged.events) for ranged in one.ranges)
    return 1 + len(one.versions) + events + sum(1 + len(each.symbols) for each in imports)
