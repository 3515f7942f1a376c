"""Policy files, and the cases that test them: TOML, with the line of whatever is wrong.

    [[rule]]
    name = "signed for release"
    signed-by = ["release.pub"]

    [[rule]]
    name = "small and bare, or a base of ours"
    any = [{ non-root = true, no-shell = true, max-pulled = "10MB" }, { base = ["registry.example/base/*"] }]

A table with several conditions asks for all of them. Source: TOML v1.0.0.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wherry.errors import InvalidSettings, InvalidUsage, NotFound
from wherry.settings.lines import line_at, lines_of
from wherry.settings.readers import FilePosition, UnsuitableValue, read_platforms, read_text, read_texts
from wherry.settings.sizes import parse_bytes
from wherry.settings.wherry_toml import parse_toml
from wherry.store.files import read_regular
from wherry.trust.evidence import ImageEvidence
from wherry.trust.policy import ConditionKind, ImagePolicy, PolicyCondition, PolicyRule
from wherry.trust.signature import SignerNames
from wherry.trust.statement import predicate_types
from wherry.typed import from_plain

_LARGEST = 1 << 18
_DEEPEST = 16
_MOST_RULES = 1000
_AGE = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LIMITS = ("none", "module", "package", "low", "medium", "high")
_SIGNER_KEYS = ("keys", "identity", "identity-regexp", "issuer", "trusted-root")
_FLAGS = frozenset({ConditionKind.NON_ROOT, ConditionKind.NO_SHELL, ConditionKind.REPRODUCED})


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """What is known of an image, and what a policy has to say to it."""

    name: str
    allowed: bool
    fails: tuple[str, ...]
    """The rules that have to fail; empty: any."""
    evidence: ImageEvidence
    line: int


def read_policy(path: Path, name: str) -> ImagePolicy:
    """Read a policy file.

    Raises:
        NotFound: there is none.
        InvalidSettings: it is not TOML, or a rule is wrong; line and key are named.
    """
    return parse_policy(_text(path, name), name)


def _text(path: Path, name: str) -> str:
    content = read_regular(path.resolve(), _LARGEST)
    if content is None:
        raise NotFound(f"{name}: not found", hint="give a file with tables [[rule]]; `wherry help policy` explains it")
    return content.decode(errors="replace")


def parse_policy(text: str, name: str) -> ImagePolicy:
    """Read the text of a policy; as `read_policy`."""
    document = parse_toml(text, name)
    place = FilePosition(name, lines_of(text), ())
    for key in document:
        if key != "rule":
            raise place.below(key).wrong("is unknown", "write tables [[rule]]")
    rules = [
        _rule(at, table, number)
        for number, (at, table) in enumerate(_tables(place.below("rule"), document.get("rule")), 1)
    ]
    named: set[str] = set()
    for rule in rules:
        if rule.name in named:
            raise InvalidSettings(
                f"{name}: line {rule.condition.line}: a second rule {rule.name!r}", hint="give each its own name"
            )
        named.add(rule.name)
    return ImagePolicy(name, tuple(rules))


def _tables(place: FilePosition, value: object) -> Iterator[tuple[FilePosition, Mapping[str, object]]]:
    key = str(place.path[-1])
    if not isinstance(value, list) or not value or len(value) > _MOST_RULES:
        raise place.wrong("must be one table or more", f"write [[{key}]]")
    for number, table in enumerate(value):
        at = place.below(number)
        if not isinstance(table, dict):
            raise at.wrong("must be a table", f"write [[{key}]]")
        yield at, table


def _rule(place: FilePosition, table: Mapping[str, object], number: int) -> PolicyRule:
    name = table.get("name", f"rule {number}")
    if not isinstance(name, str) or not name:
        raise place.below("name").wrong("must be a non-empty string", 'write name = "signed for release"')
    return PolicyRule(name, _condition(place, {key: value for key, value in table.items() if key != "name"}, 0))


def _condition(place: FilePosition, table: object, depth: int) -> PolicyCondition:
    """Read a table of conditions, which is all of them."""
    if depth > _DEEPEST:
        raise place.wrong(f"is nested more than {_DEEPEST} deep", "use fewer levels")
    if not isinstance(table, dict) or not table:
        raise place.wrong("must be a table with a condition", "write it as { non-root = true }")
    parts = tuple(_one(place.below(key), key, value, depth) for key, value in table.items())
    return (
        parts[0]
        if len(parts) == 1
        else PolicyCondition(ConditionKind.ALL, line_at(place.lines, place.path), parts=parts)
    )


def _one(place: FilePosition, key: str, value: object, depth: int) -> PolicyCondition:
    line = line_at(place.lines, place.path)
    if key not in set(ConditionKind):
        near = difflib.get_close_matches(key, list(ConditionKind), n=1)
        raise place.wrong("is unknown", f"did you mean {near[0]}?" if near else f"use {', '.join(ConditionKind)}")
    kind = ConditionKind(key)
    try:
        match kind:
            case ConditionKind.ALL | ConditionKind.ANY:
                return PolicyCondition(kind, line, parts=tuple(_several(place, value, depth)))
            case ConditionKind.NOT:
                return PolicyCondition(kind, line, parts=(_condition(place, value, depth + 1),))
            case ConditionKind.SIGNED_BY | ConditionKind.ATTESTED:
                return _attested(place, value, line) if kind is ConditionKind.ATTESTED else _signed(place, value, line)
            case ConditionKind.HOLES:
                return _hole_limit(place, value, line)
            case _ if kind in _FLAGS:
                return _flag(place, kind, value, line)
            case _:
                return _valued(place, kind, value, line)
    except UnsuitableValue as error:
        raise error.place.wrong(str(error), "`wherry help policy` lists the conditions") from error


def _several(place: FilePosition, value: object, depth: int) -> Iterator[PolicyCondition]:
    if not isinstance(value, list) or not value:
        raise UnsuitableValue(place, "a list of tables", value)
    for number, one in enumerate(value):
        yield _condition(place.below(number), one, depth + 1)


def _flag(place: FilePosition, kind: ConditionKind, value: object, line: int) -> PolicyCondition:
    if not isinstance(value, bool):
        raise UnsuitableValue(place, "true or false", value)
    wanted = PolicyCondition(kind, line)
    return wanted if value else PolicyCondition(ConditionKind.NOT, line, parts=(wanted,))


def _valued(place: FilePosition, kind: ConditionKind, value: object, line: int) -> PolicyCondition:
    try:
        match kind:
            case ConditionKind.PULLED | ConditionKind.UNPACKED:
                if not isinstance(value, (str, int)) or isinstance(value, bool):
                    raise UnsuitableValue(place, "a size", value)
                return PolicyCondition(kind, line, limit=parse_bytes(str(value)))
            case ConditionKind.AGE:
                match = _AGE.fullmatch(value) if isinstance(value, str) else None
                if match is None:
                    raise UnsuitableValue(place, "a time such as 30d", value)
                return PolicyCondition(kind, line, limit=int(match[1]) * _SECONDS[match[2]])
            case ConditionKind.PLATFORMS:
                words = tuple(str(one) for one in read_platforms(place, value))
            case _:
                words = read_texts(place, [value] if isinstance(value, str) else value)
    except InvalidUsage as error:
        raise place.wrong(f"is invalid: {error.message}", error.hint) from error
    if not words:
        raise UnsuitableValue(place, "a list with at least one string", value)
    return PolicyCondition(kind, line, words=words)


def _attested(place: FilePosition, value: object, line: int) -> PolicyCondition:
    example = '{ type = "slsaprovenance1", keys = ["a.pub"] }'
    if not isinstance(value, dict):
        raise place.wrong("must be a table with type and signers", f"write {example}")
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        raise place.wrong("does not say which type of statement", f"write {example}")
    try:
        predicate_types(kind)
    except InvalidUsage as error:
        raise place.wrong(f"is invalid: {error.message}", error.hint) from error
    signers = _signers(place, {key: said for key, said in value.items() if key != "type"})
    return PolicyCondition(ConditionKind.ATTESTED, line, signers=signers, type=kind)


def _signed(place: FilePosition, value: object, line: int) -> PolicyCondition:
    return PolicyCondition(ConditionKind.SIGNED_BY, line, signers=_signers(place, value))


def _signers(place: FilePosition, value: object) -> SignerNames:
    """Read who must have signed: a key, a list of keys, or a table with keys, an identity, or both."""
    if isinstance(value, str | list):
        value = {"keys": value}
    if not isinstance(value, dict):
        raise UnsuitableValue(place, "a list of keys, or a table with an identity", value)
    for key in value:
        if key not in _SIGNER_KEYS:
            raise place.wrong(f"has an unknown key {key!r}", f"use {', '.join(_SIGNER_KEYS)}")
    keys = value.get("keys", [])
    said = {key: read_text(place, value[key]) for key in _SIGNER_KEYS[1:] if key in value}
    names = SignerNames(
        keys=read_texts(place, [keys] if isinstance(keys, str) else keys),
        identity=said.get("identity", ""),
        pattern=said.get("identity-regexp", ""),
        issuer=said.get("issuer", ""),
        trusted_root=said.get("trusted-root", ""),
    )
    whole = names.issuer and names.trusted_root and bool(names.identity) != bool(names.pattern)
    if (names.by_identity and not whole) or not (names.by_identity or names.keys):
        raise place.wrong(
            "must name keys, or one identity with its issuer and trusted root",
            'write ["a.pub"], or { identity = "ci@example.com", issuer = "https://…", trusted-root = "root.json" }',
        )
    try:
        re.compile(names.pattern)
    except re.error as error:
        raise place.wrong(f"has an invalid identity-regexp: {error}", "fix the expression") from error
    return names


def _hole_limit(place: FilePosition, value: object, line: int) -> PolicyCondition:
    table = value if isinstance(value, dict) else {"level": value}
    level, reviewed = table.get("level"), table.get("reviewed-only", False)
    if level not in _LIMITS or not isinstance(reviewed, bool) or not set(table) <= {"level", "reviewed-only"}:
        raise place.wrong(
            f"must be one of {', '.join(_LIMITS)}", 'write "package" to refuse linked functions, "none" for any hole'
        )
    return PolicyCondition(ConditionKind.HOLES, line, words=(str(level),), reviewed_only=reviewed)


def read_cases(path: Path, name: str) -> tuple[PolicyCase, ...]:
    """Read cases: tables [[case]] with a name, `expect` (`pass` or `fail`), `fails` and `evidence`.

    Raises:
        NotFound: there is no such file.
        InvalidSettings: a case is wrong; line and key are named.
    """
    text = _text(path, name)
    document = parse_toml(text, name)
    place = FilePosition(name, lines_of(text), ())
    return tuple(
        _case(at, table, number)
        for number, (at, table) in enumerate(_tables(place.below("case"), document.get("case")), 1)
    )


def _case(place: FilePosition, table: Mapping[str, object], number: int) -> PolicyCase:
    for key in table:
        if key not in {"name", "expect", "fails", "evidence"}:
            raise place.below(key).wrong("is unknown", "use name, expect, fails, evidence")
    if table.get("expect") not in {"pass", "fail"}:
        raise place.below("expect").wrong('must be "pass" or "fail"', 'write expect = "fail"')
    try:
        evidence = from_plain(table.get("evidence", {}), ImageEvidence)
    except msgspec.ValidationError as error:
        raise place.below("evidence").wrong(
            f"is invalid: {error}", "write what `wherry check IMAGE --policy FILE --json` has as `evidence`"
        ) from error
    try:
        fails = read_texts(place.below("fails"), table.get("fails", []))
    except UnsuitableValue as error:
        raise error.place.wrong(str(error), "list names of rules") from error
    name = table.get("name", f"case {number}")
    line = line_at(place.lines, place.path)
    return PolicyCase(str(name), table["expect"] == "pass", fails, evidence, line)
