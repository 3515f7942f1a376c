"""`make bench-size`: how long `wherry size` takes, what memory it needs, and how right its owners are; Markdown out.

The programs are a main function that prints, examples/videometa and Prometheus' promtool: 2, 25 and 150 MB. How right
owners are is judged by the symbols of an unstripped twin and by planted packages, for each Go and architecture.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import Sample, measured
from modules import ROOT
from report import machine
from subjects import WHERRY

sys.path.insert(0, str(ROOT / "tests"))

from gobuild import HELLO, go_module
from twins import SERVER, STRIPPED, TOOLCHAINS, attributed, judged, planted_module, planted_strings, share
from wherry.analysis.spans import Confidence

PAGE = ROOT / "docs" / "benchmarks-size.md"
PROMTOOL = "github.com/prometheus/prometheus@v0.305.0"


class Program(NamedTuple):
    """What is measured, and what it is called."""

    name: str
    path: Path


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each case (default: 5)")
    parser.add_argument("--only", choices=("time", "truth"), help="leave the other table out, and print")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "truth":
            lines += ["## Time and memory", "", *_times(Path(folder), options.runs), ""]
        if options.only != "time":
            lines += ["## Owners, by Go and architecture", "", _TRUTH, "", *_truth(), ""]
    if options.only:
        print("\n".join(lines))
    else:
        PAGE.write_text("\n".join([_HEAD, "", *machine(load), "", *lines]))
        print(f"wrote {PAGE.relative_to(ROOT)}")


_HEAD = """# `wherry size`, measured

`make bench-size` wrote this page. Whole processes, median (and range); CPU is processor time, which a machine that does
other things too (see its load) stretches less. Memory is what the process had at most; of it pages of the mapped file
are a part that costs nothing while the file is in the page cache anyway."""

_TRUTH = """One server (net/http, encoding/json, text/template), stripped, and its twin with symbols. *exact* to
*unknown* is how `wherry size` says it knows, in percent of the file. *code right* and *variables right* are percent of
the bytes of the twin's symbols in .text, and in .data and .noptrdata, whose owner is the package in the symbol's name;
instances of generic functions are left out, since symbols do not name who has them. *strings right*: percent of the
bytes of a thousand strings, planted in three packages, that are given to them; Go 1.20 has no package slices to build
those with. Code of the last seven architectures is not searched for addresses: nothing is said of variables and strings
there."""


def _programs(folder: Path) -> Iterator[Program]:
    yield Program("hello", go_module({"main.go": HELLO}, "-trimpath", module="example.com/hello"))
    yield Program("videometa", _built(ROOT / "examples" / "videometa", folder / "videometa", "./cmd/videometa"))
    words = ["go", "mod", "download", "-json", PROMTOOL]
    said = subprocess.run(words, cwd=folder, env=_environment(), capture_output=True, check=True, text=True).stdout
    yield Program("promtool", _built(Path(json.loads(said)["Dir"]), folder / "promtool", "./cmd/promtool"))


def _built(module: Path, output: Path, package: str) -> Path:
    words = ["go", "build", "-trimpath", "-o", str(output), package]
    subprocess.run(words, cwd=module, env={**_environment(), "CGO_ENABLED": "0"}, check=True)
    return output


def _environment() -> dict[str, str]:
    return {**os.environ, "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _times(folder: Path, runs: int) -> Iterator[str]:
    cache = folder / "cache"
    environment = {**os.environ, "WHERRY_CACHE": str(cache), "WHERRY_STORE": str(folder / "store")}

    def run(program: Program, *flags: str) -> Sample:
        return measured([WHERRY, "size", *flags, str(program.path)], cwd=folder, environment=environment)

    def first(program: Program) -> Sample:
        shutil.rmtree(cache, ignore_errors=True)
        return run(program)

    cases: dict[str, Callable[[Program], Sample]] = {
        "`--sections`": lambda program: run(program, "--sections"),
        "all, first time": first,
        "all, again": run,
    }
    yield f"| program | bytes | {' | '.join(cases)} |"
    yield f"|---|---|{'---|' * len(cases)}"
    for program in _programs(folder):
        first(program)
        samples = {name: [case(program) for _ in range(runs)] for name, case in cases.items()}
        cells = " | ".join(map(_cell, samples.values()))
        yield f"| {program.name} | {program.path.stat().st_size / 1e6:.1f} MB | {cells} |"


def _cell(samples: Sequence[Sample]) -> str:
    times = [sample.seconds for sample in samples]
    peak = max(sample.own_peak for sample in samples)
    spread = f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"
    return f"{spread}, CPU {statistics.median(sample.cpu for sample in samples):.2f} s, {peak / 1e6:.0f} MB"


def _truth() -> Iterator[str]:
    columns = ["exact", "shared", "inferred", "unknown", "code right", "variables right", "strings right"]
    yield f"| Go | GOARCH | {' | '.join(columns)} |"
    yield f"|---|---|{'---|' * len(columns)}"
    local = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, check=True, text=True).stdout.strip()
    for toolchain in sorted([*TOOLCHAINS, local]):
        for arch in ("amd64", "arm64"):
            yield _row(toolchain, arch, "local" if toolchain == local else toolchain, searched=True)
    for arch in ("386", "arm", "riscv64", "ppc64le", "s390x", "loong64", "mips64"):
        yield _row(local, arch, "local", searched=False)


def _row(version: str, arch: str, toolchain: str, *, searched: bool) -> str:
    stripped, twin = (
        go_module({"main.go": SERVER}, *flags, arch=arch, module="example.com/server", toolchain=toolchain)
        for flags in (STRIPPED, ("-trimpath",))
    )
    found = attributed(stripped)
    right = judged(stripped, twin)
    planted = planted_strings(planted_module(arch, toolchain)) if searched and version >= "go1.21" else None
    variables = right["variables"] if searched else None
    figures = [*(share(found, confidence) for confidence in Confidence), right[".text"], variables, planted]
    cells = " | ".join("–" if one is None else f"{100 * one:.2f}" for one in figures)
    return f"| {version.removeprefix('go')} | {arch} | {cells} |"


if __name__ == "__main__":
    main()
