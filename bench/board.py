"""The board at 10,000 builds: size of its page, time to write it, first paint in Chromium; and what recording costs.

Run: python bench/board.py [--builds N]; it writes docs/benchmarks-board.md. First paint is what the browser itself
reports (W3C Paint Timing, "first-contentful-paint"), of the page opened from a file in a fresh profile.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from measure import Sample, measured
from report import machine
from subjects import WHERRY
from wherry.app.build.build import FinishedBuild, finish
from wherry.app.build.call import Streams
from wherry.app.build.options import GoBuild
from wherry.app.build.progress import BuildProgress
from wherry.app.history_record import build_entry, record, record_again
from wherry.app.session import Session
from wherry.history.database import HistoryDatabase
from wherry.history.entry import BudgetFigures, CallFigures, ImageFigures, LayerFigures, ScanFigures, StepFigures

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PAGE = ROOT / "docs" / "benchmarks-board.md"
_RUNS = 9
_RECORDS = 200
_BEGAN = 1_764_000_000.0
_HEAD = """# The board and the history

Written by `make bench-board`. A history is made of builds of three images on two platforms, with 40 dependencies and
eight steps each, and a scan for every tenth; then `wherry board` writes its page, and Chromium opens it from the file,
each time with a fresh profile. First paint is the browser's own figure (Paint Timing, first-contentful-paint); *loaded*
is when its load event ended. Medians, with the least and the most."""
_PAINT = """
  const paint = (name) => (performance.getEntriesByName(name)[0] || {}).startTime;
  const [load] = performance.getEntriesByType('navigation');
  const wait = () => {
    const first = paint('first-contentful-paint');
    if (first === undefined || !load.loadEventEnd) { setTimeout(wait, 20); return; }
    done([first, load.loadEventEnd, document.getElementsByTagName('*').length]);
  };
  wait();
"""


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=10_000, help="in the history (default: 10000)")
    options = parser.parse_args()
    lines = [_HEAD, "", *machine(os.getloadavg()[0]), "", "| | median | least | most |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as name:
        work = Path(name)
        lines += _board(work, options.builds)
        lines += ["", "Recording is what a call does for the history; the demand is 5 ms.", ""]
        lines += ["| recording | median | least | most |", "|---|---|---|---|", *_recording(work)]
    PAGE.write_text("\n".join([*lines, ""]))
    print(PAGE.read_text())


def _board(work: Path, builds: int) -> Iterator[str]:
    with HistoryDatabase(work / "history") as database:
        database.add(_entries(builds))
        calls = len(list(database.entries()))
    environment = {**os.environ, "WHERRY_HISTORY": str(work / "history"), "WHERRY_STORE": str(work / "store")}
    command = [WHERRY, "board", "--html", str(work / "board.html")]
    samples = [measured(command, cwd=work, environment=environment) for _ in range(_RUNS)]
    page = work / "board.html"
    yield f"| {calls:,} calls: the page | {page.stat().st_size / 1e3:.0f} kB | | |"
    yield _row("`wherry board`", [one.seconds for one in samples], "s")
    yield _row("its memory", [one.own_peak / 1e6 for one in samples], "MB")
    paints = list(_paints(page))
    yield _row("first paint", [one[0] for one in paints], "ms")
    yield _row("loaded", [one[1] for one in paints], "ms")
    yield f"| elements of the page | {paints[0][2]:,.0f} | | |"


def _paints(page: Path) -> Iterator[Sequence[float]]:
    from webdriver import browser

    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as chromium:
            chromium.screen(1280, 800)
            chromium.open(page)
            yield chromium.script(_PAINT)


def _recording(work: Path) -> Iterator[str]:
    module = work / "hello"
    shutil.copytree(ROOT / "examples" / "hello", module)
    base = {**os.environ, "WHERRY_STORE": str(work / "store"), "WHERRY_CACHE": str(work / "cache")}
    session = Session.of({**base, "WHERRY_HISTORY": str(work / "records")}, cwd=module)
    done = finish(session, GoBuild(tags=("hello:bench",)), Streams(), lambda _: BuildProgress(session.progress))
    yield _row("loading what records (processor time)", list(_loading()), "ms")
    yield _row("a build", _seconds(session, done), "ms")
    _, rest = record(session, lambda: build_entry(session, done, began=time.time())) or ("", "")
    again = []
    for _ in range(_RECORDS):
        began = time.perf_counter()
        record_again(session, rest, began=time.time())
        again.append((time.perf_counter() - began) * 1000)
    yield _row("a build of which nothing changed", again, "ms")
    on, off = (
        [one.seconds * 1000 for one in samples]
        for samples in zip(*(_twice(module, base, work) for _ in range(_RUNS)), strict=True)
    )
    yield _row("`wherry build`, nothing changed, with a history", on, "ms")
    yield _row("the same with WHERRY_HISTORY=off", off, "ms")


def _twice(module: Path, base: Mapping[str, str], work: Path) -> tuple[Sample, Sample]:
    """Build twice with nothing changed: with a history and without."""
    command = [WHERRY, "build", "-t", "hello:bench"]
    on = measured(command, cwd=module, environment={**base, "WHERRY_HISTORY": str(work / "records")})
    return on, measured(command, cwd=module, environment={**base, "WHERRY_HISTORY": "off"})


def _loading() -> Iterator[float]:
    """Give the milliseconds of processor time that a process which builds takes to load what records."""
    code = (
        "import time, wherry.app.build.go, wherry.app.build.go_work, wherry.cli.world\n"
        "began = time.process_time()\n"
        "import wherry.cli.keep; print((time.process_time() - began) * 1000)"
    )
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=kept)
    for _ in range(_RUNS):
        yield float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


def _seconds(session: Session, done: FinishedBuild) -> list[float]:
    found = []
    for _ in range(_RECORDS):
        began = time.perf_counter()
        record(session, lambda: build_entry(session, done, began=time.time()))
        found.append((time.perf_counter() - began) * 1000)
    return found


def _row(what: str, values: Sequence[float], unit: str) -> str:
    figures = statistics.median(values), min(values), max(values)
    digits = 2 if figures[0] < 10 else 0
    middle, least, most = (f"{one:.{digits}f} {unit}" for one in figures)
    return f"| {what} | {middle} | {least} | {most} |"


def _entries(builds: int) -> Iterator[CallFigures]:
    """Make builds that look like a year of a team's."""
    chance = random.Random(20)  # noqa: S311 - the same history each time
    sizes = {(name, platform): 4_500_000 + 300_000 * place for place, (name, platform) in enumerate(_images())}
    for number in range(builds):
        at = _BEGAN + number * 3000.0
        if chance.random() < 0.02:
            sizes = {key: round(size * chance.uniform(0.9, 1.12)) for key, size in sizes.items()}
        yield _build(number, at, chance, sizes)
        if number % 10 == 0:
            scan = ScanFigures(symbol=chance.randrange(4), package=3, module=9, programs=2, age=chance.uniform(0, 9e5))
            yield CallFigures(
                id=f"5ca1{number:016x}", at=at + 60, command="scan", seconds=chance.uniform(1, 4), scan=scan
            )


def _images() -> list[tuple[str, str]]:
    return [
        (name, platform)
        for name in ("api:dev", "worker:dev", "gate:dev")
        for platform in ("linux/amd64", "linux/arm64")
    ]


def _build(number: int, at: float, chance: random.Random, sizes: Mapping[tuple[str, str], int]) -> CallFigures:
    name = ("api:dev", "worker:dev", "gate:dev")[number % 3]
    images = []
    for platform in ("linux/amd64", "linux/arm64"):
        pulled = sizes[name, platform] + chance.randrange(2000)
        digest = f"sha256:{chance.getrandbits(256):064x}"
        layers = (
            LayerFigures(digest="sha256:" + "1" * 64, pulled=857_000, unpacked=1_900_000),
            LayerFigures(digest=digest, pulled=pulled - 857_000, unpacked=3 * pulled, own=True),
        )
        images.append(
            ImageFigures(name=name, digest=digest, platform=platform, pulled=pulled, layers=layers, program=3 * pulled)
        )
    steps = tuple(
        StepFigures(
            name=f"{what} example.com/{name} {platform}", seconds=chance.uniform(0.05, 3), reasons=("main.go changed",)
        )
        for what in ("base", "compile", "pack", "assemble")
        for platform in ("linux/amd64", "linux/arm64")
    )
    budget = BudgetFigures(
        what="pulled", limit=6_000_000, actual=images[0].pulled or 0, ok=True, image=name, platform="linux/amd64"
    )
    return CallFigures(
        id=f"{number:016x}", at=at, command="build", seconds=chance.uniform(1, 9), images=tuple(images), steps=steps,
        hits=chance.randrange(8), misses=8, cpu=4.0, memory=60_000_000, compiler_cpu=9.0,
        compiler_memory=300_000_000 + chance.randrange(90_000_000), go=f"go1.26.{number // 3000}",
        revision=f"{number:040x}", branch="main", budgets=(budget,),
        requires={f"example.com/dep{place}": f"v1.{(number + place * 97) // 400}.0" for place in range(40)},
    )  # fmt: skip


if __name__ == "__main__":
    main()
