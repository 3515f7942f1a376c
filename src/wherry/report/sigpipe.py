"""SIGPIPE, for a person at a prompt and for Prometheus.

Source: the text format 0.0.4 of Prometheus, as the textfile collector of node_exporter reads it.
"""

from collections.abc import Iterator

from wherry.analysis.sigpipe_document import BreakGroup, SigpipeDocument
from wherry.report.terminal import printable


def sigpipe_lines(found: SigpipeDocument) -> Iterator[str]:
    """Write what was seen."""
    rate = f"{found.per_second:g}/s, at most {found.peak} in one second" if found.total else "none"
    yield f"SIGPIPE: {found.total} in {found.seconds:.1f} s ({rate}), seen by {found.by}"
    for process in found.processes:
        ended = "" if process.code is None else f"; it ended: {_code(process.code)}"
        yield printable(f"  process {process.pid}  {process.program}  {process.count} times  {process.effect}{ended}")
    for one in found.breaks:
        yield ""
        yield from (printable(line) for line in _group(one))
    if found.resets:
        yield ""
        count = sum(one.count for one in found.resets)
        peers = ", ".join(dict.fromkeys(one.peer or "unknown" for one in found.resets[:5]))
        yield printable(f"  ECONNRESET, without a signal: {count}, peers {peers}")
    if found.silent:
        yield f"  EPIPE, without a signal: {found.silent}"


def _group(one: BreakGroup) -> Iterator[str]:
    where = f"{one.descriptor} (descriptor {one.fd})" if one.descriptor in ("socket", "pipe") else one.descriptor
    peer = f" to {one.peer}" if one.peer else ""
    yield f"  {one.count} times  {one.call} {where}{peer}  process {one.pid}  {one.per_second:g}/s"
    times = [] if one.idle is None else [f"after {one.idle:g} s without data"]
    times += [] if one.late is None else [f"{one.late:g} s before the write"]
    yield f"    closed by: {', '.join([one.closed_by, *times])}"
    for match in one.equals:
        yield f"    that equals {match}"
    yield f"    {one.remedy}"


def _code(code: int) -> str:
    if code == -13:  # noqa: PLR2004 - SIGPIPE
        return "killed by SIGPIPE"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def sigpipe_metrics(found: SigpipeDocument) -> str:
    """Write what was seen as Prometheus reads it."""
    return "".join(f"{line}\n" for line in _metrics(found))


def _metrics(found: SigpipeDocument) -> Iterator[str]:
    yield "# HELP wherry_sigpipe_total Writes that ended with SIGPIPE since the watch began."
    yield "# TYPE wherry_sigpipe_total counter"
    labels = [_labels(one) for one in found.breaks]
    for one, label in zip(found.breaks, labels, strict=True):
        yield f"wherry_sigpipe_total{label} {one.count}"
    yield "# HELP wherry_sigpipe_idle_seconds Median time without data before the close."
    yield "# TYPE wherry_sigpipe_idle_seconds gauge"
    for one, label in zip(found.breaks, labels, strict=True):
        if one.idle is not None:
            yield f"wherry_sigpipe_idle_seconds{label} {one.idle}"
    yield "# HELP wherry_econnreset_total Calls that ended with ECONNRESET, without a signal."
    yield "# TYPE wherry_econnreset_total counter"
    for reset in found.resets:
        yield f'wherry_econnreset_total{{pid="{reset.pid}",peer="{_escaped(reset.peer)}"}} {reset.count}'
    yield "# HELP wherry_sigpipe_per_second SIGPIPE a second over the whole watch."
    yield "# TYPE wherry_sigpipe_per_second gauge"
    yield f"wherry_sigpipe_per_second {found.per_second}"
    yield "# HELP wherry_sigpipe_watched_seconds How long was watched."
    yield "# TYPE wherry_sigpipe_watched_seconds counter"
    yield f"wherry_sigpipe_watched_seconds {found.seconds}"


def _labels(one: BreakGroup) -> str:
    pairs = {
        "pid": str(one.pid), "program": one.program, "descriptor": one.descriptor, "call": one.call, "peer": one.peer,
        "closed_by": one.closed_by,
    }  # fmt: skip
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
