"""The build checks: what a Dockerfile says that it had better not.

What only the file shows is checked here, stage by stage in `lint_stage.py`; `rules.py` has the words.

Source: Docker's documentation, "Build checks"; BuildKit 0.34's behaviour for when each is given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from wherry.dockerfile import instructions as of
from wherry.dockerfile.arguments import platform_arguments
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.errors import DockerfileError, Lines, nearest
from wherry.dockerfile.frontend import refuse_other
from wherry.dockerfile.lint_stage import Before, StageLinter
from wherry.dockerfile.notes import Around, Notes
from wherry.dockerfile.parser import assemble, parse_node, read_file
from wherry.dockerfile.stages import Graph
from wherry.dockerfile.words import Expansion, Style, expand
from wherry.errors import WherryError
from wherry.finding import Finding
from wherry.platform import Platform

_RESERVED = ("context", "scratch")


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, and what kept the rest from being checked."""

    findings: tuple[Finding, ...]
    """By line."""
    error: DockerfileError | None


def lint(name: str, text: str, around: Around) -> Linted:
    """Check a Dockerfile.

    Args:
        name: of the file, as the user knows it.
        text: the file.
        around: what it would be built with.

    Cost: each instruction is checked once.
    """
    notes = Notes(name)
    error = None
    try:
        _check(text, notes, around)
    except DockerfileError as found:
        error = found
    return Linted(notes.findings(), error)


def _check(text: str, notes: Notes, around: Around) -> None:
    refuse_other(text)
    notes.checks = Checks.of(text, around.arguments)
    syntax = read_file(text)
    for line, _ in syntax.empty_continuations:
        notes.add("NoEmptyContinuation", Lines(line, line))
    instructions = []
    for node in syntax.nodes:
        instruction = parse_node(node)
        _written(instruction, notes)
        instructions.append(instruction)
    file = assemble(syntax, instructions)
    _names(file.stages, notes)
    _casing(file.stages, notes)
    _Globals(file, notes, around).check()


def _written(instruction: of.Instruction, notes: Notes) -> None:
    """Check how one instruction is written."""
    checks = notes.checks.above(instruction.comments)
    match instruction:
        case of.Maintainer():
            notes.add("MaintainerDeprecated", instruction.lines, checks=checks)
        case of.From(name=name) if name:
            if instruction.written_name != name:
                notes.add("StageNameCasing", instruction.lines, instruction.written_name, checks=checks)
            if not _same_case(instruction.word, instruction.as_word):
                notes.add("FromAsCasing", instruction.lines, instruction.word, instruction.as_word, checks=checks)
            _described("FROM", (name,), instruction, notes, checks)
        case of.Arg():
            names = tuple(argument.name for argument in instruction.arguments)
            _described("ARG", names, instruction, notes, checks)


def _same_case(word: str, other: str) -> bool:
    if word == word.lower():
        return other == other.lower()
    return word != word.upper() or other == other.upper()


def _described(word: str, names: Sequence[str], where: of.Instruction, notes: Notes, checks: Checks) -> None:
    if where.comments and where.comments[-1].split(" ")[0] not in names:
        shown = names[0] if len(names) == 1 else "<arg_key>"
        notes.add("InvalidDefinitionDescription", where.lines, word, shown, checks=checks)


def _names(stages: Sequence[of.Stage], notes: Notes) -> None:
    seen = set()
    for stage in stages:
        name = stage.base.name
        if name in _RESERVED:
            notes.add("ReservedStageName", stage.base.lines, name)
        if name and name in seen:
            notes.add("DuplicateStageName", stage.base.lines, name)
        seen.add(name)


def _casing(stages: Sequence[of.Stage], notes: Notes) -> None:
    """Find the words that are not in the case of most; one in neither case has no vote."""
    every = [one for stage in stages for one in (stage.base, *stage.instructions)]
    lower = sum(one.word == one.word.lower() for one in every)
    upper = sum(one.word == one.word.upper() for one in every)
    wanted = "lowercase" if lower > upper else "uppercase"
    for one in every:
        if one.word != (one.word.lower() if lower > upper else one.word.upper()):
            notes.add("ConsistentInstructionCasing", one.lines, one.word, wanted)


class _Globals:
    """What holds before the first stage, and then each of them."""

    def __init__(self, file: of.Dockerfile, notes: Notes, around: Around) -> None:
        self._file = file
        self._notes = notes
        self._around = around
        self._style = Style(escape=file.escape)
        self._graph = Graph(file.stages)
        self._declared = dict.fromkeys(argument.name for one in file.preamble for argument in one.arguments)
        self._predefined = platform_arguments(
            around.build_platform, around.platform, around.target or file.stages[-1].base.name, around.arguments
        )
        self._values: Mapping[str, str] = {}

    def check(self) -> None:
        self._check_defaults()
        self._values = self._evaluated(self._around.arguments)
        images = [self._image(stage) for stage in self._file.stages]
        platforms = [self._platform(stage) for stage in self._file.stages]
        wanted = self._wanted(images)
        done: dict[int, Before] = {}
        for number, stage in enumerate(self._file.stages):
            if number in wanted and stage.base.name not in self._around.contexts:
                done[number] = self._stage(number, images[number], platforms[number], done)

    def _evaluated(self, given: Mapping[str, str]) -> dict[str, str]:
        """Give the arguments before the first FROM."""
        values = dict(self._predefined)
        for instruction in self._file.preamble:
            for argument in instruction.arguments:
                value = given.get(argument.name)
                if value is None and argument.value is not None:
                    value = self._expand(argument.value, instruction, values).text
                if value is not None:
                    values[argument.name] = value
        return values

    def _expand(self, word: str, where: of.Instruction, values: Mapping[str, str]) -> Expansion:
        try:
            return expand(word, values, self._style)
        except DockerfileError as error:
            raise error.placed(where.lines) from None

    def _check_defaults(self) -> None:
        """Find bases that have no name without build arguments."""
        try:
            values = self._evaluated({})
            for stage in self._file.stages:
                if not self._around.valid(expand(stage.base.image, values, self._style).text):
                    self._notes.add("InvalidDefaultArgInFrom", stage.base.lines, stage.base.image)
        except DockerfileError:
            return  # what can't be evaluated is an error of its own, below

    def _undeclared(self, names: Iterable[str], base: of.From, checks: Checks) -> None:
        for name in sorted(names):
            if name not in self._declared and name not in self._values:
                near = self._notes.near(name, chain(self._declared, self._values))
                shown = f" (did you mean {near}?)" if near else ""
                self._notes.add("UndefinedArgInFrom", base.lines, name, shown, checks=checks)

    def _image(self, stage: of.Stage) -> str:
        checks = self._notes.checks.above(stage.base.comments)
        found = self._expand(stage.base.image, stage.base, self._values)
        self._undeclared(found.unmatched, stage.base, checks)
        if not found.text:
            raise DockerfileError(f"base name ({stage.base.image}) should not be blank", stage.base.lines)
        return found.text

    def _platform(self, stage: of.Stage) -> Platform | None:
        base, notes = stage.base, self._notes
        if not base.platform:
            return None
        checks = notes.checks.above(base.comments)
        found = self._expand(base.platform, base, self._values)
        self._undeclared(found.unmatched, base, checks)
        ours = found.matched == {"TARGETPLATFORM"} and not found.unmatched
        if ours and found.text == self._values["TARGETPLATFORM"]:
            notes.add("RedundantTargetPlatform", base.lines, base.platform, checks=checks)
        if not found.text:
            raise DockerfileError(f"empty platform value from expression {base.platform}", base.lines)
        try:
            platform = Platform.parse(found.text)
        except WherryError as error:
            raise DockerfileError(f"failed to parse platform {base.platform}: {error.message}", base.lines) from None
        constant = not found.matched and not found.unmatched
        if constant and platform.os not in base.name and platform.architecture not in base.name:
            notes.add("FromPlatformFlagConstDisallowed", base.lines, found.text, checks=checks)
        return platform

    def _wanted(self, images: Sequence[str]) -> frozenset[int]:
        """Give the stages to look into: those that the target needs, or all where none is named."""
        stages = self._file.stages
        if not self._around.target:
            return self._graph.reached(range(len(stages)), images)
        target = self._graph.named(self._around.target)
        if target is None:
            known = [stage.base.name for stage in stages]
            raise DockerfileError(
                f'target stage "{self._around.target}" could not be found{nearest(self._around.target, known)}',
                hint=f"name one of its stages: {', '.join(filter(None, known)) or 'none has a name'}",
            )
        return self._graph.reached((target,), images)

    def _stage(self, number: int, image: str, platform: Platform | None, done: Mapping[int, Before]) -> Before:
        stage = self._file.stages[number]
        inner = self._graph.below(number, image)
        before = done.get(inner) if inner is not None else None
        if before is None:
            before = self._outer(stage, image, platform or self._around.platform)
        linter = StageLinter(before, self._file.escape, self._notes, self._around, self._values)
        return linter.check(stage)

    def _outer(self, stage: of.Stage, image: str, platform: Platform) -> Before:
        if image == "scratch":
            return Before.scratch(platform)
        base = self._around.base(image, platform)
        if base is None:
            return Before.not_at_hand(image, platform)
        actual = base.platform
        if (actual.os, actual.architecture) != (platform.os, platform.architecture):
            self._notes.add("InvalidBaseImagePlatform", stage.base.lines, image, str(platform), str(actual))
        return Before.of(base)
