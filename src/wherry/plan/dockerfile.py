"""A Dockerfile to steps: stages by need, arguments, platforms; equal steps of several platforms come once.

Source: Dockerfile reference, "FROM", "ARG", "Automatic platform ARGs in the global scope"; BuildKit 0.34's behaviour
for what it leaves open.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from wherry.dockerfile import instructions as of
from wherry.dockerfile.errors import DockerfileError, nearest
from wherry.dockerfile.parser import parse_trigger
from wherry.dockerfile.stages import Graph
from wherry.dockerfile.words import Style, expand
from wherry.errors import WherryError
from wherry.oci.image import Image
from wherry.oci.reference import InvalidReference, Reference, familiar
from wherry.plan.dockerfile_target import DockerfileTarget, PlannedImages, predefined_arguments
from wherry.plan.graph import DIGEST, Action, BaseOp, Plan, Step
from wherry.plan.image_config import DEFAULT_PATH, ImageConfigBuilder
from wherry.plan.ops import CopyFrom, CopyOp, CopySource, LayerOp, StageImageOp
from wherry.plan.slips import refuse_slip
from wherry.plan.stage import StageCompiler
from wherry.plan.stage_state import StageOrContext, StageState
from wherry.plan.weaver import SCRATCH, StepLabels, Weaver
from wherry.platform import Platform

_COMMON = ("alpine", "busybox", "debian", "golang", "ubuntu", "fedora", "scratch")
_INDEX = re.compile(r"[0-9]{1,9}")
_COUNTED = (of.Copy, of.Add, of.Run, of.Workdir)


class BaseImages(Protocol):
    """Finds images by name; a plan needs only their documents."""

    def has(self, name: str) -> bool:
        """Report whether an image is here, without asking a registry."""

    def image(self, name: str, platform: Platform) -> Image:
        """Read an image's documents.

        Raises:
            NotFound: there is none, or none of that platform.
        """


def plan_dockerfile(request: DockerfileTarget, images: BaseImages) -> PlannedImages:
    """Plan what the target needs, on each platform.

    Raises:
        DockerfileError: with the lines.
        NotFound, RegistryError: a base cannot be read.
    """
    weaver = Weaver()
    found = {}
    for platform in request.platforms:
        stages = _Stages(request, images, weaver, platform)
        found[platform] = stages.finish()
    plan = Plan(tuple(weaver.steps.values()), request.cache_scope)
    published, history = tuple(dict.fromkeys(weaver.published)), tuple(dict.fromkeys(weaver.history))
    return PlannedImages(plan, found, weaver.texts, frozenset(weaver.renewed), published, history)


class _Stages:
    """The stages of a file for one target platform."""

    def __init__(self, request: DockerfileTarget, images: BaseImages, weaver: Weaver, platform: Platform) -> None:
        self._request = request
        self._images = images
        self._weaver = weaver
        self._platform = platform
        self._stages = request.file.stages
        self._states: dict[int, StageState] = {}
        self._working: list[int] = []
        target = request.target or self._stages[-1].base.name
        self._globals = dict(predefined_arguments(request, platform, target))
        self._read_preamble()
        self._options = replace(request.options, epoch=self._epoch())

    def finish(self) -> str:
        """Plan the target, with its layers and its image; give the last step's name."""
        request = self._request
        state = self._planned(self._target()).child()
        for gather in request.added:
            name = self._weaver.add(f"[add] {gather.destination}", gather, state.stack, self._platform)
            state.stack, state.own = (*state.stack, name), (*state.own, name)
            state.draft.note(f"wherry build --add {gather.destination}", layer=True)
        state.draft.change(request.changes)
        self._weaver.published += state.published
        self._weaver.published += [("--env", name, value) for name, value in request.changes.environment.items()]
        self._weaver.published += [("--label", name, value) for name, value in (request.changes.labels or {}).items()]
        self._weaver.published += [("--annotation", name, value) for name, value in request.annotations]
        self._weaver.history += [entry.words for entry in state.draft.history]
        packing = request.packing
        epoch = self._epoch()
        latest = epoch if epoch is not None and packing.rewrite else -1
        layers = []
        for name in state.own:
            place = state.stack.index(name)
            action = LayerOp(packing.algorithm, packing.level, packing.encoder, latest)
            below = () if _is_alone(self._weaver.steps[name]) else state.stack[:place]
            layers.append(self._weaver.add(f"layer of {name}", action, (name, *below), self._platform))
        base = state.stack[:1] if state.base is not None else ()
        finish = StageImageOp(
            platform=self._platform if not request.implicit else state.platform,
            config=msgspec.json.encode(state.draft.config()).decode(),
            author=state.draft.author,
            history=tuple(state.draft.history),
            base=bool(base),
            created=_rfc3339(self._epoch()),
            annotations=request.annotations,
        )
        return self._weaver.add(f"image {self._platform}", finish, (*base, *layers), self._platform)

    def _epoch(self) -> int | None:
        """Give SOURCE_DATE_EPOCH, as the user or the file says."""
        text = self._globals.get("SOURCE_DATE_EPOCH", "")
        if not text:
            return None
        if not text.isdecimal() or not text.isascii() or int(text) >= 1 << 33:
            raise DockerfileError(
                f"invalid SOURCE_DATE_EPOCH: {text}", hint="give seconds since 1970, such as $(git log -1 --format=%ct)"
            )
        return int(text)

    def _target(self) -> int:
        wanted = self._request.target
        if not wanted:
            return len(self._stages) - 1
        found = self._named(wanted)
        index = _index(wanted)
        if found is None and index is not None and index < len(self._stages):
            return index
        if found is None:
            names = [stage.base.name for stage in self._stages]
            raise DockerfileError(
                f'target stage "{wanted}" could not be found{nearest(wanted, names)}',
                hint=f"name one of its stages: {', '.join(filter(None, names)) or 'none has a name'}",
            )
        return found

    def _named(self, name: str) -> int | None:
        found = [number for number, stage in enumerate(self._stages) if stage.base.name == name.lower()]
        return found[-1] if found and name else None

    def _read_preamble(self) -> None:
        given = self._request.options.arguments
        for instruction in self._request.file.preamble:
            for argument in instruction.arguments:
                value = argument.value
                if argument.name in given:
                    value = given[argument.name]
                elif value is not None:
                    value = self._expanded(value, instruction)
                if value is not None:
                    self._globals[argument.name] = value

    def _expanded(self, word: str, where: of.Instruction) -> str:
        try:
            return expand(word, self._globals, Style(escape=self._request.file.escape)).text
        except DockerfileError as error:
            raise error.placed(where.lines) from None

    def _unset(self, word: str) -> str:
        """Say which arguments of a FROM have no value; nothing where each has one."""
        try:
            names = sorted(expand(word, self._globals, Style(escape=self._request.file.escape)).unmatched)
        except DockerfileError:
            return ""
        if not names:
            return ""
        verb = "has" if len(names) == 1 else "have"
        return (
            f"{', '.join(names)} {verb} no value here: give --build-arg {names[0]}=VALUE, or write "
            f"ARG {names[0]}=VALUE before the first FROM"
        )

    def _planned(self, target: int) -> StageState:
        """Plan a stage after those above that it needs, so that no chain of them is a deep call."""
        graph = Graph(self._stages)
        wanted = {target}
        for number in range(target, -1, -1):
            base = self._stages[number].base
            if number not in wanted or base.name in self._request.contexts:
                continue
            wanted.update(other for other, _ in graph.needs(number, self._expanded(base.image, base)) if other < number)
        for number in sorted(wanted):
            self._state(number)
        return self._states[target]

    def _state(self, number: int) -> StageState:
        """Plan a stage, with all that it needs."""
        if number in self._states:
            return self._states[number]
        stage = self._stages[number]
        if number in self._working:
            raise DockerfileError(
                f"circular dependency detected on stage: {stage.base.name or number}", stage.base.lines
            )
        self._working.append(number)
        state, triggers = self._begin(number, stage)
        if state is not None:
            self._dispatch(number, stage, state, triggers)
        else:
            state = self._whole_context(stage)
        self._working.pop()
        self._states[number] = state
        return state

    def _begin(self, number: int, stage: of.Stage) -> tuple[StageState | None, tuple[str, ...]]:
        """Give the state a stage begins with, and the triggers of what it is based on; None: a context replaces it."""
        base = stage.base
        image = self._expanded(base.image, base)
        if not image:
            raise DockerfileError(
                f"base name ({base.image}) should not be blank", base.lines, hint=self._unset(base.image)
            )
        platform = self._platform_of(base)
        if base.name and base.name in self._request.contexts:
            if self._request.contexts[base.name] == "files":
                return None, ()
            state = self._from_image(self._request.context_images[base.name], platform, base)
            self._states[number] = state
            return state, ()
        inner = self._earlier(image, number)
        state = self._state(inner).child() if inner is not None else self._outer(image, platform, base)
        triggers, state.draft.triggers = state.draft.triggers, ()
        return state, triggers

    def _outer(self, image: str, platform: Platform | None, base: of.From) -> StageState:
        """Give the state of a stage that begins with what is not a stage of the file."""
        known = self._request.context_images.get(familiar(image), image)
        if image == SCRATCH or known == f"docker-image://{SCRATCH}":
            return self._nothing(platform)
        if self._request.contexts.get(familiar(image)) == "files":
            return self._context_as_base(familiar(image), platform, base)
        return self._from_image(known, platform, base, shown=image)

    def _earlier(self, name: str, number: int) -> int | None:
        found = [
            other for other, stage in enumerate(self._stages[:number]) if stage.base.name and stage.base.name == name
        ]
        return found[-1] if found else None

    def _dispatch(self, number: int, stage: of.Stage, state: StageState, triggers: tuple[str, ...]) -> None:
        if number in self._states:  # a named context stands for it
            return
        if "PATH" not in state.draft.env and state.platform.os != "windows":
            state.draft.env["PATH"] = DEFAULT_PATH
        state.env.update(state.draft.env)
        steps = [self._trigger(text, stage) for text in triggers] + list(stage.instructions)
        labels = StepLabels(
            stage, number, sum(isinstance(one, _COUNTED) for one in steps), alone=len(self._stages) == 1
        )

        def add(action: Action, needs: tuple[str, ...], instruction: of.Instruction) -> str:
            if isinstance(action, CopyOp) and isinstance(instruction, of.Run):
                label = labels.bind(action)
            else:
                label = labels.next(instruction)
            name = self._weaver.add(label, action, needs, self._platform)
            self._weaver.texts.setdefault(name, instruction)
            if "" in self._request.no_cache or stage.base.name in self._request.no_cache:
                self._weaver.renewed.add(name)
            return name

        dispatcher = StageCompiler(
            state, self._options, self._request.file.escape, self._globals, add, self._finder(number)
        )
        for instruction in steps:
            dispatcher.dispatch(instruction)

    def _trigger(self, text: str, stage: of.Stage) -> of.Instruction:
        try:
            return replace(parse_trigger(text), lines=stage.base.lines)
        except DockerfileError as error:
            raise DockerfileError(
                f"ONBUILD {text}: {error.problem}", stage.base.lines, hint="this ONBUILD step comes from the base image"
            ) from None

    def _finder(self, number: int) -> Callable[[str, of.Instruction], StageOrContext]:
        def find(name: str, instruction: of.Instruction) -> StageOrContext:
            index = _index(name)
            other = index if index is not None else self._named(name)
            if other is None:
                return self._outside(name, instruction)
            if other >= len(self._stages):
                raise DockerfileError(f"invalid stage index {name}", instruction.lines)
            if other >= number:
                shown = self._stages[number].base.name or f"stage-{number}"
                if other == number or number in self._needed_by(other):
                    raise DockerfileError(f"circular dependency detected on stage: {shown}", instruction.lines)
                raise DockerfileError(
                    f'cannot copy from stage "{name}", it needs to be defined before current stage "{shown}"',
                    instruction.lines,
                )
            return StageOrContext(self._state(other).stack)

        return find

    def _needed_by(self, number: int) -> set[int]:
        needed: set[int] = set()
        waiting = [number]
        while waiting:
            stage = self._stages[waiting.pop()]
            names = [stage.base.image, *(one.from_ for one in stage.instructions if isinstance(one, of.Copy))]
            for name in names:
                index = _index(name)
                other = index if index is not None else self._named(name)
                if other is not None and other < len(self._stages) and other not in needed:
                    needed.add(other)
                    waiting.append(other)
        return needed

    def _outside(self, name: str, instruction: of.Instruction) -> StageOrContext:
        """Find what is not a stage: a named context, or an image."""
        if name == SCRATCH:
            return StageOrContext(())
        if self._request.contexts.get(familiar(name)) == "files":
            return StageOrContext(context=familiar(name))
        known = self._request.context_images.get(familiar(name), name)
        if known == name:
            stages = [stage.base.name for stage in self._stages if stage.base.name]
            refuse_slip(name, stages, instruction, self._images.has)
        return StageOrContext(self._take(known, self._platform, instruction, shown=name)[0])

    def _platform_of(self, base: of.From) -> Platform | None:
        if not base.platform:
            return None
        text = self._expanded(base.platform, base)
        if not text:
            raise DockerfileError(f"empty platform value from expression {base.platform}", base.lines)
        try:
            return Platform.parse(text)
        except WherryError as error:
            raise DockerfileError(f"failed to parse platform {text}: {error.message}", base.lines) from None

    def _nothing(self, platform: Platform | None) -> StageState:
        platform = platform or self._platform
        draft = ImageConfigBuilder.empty(platform.os)
        return StageState(platform, draft, env=dict(draft.env))

    def _from_image(self, name: str, platform: Platform | None, base: of.From, *, shown: str = "") -> StageState:
        stack, image, chosen = self._take(name, platform or self._platform, base, shown=shown or name)
        draft = ImageConfigBuilder.of(image.config.runtime, image.config.author, chosen.os)
        return StageState(chosen, draft, base=image, stack=stack, env=dict(draft.env))

    def _take(
        self, name: str, platform: Platform, where: of.Instruction, *, shown: str
    ) -> tuple[tuple[str, ...], Image, Platform]:
        try:
            Reference.parse(shown) if "://" not in shown else None
            image = self._images.image(name, platform)
        except InvalidReference as error:
            raise DockerfileError(
                f'failed to parse stage name "{shown}": {error.problem}',
                where.lines,
                hint=self._unset(where.image) if isinstance(where, of.From) else "",
            ) from None
        except WherryError as error:
            known = [stage.base.name for stage in self._stages]
            problem = f"{shown}: {error.message}{nearest(shown, [*known, *_COMMON])}"
            placed = DockerfileError(problem, where.lines, hint=error.hint)
            placed.exit_code = error.exit_code
            raise placed from error
        action = BaseOp(name, platform, {DIGEST: str(image.descriptor.digest)})
        step = self._weaver.add(f"FROM {shown}", action, (), platform)
        return (step,), image, image.platform if self._request.implicit else platform

    def _context_as_base(self, name: str, platform: Platform | None, base: of.From) -> StageState:
        state = self._nothing(platform)
        draft = state.draft
        taking = CopySource(CopyFrom("context", name), "/", contents=True)
        step = self._weaver.add(f"FROM {name}", CopyOp((taking,), "/"), (), self._platform)
        self._weaver.texts.setdefault(step, base)
        state.stack = state.own = (step,)
        draft.note(f"FROM {name}", layer=True)
        return state

    def _whole_context(self, stage: of.Stage) -> StageState:
        return self._context_as_base(stage.base.name, self._platform_of(stage.base), stage.base)


def _is_alone(step: Step) -> bool:
    return isinstance(step.action, CopyOp) and step.action.alone


def _rfc3339(epoch: int | None) -> str:
    return "" if epoch is None else datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")


def _index(text: str) -> int | None:
    """Read a stage's number, of at most 9 digits."""
    return int(text) if _INDEX.fullmatch(text) else None
