"""A traced run, for a person at a prompt: how it ended, then declared, opened and missing side by side."""

from collections.abc import Iterator, Sequence

from wherry.analysis.deps.document import BaseAdvice
from wherry.analysis.deps.trace_document import TracedFile, TraceDocument, UnusedFiles
from wherry.counted import counted
from wherry.report.terminal import size, table

_MOST = 12
"""Lines of a list; the rest is counted."""


def lines_of_trace(trace: TraceDocument, advice: BaseAdvice | None, *, every: bool) -> Iterator[str]:
    """Write a run.

    Args:
        trace: the run.
        advice: on the base, by what it did ask for.
        every: whether lists are written whole.
    """
    yield f"traced: {' '.join(trace.argv)}  {_end(trace)}"
    rows = [("probe", one.probe, one.answer, f"{one.tries} tries") for one in trace.probes]
    rows += [(one.use, one.address, one.error, "") for one in trace.sockets]
    rows += [("signal", name, f"{count} times" if count > 1 else "", "") for name, count in trace.signals.items()]
    yield from (f"  {line}" for line in table(rows))
    executed = [file for file in trace.executed if file.declared != "program"]
    for title, files in (
        ("executed, not a program of the image", executed),
        ("missing (last first)", [file for file in trace.missing if not file.given]),
        ("refused (last first)", [file for file in trace.refused if not file.given]),
    ):
        yield from _files(title, files, every=every)
    opened = [file for file in trace.opened if not file.given]
    yield from _files("opened", opened, every=every)
    yield from _list("opened and never declared", trace.undeclared, every=every)
    yield from _list(
        "declared and never opened",
        [f"{one.path}  {one.declared} of {one.program}" for one in trace.unopened],
        every=every,
    )
    if trace.unused is not None:
        yield from _unused(trace.unused, every=every)
    if advice is not None and advice.traced_base:
        asked = ", ".join(advice.asked) or "nothing of it"
        yield f"of what linked packages can ask for, the run asked for {asked}: {advice.traced_base} has that"
        if advice.base and advice.traced_base != advice.base:
            yield f"  another run may ask for all that is linked, for which {advice.base} is the smallest"
    if trace.left:
        yield f"note: {trace.left} more processes ended with the first one, as in any container"
    if not trace.whole:
        yield "note: the trace ended before the program did"


def _end(trace: TraceDocument) -> str:
    after = f"after {trace.seconds:.2f} s"
    if trace.ended_by == "exit":
        return f"exited with {trace.code} {after}"
    reasons = {
        "probes": "all probes answered",
        "listening": "it listens",
        "time": "time is up",
        "interrupt": "interrupted",
    }
    stopped = "; it was killed, since it did not end within 3 s of its stop signal" if trace.killed else ""
    return f"{reasons[trace.ended_by]} {after}{stopped}"


def _files(title: str, files: Sequence[TracedFile], *, every: bool) -> Iterator[str]:
    rows = [
        (f"{file.path} → {file.real}" if file.real else file.path, file.declared or file.error, f"by {file.program}")
        for file in files
    ]
    yield from _list(title, table(rows), every=every, count=len(files))


def _list(title: str, lines: Sequence[str] | Iterator[str], *, every: bool, count: int = -1) -> Iterator[str]:
    lines = list(lines)
    count = len(lines) if count < 0 else count
    if not lines:
        return
    yield f"{title}: {count}"
    shown = lines if every else lines[:_MOST]
    yield from (f"  {line}" for line in shown)
    if len(lines) > len(shown):
        yield f"  {len(lines) - len(shown)} more; --all shows them"


def _unused(unused: UnusedFiles, *, every: bool) -> Iterator[str]:
    if not unused.files:
        return
    yield (
        f"not used in this run: {unused.files} of {counted(unused.of_files, 'file')}, "
        f"{size(unused.bytes)} of {size(unused.of_bytes)}"
    )
    groups = unused.groups if every else unused.groups[:_MOST]
    rows = [(size(one.bytes), counted(one.files, "file"), one.name) for one in groups]
    yield from (f"  {line}" for line in table(rows, right=(0, 1)))
