"""What `make load` measured, and the page of it: figures of rounds, their ratios, and which way they point."""

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from report import machine

TUNED, BASELINE = "tuned", "baseline"
_PROTOCOLS = {"1.1": "HTTP/1.1", "2": "HTTP/2 (no TLS)", "3": "HTTP/3 (TLS)"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured."""

    rounds: int
    rate: int
    """Requests a second of the fixed load."""
    count: int
    """Requests of one round; P99.9 is of all rounds together."""
    bound: float
    """Milliseconds that P99 may take in the search for the highest rate."""
    step: int
    """Requests of one step of that search."""
    steps: int
    protocols: int
    """Requests of one round of each other protocol."""


@dataclass(slots=True)
class Round:
    """What one server was measured at."""

    cpu: float
    """Microseconds of processor a request."""
    quantiles: dict[str, float]
    """Of the latency, in microseconds."""
    buckets: list[tuple[int, int]]
    """Nanoseconds at most, and how many."""
    pss: int
    private: int
    """Bytes of memory after the fixed load: proportional share, and what is the process's alone and written to."""
    pause: float
    """Microseconds that a garbage collection stopped the program for, on average."""
    collections: float
    """Garbage collections in a thousand requests."""
    highest: int = 0
    """Requests a second within the bound."""
    generators_end: bool = False
    """The search ended where the generator did, so the server may carry more."""


@dataclass(slots=True)
class Found:
    """All rounds, by build and protocol and then by their number: a ratio is of two with the same one."""

    rounds: dict[tuple[str, str], dict[int, Round]] = field(default_factory=dict)
    again: int = 0
    """Invalid runs that were made again."""
    unclean: list[str] = field(default_factory=list)
    """What was left out, and answers that were none."""
    done: int = 0
    """Rounds that were begun."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Of the machine before the first round."""

    def pairs(self, protocol: str) -> list[tuple[Round, Round]]:
        """Give the rounds that both builds have, the tuned one first."""
        tuned, baseline = (self.rounds.get((name, protocol), {}) for name in (TUNED, BASELINE))
        return [(tuned[number], baseline[number]) for number in sorted(tuned.keys() & baseline.keys())]


@dataclass(frozen=True, slots=True)
class Measure:
    """A row."""

    title: str
    value: Callable[[Round], float]
    form: str
    theirs: str = "–"
    """What the article says."""
    more_is_better: bool = False

    def ratios(self, pairs: Sequence[tuple[Round, Round]]) -> list[float]:
        """How many times better the tuned build is, round by round; below 1 it is worse."""
        values = [(self.value(tuned), self.value(baseline)) for tuned, baseline in pairs]
        if self.more_is_better:
            values = [(baseline, tuned) for tuned, baseline in values]
        return [worse / better for better, worse in values if better and worse]


def measures(settings: Settings, protocol: str) -> list[Measure]:
    """Name the rows, the processor's time first: it is what the others follow from."""
    rate = settings.rate
    bound = f"highest rate, P99 within {settings.bound:g} ms"
    rows = [
        Measure("CPU a request", lambda one: one.cpu, "{:.0f} µs"),
        Measure(bound, lambda one: one.highest, "{:.0f}/s", "1,800 → 5,300 QPS (2.9)", more_is_better=True),
        Measure(f"processor busy at {rate}/s", lambda one: one.cpu * rate / 1e4, "{:.0f} %"),
        Measure("P50", lambda one: one.quantiles["p50"], "{:.0f} µs"),
        Measure("P99", lambda one: one.quantiles["p99"], "{:.0f} µs", "420 → 89 ms (4.7)"),
        Measure("P99.9 of a round", lambda one: one.quantiles["p999"], "{:.0f} µs"),
        Measure("PSS", lambda one: one.pss / 1e6, "{:.1f} MB", "548 → 126 MB RSS (4.3)"),
        Measure("private dirty memory", lambda one: one.private / 1e6, "{:.1f} MB"),
        Measure("one stop for garbage collection", lambda one: one.pause, "{:.0f} µs", "−76 % (4.2)"),
        Measure("such stops in 1,000 requests", lambda one: one.pause * one.collections, "{:.0f} µs"),
        Measure("garbage collections in 1,000 requests", lambda one: one.collections, "{:.1f}"),
    ]
    return [row for row in rows if protocol == "1.1" or row.title != bound]


def page(found: Found, settings: Settings) -> Iterator[str]:
    """Write what was found, whichever way it points."""
    yield from ["# videometa under load", ""]
    yield "`make load` wrote this page. Server and generator have a processor each, and talk over loopback."
    yield ""
    yield from machine(found.load)
    yield ""
    yield (
        f"{found.done} interleaved rounds. Both are built by `go build -trimpath -ldflags=-s -tags grpcnotrace`; the "
        "baseline is the same service by encoding/json, without pools, sampling of logs and a memory limit. Fixed "
        f"load: {settings.rate} requests a second, {settings.count:,} a round ({settings.protocols:,} by HTTP/2, 3), "
        "70 % a video, 10 % a feed of 20, 15 % and 5 % a document of 4 and 40 kB to parse. Latency counts from when a "
        "request was due. Figures are medians of the rounds. *Times better* is the median of the rounds' own ratios, "
        "with their range: above 1 the tuned build is ahead, below 1 it is behind."
    )
    for protocol, name in _PROTOCOLS.items():
        yield from ["", f"## {name}", ""]
        yield from _table(found.pairs(protocol), settings, protocol)
    yield ""
    yield (
        "The article's figures are of another service, moved from Java to Go: they are beside ours to be compared "
        "with, not to be met. Its parse, 8.2 → 1.3 ms (6.3), is measured [by itself](benchmarks-json.md). PSS and "
        "private memory are taken after the fixed load."
    )
    yield ""
    yield f"Runs that were invalid, their requests sent late or too few, and were made again: {found.again}."
    if found.unclean:
        yield from ["", "Left out, or not clean:", ""]
        yield from (f"- {reason}" for reason in sorted(set(found.unclean)))


def _table(pairs: Sequence[tuple[Round, Round]], settings: Settings, protocol: str) -> Iterator[str]:
    if not pairs:
        yield "No round was valid for both builds."
        return
    articles = protocol == "1.1"
    yield _row(["", TUNED, BASELINE, "times better"], "the article's" if articles else None)
    yield "|---|---|---|---|" + "---|" * articles
    rows = measures(settings, protocol)
    for row in rows:
        cells = [_cell(row, side) for side in zip(*pairs, strict=True)]
        yield _row([row.title, *cells, _spread(row.ratios(pairs))], row.theirs if articles else None)
    sides = list(zip(*pairs, strict=True))
    counts = [sum(count for one in side for _, count in one.buckets) for side in sides]
    overall = [f"{quantile_of_all(side, 0.999) / 1000:.0f} µs" for side in sides]
    yield _row([f"P99.9 of all {min(counts):,}", *overall, "–"], "–" if articles else None)
    yield ""
    yield from _verdict(rows, pairs)


def _row(cells: Sequence[str], last: str | None) -> str:
    return "| " + " | ".join([*cells, *([last] if last is not None else [])]) + " |"


def _cell(row: Measure, side: Sequence[Round]) -> str:
    ended = row.more_is_better and any(one.generators_end for one in side)
    return ("≥ " if ended else "") + row.form.format(statistics.median(map(row.value, side)))


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _verdict(rows: Sequence[Measure], pairs: Sequence[tuple[Round, Round]]) -> Iterator[str]:
    """Say where the tuned build is not ahead, and where the rounds don't agree."""
    behind, unsure = [], []
    for row in rows:
        ratios = row.ratios(pairs)
        if ratios and max(ratios) <= 1:
            behind.append(row.title)
        elif ratios and min(ratios) <= 1:
            unsure.append(row.title)
    yield f"The tuned build is ahead in no round in: {', '.join(behind) or 'nothing'}."
    yield f"The rounds disagree on: {', '.join(unsure) or 'nothing'}."
    if any(one.generators_end for pair in pairs for one in pair):
        yield "≥: in some rounds the generator came to its end before the server, which may carry more."


def quantile_of_all(side: Sequence[Round], part: float) -> float:
    """Give a quantile of all requests of all rounds, in nanoseconds."""
    buckets = sorted(pair for one in side for pair in one.buckets)
    wanted = part * sum(count for _, count in buckets)
    seen = 0
    for upper, count in buckets:
        seen += count
        if seen >= wanted:
            return float(upper)
    return 0.0
