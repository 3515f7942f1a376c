"""`make bench-trace`: what a traced start costs; Markdown out.

The image of examples/videometa is started in wherry's sandbox until its health check answers: without a tracer, traced
for files, and traced for every system call. Starts take turns; a probe asks every millisecond.
"""

import argparse
import os
import resource
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from modules import ROOT
from report import machine
from wherry.app.build.build import build
from wherry.app.build.options import GoBuild
from wherry.app.containers import prepared
from wherry.app.places import find
from wherry.app.session import Session
from wherry.runtime.run import RunOptions, document
from wherry.runtime.security import Security
from wherry.runtime.trace import probes
from wherry.runtime.trace.attend import TraceLimits, TraceUntil, trace_container
from wherry.sandbox.spec import TraceEvent

PAGE = ROOT / "docs" / "benchmarks-trace.md"
WAYS = {"untraced": "probes", "traced": "files", "every call": "calls"}
_PROBE = "http://localhost:8080/healthz"
_HEAD = """# Benchmarks of the tracer

Written by `make bench-trace`. The image of examples/videometa is started in wherry's sandbox until its health check
answers, which a probe asks every millisecond. *Container* is from the call on, with the sandbox; *program* from the
moment the program is started. CPU is of all processes of the container, those of the sandbox and the tracer included.
Starts take turns; medians, with quartiles; a ratio is the median of those of each start to the untraced one of its
round. Where the machine is busy, each stop also waits for a processor: *program* then grows most, CPU least."""
_COLUMNS = "| start | container | ratio | program | ratio | CPU | ratio | events |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="of starts (default: 40)")
    options = parser.parse_args()
    probes.PAUSE = 0.001
    lines = [_HEAD, "", *machine(os.getloadavg()[0]), "", _COLUMNS, "|" + " --- |" * 8]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as name:
        lines += _rows(Path(name), options.rounds)
    PAGE.write_text("\n".join([*lines, ""]))
    print(PAGE.read_text())


def _rows(work: Path, rounds: int) -> Iterator[str]:
    environment = {**os.environ, "WHERRY_STORE": str(work / "store"), "WHERRY_CACHE": str(work / "cache")}
    session = Session.of(environment, cwd=ROOT / "examples" / "videometa")
    build(session, GoBuild(release=False, tags=("videometa:bench",), budgets=False))
    located = find(session, "videometa:bench")
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    events: dict[str, int] = {}
    probe = probes.Probe.parse(_PROBE)
    limits = TraceLimits(seconds=60, until=TraceUntil.PROBES, probes=(probe,), stop_signal=signal.SIGKILL)
    with prepared(session, located, RunOptions(security=Security(network="none"))) as made:
        for _ in range(rounds):
            for way, kind in WAYS.items():
                job = document(made.spec, made.place)
                job["trace"] = kind
                heard: list[TraceEvent] = []
                before = _cpu()
                outcome = trace_container(job, limits, heard.append, notice=lambda _: None, why=lambda: "")
                if not outcome.answers[0].answered:
                    sys.exit(f"{way}: {_PROBE} was not answered: {outcome.output.decode(errors='replace')}")
                found[way].append((outcome.prepared + outcome.seconds, outcome.seconds, _cpu() - before))
                events[way] = len(heard)
    for way in WAYS:
        cells = [cell for column in range(3) for cell in _cells(way, found, column)]
        yield f"| {way} | {' | '.join(cells)} | {events[way]} |"


def _cells(way: str, found: dict[str, list[tuple[float, float, float]]], column: int) -> tuple[str, str]:
    own, free = ([one[column] * 1000 for one in found[name]] for name in (way, "untraced"))
    low, middle, high = statistics.quantiles(own, n=4)
    ratio = statistics.median(one / other for one, other in zip(own, free, strict=True))
    return f"{middle:.0f} ms ({low:.0f} to {high:.0f})", "" if way == "untraced" else f"{ratio:.2f}"


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
