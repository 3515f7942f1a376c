"""What a scan found, for a person at a prompt, for a pull request, and as the document of docs/reference/scan.md."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from wherry.app.scan_result import Scan, ScannedSubject
from wherry.app.scan_upgrades import command_for, upgrades
from wherry.app.vulnerability_data import OpenDatabase
from wherry.counted import counted
from wherry.report.comment import in_code, in_text
from wherry.report.terminal import printable
from wherry.trust.known_holes import EvidenceLevel, Hole

SCHEMA = "wherry.scan/1"
_DAY = 86400
_IN_URLS = ":/?#@!$&'*+,;=%~"
"""What a URL may have, without what ends one in Markdown."""
_MEANING = {
    EvidenceLevel.SYMBOL: "vulnerable functions linked",
    EvidenceLevel.PACKAGE: "package linked, vulnerable functions not",
    EvidenceLevel.MODULE: "module required, vulnerable code not linked or not known",
}
_MOST_SYMBOLS = 4
_MOST_PATHS = 2


def lines_of(found: Scan, *, everything: bool = False) -> Iterator[str]:
    """Write what was found.

    Args:
        found: the scan.
        everything: whether holes whose code is not linked are listed one by one, and not only counted.
    """
    yield printable(f"  database {database_words(found.database)}")
    for subject in found.subjects:
        yield ""
        yield from (printable(line) for line in _subject(subject, everything=everything))
    for one in found.unscanned:
        yield ""
        yield printable(f"{one.name}")
        yield printable(f"  cannot be scanned: {one.reason}; {one.remedy}")
    yield ""
    if found.ignored:
        yield "  ignored"
        yield from (printable(f"    {one.hole.id}  {one.reason} (until {one.until})") for one in found.ignored)
    yield from (printable(f"  {line}") for line in found.expired)
    if found.others:
        yield f"  {counted(found.others, 'program')} not built by Go: not examined"
    yield f"  {summary(found)}"


def database_words(database: OpenDatabase) -> str:
    """Name a database with its size and its age."""
    if database.age is None:
        age = "its age is not known"
    else:
        days = int(database.age // _DAY)
        by = " (by the time of its files)" if database.dated_by == "file" else ""
        age = f"changed {database.modified[:10]}, {counted(days, 'day')} ago{by}"
    late = "; update it with `wherry scan --update`" if database.is_old and "://" in database.name else ""
    return f"{database.name}: {counted(database.entries, 'entry')}, {age}{late}"


def _subject(subject: ScannedSubject, *, everything: bool) -> Iterator[str]:
    result = subject.result
    yield "  ".join(filter(None, (subject.name, subject.module if subject.kind == "program" else "", subject.go)))
    groups = {
        level: [hole for hole in result.holes if hole.level is level and hole.reviewed is not False]
        for level in reversed(EvidenceLevel)
    }
    for level, holes in groups.items():
        shown = level is EvidenceLevel.SYMBOL or everything or subject.kind != "program"
        if holes:
            yield f"  {level}: {_meaning(subject, level)} ({len(holes)})"
        if holes and not shown:
            yield f"    {', '.join(dict.fromkeys(hole.id for hole in holes))}"
        for hole in holes if shown else ():
            yield from (f"    {line}" for line in _hole(subject, hole))
    unreviewed = [hole for hole in result.holes if hole.reviewed is False]
    if unreviewed:
        yield f"  unreviewed, without the names of packages ({len(unreviewed)})"
        for hole in unreviewed:
            yield f"    {_head(hole)}  {hole.level}: {hole.evidence}"
    if result.withdrawn:
        yield f"  withdrawn by the database: {', '.join(hole.id for hole in result.withdrawn)}"
    yield from (f"  not checked: {line}" for line in result.unknown)
    if not result.holes:
        yield f"  no known holes in {counted(result.modules, 'package' if subject.kind == 'packages' else 'module')}"
    if subject.routes_note and any(hole.packages for hole in result.holes):
        yield f"  {subject.routes_note}"


def _meaning(subject: ScannedSubject, level: EvidenceLevel) -> str:
    if subject.kind == "program":
        return _MEANING[level]
    if subject.kind == "packages":
        return "packages installed"
    return "package imported" if level is EvidenceLevel.PACKAGE else "module required"


def _head(hole: Hole) -> str:
    fixed = f"fixed in {hole.fixed}" if hole.fixed else "no fixed version"
    return f"{hole.id}  {hole.module} {hole.version}, {fixed}"


def _hole(subject: ScannedSubject, hole: Hole) -> Iterator[str]:
    severity = f"  {hole.severity.level}" if hole.severity.source else "  severity unknown"
    yield f"{_head(hole)}{severity}"
    if hole.summary:
        yield f"  {hole.summary}"
    if hole.aliases:
        yield f"  also {', '.join(hole.aliases[:4])}"
    if hole.symbols:
        more = len(hole.symbols) - _MOST_SYMBOLS
        yield f"  linked: {', '.join(hole.symbols[:_MOST_SYMBOLS])}{f' and {more} more' if more > 0 else ''}"
    reached = [name for name in hole.symbols if name in subject.calls]
    for name in reached[:_MOST_PATHS]:
        yield f"  called by: {' → '.join(subject.calls[name])}"
    for package in hole.packages if not reached else ():
        if package in subject.routes:
            yield f"  imported by: {' → '.join(subject.routes[package])}"
    if hole.fixed:
        line = subject.lines.get(hole.module, 0)
        yield f"  remedy: {remedy(hole)}{f' (go.mod, line {line})' if line else ''}"


def remedy(hole: Hole) -> str:
    """Say what to do about a hole."""
    if not hole.fixed:
        return "no version without it is known; replace the module, or leave out what uses it"
    if hole.ecosystem != "Go":
        return f"upgrade to {hole.fixed}, by a newer base"
    command = command_for(hole.module, hole.fixed)
    if hole.module in {"stdlib", "toolchain"}:
        return f"build with {hole.fixed} or newer (`{command}`)"
    if hole.required_as:
        return f"point the replace of {hole.required_as} to {hole.module} {hole.fixed}"
    return f"`{command}`"


def summary(found: Scan) -> str:
    """Count what was found."""
    counts = {level: len({hole.id for _, hole in found.holes() if hole.level is level}) for level in EvidenceLevel}
    words = [f"{counts[level]} {name}" for level, name in (
        (EvidenceLevel.SYMBOL, "linked"), (EvidenceLevel.PACKAGE, "in linked packages"),
        (EvidenceLevel.MODULE, "in required modules only"),
    ) if counts[level]]  # fmt: skip
    if found.unscanned:
        words.append(f"{counted(len(found.unscanned), 'program')} not scanned")
    return ", ".join(words) or "no known holes"


def document(found: Scan) -> Mapping[str, object]:
    """Give the values of docs/reference/scan.md."""
    database = found.database
    return {
        "schema": SCHEMA,
        "name": found.name,
        "database": {
            "name": database.name,
            "digest": database.digest,
            "entries": database.entries,
            "modified": database.modified or None,
            "datedBy": database.dated_by or None,
            "ageSeconds": None if database.age is None else int(database.age),
        },
        "subjects": [_subject_document(subject) for subject in found.subjects],
        "findings": [hole_document(subject, hole) for subject, hole in found.holes()],
        "withdrawn": [
            {"subject": subject.name, "id": hole.id, "module": hole.module, "withdrawn": hole.withdrawn}
            for subject in found.subjects
            for hole in subject.result.withdrawn
        ],
        "ignored": [
            {
                "subject": one.subject, "id": one.hole.id, "module": one.hole.module, "level": one.hole.level.value,
                "reason": one.reason, "until": one.until,
            }
            for one in found.ignored
        ],
        "unscanned": [
            {"name": one.name, "path": one.path, "platform": one.platform, "reason": one.reason, "remedy": one.remedy}
            for one in found.unscanned
        ],
        "notes": list(found.expired),
        "otherPrograms": found.others,
    }  # fmt: skip


def _subject_document(subject: ScannedSubject) -> dict[str, object]:
    return {
        "name": subject.name,
        "kind": subject.kind,
        "path": subject.path,
        "platform": subject.platform,
        "image": subject.image,
        "digest": subject.digest,
        "go": subject.go,
        "module": subject.module,
        "checked": subject.result.modules,
        "unknown": list(subject.result.unknown),
        "callPaths": subject.routes_note or None,
    }


def hole_document(subject: ScannedSubject, hole: Hole) -> dict[str, object]:
    """Give the values of one finding."""
    severity = hole.severity
    routes = [list(subject.routes[package]) for package in hole.packages if package in subject.routes]
    return {
        "subject": subject.name,
        "id": hole.id,
        "aliases": list(hole.aliases),
        "module": hole.module,
        "version": hole.version,
        "requiredAs": hole.required_as or None,
        "ecosystem": hole.ecosystem,
        "level": hole.level.value,
        "symbols": list(hole.symbols),
        "packages": list(hole.packages),
        "importRoutes": routes,
        "callPaths": [list(subject.calls[name]) for name in hole.symbols if name in subject.calls],
        "fixed": hole.fixed or None,
        "goModLine": subject.lines.get(hole.module),
        "remedy": remedy(hole),
        "severity": {
            "level": severity.level, "score": severity.score, "vector": severity.vector or None,
            "source": severity.source or None,
        },
        "review": {True: "reviewed", False: "unreviewed", None: "unknown"}[hole.reviewed],
        "status": hole.status.value,
        "justification": hole.justification or None,
        "evidence": hole.evidence,
        "summary": hole.summary,
        "url": hole.url,
    }  # fmt: skip


def markdown(found: Scan) -> Iterator[str]:
    """Write a comment for a pull request: what is linked in a table, the rest counted."""
    yield f"### wherry scan: {in_text(found.name)}"
    yield ""
    yield f"{summary(found)}. Database {in_text(database_words(found.database))}."
    rows = [(subject, hole) for subject, hole in found.holes() if hole.level is EvidenceLevel.SYMBOL]
    if rows:
        yield ""
        yield "| id | module | fixed in | severity | linked | in |"
        yield "|---|---|---|---|---|---|"
    for subject, hole in rows:
        names = [name.removeprefix(f"{hole.module}/") for name in hole.symbols]
        linked = ", ".join(in_code(name) for name in names[:_MOST_SYMBOLS])
        yield (
            f"| {_linked(hole.id, hole.url)}{' (unreviewed)' if hole.reviewed is False else ''} "
            f"| {in_text(hole.module)} {in_text(hole.version)} | {in_text(hole.fixed) or 'none'} "
            f"| {in_text(hole.severity.level)} | {linked}{' …' if len(names) > _MOST_SYMBOLS else ''} "
            f"| {in_text(subject.path or subject.name)} |"
        )
    commands = _commands(found.subjects)
    if commands:
        yield from ("", "```", *commands, "```")
    yield from (f"\n- {in_code(one.name)} cannot be scanned: {in_text(one.reason)}" for one in found.unscanned)
    yield from (
        f"\n- ignored until {one.until}: {in_text(one.hole.id)} ({in_text(one.reason)})" for one in found.ignored
    )


def _commands(subjects: Sequence[ScannedSubject]) -> list[str]:
    holes = [hole for subject in subjects for hole in subject.result.holes if hole.level is EvidenceLevel.SYMBOL]
    return [printable(one.command).replace("`", "'") for one in upgrades(holes)]


def _linked(name: str, url: str) -> str:
    return f"[{in_text(name)}]({quote(url, safe=_IN_URLS)})" if url.startswith("https://") else in_text(name)
