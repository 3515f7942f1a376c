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
from owned_data import planted_owners, planted_program, planted_right
from twins import (
    SERVER,
    STRIPPED,
    TOOLCHAINS,
    attributed,
    judged,
    judged_by_units,
    planted_module,
    planted_strings,
    share,
)
from wherry.analysis.mapped import map_elf
from wherry.analysis.program import AttributedProgram as Read
from wherry.analysis.spans import Confidence

PAGE = ROOT / "docs" / "benchmarks-size.md"
_NOT_SEARCHED = ("386", "arm", "riscv64", "ppc64le", "s390x", "loong64", "mips64")
PROMTOOL = "github.com/prometheus/prometheus@v0.305.0"


class Program(NamedTuple):
    """What is measured, and what it is called."""

    name: str
    path: Path


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each case (default: 5)")
    parser.add_argument("--only", choices=("time", "truth", "units"), help="leave the other tables out, and print")
    parser.add_argument(
        "--toolchains", nargs="*", default=TOOLCHAINS, help="of the table by Go, in addition to the local one"
    )
    parser.add_argument(
        "--architectures", nargs="*", default=_NOT_SEARCHED, help="the same, in addition to amd64 and arm64"
    )
    options = parser.parse_args()
    load = os.getloadavg()[0]
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        if options.only in {None, "time"}:
            lines += ["## Time and memory", "", *_times(Path(folder), options.runs), ""]
        if options.only in {None, "truth"}:
            table = _truth(options.toolchains, options.architectures)
            lines += ["## Owners, by Go and architecture", "", _TRUTH, "", *table, ""]
        if options.only in {None, "units"}:
            lines += ["## Code, judged by DWARF", "", _UNITS, "", *_units(Path(folder)), ""]
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
*unknown* is how `wherry size` says it knows, in percent of the file. *code right* is judged in two ways, in percent of
bytes: by DWARF's compile units, and by the packages in the names of symbols, which differ from the unit for assembly,
`go:linkname`, wrappers and comparisons; instances of generic functions are left out there. *variables right* are those
of Go's own packages, percent of the bytes of the twin's symbols in .data and .noptrdata. *strings right*: percent of
the bytes of a thousand strings, planted in three packages: those of variables are open in a stripped program. *data*:
percent of the bytes of variables and embedded files (string, []byte, FS, tables of numbers and of pointers) planted in
seven packages and used by others only: right, and given to a wrong package, stripped and without source; and right with
source. Code of the last seven architectures is not searched for addresses: nothing is said of variables and strings
there."""

_UNITS = """Eight programs with DWARF; owners of code come from the pclntab alone, which stripped programs have, too.
*wrong* is code that has another owner than its compile unit, in percent of all code; *said to be exact* is the part of
it that is called so. Code of C is in no unit of Go's, and is right as `(c)`."""
_TOOLS = (("golang.org/x/vuln@v1.9.0", "./cmd/govulncheck"), ("honnef.co/go/tools@v0.8.2", "./cmd/staticcheck"))
_OWN = ("cmd/go", "cmd/compile", "cmd/pprof")


def _programs(folder: Path) -> Iterator[Program]:
    yield Program("hello", go_module({"main.go": HELLO}, "-trimpath", module="example.com/hello"))
    yield Program("videometa", _built(ROOT / "examples" / "videometa", folder / "videometa", "./cmd/videometa"))
    yield Program("promtool", _built(_downloaded(PROMTOOL, folder), folder / "promtool", "./cmd/promtool"))


def _downloaded(module: str, folder: Path) -> Path:
    words = ["go", "mod", "download", "-json", module]
    said = subprocess.run(words, cwd=folder, env=_environment(), capture_output=True, check=True, text=True).stdout
    return Path(json.loads(said)["Dir"])


def _built(module: Path, output: Path, package: str, *, cgo: bool = False) -> Path:
    words = ["go", "build", "-trimpath", "-o", str(output), package]
    subprocess.run(words, cwd=module, env={**_environment(), "CGO_ENABLED": str(int(cgo))}, check=True)
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


def _truth(toolchains: Sequence[str], architectures: Sequence[str]) -> Iterator[str]:
    columns = ["exact", "shared", "inferred", "unknown", "code right (DWARF)", "code right (names)", "variables right",
               "strings right", "data right, stripped", "data wrong, stripped", "data right, with source"]  # fmt: skip
    yield f"| Go | GOARCH | {' | '.join(columns)} |"
    yield f"|---|---|{'---|' * len(columns)}"
    local = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, check=True, text=True).stdout.strip()
    for toolchain in sorted([*toolchains, local]):
        for arch in ("amd64", "arm64"):
            yield _row(toolchain, arch, "local" if toolchain == local else toolchain, searched=True)
    for arch in architectures:
        yield _row(local, arch, "local", searched=False)


def _row(version: str, arch: str, toolchain: str, *, searched: bool) -> str:
    stripped, twin = (
        go_module({"main.go": SERVER}, *flags, arch=arch, module="example.com/server", toolchain=toolchain)
        for flags in (STRIPPED, ("-trimpath",))
    )
    found = attributed(stripped)
    right = judged(stripped, twin)
    strings = planted_strings(planted_module(arch, toolchain))[0] if searched and version >= "go1.21" else None
    figures = [
        *(share(found, confidence) for confidence in Confidence),
        1 - judged_by_units(stripped, twin)[0],
        right[".text"],
        right["variables"] if searched else None,
        strings,
        *(_data(arch, toolchain) if searched else (None, None, None)),
    ]
    cells = " | ".join("–" if one is None else f"{100 * one:.2f}" for one in figures)
    return f"| {version.removeprefix('go')} | {arch} | {cells} |"


def _data(arch: str, toolchain: str) -> tuple[float, float, float]:
    """Judge the planted data: right and wrong without symbols, right with them."""
    program, twin = (planted_program(strip=strip, arch=arch, toolchain=toolchain) for strip in (True, False))
    content = program.read_bytes()
    right, wrong = planted_right(planted_owners(attributed(program), content))
    return right, wrong, planted_right(planted_owners(attributed(program, twin=twin), content))[0]


def _units(folder: Path) -> Iterator[str]:
    yield "| program | code | wrong | said to be exact |"
    yield "|---|---|---|---|"
    for program in _with_dwarf(folder):
        code = int(Read.of(map_elf(program.path)).functions.sizes.sum())
        wrong, exactly = judged_by_units(program.path, program.path)
        yield f"| {program.name} | {code / 1e6:.1f} MB | {100 * wrong:.4f} % | {exactly.total()} B |"


def _with_dwarf(folder: Path) -> Iterator[Program]:
    yield Program("hello", go_module({"main.go": HELLO}, "-trimpath", module="example.com/hello"))
    yield Program("server", go_module({"main.go": SERVER}, "-trimpath", module="example.com/server"))
    yield Program("videometa", _built(ROOT / "examples" / "videometa", folder / "videometa", "./cmd/videometa"))
    for module, package in _TOOLS:
        name = package.rpartition("/")[2]
        yield Program(name, _built(_downloaded(module, folder), folder / name, package, cgo=True))
    for package in _OWN:
        yield Program(package, _built(folder, folder / package.replace("/", "-"), package, cgo=True))


if __name__ == "__main__":
    main()
