"""How a program was built, by its digest: what a later command needs to link it again.

Kept as a fact with the build's results, so it can be deleted at any time.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from wherry.build.compile import no_inline_flags
from wherry.build.solver import StepOutcome
from wherry.build.values import Observed, compiled_of
from wherry.plan.graph import CompileOp
from wherry.source.inputs import InputReader
from wherry.store.results import Results
from wherry.typed import from_json, from_msgpack

_KEY = 64
"""Hex digits of a definition's key; the content's key follows."""


class CompileOrigin(msgspec.Struct, frozen=True):
    """A compile step's words, and where what it read is noted."""

    package: str
    """Folder of the main package, absolute."""
    flags: tuple[str, ...]
    """Arguments of `go build`, the stamp and the output left out."""
    environment: dict[str, str]
    go: str
    """The `go` command, and a version if one was pinned."""
    published: bool
    stamped: str
    """What -buildvcs was: true or false."""
    key: str
    """Of the step's result: definition and content; the content is empty where its inputs are not all known."""
    dependency: tuple[str, str, str, str] | None = None
    """As the compile step has it."""
    no_inline: tuple[str, ...] = ()
    """Flags for packages that were compiled without inlining."""

    @property
    def version(self) -> str:
        """The pinned version of Go; empty where there is none."""
        return self.go.partition("@")[2]


def note_origins(results: Results, outcomes: Iterable[StepOutcome]) -> None:
    """Remember how programs were built; a program that was built again in the same way is not written again."""
    facts: dict[str, str] = {}
    for outcome in outcomes:
        action = outcome.step.action
        if not isinstance(action, CompileOp):
            continue
        compiled = compiled_of(outcome.result)
        origin = CompileOrigin(
            package=action.package,
            flags=tuple(action.flags),
            environment=dict(action.environment),
            go=action.go,
            published=action.published,
            stamped=compiled.recipe["go.buildvcs"],
            key=outcome.key,
            dependency=action.dependency,
            no_inline=no_inline_flags(action.no_inline),
        )
        name, value = _name(compiled.digest), msgspec.json.encode(origin).decode()
        if results.fact(name) != value:
            facts[name] = value
    if facts:
        results.put_facts(facts)


def origin_of(results: Results, digest: str) -> CompileOrigin | None:
    """Report how a program was built here; None where that is not known."""
    found = results.fact(_name(digest))
    if found is None:
        return None
    try:
        return from_json(found, CompileOrigin)
    except msgspec.DecodeError:
        return None


def is_unchanged(results: Results, origin: CompileOrigin) -> bool:
    """Report whether all that a build read is still there and the same.

    Cost: a stat for each file; those with another time are hashed.
    """
    definition, content = origin.key[:_KEY], origin.key[_KEY:]
    record = results.find(definition, content) if content else None
    if record is None or not Path(origin.package).is_dir():
        return False
    observed = from_msgpack(record.observed, Observed)
    return not InputReader().observe(observed.inputs).changed


def _name(digest: str) -> str:
    return f"program {digest}"
