"""go.mod and go.work.

Sources: Go modules reference (go1.26), "go.mod files", "Workspaces"; golang.org/x/mod v0.30, modfile/rule.go.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

from wherry.errors import InvalidDocument
from wherry.golang.modsyntax import Line, read_lines, sides

_DIRECTORY = re.compile(r"\.{1,2}\Z|\.{0,2}[/\\]|[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A module that has to be there in this version at least."""

    path: str
    version: str
    indirect: bool
    """Whether no package of the module imports it."""
    line: int


@dataclass(frozen=True, slots=True)
class Replacement:
    """A module to take in another's place."""

    old_path: str
    old_version: str
    """Empty for all versions."""
    new_path: str
    new_version: str
    """Empty for a folder."""
    line: int

    @property
    def is_local(self) -> bool:
        """Whether the new one is a folder, relative to the file that says so."""
        return not self.new_version and _DIRECTORY.match(self.new_path) is not None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A version never to take."""

    path: str
    version: str
    line: int


@dataclass(frozen=True, slots=True)
class Retraction:
    """Versions of its own that a module takes back; `low` and `high` belong to them."""

    low: str
    high: str
    rationale: str
    line: int


@dataclass(frozen=True, slots=True)
class GoMod:
    """A go.mod file. A directive we don't know is passed over: `go` itself judges it."""

    module: str
    deprecated: str = ""
    """Why the module should no longer be used."""
    go: str = ""
    """The language version; `go` takes an absent one for 1.16."""
    toolchain: str = ""
    godebug: Mapping[str, str] = field(default_factory=dict)
    require: tuple[Requirement, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    replace: tuple[Replacement, ...] = ()
    retract: tuple[Retraction, ...] = ()
    tool: tuple[str, ...] = ()
    """Import paths of programs that `go tool` builds."""
    ignore: tuple[str, ...] = ()
    """Folders that `./...` passes over."""


@dataclass(frozen=True, slots=True)
class GoWork:
    """A go.work file."""

    go: str = ""
    toolchain: str = ""
    godebug: Mapping[str, str] = field(default_factory=dict)
    use: tuple[str, ...] = ()
    """Module folders, relative to the file."""
    replace: tuple[Replacement, ...] = ()


def parse_go_mod(text: str, name: str) -> GoMod:
    """Read a go.mod file.

    Args:
        text: the whole file.
        name: what the reader knows it by; it starts the message.

    Raises:
        InvalidDocument: it names no module, or a directive lacks a word; the line is named.
    """
    lines = _Lines.of(text, name)
    module = lines.only("module")
    if module is None:
        raise InvalidDocument(name, "no module line", hint="add `module example.com/name` as its first line")
    return GoMod(
        module=lines.single("module"),
        deprecated=_deprecated(module.comment),
        go=lines.single("go"),
        toolchain=lines.single("toolchain"),
        godebug=lines.godebug(),
        require=tuple(lines.each("require", _requirement)),
        exclude=tuple(lines.each("exclude", _exclusion)),
        replace=tuple(lines.each("replace", _replacement)),
        retract=tuple(lines.each("retract", _retraction)),
        tool=tuple(lines.each("tool", _one)),
        ignore=tuple(lines.each("ignore", _one)),
    )


def parse_go_work(text: str, name: str) -> GoWork:
    """Read a go.work file.

    Raises:
        InvalidDocument: a directive lacks a word; the line is named.
    """
    lines = _Lines.of(text, name)
    return GoWork(
        go=lines.single("go"),
        toolchain=lines.single("toolchain"),
        godebug=lines.godebug(),
        use=tuple(lines.each("use", _one)),
        replace=tuple(lines.each("replace", _replacement)),
    )


class _Wrong(Exception):
    """A statement has other words than its verb asks for; it says which."""


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Lines:
    """A file's statements by verb."""

    name: str
    by_verb: Mapping[str, Sequence[Line]]

    @classmethod
    def of(cls, text: str, name: str) -> Self:
        by_verb: dict[str, list[Line]] = {}
        for line in read_lines(text, name):
            by_verb.setdefault(line.verb, []).append(line)
        return cls(name, by_verb)

    def each(self, verb: str, read: Callable[[Line], _T]) -> Iterator[_T]:
        for line in self.by_verb.get(verb, ()):
            try:
                yield read(line)
            except _Wrong as error:
                raise InvalidDocument(f"{self.name}:{line.number}", f"{verb}: {error}") from error

    def only(self, verb: str) -> Line | None:
        lines = self.by_verb.get(verb, ())
        if len(lines) > 1:
            place = f"{self.name}:{lines[1].number}"
            raise InvalidDocument(place, f"{verb} is already set in line {lines[0].number}", hint="keep one of them")
        return lines[0] if lines else None

    def single(self, verb: str) -> str:
        self.only(verb)
        return next(self.each(verb, _one), "")

    def godebug(self) -> dict[str, str]:
        return dict(self.each("godebug", _setting))


def _one(line: Line) -> str:
    match line.words:
        case [word]:
            return word
    raise _Wrong(f"expected one word, found {len(line.words)}")


def _setting(line: Line) -> tuple[str, str]:
    key, equals, value = _one(line).partition("=")
    if not key or not equals:
        raise _Wrong("expected key=value")
    return key, value


def _requirement(line: Line) -> Requirement:
    match line.words:
        case [path, version]:
            remark = line.suffix.partition(";")[0].strip()
            return Requirement(path, version, remark == "indirect", line.number)
    raise _Wrong("expected a module and a version")


def _exclusion(line: Line) -> Exclusion:
    match line.words:
        case [path, version]:
            return Exclusion(path, version, line.number)
    raise _Wrong("expected a module and a version")


def _replacement(line: Line) -> Replacement:
    both = sides(line.words)
    if both is None or not both[1][0]:
        raise _Wrong("expected a module, =>, and a directory or a module with a version")
    replacement = Replacement(*both[0], *both[1], line.number)
    if not replacement.new_version and not replacement.is_local:
        raise _Wrong(f"{replacement.new_path} needs a version, or ./ in front if it is a directory")
    return replacement


def _retraction(line: Line) -> Retraction:
    match line.words:
        case ["[", low, ",", high, "]"]:
            return Retraction(low, high, line.comment, line.number)
        case [version] if version not in "[](),":
            return Retraction(version, version, line.comment, line.number)
    raise _Wrong("expected a version or [low, high]")


def _deprecated(comment: str) -> str:
    """Find the paragraph that starts with `Deprecated:`."""
    found = re.search(r"(?:\A|\n\n)Deprecated:\s*(.*?)(?:\n\n|\Z)", comment, re.DOTALL)
    return found.group(1).strip() if found else ""
