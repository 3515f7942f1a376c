"""A Dockerfile to steps: stages by need, arguments, platforms; equal steps of several platforms come once.

Source: Dockerfile reference, "FROM", "ARG", "Automatic platform ARGs in the global scope"; BuildKit 0.34's behaviour
for what it leaves open.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from wherry.dockerfile import instructions as of
from wherry.dockerfile.arguments import platform_arguments
from wherry.dockerfile.errors import DockerfileError, near, nearest
from wherry.dockerfile.parser import parse_trigger
from wherry.dockerfile.stages import Graph
from wherry.dockerfile.words import Style, expand
from wherry.errors import WherryError
from wherry.oci.config import RuntimeConfig
from wherry.oci.image import Image
from wherry.oci.reference import InvalidReference, Reference, familiar
from wherry.plan.graph import DIGEST, Action, BaseOp, Plan, Step, key_of
from wherry.plan.image_config import DEFAULT_PATH, ImageConfigBuilder
from wherry.plan.ops import CopyFrom, CopyOp, CopySource, LayerOp, StageImageOp
from wherry.plan.stage import StageCompiler
from wherry.plan.stage_state import StageOptions, StageOrContext, StageState
from wherry.platform import Platform
from wherry.source.git_address import without_credentials

SCRATCH = "scratch"
_COMMON = ("alpine", "busybox", "debian", "golang", "ubuntu", "fedora", "scratch")
_OFFICIAL = frozenset(
    """alpine amazonlinux archlinux bash buildpack-deps busybox caddy cassandra centos clojure composer consul couchdb
    debian docker drupal eclipse-temurin elasticsearch elixir erlang fedora gcc ghost golang gradle groovy haproxy
    haskell httpd influxdb jetty joomla jruby julia kibana kong logstash mariadb maven memcached mongo mysql nats
    neo4j nextcloud nginx node openjdk opensuse oraclelinux perl photon php postgres pypy python rabbitmq redis
    rockylinux ruby rust sonarqube swift telegraf tomcat traefik ubuntu vault wordpress zookeeper""".split()  # noqa: SIM905 - a line a name would be a page
)
"""Images that need no registry's name: one of these is meant, however near to a stage's name it is."""
_SHORTEST_SLIP = 4
"""Letters of a name; a shorter one is near to too many."""
_PLAIN = re.compile(r"[\w-]+")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLayerOptions:
    """How layers are made."""

    algorithm: str
    level: int
    encoder: str
    rewrite: bool = False
    """Whether no time in a layer may be after SOURCE_DATE_EPOCH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileTarget:
    """What the user asks of a Dockerfile."""

    file: of.Dockerfile
    contexts: Mapping[str, str]
    """Named contexts: by familiar name, `image` for those that are images, else `files`."""
    context_images: Mapping[str, str]
    """The names under which `BaseImages` knows those that are images."""
    platforms: tuple[Platform, ...]
    build_platform: Platform
    implicit: bool
    """Whether no platform was requested: then a base's may differ in its variant."""
    target: str
    options: StageOptions
    changes: RuntimeConfig
    """What the user sets of the config, above the Dockerfile; an empty field leaves its."""
    added: tuple[CopyOp, ...]
    """Files of the user's that go on top of the target."""
    annotations: tuple[tuple[str, str], ...]
    packing: StageLayerOptions
    no_cache: frozenset[str]
    """Stages to rebuild."""
    cache_scope: str


@dataclass(frozen=True, slots=True)
class PlannedImages:
    """A plan, and the step that gives each platform's image."""

    plan: Plan
    images: Mapping[Platform, str]
    texts: Mapping[str, of.Instruction]
    """The instruction that each step is of."""
    renewed: frozenset[str]
    """Steps that are done whether or not they are cached."""
    published: tuple[tuple[str, str, str], ...] = ()
    """Instruction or option, name and value of what everyone who can pull the image can read."""
    history: tuple[str, ...] = ()
    """Lines of the images' own history."""


def plan_dockerfile(request: DockerfileTarget, images: BaseImages) -> PlannedImages:
    """Plan what the target needs, on each platform.

    Raises:
        DockerfileError: with the lines.
        NotFound, RegistryError: a base cannot be read.
    """
    weaver = _Weaver()
    found = {}
    for platform in request.platforms:
        stages = _Stages(request, images, weaver, platform)
        found[platform] = stages.finish()
    plan = Plan(tuple(weaver.steps.values()), request.cache_scope)
    published, history = tuple(dict.fromkeys(weaver.published)), tuple(dict.fromkeys(weaver.history))
    return PlannedImages(plan, found, weaver.texts, frozenset(weaver.renewed), published, history)


@dataclass
class _Weaver:
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


class _Stages:
    """The stages of a file for one target platform."""

    def __init__(self, request: DockerfileTarget, images: BaseImages, weaver: _Weaver, platform: Platform) -> None:
        self._request = request
        self._images = images
        self._weaver = weaver
        self._platform = platform
        self._stages = request.file.stages
        self._states: dict[int, StageState] = {}
        self._working: list[int] = []
        target = request.target or self._stages[-1].base.name
        self._globals = dict(_predefined(request, platform, target))
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
        labels = _Labels(stage, number, sum(isinstance(one, _COUNTED) for one in steps), alone=len(self._stages) == 1)

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
            self._refuse_slip(name, instruction)
        return StageOrContext(self._take(known, self._platform, instruction, shown=name)[0])

    def _refuse_slip(self, name: str, instruction: of.Instruction) -> None:
        """Refuse a name that a stage almost has: no registry is asked for it.

        Raises:
            DockerfileError: with the stage that was meant.
        """
        stages = [stage.base.name for stage in self._stages if stage.base.name]
        meant = near(name, stages) if len(name) >= _SHORTEST_SLIP and _PLAIN.fullmatch(name) else ""
        if meant and name not in _OFFICIAL and not self._images.has(name):
            raise DockerfileError(
                f'no stage is called "{name}" (did you mean {meant}?)',
                instruction.lines,
                hint=f"write --from={meant}, or docker.io/library/{name} for the image of that name",
            )

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


@dataclass
class _Labels:
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


def _is_alone(step: Step) -> bool:
    return isinstance(step.action, CopyOp) and step.action.alone


def _rfc3339(epoch: int | None) -> str:
    return "" if epoch is None else datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")


def _index(text: str) -> int | None:
    """Read a stage's number, of at most 9 digits."""
    return int(text) if _INDEX.fullmatch(text) else None


def _predefined(request: DockerfileTarget, platform: Platform, target: str) -> Iterator[tuple[str, str]]:
    given = request.options.arguments
    yield from platform_arguments(request.build_platform, platform, target, given).items()
    if request.options.epoch is not None:
        yield "SOURCE_DATE_EPOCH", str(request.options.epoch)
