"""`make bench`: compare wherry with every installed peer, on the same modules, in one run; prints Markdown.

Runs are interleaved (A B C, B C A, …), so that a machine that grows slower does so for all.
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from base import served_base
from measure import Sample, measured
from modules import MODULES, ROOT, Module, edit, empty, fetch, lay, module_cache, read_once
from report import Figures, Report, write, write_summary
from subjects import WHERRY, GoBuild, Subject, Wherry, Workspace, installed, layer_sizes

ONE = ("linux/amd64",)
EIGHT = (
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386",
    "linux/riscv64", "linux/ppc64le", "linux/s390x", "linux/loong64",
)  # fmt: skip
SHORT = (
    "--help", "images", "inspect bench:latest", "size bench:latest", "size --sections bench:latest",
)  # fmt: skip
OUT = ROOT / "bench" / "out"
PAGE = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Bout:
    """One module, one set of platforms, all subjects."""

    module: Module
    platforms: tuple[str, ...]
    subjects: tuple[Subject, ...]
    spaces: dict[str, Workspace]

    def interleaved(self, rounds: int, before: Callable[[Workspace, str], None]) -> dict[str, list[Sample]]:
        """Run every subject `rounds` times in turn; `before` prepares its workspace and is not measured."""
        samples: dict[str, list[Sample]] = {subject.name: [] for subject in self.subjects}
        for number in range(rounds):
            shift = number % len(self.subjects)
            for subject in (*self.subjects[shift:], *self.subjects[:shift]):
                space = self.spaces[subject.name]
                before(space, f"{subject.name} {number}")
                job = subject.job(space, self.platforms)
                samples[subject.name].append(measured(job.argv, cwd=space.module, environment=job.environment))
        return samples


def main() -> int:
    """Measure what the arguments name; write the page."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the registry ends with us
    os.environ["WHERRY_BENCH_GOMODCACHE"] = module_cache()
    OUT.mkdir(parents=True, exist_ok=True)
    with served_base(OUT / "base", EIGHT) as registry:
        subjects = installed(registry)
        words = f"make bench ARGS={shlex.quote(shlex.join(sys.argv[1:]))}" if sys.argv[1:] else "make bench"
        report = Report(words, [subject.name for subject in subjects])
        for module in [module for module in MODULES if module.name in asked.modules]:
            _say(module.name)
            origin = fetch(module)
            report.figures += _one_platform(module, origin, subjects, asked, report)
            if module.name in asked.eight:
                report.figures += _eight_platforms(module, origin, subjects, asked)
        report.commands = _commands(fetch(MODULES[0]), asked.rounds)
    write(report, asked.page)
    if asked.page == PAGE:
        write_summary(report, ROOT / "README.md")
    print(asked.page.read_text())
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [module.name for module in MODULES]
    parser.add_argument("--modules", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each warm case")
    parser.add_argument("--cold-rounds", type=int, default=1, help="runs of the case with all caches empty")
    parser.add_argument(
        "--eight", nargs="*", choices=names, default=[], help="modules also built for eight platforms: 8 minutes each"
    )
    parser.add_argument("--quick", action="store_true", help="three warm runs: 6 minutes")
    parser.add_argument("--page", type=Path, default=PAGE, help="where to write the Markdown")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.cold_rounds, asked.eight = 3, 1, []
    return asked


def _bout(module: Module, origin: Path, subjects: Sequence[Subject], platforms: tuple[str, ...]) -> Bout:
    spaces = {
        subject.name: lay(
            module, origin, OUT / f"{module.name}-{len(platforms)}" / subject.name.replace(", ", "-").replace(" ", "-")
        )
        for subject in subjects
    }
    return Bout(module, platforms, tuple(subjects), spaces)


def _one_platform(
    module: Module, origin: Path, subjects: Sequence[Subject], asked: argparse.Namespace, report: Report
) -> Iterator[Figures]:
    bout = _bout(module, origin, subjects, ONE)
    yield from _cases(bout, asked.cold_rounds, asked.rounds)
    for subject in subjects:
        layout = subject.layout(bout.spaces[subject.name])
        if layout:
            report.layers[module.name, subject.name] = layer_sizes(layout, ONE[0])


def _eight_platforms(
    module: Module, origin: Path, subjects: Sequence[Subject], asked: argparse.Namespace
) -> Iterator[Figures]:
    bout = _bout(module, origin, [subject for subject in subjects if not isinstance(subject, GoBuild)], EIGHT)
    yield from _cases(bout, 1, max(3, asked.rounds // 2))


def _cases(bout: Bout, cold_rounds: int, rounds: int) -> Iterator[Figures]:
    cases: tuple[tuple[str, int, Callable[[Workspace, str], None]], ...] = (
        ("all caches empty", cold_rounds, lambda space, _mark: empty(space)),
        ("one file edited", rounds, lambda space, mark: edit(space, bout.module, mark)),
        ("nothing changed", rounds, lambda _space, _mark: None),
    )
    if cold_rounds:
        read_once(next(iter(bout.spaces.values())), bout.module)
    for case, times, before in cases:
        _say(f"  {len(bout.platforms)} × {case}")
        yield Figures(bout.module.name, len(bout.platforms), case, bout.interleaved(times, before))


def _commands(origin: Path, rounds: int) -> dict[str, list[Sample]]:
    """Run what only reads."""
    space = lay(MODULES[0], origin, OUT / "commands")
    job = Wherry().job(space, ONE)
    measured(job.argv, cwd=space.module, environment=job.environment)
    found = {}
    for words in SHORT:
        _say(f"wherry {words}")
        argv = [WHERRY, *words.split()]
        # In the module's own directory, `size` asks its source for imports, which is never remembered.
        measured(argv, cwd=space.folder, environment=job.environment)
        runs = [measured(argv, cwd=space.folder, environment=job.environment) for _ in range(rounds * 3)]
        found[f"wherry {words}"] = runs
    return found


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
