"""`make bench-parse`: how the example service picks fields out of JSON, beside others' ways; Markdown out.

Go's own benchmarks (examples/videometa/bench), several times each, the ways one beside the other; encoding/json/v2 in
a run of its own, since GOEXPERIMENT=jsonv2 puts it under encoding/json too.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modules import ROOT
from report import machine

FOLDER = ROOT / "examples" / "videometa" / "bench"
PAGE = ROOT / "docs" / "benchmarks-json.md"
_LINE = re.compile(r"^Benchmark(\w+)/([\w-]+)/(\d+)(?:-\d+)?\s+\d+\s+(.*)$", re.MULTILINE)
_SIZES = (400, 4_000, 40_000, 400_000)
_ESCAPED = (0, 10, 100)
"""Percent of the titles."""
OURS = "picker"
NAMES = {
    "picker": "`Picker` (tuned build)",
    "pick": "`Pick`, strings of its own",
    "encoding-json": "encoding/json, a struct of these fields (baseline)",
    "encoding-json-any": "encoding/json, everything",
    "encoding-json-v2": "encoding/json/v2, the same struct",
    "sonic": "sonic, the same struct",
    "gjson-two-gets": "two `gjson.GetBytes`",
    "gjson-one-pass-of-two": "one `ForEach` for the same two fields",
    "sonic-two-gets": "two `sonic.Get`",
}


@dataclass(slots=True)
class Case:
    """One way at one size: a figure of each run."""

    figures: dict[str, list[float]] = field(default_factory=dict)

    def median(self, unit: str) -> float:
        """Give the median of a figure."""
        return statistics.median(self.figures.get(unit) or [0.0])


Cases = dict[tuple[str, str, int], Case]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3, help="runs of each")
    parser.add_argument("--time", default="200ms", help="how long each takes, as -benchtime says it")
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    cases: Cases = {}
    read(run(asked.count, asked.time, "."), cases)
    read(run(asked.count, asked.time, "/encoding-json-v2/", GOEXPERIMENT="jsonv2"), cases)
    lines = list(page(cases, asked.count, load))
    print("\n".join(lines))
    asked.page.write_text("\n".join(lines) + "\n")


def run(count: int, time: str, which: str, **environment: str) -> str:
    """Run Go's benchmarks."""
    words = ["go", "test", "-run", "^$", "-bench", which, "-count", str(count), "-benchtime", time, "./..."]
    done = subprocess.run(
        words, cwd=FOLDER, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def read(text: str, cases: Cases) -> None:
    """Take the figures out of what they print."""
    for kind, way, size, rest in _LINE.findall(text):
        case = cases.setdefault((kind, way, int(size)), Case())
        words = rest.split()
        for value, unit in zip(words[::2], words[1::2], strict=False):
            case.figures.setdefault(unit, []).append(float(value))


def page(cases: Mapping[tuple[str, str, int], Case], count: int, load: float) -> Iterator[str]:
    """Write what was found."""
    yield "# Fields out of JSON"
    yield ""
    yield f"`make bench-parse` wrote this page: medians of {count} runs. Times are of one document."
    yield ""
    yield from machine(load)
    for kind, title in (
        ("Validating", "All of the document is looked at, and refused where it is no JSON"),
        ("Trusting", "The document is known to be JSON: it was validated when it was stored"),
    ):
        ways = [way for way in NAMES if (kind, way, _SIZES[0]) in cases]
        yield ""
        yield f"## {title}"
        yield ""
        yield (
            "| way | "
            + " | ".join(f"{size / 1000:g} kB" for size in _SIZES)
            + " | allocations at 40 kB | GC stops at 40 kB |"
        )
        yield "|---|" + "---|" * (len(_SIZES) + 2)
        for way in ways:
            cells = [_time(cases, kind, way, size) for size in _SIZES]
            at = cases[kind, way, 40_000]
            allocations = f"{at.median('allocs/op'):.0f}, {at.median('B/op'):,.0f} B"
            yield f"| {NAMES[way]} | {' | '.join(cells)} | {allocations} | {at.median('gc-pause-ns/op'):.0f} ns |"
    yield ""
    yield "## Titles in escapes"
    yield ""
    yield (
        "All of a document of 4 kB is looked at. So many of the titles are in escapes alone (`\\u96e8`), as a writer "
        "of ASCII writes each that is not English."
    )
    yield ""
    yield "| way | " + " | ".join(f"{part} % of titles | allocations" for part in _ESCAPED) + " |"
    yield "|---|" + "---|" * (2 * len(_ESCAPED))
    for way in (way for way in NAMES if ("Titles", way, 0) in cases):
        cells = [
            f"{_time(cases, 'Titles', way, part)} | {cases['Titles', way, part].median('allocs/op'):.0f}"
            for part in _ESCAPED
        ]
        yield f"| {NAMES[way]} | {' | '.join(cells)} |"
    yield ""
    yield "In brackets: how many times as long as the `Picker` of the same table. GC stops are per document."
    yield ""
    yield (
        "Beside the article's 8.2 → 1.3 ms a parse (6.3 times, and −76 % of the collector's stops; its two `GetBytes` "
        "are not validated): encoding/json's struct takes "
        + ", ".join(f"{_ratio(cases, size):.1f} times ({size / 1000:g} kB)" for size in _SIZES)
        + " as long as the trusting `Picker`."
    )


def _time(cases: Mapping[tuple[str, str, int], Case], kind: str, way: str, size: int) -> str:
    took, ours = (cases[kind, name, size].median("ns/op") for name in (way, OURS))
    return f"{took / 1000:.2f} µs" + (f" ({took / ours:.1f})" if way != OURS else "")


def _ratio(cases: Mapping[tuple[str, str, int], Case], size: int) -> float:
    theirs = cases["Validating", "encoding-json", size].median("ns/op")
    return theirs / cases["Trusting", OURS, size].median("ns/op")


if __name__ == "__main__":
    main()
