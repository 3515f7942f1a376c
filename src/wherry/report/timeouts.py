"""Timeouts for a person at a prompt: the broken rules with their evidence, then what was read."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import unified_diff

from wherry.app.timeouts import EditedManifest, TimeoutsDocument
from wherry.counted import counted
from wherry.lab.pools import PoolTrial
from wherry.report.terminal import printable, table

_OF_MANIFESTS = ("readiness.", "liveness.", "startup.", "webhook.", "grace", "endpoints.")
"""Names that manifests state: where they are missing, so is the thing itself."""


def timeout_lines(document: TimeoutsDocument) -> Iterator[str]:
    """Write the findings, a table of what is stated, and the rules that could not be judged."""
    for finding in document.findings:
        yield printable(f"{finding.severity}: {finding.place}: {finding.message} ({finding.rule})")
        for line in finding.evidence:
            yield printable(f"  {line}")
        if finding.remedy:
            yield printable(f"  {finding.remedy}")
        yield ""
    stated = [one for one in document.timeouts if one.stated]
    if stated:
        rows = [(one.scope or "all", one.name, f"{one.seconds:g}", one.place) for one in stated]
        yield from (printable(line) for line in table(rows, right=(2,)))
        yield ""
    unknown = {name for missing in document.unjudged.values() for name in missing if not name.startswith(_OF_MANIFESTS)}
    if unknown and stated:
        yield f"not judged, because nothing states them: {', '.join(sorted(unknown))}; use --values FILE"
    count = len(document.findings)
    if count:
        yield counted(count, "finding")
    else:
        yield "the timeouts agree" if stated else "no timeout is stated there: nothing was judged"


def edit_lines(edited: Iterable[EditedManifest]) -> Iterator[str]:
    """Write each change as a unified diff."""
    for one in edited:
        lines = unified_diff(one.before.splitlines(), one.after.splitlines(), one.name, one.name, n=1, lineterm="")
        yield from map(printable, lines)


def trial_lines(trials: Sequence[PoolTrial]) -> Iterator[str]:
    """Write what was tried as a table, and what it says."""
    head = ("tcp_fin_timeout", "pool idle", "server idle", "requests", "reused", "failed", "in FIN-WAIT-2")
    rows = [
        (
            f"{one.fin_timeout} s", f"{one.pool_idle} s", f"{one.server_idle} s",
            f"{one.requests}, {one.gap} s apart", str(one.reused), str(one.failed), f"{one.fin_wait:.0f} s",
        )
        for one in trials
    ]  # fmt: skip
    yield from table([head, *rows], right=(0, 1, 2, 4, 5, 6))
    yield ""
    yield from (
        "tried in network namespaces of this kernel, 1 s for 30 s",
        "tcp_fin_timeout decides how long a closed connection stays in FIN-WAIT-2; it fails no request and saves none.",
        "Requests fail where the server closes an idle connection before the client's pool does.",
    )
