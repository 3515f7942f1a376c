"""The build checks of one stage: its instructions in their order, with what is set by then.

Source: Docker's documentation, "Build checks"; BuildKit 0.34's behaviour for when each is given.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from wherry.dockerfile import instructions as of
from wherry.dockerfile.arguments import NOT_IN_ENVIRONMENT
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.errors import DockerfileError, Lines
from wherry.dockerfile.ignore import Patterns
from wherry.dockerfile.mounts import evaluate
from wherry.dockerfile.notes import Around, Base, Notes
from wherry.dockerfile.parser import parse_trigger
from wherry.dockerfile.words import Style, expand
from wherry.platform import Platform

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.IGNORECASE
)
_HARMLESS = re.compile(r"(?:_|^)(?:public|file|version)(?:_|\Z)", re.IGNORECASE)
_REMOTE = re.compile(r"https?://|git://|ssh://|git@")
_EVERYTHING = ("*", "**", "**/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a stage begins with, or ends with."""

    platform: Platform
    env: Mapping[str, str] = field(default_factory=dict)
    arguments: frozenset[str] = frozenset()
    """Build arguments that were declared, with a value or without."""
    shell: bool = False
    workdir: bool = False
    """Whether this file has set one."""
    triggers: tuple[str, ...] = ()
    unknown: str = ""
    """The image below of which nothing is known."""

    @classmethod
    def scratch(cls, platform: Platform) -> "Before":
        """Begin with nothing."""
        return cls(platform=platform, env={"PATH": _PATH})

    @classmethod
    def not_at_hand(cls, image: str, platform: Platform) -> "Before":
        """Begin with an image that is not available."""
        return replace(cls.scratch(platform), unknown=image)

    @classmethod
    def of(cls, base: Base) -> "Before":
        """Begin with an image."""
        env = {"PATH": _PATH, **base.env}
        return cls(platform=base.platform, env=env, shell=base.own_shell, triggers=base.triggers)


@dataclass
class StageLinter:
    """Goes through one stage."""

    before: Before
    escape: str
    notes: Notes
    around: Around
    globals: Mapping[str, str]
    _checks: Checks = field(default_factory=Checks)
    _lines: Lines = field(default_factory=lambda: Lines(0, 0))
    _once: dict[type[of.Instruction], Lines] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._env = dict(self.before.env)
        self._arguments = set(self.before.arguments)
        self._shell = self.before.shell
        self._workdir = self.before.workdir

    def check(self, stage: of.Stage) -> Before:
        """Check its instructions, and those of its base's ONBUILD; give what a stage on it begins with.

        Raises:
            DockerfileError: a word can't be expanded; the rest was not checked.
        """
        for text in self.before.triggers:
            self._one(replace(_trigger(text, stage.base.lines), lines=stage.base.lines))
        triggers = []
        for instruction in stage.instructions:
            self._one(instruction)
            if isinstance(instruction, of.Onbuild):
                triggers.append(instruction.trigger)
        return replace(
            self.before,
            env=self._env,
            arguments=frozenset(self._arguments),
            shell=self._shell,
            workdir=self._workdir,
            triggers=tuple(triggers),
        )

    def _one(self, instruction: of.Instruction) -> None:
        self._checks = self.notes.checks.above(instruction.comments)
        self._lines = instruction.lines
        try:
            self._look(instruction)
        except DockerfileError as error:
            raise error.placed(instruction.lines) from None

    def _look(self, instruction: of.Instruction) -> None:
        match instruction:
            case of.Arg():
                self._arg(instruction)
            case of.Env() | of.Label():
                self._pairs(instruction)
            case of.Copy() | of.Add():
                self._files(instruction)
            case of.Run():
                for mount in instruction.mounts:
                    evaluate(mount, self._expand)
            case of.Cmd() | of.Entrypoint():
                self._only_once(instruction)
                if instruction.command.shell and not self._shell:
                    self._add("JSONArgsRecommended", instruction.word)
            case of.Healthcheck():
                self._only_once(instruction)
            case _:
                self._set(instruction)

    def _set(self, instruction: of.Instruction) -> None:
        match instruction:
            case of.Workdir():
                path = self._expand(instruction.path)
                if not self._workdir and not path.startswith("/"):
                    self._add("WorkdirRelativePath", path)
                self._workdir = True
            case of.Expose():
                self._expose(instruction)
            case of.Shell():
                self._shell = True
            case of.User(user=word) | of.Stopsignal(signal=word):
                self._expand(word)
            case of.Volume(paths=paths):
                for path in paths:
                    self._expand(path)

    def _add(self, rule: str, *words: str, unsure: str = "") -> None:
        self.notes.add(rule, self._lines, *words, checks=self._checks, unsure=unsure)

    def _expand(self, word: str, style: Style | None = None) -> str:
        found = expand(word, self._env, style or Style(escape=self.escape))
        for name in sorted(found.unmatched - self._arguments - NOT_IN_ENVIRONMENT):
            near = self.notes.near(name, self._env)
            base = self.before.unknown
            # An unread base may set it, unless the name resembles one that is set here.
            unsure = f"{base} is not available; it may set ${name}" if base and near in ("", "PATH") else ""
            self._add("UndefinedVar", name, f" (did you mean ${near}?)" if near else "", unsure=unsure)
        return found.text

    def _arg(self, instruction: of.Arg) -> None:
        for argument in instruction.arguments:
            self._secret("ARG", argument.name)
            value = self.around.arguments.get(argument.name)
            if value is None and argument.value is not None:
                value = self._expand(argument.value)
            elif value is None:
                value = self.globals.get(argument.name)
            if value is not None and argument.name not in NOT_IN_ENVIRONMENT:
                self._env[argument.name] = value
            self._arguments.add(argument.name)

    def _pairs(self, instruction: of.Env | of.Label) -> None:
        pairs = [(self._expand(pair.name), self._expand(pair.value)) for pair in instruction.pairs]
        if any(pair.legacy for pair in instruction.pairs):
            self._add("LegacyKeyValueFormat", instruction.word)
        if isinstance(instruction, of.Env):
            for name, _ in pairs:
                self._secret("ENV", name)
            self._env.update(pairs)

    def _secret(self, word: str, name: str) -> None:
        if is_secret_name(name):
            self._add("SecretsUsedInArgOrEnv", word, name)

    def _only_once(self, instruction: of.Instruction) -> None:
        kind = type(instruction)
        if kind in self._once:
            self.notes.add("MultipleInstructionsDisallowed", self._once[kind], instruction.word, checks=self._checks)
        self._once[kind] = instruction.lines

    def _expose(self, instruction: of.Expose) -> None:
        style = Style(escape=self.escape)
        for port in [word for text in instruction.ports for word in expand(text, self._env, style).words]:
            *before, container = port.rsplit(":", 2)
            protocol = container.partition("/")[2]
            if protocol != protocol.lower():
                self._add("ExposeProtoCasing", port)
            if any(before):
                self._add("ExposeInvalidFormat", port)

    def _files(self, instruction: of.Copy | of.Add) -> None:
        self._expand(instruction.chown)
        self._expand(instruction.chmod)
        if isinstance(instruction, of.Add):
            self._expand(instruction.checksum)
        sources = [self._expand(source) for source in instruction.sources]
        self._expand(instruction.destination)
        for content in instruction.contents:
            if content.expand:
                self._expand(content.content, Style(skip_quotes=True))
        if isinstance(instruction, of.Copy) and instruction.from_:
            return
        for source in sources:
            if not _REMOTE.match(source):
                self._ignored("Add" if isinstance(instruction, of.Add) else "Copy", posixpath.normpath(source or "."))

    def _ignored(self, word: str, path: str) -> None:
        patterns = self._patterns
        if patterns is None or (path in (".", "/") and not set(_EVERYTHING) & set(self.around.ignored)):
            return
        if patterns.fit(path):
            self._add("CopyIgnoredFile", word, path)

    @cached_property
    def _patterns(self) -> Patterns | None:
        """What .dockerignore leaves out; None where it leaves out nothing, or brings some of it back."""
        patterns = Patterns(self.around.ignored)
        return None if patterns.has_exceptions or not self.around.ignored else patterns


def is_secret_name(name: str) -> bool:
    """Report whether BuildKit takes a variable's name for that of a secret."""
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def _trigger(text: str, lines: Lines) -> of.Instruction:
    try:
        return parse_trigger(text)
    except DockerfileError as error:
        raise DockerfileError(
            f"ONBUILD {text}: {error.problem}", lines, hint="this ONBUILD step comes from the base image"
        ) from None
