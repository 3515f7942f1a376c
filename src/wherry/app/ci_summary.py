"""What a run of CI tells of the images that it built: sizes, waste, growth, the cache, budgets and known holes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherry.analysis.diff import DiffDocument
from wherry.analysis.image.document import AnalyzeDocument
from wherry.app.analyze import analyze
from wherry.app.compare import diff
from wherry.app.history import open_history
from wherry.app.scan_result import Scan
from wherry.app.session import Session
from wherry.errors import WherryError
from wherry.finding import Finding, Severity
from wherry.history.database import HistoryDatabase, parsed
from wherry.history.entry import CallFigures
from wherry.oci.reference import Reference

_LOOKED_AT = 200
"""Builds that are searched for the last time that a step was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CiSummary:
    """What is told, in the order in which it is told."""

    images: tuple[AnalyzeDocument, ...]
    growth: tuple[DiffDocument, ...] = ()
    uncompared: str = ""
    """Why no growth is told."""
    builds: tuple[CallFigures, ...] = ()
    """The last build of each image, as the history has it; empty where none is kept."""
    saved: float = 0.0
    """Seconds that their cached steps took when they were done last, as far as that is known."""
    scans: tuple[Scan, ...] = ()
    unscanned: str = ""
    """Why there is no scan."""

    def findings(self, file: str) -> tuple[Finding, ...]:
        """Give what was found in images, each at a file of the repository, since code hosts show nothing elsewhere."""
        return tuple(
            Finding(one.rule, Severity(one.severity), file, f"{one.place}: {one.message}", one.evidence, one.remedy)
            for image in self.images
            for one in image.findings
        )


def summarize(
    session: Session,
    names: Sequence[str],
    *,
    against: str | None = None,
    scanned: bool = False,
    databases: Sequence[str] = (),
    offline: bool = False,
) -> CiSummary:
    """Collect what a summary of a run tells.

    Args:
        session: where.
        names: images, as `analyze` takes them; NAME@DIGEST, as `wherry build` prints them, is fine.
        against: an image that growth is counted from; None: growth is not told.
        scanned: whether known holes are looked for.
        databases: vulnerability data, as for `scan`.
        offline: whether no database is fetched.

    Raises:
        NotFound, RegistryError: there is no such image. One to compare with, or a database, that is not there is told
            instead.
    """
    images = tuple(analyze(session, name) for name in names)
    growth: list[DiffDocument] = []
    uncompared = ""
    if against:
        try:
            growth += (diff(session, against, name) for name in names)
        except WherryError as error:  # the image of the branch may not exist yet
            uncompared = error.message
    scans: list[Scan] = []
    unscanned = ""
    if scanned:
        from wherry.app.scan import scan

        try:
            scans += (scan(session, name, databases=databases, offline=offline) for name in names)
        except WherryError as error:
            unscanned = error.message
    builds, saved = _of_history(session, names)
    return CiSummary(
        images=images,
        growth=tuple(growth),
        uncompared=uncompared,
        builds=builds,
        saved=saved,
        scans=tuple(scans),
        unscanned=unscanned,
    )


def _of_history(session: Session, names: Sequence[str]) -> tuple[tuple[CallFigures, ...], float]:
    """Find the last build of each image, and what its cached steps took when they were done."""
    try:
        with open_history(session) as database:
            found = {one.id: one for name in names if (one := _last_build(database, name))}
            builds = tuple(found.values())
            return builds, sum(_saved(database, build) for build in builds)
    except WherryError:  # none is kept, or it can't be read: the rest is told all the same
        return (), 0.0


def _last_build(database: HistoryDatabase, name: str) -> CallFigures | None:
    digest = Reference.parse(name).digest
    tag = name.partition("@")[0]
    for entry in _builds(database):
        if any(digest in {one.root, one.digest} if digest else one.name == tag for one in entry.images):
            return entry
    return None


def _saved(database: HistoryDatabase, build: CallFigures) -> float:
    """Sum up what the cached steps of a build took when they were done last; of a replay, all of its steps."""
    names = {one.name for one in build.images}
    wanted = {step.name for step in build.steps if step.cached}
    replay = build.unchanged and not build.steps
    found = 0.0
    for entry in _builds(database, before=build.at):
        if not entry.steps or names.isdisjoint(one.name for one in entry.images):
            continue
        if replay:
            wanted, replay = {step.name for step in entry.steps}, False
        for step in entry.steps:
            if step.name in wanted and not step.cached:
                wanted.discard(step.name)
                found += step.seconds
        if not wanted:
            break
    return found


def _builds(database: HistoryDatabase, *, before: float | None = None) -> Iterator[CallFigures]:
    """Give the builds that came to an end, the last first."""
    rows = database.ask(
        "SELECT document FROM calls WHERE command = 'build' AND ok AND at <= COALESCE(?, at) ORDER BY at DESC LIMIT ?",
        (before, _LOOKED_AT),
    )
    return (entry for (document,) in rows if (entry := parsed(document)) is not None)
