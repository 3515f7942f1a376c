"""Verify the modules of a build: module cache and vendor/ against go.sum, go.sum against the checksum database."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from wherry.counted import counted
from wherry.finding import Finding, Severity
from wherry.golang.gosum import SumLine
from wherry.trust.checksum_database import ChecksumDatabase, DatabaseReport, SumState, findings_of
from wherry.trust.module_cache import CheckedModule, CopyState, ModuleCache, ModuleSums
from wherry.trust.project import GoProject
from wherry.trust.vendored import VendoredFolders, listing_findings, show_folder, vendored_folders

Fetch = Callable[[Sequence[ModuleSums]], None]
"""Downloads modules into the module cache, as far as it can."""


class ModuleRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of one module version."""

    path: str
    version: str
    h1: str
    """Of its zip, by go.sum; empty where a build reads no file of it but go.mod."""
    go_mod_h1: str
    cache: str
    """Of its zip in the module cache: unchanged, changed, absent."""
    unpacked: str
    vendor: str
    """As `cache`; empty where it is not vendored."""
    database: str
    """proved, contradicted, missing, forged, unasked, private; empty where the database was not looked at."""
    record: int | None = None
    why: str = ""


class LocalRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A module that is a folder, which no checksum covers."""

    path: str
    folder: str
    why: str
    """main, workspace, or the line that replaces a module by it."""


class DatabaseRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The checksum database, as it was seen."""

    name: str
    records: int
    """Of the tree that all records were proved in; 0 where there was none."""
    root: str
    """Hash of that tree, in hexadecimal digits."""
    requests: int


class FindingRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that is wrong."""

    rule: str
    place: str
    message: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


class ModulesDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `wherry modules verify --json` prints."""

    version: int = 1
    ok: bool
    """Whether nothing is wrong, and nothing is left unverified."""
    folder: str
    modules: tuple[ModuleRow, ...]
    local: tuple[LocalRow, ...]
    findings: tuple[FindingRow, ...]
    unverified: tuple[str, ...] = ()
    """What could not be verified, a reason each."""
    database: DatabaseRow | None = None
    database_off: str = ""
    """Why go.sum was not compared with a checksum database."""
    files: int = 0
    """Compared, file by file, in the module cache and in vendor/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What to verify, and with what."""

    cwd: Path
    cache: ModuleCache
    threads: int
    database: ChecksumDatabase | None = None
    """None: go.sum is not compared with a database."""
    database_off: str = ""
    """Why there is none."""
    private: Callable[[str], bool] = field(default=lambda _path: False)
    """Whether a module's path must not be shown to the database."""
    vendor: bool = True
    fetch: Fetch | None = None


def verify_modules(project: GoProject, options: VerifyOptions) -> ModulesDocument:
    """Verify all modules of go.sum and vendor/.

    Cost: each zip in the module cache is unpacked once in memory; as many at a time as there are threads.
    """
    sums = tuple(project.modules())
    vendored = vendored_folders(project, options.cwd) if project.vendor and options.vendor else None
    if options.fetch and vendored:
        wanted = [one for one in sums if one.name in vendored.checks]
        missing = [one for one in wanted if not options.cache.zip_of(one.path, one.version).is_file()]
        if missing:
            options.fetch(missing)
    checked, database = _both(project, sums, vendored, options)
    findings = [*_conflicts(project.sums), *(finding for one in checked for finding in one.findings)]
    if vendored:
        findings += [*listing_findings(project), *_vendor_findings(project, vendored, sums)]
    if database:
        findings += findings_of(database, project.sums)
    rows = tuple(_rows(checked, vendored, database, options.private))
    unverified = tuple(_unverified(rows))
    return ModulesDocument(
        ok=not findings and not unverified,
        folder=str(project.folder),
        modules=rows,
        local=tuple(_local(project)),
        findings=tuple(FindingRow(
            rule=one.rule, place=one.place, message=one.message, evidence=one.evidence, remedy=one.remedy
        ) for one in findings),
        unverified=unverified,
        database=_database_row(database),
        database_off="" if database else options.database_off,
        files=sum(one.files for one in (*checked, *(vendored.checks.values() if vendored else ()))),
    )  # fmt: skip


def _both(
    project: GoProject, sums: Sequence[ModuleSums], vendored: VendoredFolders | None, options: VerifyOptions
) -> tuple[list[CheckedModule], DatabaseReport | None]:
    """Read zips while the database is asked."""
    # The biggest first, so that none is left over at the end.
    sizes = {one: _size(options.cache.zip_of(one.path, one.version)) for one in sums}
    order = sorted(sums, key=lambda one: -sizes[one])

    def check(one: ModuleSums) -> CheckedModule:
        also = vendored.checks.get(one.name) if vendored else None
        return options.cache.check(one, [also] if also else [])

    with ThreadPoolExecutor(1) as asking, ThreadPoolExecutor(options.threads) as reading:
        lines = [line for line in project.sums if not options.private(line.path)]
        asked = asking.submit(options.database.check, lines) if options.database else None
        done = dict(zip(order, reading.map(check, order), strict=True))
        return [done[one] for one in sums], asked.result() if asked else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _conflicts(lines: Iterable[SumLine]) -> Iterator[Finding]:
    seen: dict[tuple[str, str, bool], SumLine] = {}
    for line in lines:
        first = seen.setdefault((line.path, line.version, line.go_mod), line)
        if first.hash != line.hash:
            yield Finding(
                "go-sum-conflict", Severity.ERROR, f"{line.file}:{line.line}",
                f"{line.path} {line.version} has another hash in {first.file}:{first.line}", (first.words, line.words),
                "find out which is right (the checksum database says), and remove the other line",
            )  # fmt: skip


def _vendor_findings(project: GoProject, vendored: VendoredFolders, sums: Sequence[ModuleSums]) -> Iterator[Finding]:
    folders = {one.path: one for one in project.folders}
    known = {one.name for one in sums if one.h1}
    for key, check in vendored.checks.items():
        module = vendored.modules[key]
        if key in folders and key == module.path:
            show_folder(check, module, folders[key])
        elif key not in known:
            yield Finding(
                "no-checksum", Severity.ERROR, f"{project.vendor_file}:{module.line}",
                f"{key} is vendored, and go.sum has no hash of it", (),
                "run go mod tidy and go mod vendor, and look at what they change",
            )  # fmt: skip
            continue
        if check.seen:
            yield from check.finish()
    yield from vendored.strays


def _vendor_state(name: str, vendored: VendoredFolders | None) -> str:
    check = vendored.checks.get(name) if vendored else None
    if check is None:
        return ""
    if not check.seen:
        return CopyState.UNKNOWN
    return CopyState.CHANGED if check.problems else CopyState.UNCHANGED


def _rows(
    checked: Iterable[CheckedModule], vendored: VendoredFolders | None, database: DatabaseReport | None,
    private: Callable[[str], bool],
) -> Iterator[ModuleRow]:  # fmt: skip
    verdicts = {(one.path, one.version): one for one in database.verdicts} if database else {}
    for one in checked:
        verdict = verdicts.get((one.sums.path, one.sums.version))
        hidden = SumState.PRIVATE if private(one.sums.path) else ""
        yield ModuleRow(
            path=one.sums.path, version=one.sums.version, h1=one.sums.h1, go_mod_h1=one.sums.go_mod_h1,
            cache=one.zip, unpacked=one.unpacked, vendor=_vendor_state(one.sums.name, vendored),
            database=verdict.state if verdict else hidden, record=verdict.record if verdict else None,
            why=verdict.why if verdict else "",
        )  # fmt: skip


def _unverified(rows: Sequence[ModuleRow]) -> Iterator[str]:
    unasked = [row for row in rows if row.database == SumState.UNASKED]
    if unasked:
        yield f"{counted(len(unasked), 'module')} not proved in the checksum database: {unasked[0].why}"
    for row in rows:
        if row.vendor == CopyState.UNKNOWN:
            yield f"vendor/{row.path}: its zip is not in the module cache, so there is nothing to compare it with"
        elif row.cache == CopyState.ABSENT and row.unpacked == CopyState.UNKNOWN:
            yield f"{row.path}@{row.version}: unpacked in the module cache, but its zip is not there"


def _local(project: GoProject) -> Iterator[LocalRow]:
    for main in project.mains:
        yield LocalRow(path=main.go_mod.module, folder=str(main.folder), why="workspace" if project.work else "main")
    for folder in project.folders:
        yield LocalRow(path=folder.path, folder=str(folder.folder), why=folder.place)


def _database_row(report: DatabaseReport | None) -> DatabaseRow | None:
    if report is None:
        return None
    head = report.head
    records, root = (head.size, head.hash.hex()) if head else (0, "")
    return DatabaseRow(name=report.name, records=records, root=root, requests=report.requests)
