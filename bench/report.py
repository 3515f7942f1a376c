"""Samples to Markdown: medians with their range, paired ratios, bytes, and what they were measured with."""

import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from measure import Sample
from subjects import FROM_WHEEL

OURS = "wherry"
COMPILER = "go build"
_BEGIN, _END = "<!-- bench:begin -->", "<!-- bench:end -->"


@dataclass(frozen=True, slots=True)
class Figures:
    """One case: every subject's runs, paired with those of the others by number."""

    module: str
    platforms: int
    case: str
    samples: dict[str, list[Sample]]


@dataclass(slots=True)
class Report:
    """All that one run of the benchmark found."""

    command: str
    subjects: list[str]
    figures: list[Figures] = field(default_factory=list)
    commands: dict[str, list[Sample]] = field(default_factory=dict)
    """Runs of short commands, by their words."""
    layers: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """Compressed bytes of each layer, by module and subject."""
    load: tuple[float, float, float] = field(default_factory=os.getloadavg)
    """Of the machine before the first run."""


def write(report: Report, page: Path) -> None:
    """Write the page."""
    page.write_text("\n".join(_lines(report)) + "\n")


def write_summary(report: Report, page: Path) -> None:
    """Put the short table between the marks that a page has for it."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text("\n".join([before + _BEGIN, *_summary(report), _END + after]))


def _summary(report: Report) -> Iterable[str]:
    names = [name for name in report.subjects if name != COMPILER]
    yield f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, {_ko_version() or 'no ko'}; medians."
    yield ""
    yield from _head(["module, one platform", "", *names])
    for figures in report.figures:
        if figures.platforms == 1:
            medians = [_median(figures.samples[name]) for name in names]
            yield _row([figures.module, figures.case, *(f"{median:.2f} s" for median in medians)])
    for module in dict.fromkeys(module for module, _ in report.layers):
        sums = [sum(report.layers.get((module, name), ())) for name in names]
        yield _row([module, "pulled", *(f"{total / 1e6:.2f} MB" if total else "–" for total in sums)])


def _median(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.seconds for sample in samples)


def _lines(report: Report) -> Iterable[str]:
    yield "# Benchmarks"
    yield ""
    yield f"Written by `{report.command}` on {datetime.now(UTC):%Y-%m-%d}; every figure here is of that one run."
    yield "Seconds are medians of whole program runs (fastest to slowest in brackets), the subjects taking turns;"
    yield "ratios are medians over the runs that stood side by side. Above 1: the other takes longer than wherry."
    yield ""
    yield from machine(report.load[0])
    yield from ["", "## Time", "", *_times(report)]
    yield from ["", "## Short commands", "", _SHORT, "", *_short(report)]
    yield from ["", "## Memory", "", *_memory(report)]
    yield from ["", "## Bytes that are pulled", "", *_bytes(report)]
    yield from ["", "## What was run", "", _NOTES]


_NOTES = """\
- `wherry`: `wherry build --go --platform … -t …`, all else as it comes: base `static`, gzip, into a store on disk.
- `ko`: `ko build --push=false --bare --sbom=none --platform=… --oci-layout-path=…`. Its base is wherry's own `static`,
  from a registry on loopback. Without `--sbom=none` it would also write an SBOM, which wherry does on request.
- `ko, tuned`: the same with `--ldflags='-s -w'` and KOCACHE, as its documentation offers.
- `go build`: `go build -trimpath -ldflags=-s` alone, for one platform: the compiler's part of the time.
- *All caches empty*: compiler cache, image store and the tool's own caches; the module cache is full. *One file
  edited*: a function more in package main. Each subject has a copy of the module, a compiler cache and a git checkout
  of its own.
- *Own* memory is the program's peak (VmHWM, looked at every 4 ms), *largest* that of the largest process it is or
  started (wait4): nearly always the Go linker or compiler.
- Modules: `hello` is examples/hello, `crane` is go-containerregistry v0.22.1 built from its own go.mod, `svc` is
  bench/modules/svc (etcd client, quic-go, Prometheus, zap, gjson)."""


def machine(load: float) -> Iterable[str]:
    """Say what was measured with, and on what."""
    yield f"- {_processor()}, {os.cpu_count()} cores, {_memory_size()} GB, Linux {platform.release()}"
    yield f"- load of the machine before the first run: {load:.1f}"
    yield f"- wherry is installed from {'its wheel' if FROM_WHEEL else 'the checkout (editable), not from its wheel'}"
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("wherry", "zlib-ng", "zstandard"))
    yield f"- {packages}, Python {platform.python_version()}, {_output('go', 'env', 'GOVERSION')}"
    if ko := _ko_version():
        yield f"- {ko}"


_SHORT = "Of the image of hello, in a store of its own; each was called once before, so that what is remembered counts."


def _short(report: Report) -> Iterable[str]:
    yield from _head(["command", "seconds", "CPU seconds", "own memory, MB"])
    for words, samples in report.commands.items():
        cpu = statistics.median(sample.cpu for sample in samples)
        peak = max(sample.own_peak for sample in samples) / 1e6
        yield _row([f"`{words}`", _seconds(samples), f"{cpu:.3f} s", f"{peak:.0f}"])


def _times(report: Report) -> Iterable[str]:
    others = [name for name in report.subjects if name not in {OURS, COMPILER}]
    head = [
        "module",
        "platforms",
        "case",
        *report.subjects,
        *(f"{name} ÷ {OURS}" for name in others),
        f"{OURS} − {COMPILER}",
    ]
    yield from _head(head)
    for figures in report.figures:
        cells = [_seconds(figures.samples.get(name)) for name in report.subjects]
        ratios = [_ratio(figures, name) for name in others]
        yield _row([figures.module, str(figures.platforms or "–"), figures.case, *cells, *ratios, _added(figures)])


def _seconds(samples: Sequence[Sample] | None) -> str:
    if not samples:
        return "–"
    times = [sample.seconds for sample in samples]
    return f"{_median(samples):.3f} s ({min(times):.3f}–{max(times):.3f})"


def _ratio(figures: Figures, other: str) -> str:
    pairs = zip(figures.samples.get(other, []), figures.samples.get(OURS, []), strict=False)
    ratios = [theirs.seconds / ours.seconds for theirs, ours in pairs]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


def _added(figures: Figures) -> str:
    pairs = zip(figures.samples.get(OURS, []), figures.samples.get(COMPILER, []), strict=False)
    added = [ours.seconds - compiler.seconds for ours, compiler in pairs]
    return f"{statistics.median(added):+.3f} s" if added else "–"


def _memory(report: Report) -> Iterable[str]:
    names = [name for name in report.subjects if name != COMPILER]
    yield from _head(["module", "platforms", "case", *(f"{name}: own / largest, MB" for name in names)])
    for figures in report.figures:
        yield _row(
            [
                figures.module,
                str(figures.platforms or "–"),
                figures.case,
                *(_peaks(figures.samples.get(name)) for name in names),
            ]
        )


def _peaks(samples: Sequence[Sample] | None) -> str:
    if not samples:
        return "–"
    own, largest = max(sample.own_peak for sample in samples), max(sample.tree_peak for sample in samples)
    return f"{own / 1e6:.0f} / {largest / 1e6:.0f}"


def _bytes(report: Report) -> Iterable[str]:
    names = [name for name in report.subjects if name != COMPILER]
    yield "Compressed layers for linux/amd64. *Base* is all below the program; ko adds an empty layer for kodata to it."
    yield ""
    yield from _head(["module", "builder", "base", "program", "sum", f"sum ÷ {OURS}"])
    for module in dict.fromkeys(figures.module for figures in report.figures if figures.platforms):
        ours = sum(report.layers[module, OURS])
        for name in names:
            if (module, name) in report.layers:
                *base, program = report.layers[module, name]
                total = sum(base) + program
                yield _row([module, name, f"{sum(base):,}", f"{program:,}", f"{total:,}", f"{total / ours:.3f}"])


def _head(cells: Sequence[str]) -> Iterable[str]:
    yield _row(cells)
    yield _row(["---"] * len(cells))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _memory_size() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def _ko_version() -> str:
    """Ask Go what the program says of itself: `ko version` is empty where it was made by `go install`."""
    program = shutil.which("ko")
    facts = _output("go", "version", "-m", program).splitlines() if program else []
    return next((f"ko {line.split()[2]}" for line in facts if line.split()[:1] == ["mod"]), "")


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
