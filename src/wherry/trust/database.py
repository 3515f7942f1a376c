"""The index of a vulnerability database: what a scan asks, by module or package, in one file.

Entries for the same hole are one where a Go entry has symbols: GitHub's or NVD's next to it lend it their severity.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from wherry.errors import InvalidDocument
from wherry.trust.osv_stamps import FORMAT
from wherry.trust.severity import RatedSeverity, severity_of
from wherry.typed import from_msgpack

if TYPE_CHECKING:
    from wherry.trust.osv import OsvAffected, OsvEntry

GO: Final = "Go"
DEBIAN: Final = "Debian"
_UNSET = "0001-"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_WEB = re.compile(r"https://[!-~]{1,2000}")
_MOST_ALIASES = 64


class VulnerablePackage(msgspec.Struct, frozen=True, array_like=True):
    """A Go package that has a hole, and where in it."""

    path: str
    symbols: tuple[str, ...] = ()
    """Functions, and methods as `Type.Method`; empty: all of it."""
    goos: tuple[str, ...] = ()
    goarch: tuple[str, ...] = ()


class VersionRange(msgspec.Struct, frozen=True, array_like=True):
    """Where versions begin and end to be affected: pairs of the kind of event and the version."""

    kind: str
    """SEMVER or ECOSYSTEM."""
    events: tuple[tuple[str, str], ...]


class Vulnerable(msgspec.Struct, frozen=True, array_like=True):
    """The part of an entry about one module or package."""

    ranges: tuple[VersionRange, ...] = ()
    versions: tuple[str, ...] = ()
    packages: tuple[VulnerablePackage, ...] = ()


class Advisory(msgspec.Struct, frozen=True, array_like=True):
    """An entry, as far as it is about one module or package."""

    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    url: str = ""
    published: str = ""
    modified: str = ""
    withdrawn: str = ""
    reviewed: bool | None = None
    """None: its database does not say."""
    severity: RatedSeverity = RatedSeverity()
    affected: tuple[Vulnerable, ...] = ()


_NO_RATINGS: Final = msgspec.msgpack.encode({})


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    format: int
    entries: int
    modified: str
    skipped: tuple[str, ...]
    names: dict[str, msgspec.Raw]
    severities: msgspec.Raw


@dataclass(frozen=True, slots=True)
class VulnerabilityIndex:
    """A database, ready to be asked."""

    entries: int
    modified: str
    """The newest time at which an entry says it was changed or published; empty where none does."""
    names: Mapping[str, msgspec.Raw]
    """By ecosystem and name, encoded: only those that are asked for are read."""
    skipped: tuple[str, ...] = ()
    """Files that are no OSV entries."""
    rated: bytes = _NO_RATINGS
    """Severities by the ids and aliases of entries, encoded."""

    def of(self, ecosystem: str, name: str) -> tuple[Advisory, ...]:
        """Give what is known of a module or a package.

        Args:
            ecosystem: `Go`, or `Debian:12`.
            name: of the module or source package.
        """
        stored = self.names.get(f"{ecosystem}\t{name}")
        return from_msgpack(bytes(stored), tuple[Advisory, ...]) if stored is not None else ()

    def covers(self, ecosystem: str) -> bool:
        """Tell whether there is anything of an ecosystem."""
        return any(name.startswith(f"{ecosystem}\t") for name in self.names)

    def encoded(self) -> bytes:
        """Write the index."""
        stored = _Stored(FORMAT, self.entries, self.modified, self.skipped, dict(self.names), msgspec.Raw(self.rated))
        return msgspec.msgpack.encode(stored)

    @classmethod
    def decode(cls, content: bytes) -> "VulnerabilityIndex | None":
        """Read an index; None where it is damaged or has another format."""
        try:
            stored = from_msgpack(content, _Stored)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if stored.format != FORMAT:
            return None
        return cls(stored.entries, stored.modified, stored.names, stored.skipped, bytes(stored.severities))


def joined_index(indexes: Sequence[VulnerabilityIndex]) -> VulnerabilityIndex:
    """Make one index of several: a hole that two have counts once, and each lends the others its severities."""
    builder = DatabaseBuilder()
    names = {name for one in indexes for name in one.names}
    for one in indexes:
        builder.rate(from_msgpack(one.rated, dict[str, RatedSeverity]))
    for name in sorted(names):
        ecosystem, _, called = name.partition("\t")
        for one in indexes:
            for advisory in one.of(ecosystem, called):
                builder.take(name, advisory)
    entries = sum(one.entries for one in indexes)
    return replace(builder.finish(), entries=entries, modified=min(one.modified for one in indexes))


@dataclass
class DatabaseBuilder:
    """Takes entries in any order, and gives the index."""

    _advisories: dict[str, list[Advisory]] = field(default_factory=dict)
    _severities: dict[str, RatedSeverity] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)
    _modified: str = ""

    def add(self, entry: "OsvEntry") -> None:
        """Take an entry; the first of several with one id counts.

        Raises:
            InvalidDocument: it has more aliases than any hole has.
        """
        if entry.id in self._ids:
            return
        aliases = tuple(dict.fromkeys((*(entry.aliases or ()), *(entry.upstream or ()))))
        if len(aliases) > _MOST_ALIASES:
            raise InvalidDocument(entry.id, f"{len(aliases)} aliases; the limit is {_MOST_ALIASES}")
        self._ids.add(entry.id)
        for moment in (entry.modified, entry.published):
            if _MOMENT.match(moment) and not moment.startswith(_UNSET):
                self._modified = max(self._modified, moment[:19] + "Z")
        severity = _severity(entry)
        if severity is not None:
            for name in (entry.id, *aliases):
                if name == entry.id or name not in self._severities:
                    self._severities[name] = severity
        for name, affected in _by_name(entry.affected or ()).items():
            advisory = _advisory(entry, aliases, severity or RatedSeverity(), affected)
            self._advisories.setdefault(name, []).append(advisory)

    def rate(self, severities: Mapping[str, RatedSeverity]) -> None:
        """Take severities by the ids of what has them."""
        for name, severity in severities.items():
            self._severities.setdefault(name, severity)

    def take(self, name: str, advisory: Advisory) -> None:
        """Take what another index has of a module or a package."""
        known = self._advisories.setdefault(name, [])
        if all(one.id != advisory.id for one in known):
            known.append(advisory)

    def finish(self, skipped: Iterable[str] = ()) -> VulnerabilityIndex:
        """Give the index."""
        encoder = msgspec.msgpack.Encoder()
        names = {
            name: msgspec.Raw(encoder.encode([self._rated(one) for one in _once(advisories)]))
            for name, advisories in sorted(self._advisories.items())
        }
        rated = encoder.encode(self._severities)
        return VulnerabilityIndex(len(self._ids), self._modified, names, tuple(skipped), rated)

    def _rated(self, advisory: Advisory) -> Advisory:
        if advisory.severity.vector or advisory.severity.source:
            return advisory
        found = next((self._severities[name] for name in advisory.aliases if name in self._severities), None)
        return msgspec.structs.replace(advisory, severity=found) if found else advisory


def _by_name(affected: "Iterable[OsvAffected]") -> dict[str, list[Vulnerable]]:
    found: dict[str, list[Vulnerable]] = {}
    for one in affected:
        name = f"{one.package.ecosystem}\t{one.package.name}"
        if one.package.name and one.package.ecosystem:
            found.setdefault(name, []).append(_vulnerable(one))
    return found


def _vulnerable(one: "OsvAffected") -> Vulnerable:
    ranges = tuple(
        VersionRange(
            ranged.type,
            tuple(
                (kind, version)
                for event in ranged.events
                for kind, version in (
                    ("introduced", event.introduced), ("fixed", event.fixed), ("last_affected", event.last_affected),
                )
                if version
            ),
        )
        for ranged in one.ranges
    )  # fmt: skip
    imports = one.ecosystem_specific.imports if one.ecosystem_specific else ()
    packages = tuple(VulnerablePackage(each.path, each.symbols, each.goos, each.goarch) for each in imports)
    return Vulnerable(ranges, one.versions, packages)


def _advisory(
    entry: "OsvEntry", aliases: tuple[str, ...], severity: RatedSeverity, affected: Iterable[Vulnerable]
) -> Advisory:
    database = entry.database_specific
    review = database.review_status if database else ""
    return Advisory(
        id=entry.id,
        aliases=aliases,
        summary=entry.summary,
        url=_url(database.url if database else "", entry.id),
        published="" if entry.published.startswith(_UNSET) else entry.published,
        modified="" if entry.modified.startswith(_UNSET) else entry.modified,
        withdrawn=entry.withdrawn or "",
        reviewed=review.upper() == "REVIEWED" if review else None,
        severity=severity,
        affected=tuple(affected),
    )


def _url(given: str, name: str) -> str:
    """Give a page about an entry; a database may write anything for one, and readers show it as a link."""
    return given if _WEB.fullmatch(given) else f"https://osv.dev/vulnerability/{quote(name, safe='')}"


def _severity(entry: "OsvEntry") -> RatedSeverity | None:
    scores = (*(entry.severity or ()), *(score for one in entry.affected or () for score in one.severity))
    return severity_of(entry.stated_severity, tuple((one.type, one.score) for one in scores), entry.id)


def _once(advisories: list[Advisory]) -> Iterator[Advisory]:
    """Give each hole once: of entries that name one another, the one that knows packages, and Go's before others."""
    rank = {one.id: (not any(part.packages for part in one.affected), not one.id.startswith("GO-"), one.id)
            for one in advisories}  # fmt: skip
    taken: set[str] = set()
    for one in sorted(advisories, key=lambda advisory: rank[advisory.id]):
        names = {one.id, *one.aliases}
        if one.id in taken or (one.id.startswith("GHSA-") and names & taken):
            continue
        taken |= names
        yield one
