"""Templates in `--ldflags`: `{{.Version}}`, `{{.Git.ShortCommit}}`, `{{.Env.NAME}}`, replaced by text.

The names are those that users bring along from ko (`.Git.…`, `.Env.…`, `.Date`, `.Timestamp`) and goreleaser
(`.Version`, `.Commit`, `.Tag`, …). Of Go's text/template only a field and `index .Env "NAME"` are read: no pipes, no
conditions, so a template can do nothing but name a value. Times are the commit's, never the clock's.

Sources: Go 1.26, text/template "Actions"; ko, docs "Overriding Go build settings"; goreleaser, docs
"Name templates" (both as of 2026).
"""

import difflib
import re
from collections.abc import Iterator, Mapping

from wherry.errors import InvalidUsage

_GIT = (
    "Branch",
    "Tag",
    "FullCommit",
    "ShortCommit",
    "CommitDate",
    "CommitTimestamp",
    "IsDirty",
    "IsClean",
    "TreeState",
)
NAMES = (
    *_GIT,
    *(f"Git.{name}" for name in _GIT),
    "Version", "Commit", "Date", "Timestamp", "GitURL",
)  # fmt: skip
"""All names but those below `.Env.`."""

_ACTION = re.compile(r"\{\{(?P<inside>.*?)\}\}", re.DOTALL)
_WORD = re.compile(r"(?:\{\{.*?\}\}|[^\s,])+", re.DOTALL)
_FIELD = re.compile(r"\s*\.(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*")
_INDEX = re.compile(r'\s*index\s+\.Env\s+["`](?P<name>[A-Za-z_][A-Za-z0-9_]*)["`]\s*')
"""A variable that may be missing; it is empty then, as in text/template."""
_ENVIRONMENT = "Env."


def names(template: str, where: str) -> frozenset[str]:
    """Name what a template asks for, such as `Git.Tag` and `Env.HOME`; empty where it is plain text.

    Who builds needs to know it beforehand: git's details cost processes, and only variables that are
    asked for belong into a build's key.

    Raises:
        InvalidUsage: as `expand`, but for values that are not there.
    """
    return frozenset(name for _, name, _ in _fields(template, where))


def words_of(text: str) -> tuple[str, ...]:
    """Split at spaces and commas, but not inside `{{…}}`."""
    return tuple(_WORD.findall(text))


def as_fields(template: str) -> str:
    """Write every template as `{{.Name}}`, without spaces, so that what splits at spaces keeps it whole."""

    def field(match: re.Match[str]) -> str:
        index = _INDEX.fullmatch(match["inside"])
        return f"{{{{.{_ENVIRONMENT}{index['name']}}}}}" if index else _spaceless(match)

    return _ACTION.sub(field, template)


def expand(template: str, facts: Mapping[str, str], environment: Mapping[str, str], *, where: str, absent: str) -> str:
    """Replace every `{{.Name}}` by its value.

    Args:
        template: text with or without `{{…}}`.
        facts: values by name without the leading dot; one that has no value now is not in it.
        environment: what `.Env.NAME` reads.
        where: what the reader knows the template by, such as `--ldflags`; it starts the message.
        absent: why facts may be missing, such as `the folder is in no git checkout`.

    Raises:
        InvalidUsage: an unknown name (the hint has the nearest), one without a value now, or more of
            Go's template language than a field.
    """
    parts, end = [], 0
    for match, name, optional in _fields(template, where):
        parts.append(template[end : match.start()])
        known = environment if not optional else {name.removeprefix(_ENVIRONMENT): "", **environment}
        parts.append(_value(name, facts, known, where, absent))
        end = match.end()
    return "".join([*parts, template[end:]])


def _fields(template: str, where: str) -> Iterator[tuple[re.Match[str], str, bool]]:
    """Yield each template, the name it asks for, and whether that may be missing."""
    end = 0
    for match in _ACTION.finditer(template):
        end = match.end()
        if index := _INDEX.fullmatch(match["inside"]):
            yield match, f"{_ENVIRONMENT}{index['name']}", True
            continue
        field = _FIELD.fullmatch(match["inside"])
        if not field:
            raise InvalidUsage(
                f"{where}: unsupported template {match[0]}; pipes, functions and conditions are not available",
                hint=f"write one of {_examples()}, or compute the value first and pass it as {{{{.Env.NAME}}}}",
            )
        _check(field["name"], where)
        yield match, field["name"], False
    if "{{" in template[end:]:
        raise InvalidUsage(f"{where}: a {{{{ is not closed by }}}}", hint=f"write it as {_examples()}")


def _check(name: str, where: str) -> None:
    if name in NAMES or (name.startswith(_ENVIRONMENT) and name.count(".") == 1):
        return
    near = difflib.get_close_matches(name, [*NAMES, "Env.NAME"], n=3)
    nearest = ", ".join(f"{{{{.{one}}}}}" for one in near) or _examples()
    raise InvalidUsage(f"{where}: {{{{.{name}}}}} is unknown", hint=f"did you mean {nearest}?")


def _value(name: str, facts: Mapping[str, str], environment: Mapping[str, str], where: str, absent: str) -> str:
    if name.startswith(_ENVIRONMENT):
        variable = name.removeprefix(_ENVIRONMENT)
        if variable in environment:
            return environment[variable]
        raise InvalidUsage(
            f"{where}: {{{{.{name}}}}}: {variable} is not set",
            hint=f"set it, for example {variable}=… wherry build, or remove it from the template",
        )
    if name in facts:
        return facts[name]
    raise InvalidUsage(
        f"{where}: {{{{.{name}}}}} has no value: {absent}",
        hint=f"remove {{{{.{name}}}}} from the template, or pass the value as {{{{.Env.NAME}}}}",
    )


def _spaceless(match: re.Match[str]) -> str:
    field = _FIELD.fullmatch(match["inside"])
    return f"{{{{.{field['name']}}}}}" if field else match[0]


def _examples() -> str:
    return "{{.Version}}, {{.Git.ShortCommit}}, {{.Env.NAME}}"
