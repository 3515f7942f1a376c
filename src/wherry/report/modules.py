"""What `wherry modules verify` prints."""

from collections import Counter
from collections.abc import Iterator

from wherry.counted import counted
from wherry.report.terminal import printable
from wherry.trust.verify_modules import FindingRow, ModulesDocument

_ORDER = ("unchanged", "changed", "absent", "unknown")
_WORDS = {"absent": "not there", "unknown": "not compared"}


def lines_of(document: ModulesDocument) -> Iterator[str]:
    """Give the lines: what was compared, what is wrong, what could not be verified."""
    modules = document.modules
    built = [row for row in modules if row.h1]
    rest = len(modules) - len(built)
    yield counted(len(built), "module") + (f", and {rest} of which only go.mod is read" if rest else "")
    yield f"  module cache  {_states([row.cache for row in built])}"
    if any(row.vendor for row in modules):
        yield f"  vendor/       {_states([row.vendor for row in modules if row.vendor])}"
    yield f"  files         {document.files:,} compared with the zips"
    yield from _database(document)
    if document.local:
        named = ", ".join(f"{row.path} ({row.why})" for row in document.local[:6])
        more = f", and {len(document.local) - 6} more" if len(document.local) > 6 else ""  # noqa: PLR2004 - as above
        yield printable(f"  local         {named}{more}: folders, which no checksum covers")
    for finding in document.findings:
        yield from _finding(finding)
    for reason in document.unverified:
        yield printable(f"unverified: {reason}")
    if document.ok:
        yield "verified"


def _states(states: list[str]) -> str:
    counts = Counter(states)
    said = (f"{counts[state]} {_WORDS.get(state, state)}" for state in _ORDER if counts[state])
    return ", ".join(said) or "none"


def _database(document: ModulesDocument) -> Iterator[str]:
    if document.database is None:
        if document.database_off:
            yield f"  checksum database not asked ({document.database_off})"
        return
    counts = Counter(row.database for row in document.modules if row.database)
    said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    asked = f"{document.database.requests} requests" if document.database.requests else "nothing asked, all was kept"
    yield f"  {document.database.name}  {said}; {document.database.records:,} records in the log; {asked}"


def _finding(finding: FindingRow) -> Iterator[str]:
    yield printable(f"error: {finding.place}: {finding.message} ({finding.rule})")
    for line in finding.evidence:
        yield printable(f"    {line.expandtabs(4)}")
    if finding.remedy:
        yield printable(f"  hint: {finding.remedy}")
