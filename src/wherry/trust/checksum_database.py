"""The checksum database: is each line of go.sum in the log that all of Go's users share?

A line holds where a signed tree head covers the record that has it: the head's signature is checked, the record's
inclusion in the biggest head that is known, and that every other head, those of earlier runs too, grew into that one.
What contradicts this is an attack on the user or on the database, never a "mismatch".

Sources: go.dev/ref/mod, "Checksum database"; golang.org/x/mod v0.30, sumdb/client.go; RFC 6962.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from wherry.errors import InvalidDocument, WherryError
from wherry.finding import Finding, Severity
from wherry.golang.gosum import SumLine
from wherry.golang.modpath import escape
from wherry.trust.note import InvalidNote, NoteKey, open_note
from wherry.trust.sum_cache import LATEST, SumCache
from wherry.trust.tiles import LogTile, reader
from wherry.trust.tlog import (
    HASH,
    InvalidProof,
    TreeHead,
    check_record,
    check_tree,
    parse_head,
    parse_record,
    prove_record,
    prove_tree,
    record_hash,
)

KNOWN_KEYS: Mapping[str, str] = {
    "sum.golang.org": "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
}
"""Keys that Go knows by name. Source: Go 1.26, cmd/go/internal/modfetch/key.go."""
_THREADS = 16
Ask = Callable[[str], bytes | None]
"""Asks the database for a path below its root; None where it has none. Called from several threads.

Raises `CannotAsk` where no answer could be had.
"""


class CannotAsk(WherryError):
    """A checksum database could not be reached; nothing is known either way."""

    exit_code = 69  # EX_UNAVAILABLE


class SumState(StrEnum):
    """What the database says of a module version."""

    PROVED = "proved"
    CONTRADICTED = "contradicted"
    MISSING = "missing"
    FORGED = "forged"
    UNASKED = "unasked"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class SumVerdict:
    """What the database says of the lines of one module version."""

    path: str
    version: str
    state: SumState
    record: int | None = None
    """Its number in the log."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """What a checksum database says of a go.sum."""

    name: str
    verdicts: tuple[SumVerdict, ...]
    head: TreeHead | None = None
    """The biggest that was verified, which all records were proved in."""
    requests: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Record:
    number: int
    text: bytes
    head: TreeHead
    note: bytes
    answer: bytes


@dataclass
class ChecksumDatabase:
    """One database, asked through something, with what is kept of it."""

    key: NoteKey
    cache: SumCache
    ask: Ask | None
    """None: nothing is asked, what is kept has to do."""
    findings: list[Finding] = field(default_factory=list)
    _requests: int = 0
    _tiles: dict[LogTile, bytes] = field(default_factory=dict)
    _turns: dict[LogTile, threading.Lock] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def check(self, lines: Iterable[SumLine]) -> DatabaseReport:
        """Check lines of go.sum.

        Args:
            lines: those of modules that the database may be asked about.

        Cost: a request for each module version that is not kept yet, and about two for its tiles.
        """
        wanted: dict[tuple[str, str], list[SumLine]] = {}
        for line in lines:
            wanted.setdefault((line.path, line.version), []).append(line)
        with ThreadPoolExecutor(_THREADS) as pool:
            found = dict(zip(wanted, pool.map(lambda module: self._looked_up(*module), wanted), strict=True))
            records = [one for one in found.values() if isinstance(one, _Record)]
            head, note = self._biggest(records)
            if head is None:
                verdicts = tuple(one for one in found.values() if isinstance(one, SumVerdict))
                return DatabaseReport(self.key.name, verdicts, None, self._requests, tuple(self.findings))
            forked = self._forks(head, note, records, pool)
            judged = pool.map(lambda module: self._judged(module, wanted[module], found[module], head), wanted)
            verdicts = tuple(judged)
        if not forked and note not in self.cache.read(LATEST):
            self.cache.write(LATEST, note)
        self.findings.sort(key=lambda one: (one.rule, one.place))
        return DatabaseReport(self.key.name, verdicts, head, self._requests, tuple(self.findings))

    def _looked_up(self, path: str, version: str) -> "_Record | SumVerdict":
        place = f"lookup/{escape(path)}@{escape(version)}"
        for kept in self.cache.read(place):
            try:
                return self._parsed(kept)
            except InvalidDocument:
                continue
        try:
            answer = self._asked(place)
        except CannotAsk as error:
            return SumVerdict(path, version, SumState.UNASKED, why=error.message)
        if answer is None:
            return SumVerdict(path, version, SumState.MISSING, why=f"{self.key.name} has no record of it")
        try:
            return self._parsed(answer)
        except InvalidDocument as error:
            forged = isinstance(error, InvalidNote)
            why = f"the answer for it is {'not signed by the database' if forged else 'no record'}: {error.problem}"
            return SumVerdict(path, version, SumState.FORGED, why=why)

    def _parsed(self, answer: bytes) -> _Record:
        number, text, signed = parse_record(answer)
        return _Record(number, text, parse_head(open_note(signed, [self.key], "tree head").text), signed, answer)

    def _asked(self, place: str) -> bytes | None:
        if self.ask is None:
            raise CannotAsk(f"{self.key.name} is not asked (offline), and no earlier answer is kept")
        with self._turn:
            self._requests += 1
        return self.ask(place)

    def _biggest(self, records: Sequence[_Record]) -> tuple[TreeHead | None, bytes]:
        """Find the biggest head among those kept and those that came with records."""
        heads = [(one.head, one.note) for one in records]
        heads += self._kept_heads()
        return max(heads, key=lambda pair: pair[0].size, default=(None, b""))

    def _kept_heads(self) -> list[tuple[TreeHead, bytes]]:
        heads = []
        for kept in self.cache.read(LATEST):
            try:
                heads.append((parse_head(open_note(kept, [self.key], "kept tree head").text), kept))
            except InvalidDocument:
                continue  # of another key, or damaged: it says nothing
        return heads

    def _forks(self, head: TreeHead, note: bytes, records: Sequence[_Record], pool: ThreadPoolExecutor) -> bool:
        """Check that every head that was seen grew into the biggest one; report whether one did not."""
        seen = {one.head: one.note for one in records} | dict(self._kept_heads())
        older = [pair for pair in seen.items() if pair[0] != head and pair[0].size]
        forks = [fork for fork in pool.map(lambda pair: self._fork(head, note, *pair), older) if fork is not None]
        self.findings.extend(forks)
        return bool(forks)

    def _fork(self, head: TreeHead, note: bytes, older: TreeHead, signed: bytes) -> Finding | None:
        try:
            self._with_tiles(head, lambda read: _check_growth(head, older, read))
        except CannotAsk:
            return None  # without tiles nothing is proved; the records' own proofs say so
        except InvalidDocument:
            return _two_trees(self.key.name, signed, note)
        return None

    def _judged(
        self, module: tuple[str, str], lines: Sequence[SumLine], found: "_Record | SumVerdict", head: TreeHead
    ) -> SumVerdict:
        if isinstance(found, SumVerdict):
            return found
        path, version = module
        try:
            self._with_tiles(head, lambda read: _check_inclusion(head, found, read))
        except CannotAsk as error:
            return SumVerdict(path, version, SumState.UNASKED, found.number, error.message)
        except InvalidDocument as error:
            why = f"record {found.number} is not in the log that {self.key.name} signed: {error.problem}"
            return SumVerdict(path, version, SumState.FORGED, found.number, why)
        self.cache.write(f"lookup/{escape(path)}@{escape(version)}", found.answer)
        said = found.text.decode(errors="replace").splitlines()
        wrong = next((line for line in lines if line.words not in said), None)
        if wrong is None:
            return SumVerdict(path, version, SumState.PROVED, found.number)
        name = wrong.words.rpartition(" ")[0]
        theirs = next((line.rpartition(" ")[2] for line in said if line.startswith(name + " ")), "no hash")
        why = f"{wrong.file}:{wrong.line} has {wrong.hash}, record {found.number} of {self.key.name} has {theirs}"
        return SumVerdict(path, version, SumState.CONTRADICTED, found.number, why)

    def _with_tiles(self, head: TreeHead, prove: Callable[[Callable[[int, int], bytes]], None]) -> None:
        """Prove something from tiles that are kept; where those do not prove it, from ones that are asked for."""
        try:
            prove(reader(head.size, self._tile))
        except InvalidDocument:
            if self.ask is None:
                raise
            prove(reader(head.size, self._fresh_tile))

    def _tile(self, tile: LogTile) -> bytes:
        with self._turn:
            turn = self._turns.setdefault(tile, threading.Lock())
        with turn:
            if tile not in self._tiles:
                self._tiles[tile] = self._kept_tile(tile) or self._fresh_tile(tile)
            return self._tiles[tile]

    def _kept_tile(self, tile: LogTile) -> bytes | None:
        for candidate in dict.fromkeys((tile.path, tile.whole.path)):
            for kept in self.cache.read(candidate):
                if len(kept) >= tile.width * HASH:
                    return kept[: tile.width * HASH]
        return None

    def _fresh_tile(self, tile: LogTile) -> bytes:
        content = self._asked(tile.path)
        if content is None and tile != tile.whole:
            content = self._asked(tile.whole.path)
        if content is None or len(content) < tile.width * HASH:
            raise CannotAsk(f"{self.key.name}: {tile.path} is missing or cut short where the database is asked")
        content = content[: tile.width * HASH]
        self.cache.write(tile.path, content)
        self._tiles[tile] = content
        return content


def findings_of(report: DatabaseReport, lines: Sequence[SumLine]) -> list[Finding]:
    """Give what a report accuses, each at its line of go.sum."""
    places = {(line.path, line.version): f"{line.file}:{line.line}" for line in reversed(lines)}
    found = list(report.findings)
    for verdict in report.verdicts:
        place = places.get((verdict.path, verdict.version), "go.sum")
        what = f"{verdict.path}@{verdict.version}"
        if verdict.state is SumState.CONTRADICTED:
            found.append(Finding(
                "sumdb-contradicts", Severity.ERROR, place,
                f"{what}: the checksum database has another hash: someone changed this module, or go.sum",
                (verdict.why,),
                "do not build; compare with a go.sum from a clean checkout, and report it to the module's author",
            ))  # fmt: skip
        elif verdict.state is SumState.FORGED:
            found.append(Finding(
                "sumdb-forged", Severity.ERROR, place,
                f"{what}: the answer of the checksum database is forged: what answers is not honest", (verdict.why,),
                "do not build; check GOPROXY and GOSUMDB, and ask through another network",
            ))  # fmt: skip
        elif verdict.state is SumState.MISSING:
            found.append(Finding(
                "sumdb-missing", Severity.ERROR, place, f"{what}: not in the checksum database", (verdict.why,),
                "if the module is private, name it in GOPRIVATE; else it was never public",
            ))  # fmt: skip
    return found


def _check_growth(head: TreeHead, older: TreeHead, hash_at: Callable[[int, int], bytes]) -> None:
    if older.size == head.size:
        raise InvalidProof(f"tree of {head.size} records", "two heads of one size with different hashes")
    check_tree(prove_tree(head.size, older.size, hash_at), head, older)


def _check_inclusion(head: TreeHead, record: _Record, hash_at: Callable[[int, int], bytes]) -> None:
    proof = prove_record(head.size, record.number, hash_at)
    check_record(proof, head, record.number, record_hash(record.text))


def _two_trees(name: str, older: bytes, newer: bytes) -> Finding:
    return Finding(
        "sumdb-fork", Severity.ERROR, name,
        "the checksum database signed two trees that contradict each other: someone shows you another log than others",
        tuple(line for note in (older, newer) for line in note.decode(errors="replace").splitlines() if line),
        "do not build; keep both signed heads (above) as evidence, and report them to security@golang.org",
    )  # fmt: skip
