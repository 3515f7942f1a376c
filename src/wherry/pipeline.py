"""The whole line on one page, for both front ends: a request to images in the store. Read this first.

source (what the user has) → plan (steps with keys) → build (do what is not cached) → layer → image → store.

A front end brings its half as a `Work`: what is planned, who does the steps, what the images are. All else is here:
the lock on the store, the cache, the solver, the names. `app/build/go_work.py` is the half for Go modules,
`app/build/dockerfile_work.py` the one for Dockerfiles; `app/build/build.py` puts budgets and delivery behind it.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wherry.app.build.options import FrontEnd
from wherry.app.build.result import BuildResult, BuiltImage, BuiltStep
from wherry.build.solver import Solver, StepExecutor, StepOutcome
from wherry.counted import Moved, unheard
from wherry.errors import WherryError
from wherry.host.process import Runner, SystemRunner
from wherry.plan.graph import Plan, Step
from wherry.remote import Policy, RemoteBases
from wherry.store.disk import DiskStore
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.base.deb.bases import DebBases
    from wherry.registry.open import Registries


def processors() -> int:
    """Count the CPUs we may use; where the system doesn't tell (macOS), all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Listener:
    """Hears what a build does, as it does it; called from several threads. This one is deaf."""

    def warn(self, text: str) -> None:
        """Hear what the user should act on."""

    def begins(self, plan: Plan) -> None:
        """Hear, once, that not all of a plan is cached."""

    def began(self, step: Step) -> None:
        """Hear of a step that is not cached, before it is done."""

    def printed(self, step: str, text: str) -> None:
        """Hear what a step's program prints."""

    def detail(self, step: str, text: str) -> None:
        """Hear what a step does at the moment."""

    def finished(self, outcome: StepOutcome) -> None:
        """Hear what came of a step."""

    def moving(self, name: str) -> AbstractContextManager[Moved]:
        """Hear of bytes that are pulled or packed while this lasts."""
        return unheard(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSetup:
    """What every build is given: places, programs, registries, a clock, and who listens."""

    store: DiskStore
    cache: Path
    environment: Mapping[str, str]
    """Of the programs that are started, and of their settings; the process's own is never read."""
    runner: Runner = field(default_factory=SystemRunner)
    registries: "Callable[[], Registries] | None" = None
    """Where images that are not in the store are pulled from; None: nowhere."""
    debs: "Callable[[], DebBases] | None" = None
    """What makes bases of Debian packages; None: nothing does."""
    policy: Policy = field(default_factory=Policy)
    clock: Callable[[], float] = time.time
    threads: int = field(default_factory=processors)
    use_cache: bool = True
    listener: Listener = field(default_factory=Listener)
    cwd: Path | None = None
    """Where the user is: paths in what compilers say start there; None: where they ran."""

    def remote(self, results: Results) -> RemoteBases | None:
        """Give what finds images in registries."""
        if self.registries is None:
            return None
        listener = self.listener
        return RemoteBases(self.store, self.registries, results, self.policy, listener.warn, listener.moving)


class Work(Protocol):
    """A front end's half of a build, while it is done."""

    @property
    def performer(self) -> StepExecutor:
        """Who does the steps."""

    @property
    def renewed(self) -> frozenset[str]:
        """Steps that are done whether or not they are cached."""

    def plan(self) -> Plan:
        """Plan what is to be done."""

    def images(self, outcomes: Mapping[str, StepOutcome]) -> Sequence[BuiltImage]:
        """Give the images that steps have made."""

    def keep(self, outcomes: Mapping[str, StepOutcome], *, unchanged: bool) -> None:
        """Write what else is asked for, before any image is named."""

    def abandon(self) -> None:
        """End what is at work, once the plan has failed."""

    def placed(self, error: WherryError) -> WherryError:
        """Say where in the user's files an error of a step is."""

    def trace(self) -> object:
        """Give all that the images depend on, for replays."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know, though nothing failed."""

    @property
    def looked_at(self) -> int:
        """Count the files that were checked."""


class ImageRequest(Protocol):
    """What a front end is asked for."""

    @property
    def front_end(self) -> FrontEnd:
        """Which front end it is."""

    def open(self, setup: BuildSetup, results: Results) -> AbstractContextManager[Work]:
        """Begin the front end's half; what it holds is freed with the `with` block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """What a build did, and what that depends on."""

    result: BuildResult
    outcomes: Mapping[str, StepOutcome]
    trace: object
    """See `Work.trace`."""
    began: int
    """Nanoseconds since the epoch, before anything was read."""


def build(setup: BuildSetup, request: ImageRequest) -> LineResult:
    """Build every image and name it; nothing is named unless all of them are whole.

    Raises:
        WherryError: whatever stopped it; the store is unchanged, but for blobs that no name resolves to.
    """
    began, began_ns = setup.clock(), time.time_ns()
    setup.store.warned = setup.listener.warn
    with ExitStack() as stack:
        results = Results(setup.cache, setup.listener.warn)
        stack.callback(results.close)
        work = stack.enter_context(request.open(setup, results))
        stack.enter_context(setup.store.writing())
        plan = work.plan()
        try:
            outcomes, unchanged = _solve(setup, results, plan, work)
        except WherryError as error:
            placed = work.placed(error)
            if placed is error:
                raise
            raise placed from error
        images = tuple(work.images(outcomes))
        work.keep(outcomes, unchanged=unchanged)
        _name(setup.store, images)
        trace = work.trace()  # reads what notices depend on
        result = BuildResult(
            front_end=request.front_end,
            images=images,
            steps=tuple(_step(name, outcome) for name, outcome in outcomes.items()),
            unchanged=unchanged,
            looked_at=work.looked_at,
            seconds=setup.clock() - began,
            notices=work.notices,
        )
    return LineResult(result=result, outcomes=outcomes, trace=trace, began=began_ns)


def _solve(setup: BuildSetup, results: Results, plan: Plan, work: Work) -> tuple[Mapping[str, StepOutcome], bool]:
    """Do what is not cached; report whether all was."""
    engine = Solver(
        results=results,
        locks=setup.cache / "locks",
        performer=work.performer,
        threads=setup.threads + 1,
        use_cache=setup.use_cache,
        clock=setup.clock,
        began=setup.listener.began,
        finished=setup.listener.finished,
        waiting=setup.listener.moving,
        abandon=work.abandon,
        renewed=work.renewed,
    )
    cached = engine.lookup(plan)
    if cached is not None:
        return cached, True
    setup.listener.begins(plan)
    return engine.run(plan), False


def _name(store: DiskStore, images: Sequence[BuiltImage]) -> None:
    for image in images:
        for name in image.names:
            if store.tags().get(name) != image.root:
                store.tag(name, image.root)


def _step(name: str, outcome: StepOutcome) -> BuiltStep:
    return BuiltStep(name=name, cached=outcome.cached, seconds=outcome.seconds, reasons=outcome.reasons)
