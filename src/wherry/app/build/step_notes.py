"""Why each step of a Dockerfile was done, remembered for `wherry why`."""

from collections.abc import Mapping

import msgspec

from wherry.build.solver import StepOutcome
from wherry.store.results import Results
from wherry.typed import from_json


class StepNote(msgspec.Struct, frozen=True):
    """What is remembered of a step for `wherry why`."""

    cached: bool
    """In the last build that did anything."""
    missed: float
    """When it was done last, seconds since the epoch; 0: never here."""
    seconds: float
    """How long that took."""
    reasons: tuple[str, ...]
    """Why it was done."""


def note_steps(results: Results, cache_scope: str, outcomes: Mapping[str, StepOutcome], now: float) -> None:
    """Remember why each step was done."""
    before = noted_steps(results, cache_scope)
    steps = {}
    for name, outcome in outcomes.items():
        if outcome.cached and name in before:
            steps[name] = msgspec.structs.replace(before[name], cached=True)
        elif outcome.cached:
            steps[name] = StepNote(cached=True, missed=0.0, seconds=0.0, reasons=())
        else:
            steps[name] = StepNote(cached=False, missed=now, seconds=outcome.seconds, reasons=tuple(outcome.reasons))
    results.put_fact(f"steps of {cache_scope}", msgspec.json.encode(steps).decode())


def noted_steps(results: Results, cache_scope: str) -> dict[str, StepNote]:
    """Give what is remembered of a build's steps, in their order."""
    known = results.fact(f"steps of {cache_scope}")
    return from_json(known, dict[str, StepNote]) if known else {}
