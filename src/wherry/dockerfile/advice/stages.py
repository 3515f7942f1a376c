"""A Dockerfile as advice sees it: stages with their bases, steps with their commands, and what is set by then."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.rules import ADVICE
from wherry.dockerfile.advice.shell import ShellCommand, commands_of
from wherry.dockerfile.arguments import platform_arguments
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.mounts import RunMount, evaluate
from wherry.dockerfile.notes import Around
from wherry.dockerfile.stages import Graph
from wherry.dockerfile.words import Style, expand
from wherry.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class RunStep:
    """A RUN."""

    run: of.Run
    commands: tuple[ShellCommand, ...]
    mounts: tuple[RunMount, ...]
    environment: Mapping[str, str]
    """ENV and ARG that are set by then."""

    def setting(self, command: ShellCommand, name: str) -> str | None:
        """Give a variable as a command of the step sees it; None: nothing here sets it."""
        if name in command.environment:
            return command.environment[name]
        value = self.environment.get(name)
        for other in self.commands:
            if other is command:
                break
            if other.program == "export":
                value = dict(word.partition("=")[::2] for word in other.arguments if "=" in word).get(name, value)
            elif not other.words and name in other.environment and name in self.environment:
                value = other.environment[name]
        return value


@dataclass(frozen=True, slots=True)
class AdvisedStage:
    """A stage."""

    number: int
    stage: of.Stage
    image: str
    """What it begins with, variables put in; empty: not known."""
    below: int | None
    """The stage that it begins with."""
    root: str
    """The image below all: what the lowest of the stages that it begins with begins with."""
    steps: tuple[RunStep, ...]

    @property
    def name(self) -> str:
        """Its name, or its index."""
        return self.stage.base.name or str(self.number)


@dataclass
class Advised:
    """A file, and the findings that are collected about it."""

    name: str
    file: of.Dockerfile
    around: Around
    checks: Checks
    _found: dict[tuple[int, str, str], Finding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._style = Style(escape=self.file.escape)
        self.graph = Graph(self.file.stages)
        given = dict(self.around.arguments)
        self._globals = dict(platform_arguments(self.around.build_platform, self.around.platform, "", given))
        for instruction in self.file.preamble:
            for argument in instruction.arguments:
                value = given.get(argument.name)
                if value is None and argument.value is not None:
                    value = expand(argument.value, self._globals, self._style).text
                if value is not None:
                    self._globals[argument.name] = value

    def add(self, rule: str, where: of.Instruction, *words: str, unsure: str = "", certain: bool = False) -> None:
        """Record a finding, unless its rule is off.

        Args:
            rule: its name.
            where: the instruction.
            words: what its message says.
            unsure: why it may not be so; it is a note then.
            certain: whether a rule that notes is a warning this time.
        """
        checks = self.checks.above(where.comments)
        if rule in checks.skip or "all" in checks.skip:
            return
        one = ADVICE[rule]
        severity = Severity.NOTE if unsure else Severity.WARNING if certain else one.severity
        place = f"{self.name}:{where.lines.first}"
        message, remedy = one.message.format(*words), one.remedy.format(*words)
        finding = Finding(rule, severity, place, message, (unsure,) if unsure else (), remedy)
        self._found.setdefault((where.lines.first, rule, message), finding)

    def findings(self) -> tuple[Finding, ...]:
        """Give them by line; within one in the order they were found."""
        return tuple(self._found[key] for key in sorted(self._found, key=lambda key: key[0]))

    @cached_property
    def stages(self) -> tuple[AdvisedStage, ...]:
        """All stages."""
        ends: dict[int, dict[str, str]] = {}
        found: list[AdvisedStage] = []
        for number, stage in enumerate(self.file.stages):
            image = expand(stage.base.image, self._globals, self._style).text
            below = self.graph.below(number, image)
            environment = dict(ends.get(below, {})) if below is not None else {}
            root = image if below is None else found[below].root
            found.append(AdvisedStage(number, stage, image, below, root, tuple(self._steps(stage, environment))))
            ends[number] = environment
        return tuple(found)

    def _steps(self, stage: of.Stage, environment: dict[str, str]) -> Iterator[RunStep]:
        for one in stage.instructions:
            match one:
                case of.Env():
                    environment.update(
                        {pair.name: expand(pair.value, environment, self._style).text for pair in one.pairs}
                    )
                case of.Arg():
                    for argument in one.arguments:
                        value = self.around.arguments.get(argument.name)
                        if value is None and argument.value is not None:
                            value = expand(argument.value, environment, self._style).text
                        value = self._globals.get(argument.name) if value is None else value
                        if value is not None:
                            environment[argument.name] = value
                case of.Run():
                    mounts = tuple(self._mounts(one, environment))
                    yield RunStep(one, commands_of(one.command), mounts, dict(environment))

    def _mounts(self, run: of.Run, environment: Mapping[str, str]) -> Iterator[RunMount]:
        def expanded(word: str) -> str:
            return expand(word, environment, self._style).text

        for mount in run.mounts:
            yield evaluate(mount, expanded)

    @cached_property
    def final(self) -> AdvisedStage:
        """The stage that becomes the image."""
        number = self.graph.named(self.around.target) if self.around.target else None
        return self.stages[-1 if number is None else number]

    @cached_property
    def shipped(self) -> tuple[AdvisedStage, ...]:
        """The final stage and the stages that it begins with, the lowest first."""
        chain = [self.final]
        while (below := chain[-1].below) is not None:
            chain.append(self.stages[below])
        return tuple(reversed(chain))

    @cached_property
    def wanted(self) -> tuple[AdvisedStage, ...]:
        """The stages that are checked: what the target needs, or all where none is named."""
        if not self.around.target:
            return self.stages
        reached = self.graph.reached((self.final.number,), [one.image for one in self.stages])
        return tuple(one for one in self.stages if one.number in reached)
