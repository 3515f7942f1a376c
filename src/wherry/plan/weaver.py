"""Steps put together for a Dockerfile's plan, and what they are called.

Source: BuildKit 0.34 for the names.
"""

from dataclasses import dataclass, field

from wherry.dockerfile import instructions as of
from wherry.plan.graph import Action, Step, key_of
from wherry.plan.ops import CopyOp
from wherry.platform import Platform
from wherry.source.git_address import without_credentials

SCRATCH = "scratch"


@dataclass
class Weaver:
    """Steps put together; what is the same comes once."""

    steps: dict[str, Step] = field(default_factory=dict)
    texts: dict[str, of.Instruction] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)
    published: list[tuple[str, str, str]] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, action: Action, needs: tuple[str, ...], platform: Platform) -> str:
        """Have a step; give its name; bytes of the file that are no UTF-8 are shown in hexadecimal."""
        name = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        step = Step(name, action, needs)
        key = key_of({**step.definition(), "needs": "\0".join(needs)})
        if key in self._names:
            return self._names[key]
        if name in self.steps:
            name = f"[{platform} {name[1:]}" if name.startswith("[") else f"{platform} {name}"
        number = 2
        while name in self.steps:
            name = f"{name.partition(' #')[0]} #{number}"
            number += 1
        self.steps[name] = Step(name, action, needs)
        self._names[key] = name
        return name


@dataclass
class StepLabels:
    """What steps of a stage are called, as BuildKit calls them."""

    stage: of.Stage
    number: int
    total: int
    alone: bool
    at: int = 0

    def __post_init__(self) -> None:
        has_base = self.stage.base.image != SCRATCH
        self.total += has_base
        self.at += has_base

    def next(self, instruction: of.Instruction) -> str:
        """Name the next one."""
        self.at += 1
        first, _, rest = instruction.text.partition(" ")
        return f"[{self._stage}{self.at}/{self.total}] {first.upper()} {without_credentials(rest.strip())}"

    def bind(self, action: CopyOp) -> str:
        """Name what reads the source of a mount for the next RUN, which is no step of its own."""
        source = action.takings[0]
        context = f"context {source.origin.name}" if source.origin.name else "the build context"
        return f"[{self._stage}{self.at + 1}/{self.total} mount] {source.path} of {context}"

    @property
    def _stage(self) -> str:
        return "" if self.alone else f"{self.stage.base.name or f'stage-{self.number}'} "
