"""Steps in order of need, side by side, cached by key; and why a step missed.

The engine knows nothing of Go or layers: a `StepExecutor` that it is handed looks at what steps read and does them.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, overload

import msgspec

from wherry.counted import Moving, unheard
from wherry.errors import WherryError
from wherry.plan.graph import VALUES, WHOLE, Plan, Step, key_of
from wherry.source.git_address import without_credentials
from wherry.store.locks import alone
from wherry.store.results import Results, StepRecord
from wherry.typed import from_msgpack


@dataclass(frozen=True, slots=True)
class ObservedInputs:
    """What a step reads now."""

    key: str
    """The content key: a hash of each thing read and what was in it."""
    observed: bytes
    """The same in the form the performer wants back next time, with whatever makes the next look cheap."""
    worth_keeping: bool = False
    """Whether `observed` has become cheaper to check than the record's."""


class Reasons(Sequence[str]):
    """Why a step was done, found out when it is asked: the next step does not wait for it."""

    def __init__(self, find: Callable[[], tuple[str, ...]]) -> None:
        """Take what finds it out, of what no longer changes."""
        self._find: Callable[[], tuple[str, ...]] | None = find
        self._found: tuple[str, ...] = ()

    def _all(self) -> tuple[str, ...]:
        find = self._find
        if find is not None:
            self._found = find()
            self._find = None
        return self._found

    def __len__(self) -> int:
        """Count them."""
        return len(self._all())

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        """Give one, or some."""
        return self._all()[place]

    def __eq__(self, other: object) -> bool:
        """Compare with other reasons, or with a tuple of them."""
        return self._all() == (other._all() if isinstance(other, Reasons) else other)

    def __hash__(self) -> int:
        """As a tuple of them."""
        return hash(self._all())

    def __repr__(self) -> str:
        """As a tuple of them."""
        return repr(self._all())


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What came of a step: cached or done now, its result, and why it was not cached."""

    step: Step
    cached: bool
    result: bytes
    key: str
    observed: bytes | None = None
    """What it read, in the performer's form; None where that is not known, so that it is done each time."""
    seconds: float = 0.0
    reasons: Sequence[str] = ()
    began: float = 0.0
    """When it was begun, seconds since the epoch; 0 where it was cached."""


class StepExecutor(Protocol):
    """Something that can run steps."""

    def look(self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None) -> ObservedInputs | None:
        """Look at what a step reads now; None where that is known only after doing it.

        Args:
            step: the step.
            needs: outcomes of what it needs.
            known: the record last used under the step's definition.
        """

    def holds(self, step: Step, result: bytes) -> bool:
        """Report whether what a result names is still there."""

    def do(
        self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> tuple[bytes, ObservedInputs | None]:
        """Do a step; give its result and what it has read (None: it must not be cached)."""

    def explain(self, step: Step, known: StepRecord, seen: ObservedInputs | None) -> tuple[str, ...]:
        """Say in words what differs between a record and what is read now; empty where nothing does."""


@dataclass
class Solver:
    """Carries plans out."""

    results: Results
    locks: Path
    """Folder of lock files: equal steps in flight are joined, across processes too."""
    performer: StepExecutor
    threads: int = 2
    use_cache: bool = True
    clock: Callable[[], float] = time.time
    finished: Callable[[StepOutcome], None] = field(default=lambda _: None)
    began: Callable[[Step], None] = field(default=lambda _: None)
    """Called with a step that is not cached, before it runs."""
    waiting: Moving = unheard
    """Is entered while another process, or another build of this one, does a step."""
    abandon: Callable[[], None] = field(default=lambda: None)
    """Called once a plan has failed: ends what is at work."""
    renewed: frozenset[str] = frozenset()
    """Steps that are done whether or not they are cached."""

    def lookup(self, plan: Plan) -> dict[str, StepOutcome] | None:
        """Give every outcome if all are cached: the path of "nothing changed", on one thread."""
        outcomes: dict[str, StepOutcome] = {}
        for step in plan.steps:
            with _blamed(step):
                found = self._cached(plan, step, outcomes)
            if found is None:
                return None
            outcomes[step.name] = found
        return outcomes

    def run(self, plan: Plan) -> dict[str, StepOutcome]:
        """Do what is not cached; the first error ends the plan once the running steps have ended."""
        outcomes: dict[str, StepOutcome] = {}
        waiting = list(plan.steps)
        running: dict[Future[StepOutcome], Step] = {}
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                while waiting or running:
                    for step in [step for step in waiting if all(need in outcomes for need in step.needs)]:
                        waiting.remove(step)
                        running[pool.submit(self._one, plan, step, dict(outcomes))] = step
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        outcomes[running.pop(future).name] = future.result()
                        self.finished(future.result())
            except BaseException:
                self.abandon()
                pool.shutdown(cancel_futures=True)
                raise
        return outcomes

    def _one(self, plan: Plan, step: Step, outcomes: Mapping[str, StepOutcome]) -> StepOutcome:
        with _blamed(step):
            if found := self._cached(plan, step, outcomes):
                return found
            with alone(self._lock(step), lambda: self.waiting(f"wait for another build: {step.name}")):
                if found := self._cached(plan, step, outcomes):
                    return found
                return self._do(plan, step, outcomes)

    def _do(self, plan: Plan, step: Step, outcomes: Mapping[str, StepOutcome]) -> StepOutcome:
        defined = step.definition()
        definition = key_of(defined)
        known = self.results.latest(definition) or self.results.previous(_slot(plan, step))
        began = self.clock()
        before = known if known is None or known.slot == _slot(plan, step) else self.results.previous(_slot(plan, step))
        self.began(step)
        result, seen = self.performer.do(step, outcomes, known)
        content = seen.key if seen else ""
        if seen:
            self._keep(plan, step, defined, content, seen.observed, result)
        reasons = Reasons(partial(self._reasons, step, defined, before, seen))
        return StepOutcome(
            step,
            cached=False,
            result=result,
            key=f"{definition}{content}",
            observed=seen.observed if seen else None,
            seconds=self.clock() - began,
            reasons=reasons,
            began=began,
        )

    def _cached(self, plan: Plan, step: Step, outcomes: Mapping[str, StepOutcome]) -> StepOutcome | None:
        if not self.use_cache or step.name in self.renewed:
            return None
        defined = step.definition()
        definition = key_of(defined)
        latest = self.results.latest(definition)
        seen = self.performer.look(step, outcomes, latest)
        if seen is None:
            return None
        content = seen.key
        record = latest if latest and latest.content == content else self.results.find(definition, content)
        if record is None or not self.performer.holds(step, record.result):
            return None
        if seen.worth_keeping or record is not latest:
            self._keep(plan, step, defined, content, seen.observed, record.result)
        return StepOutcome(
            step, cached=True, result=record.result, key=f"{definition}{content}", observed=seen.observed
        )

    def _keep(
        self, plan: Plan, step: Step, defined: Mapping[str, str], content: str, observed: bytes, result: bytes
    ) -> None:
        self.results.put(
            StepRecord(
                definition=key_of(defined),
                content=content,
                slot=_slot(plan, step),
                used=self.clock(),
                defined=_packed(defined),
                observed=observed,
                result=result,
            )
        )

    def _lock(self, step: Step) -> Path:
        self.locks.mkdir(parents=True, exist_ok=True)
        place = self.locks / key_of(step.definition())[:32]
        with suppress(OSError):
            place.rmdir()  # a folder in a lock's place belongs to no step
        return place

    def _reasons(
        self, step: Step, defined: Mapping[str, str], known: StepRecord | None, seen: ObservedInputs | None
    ) -> tuple[str, ...]:
        if not self.use_cache or step.name in self.renewed:
            return ("the cache was not used (--no-cache)",)
        if known is None:
            return ("not built before",)
        before: dict[str, str] = from_msgpack(known.defined, dict[str, str])
        now = {name: _shown(value) for name, value in defined.items()}
        changed = tuple(changes(before, now))
        return changed or self.performer.explain(step, known, seen) or ("its result was deleted",)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Say field by field what differs between two definitions."""
    before, after = _named(before), _named(after)
    found = tuple(_changes(before, after))
    yield from found
    if not found and before.get(WHOLE) != after.get(WHOLE):
        yield "the quotes of flags changed"


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new or name == WHOLE or name.endswith(".count"):
            continue
        old, new = (None if text is None else without_credentials(text) for text in (old, new))
        if name == VALUES:
            yield f"{name} changed"
        elif old is None:
            yield f"{name} is new: {new}"
        elif new is None:
            yield f"{name} was removed (was {old})"
        else:
            yield f"{name} changed: {old} → {new}"


_VARIABLE = re.compile(r"environment\.([0-9]+)\.([01])")


def _named(fields: Mapping[str, str]) -> dict[str, str]:
    """Call the variables of a step by their names, not by their places in the list."""
    pairs = {found[1]: name for name in fields if (found := _VARIABLE.fullmatch(name)) and found[2] == "0"}
    named = {name: value for name, value in fields.items() if not _VARIABLE.fullmatch(name)}
    for place, name in pairs.items():
        named[f"variable {fields[name]}"] = fields.get(f"environment.{place}.1", "")
    return named


@contextmanager
def _blamed(step: Step) -> Iterator[None]:
    """Have an error say which step it is of."""
    try:
        yield
    except WherryError as error:
        error.step = error.step or step.name
        raise


def _slot(plan: Plan, step: Step) -> str:
    """Name a step's place: of a Dockerfile's, its stage and number, so that one with other words is compared too."""
    label, bracket, _ = step.name.partition("] ")
    return f"{plan.cache_scope} {label if bracket and label.startswith('[') else step.name}"


def _packed(defined: Mapping[str, str]) -> bytes:
    """Write fields down for people who ask why a step missed; bytes that are no UTF-8 are shown in hexadecimal."""
    try:
        return msgspec.msgpack.encode(defined)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode({name: _shown(value) for name, value in defined.items()})


def _shown(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
