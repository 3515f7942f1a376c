"""What each flag bought: the same program in many variants, each built, weighed and started."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wherry.analysis.mapped import map_elf
from wherry.errors import WherryError
from wherry.host.process import Command, which
from wherry.lab.compiling import Compiler, Recipe, Weight, weigh
from wherry.lab.countdown import Countdown
from wherry.lab.flag_claims import FlagClaim, believed, claims_of
from wherry.lab.start import Start, start
from wherry.lab.variants import AS_BUILT, Variant
from wherry.layer.compress import Encoding

ENCODINGS = (Encoding("gzip", 5), Encoding("zstd", 19))
"""What layers are compared by: a usual build's encoding, and a release's."""
Said = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StartPlan:
    """How a program is started, to be measured; nothing is started where there is none."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    runs: int
    ready: str = ""
    """An address that answers when the program is ready; empty: its first socket that listens."""


@dataclass(frozen=True, slots=True)
class MeasuredVariant:
    """One variant."""

    name: str
    weight: Weight | None
    """None where it could not be built."""
    problem: str = ""
    starts: tuple[Start, ...] = ()
    interpreter: str = ""
    """Who has to load it; empty where the kernel does."""
    deep: bool = False

    def spread(self, value: Callable[[Start], float]) -> tuple[float, float, float]:
        """Return minimum, median and maximum of what starts measured."""
        values = [value(one) for one in self.starts]
        return min(values), statistics.median(values), max(values)


@dataclass(frozen=True, slots=True)
class FlagTrials:
    """All variants, the unchanged one first, and what does not hold."""

    measured: tuple[MeasuredVariant, ...]
    beliefs: tuple[FlagClaim, ...] = field(default=())
    unstarted: str = ""
    """Why programs were not started."""


def flags(
    compiler: Compiler, recipe: Recipe, variants: Sequence[Variant], running: StartPlan | None, say: Said
) -> FlagTrials:
    """Build every variant, weigh it, and start all of them in turn.

    Args:
        compiler: what compiles.
        recipe: how the program is compiled now.
        variants: what else to try; one that can't be built is reported, and is not fatal.
        running: how to start it; runs are interleaved, so that what else the machine does meets all alike.
        say: receives progress messages.

    Raises:
        CompileFailed: the program cannot be compiled unchanged.
    """
    measured, programs = [], dict[str, Path]()
    upx = which("upx", compiler.toolchain.environment.get("PATH", os.defpath))
    deep = any(variant.deep for variant in variants)
    trial = Countdown(say, 1 + len(variants) + bool(upx) + len(claims_of(deep=deep)))
    for number, variant in enumerate((Variant(AS_BUILT), *variants)):
        trial(f"building {variant.name}")
        one = _built(compiler, variant, recipe, f"v{number}", programs)
        if number == 0 and one.weight is None:
            compiler.compile(recipe, "v0")  # raises what it said
        measured.append(one)
    if upx:
        measured.append(_packed(compiler, upx, programs, trial))
    beliefs = believed(compiler, recipe, trial, deep=deep)
    found = FlagTrials(tuple(measured), beliefs)
    return _started(found, programs, running, compiler.folder, say)


def _built(
    compiler: Compiler, variant: Variant, recipe: Recipe, name: str, programs: dict[str, Path]
) -> MeasuredVariant:
    try:
        program, _ = compiler.compile(variant.of(recipe), name)
    except WherryError as error:
        return MeasuredVariant(variant.name, None, error.message, deep=variant.deep)
    programs[variant.name] = program
    return MeasuredVariant(
        variant.name, weigh(program, ENCODINGS), interpreter=map_elf(program).interpreter, deep=variant.deep
    )


def _packed(compiler: Compiler, upx: str, programs: dict[str, Path], say: Said) -> MeasuredVariant:
    """Pack the program by what is on PATH; no library does it, and none should."""
    name = "upx --best --lzma"
    say(f"packing by {name}")
    program = compiler.folder / "packed"
    words = (upx, "--best", "--lzma", "-q", "-o", str(program), str(programs[AS_BUILT]))
    done = compiler.runner.run(Command(words, compiler.folder, compiler.toolchain.environment))
    if done.returncode:
        return MeasuredVariant(name, None, done.words)
    programs[name] = program
    return MeasuredVariant(name, weigh(program, ENCODINGS))


def _started(
    found: FlagTrials, programs: Mapping[str, Path], running: StartPlan | None, folder: Path, say: Said
) -> FlagTrials:
    if running is None:
        return replace(found, unstarted="programs were not started (use --run)")
    starts: dict[str, list[Start]] = {}
    problems: dict[str, str] = {}
    run = Countdown(say, running.runs)
    for _ in range(running.runs):
        run("starting all variants")
        for name, program in programs.items():
            if name not in problems:
                try:
                    one = start([str(program), *running.arguments], running.environment, folder, ready=running.ready)
                except (WherryError, OSError) as error:
                    problems[name] = error.message if isinstance(error, WherryError) else str(error)
                else:
                    starts.setdefault(name, []).append(one)
    if AS_BUILT in problems:
        return replace(found, unstarted=f"it did not start: {problems[AS_BUILT]}")
    return replace(
        found,
        measured=tuple(
            replace(one, starts=tuple(starts.get(one.name, ())), problem=one.problem or problems.get(one.name, ""))
            for one in found.measured
        ),
    )


def runs_here(recipe: Recipe) -> bool:
    """Report whether this machine can start what a recipe makes."""
    here = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return recipe.environment.get("GOARCH", here) == here and recipe.environment.get("GOOS", "linux") == "linux"
