"""Values of a settings file, each read as what its key asks for; what does not fit is named with line and key."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wherry.errors import InvalidSettings, InvalidUsage
from wherry.platform import Platform
from wherry.settings.lines import Path, line_at
from wherry.settings.values import Added, check_go_variable, check_user, check_workdir, parse_platforms, parse_ports

T = TypeVar("T")


class WrongKey(InvalidSettings):
    """A key of a settings file is unknown, or has a value that does not fit."""

    def __init__(self, name: str, line: int, key: str, problem: str, *, hint: str) -> None:
        super().__init__(f'{name}: line {line}: key "{key}" {problem}', hint=hint)
        self.line = line
        self.key = key


@dataclass(frozen=True, slots=True)
class FilePosition:
    """Where in the file a value stands."""

    name: str
    lines: Mapping[Path, int]
    path: Path

    def below(self, key: str | int) -> "FilePosition":
        """Go to a key or list entry."""
        return FilePosition(self.name, self.lines, (*self.path, key))

    def wrong(self, problem: str, hint: str) -> WrongKey:
        """Make the error of this place."""
        keys = [str(key) for key in self.path if isinstance(key, str)]
        return WrongKey(self.name, line_at(self.lines, self.path), keys[-1] if keys else "", problem, hint=hint)


class UnsuitableValue(Exception):
    """A value is of another kind than its key asks for."""

    def __init__(self, place: FilePosition, wanted: str, value: object) -> None:
        super().__init__(f"must be {wanted}, not {_kind(value)}")
        self.place = place


_HIGHEST_LEVEL = 99
_LONG = 10**18
"""Python refuses to print numbers of several thousand digits, and messages do not need them."""


def _kind(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the string {value[:40]!r}"
        case int() | float():
            return f"the number {value}" if abs(value) < _LONG else "a huge number"
        case list() | dict():
            return "a list" if isinstance(value, list) else "a table"
        case _:
            return "a date or time"


def _small(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LONG


def read_table(place: FilePosition, value: object, example: str) -> Mapping[str, object]:
    """Read a table; the example is for the hint."""
    if not isinstance(value, dict):
        raise place.wrong(f"must be a table, not {_kind(value)}", f"write it as {example}")
    return value


def read_text(place: FilePosition, value: object) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str):
        raise UnsuitableValue(place, "a string", value)
    if not value or "\0" in value:
        raise UnsuitableValue(place, "a non-empty string", value)
    return value


def read_texts(place: FilePosition, value: object) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list):
        raise UnsuitableValue(place, "a list of strings", value)
    return tuple(read_text(place.below(at), entry) for at, entry in enumerate(value))


def read_flags(place: FilePosition, value: object) -> str:
    """Read flags for a Go tool: one text, or a list that spaces join."""
    if isinstance(value, list):
        return " ".join(read_texts(place, value))
    if not isinstance(value, str) or "\0" in value:
        raise UnsuitableValue(place, "a string or a list of strings", value)
    return value


def read_pairs(place: FilePosition, value: object) -> tuple[tuple[str, str], ...]:
    """Read a table of texts, in its order."""
    if not isinstance(value, dict):
        raise UnsuitableValue(place, "a table of strings", value)
    for name, text in value.items():
        below = place.below(name)
        if not isinstance(text, str):
            raise UnsuitableValue(below, "a string", text)
        if not name or "=" in name or "\0" in name + text:
            raise below.wrong("is not a valid name of a variable or label", "use a name without = in it")
    return tuple(value.items())


def read_go_env(place: FilePosition, value: object) -> tuple[tuple[str, str], ...]:
    """Read variables for `go build`; those that follow the platform are refused."""
    pairs = read_pairs(place, value)
    for name, _ in pairs:
        _each(place.below(name), [name], check_go_variable)
    return pairs


def _each(place: FilePosition, texts: Iterable[str], read: Callable[[str], T]) -> list[T]:
    """Read texts by a grammar of the command line; what it refuses stands at the entry's own line."""
    found = []
    for at, text in enumerate(texts):
        try:
            found.append(read(text))
        except InvalidUsage as error:
            raise place.below(at).wrong(f"is invalid: {error.message}", error.hint) from error
    return found


def read_platforms(place: FilePosition, value: object) -> tuple[Platform, ...]:
    """Read platforms, in the order of an index."""
    texts = read_texts(place, value)
    _each(place, texts, lambda text: parse_platforms([text]))
    return parse_platforms(texts)


def read_expose(place: FilePosition, value: object) -> tuple[str, ...]:
    """Read ports, numbers or texts, each once."""
    if not isinstance(value, list):
        raise UnsuitableValue(place, "a list of ports", value)
    texts = [str(port) if _small(port) else read_text(place.below(at), port) for at, port in enumerate(value)]
    ports = _each(place, texts, parse_ports)
    return tuple(dict.fromkeys(port for several in ports for port in several))


def read_add(place: FilePosition, value: object) -> tuple[Added, ...]:
    """Read files to add."""
    return tuple(_each(place, read_texts(place, value), Added.parse))


def read_user(place: FilePosition, value: object) -> str:
    """Read a user: an id, or a text with user and group."""
    return check_user(str(value) if _small(value) else read_text(place, value))


def read_workdir(place: FilePosition, value: object) -> str:
    """Read a working directory."""
    return check_workdir(read_text(place, value))


def read_boolean(place: FilePosition, value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise UnsuitableValue(place, "true or false", value)
    return value


def read_level(place: FilePosition, value: object) -> int:
    """Read a compression level; the encoder knows its own range."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _HIGHEST_LEVEL:
        raise UnsuitableValue(place, "a number from 0 to 99", value)
    return value


def choice(words: Sequence[str]) -> Callable[[FilePosition, object], str]:
    """Make a reader of one of these words."""

    def read(place: FilePosition, value: object) -> str:
        if value not in words:
            raise UnsuitableValue(place, " or ".join(f'"{word}"' for word in words), value)
        return str(value)

    return read
