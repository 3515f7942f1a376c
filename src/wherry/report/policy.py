"""What a policy says of an image: each rule with its reason and evidence."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from wherry.app.policy import JudgedCase, JudgedImage
from wherry.counted import counted
from wherry.report.terminal import painted, printable
from wherry.trust.policy import ConditionVerdict, PolicyVerdict, RuleVerdict

SCHEMA = "wherry.policy/1"
_GREEN, _RED = 32, 31


def lines_of(judged: JudgedImage, *, coloured: bool = False) -> Iterator[str]:
    """Write the verdict on an image."""
    yield printable(f"{judged.name}@{judged.evidence.digest}" if "@" not in judged.name else judged.name)
    for rule in judged.verdict.rules:
        word = "pass" if rule.holds else "fail"
        shown = painted(word, _GREEN if rule.holds else _RED) if coloured else word
        yield f"  {shown}  {printable(f'{rule.rule.name}: {rule.verdict.reason}')}"
        yield from (printable(line) for line in _evidence(rule.verdict, 8, failed=not rule.holds))
    yield ""
    yield f"  {summary(judged.verdict)}"


def summary(verdict: PolicyVerdict) -> str:
    """Say in one line what follows."""
    failed = [rule.rule.name for rule in verdict.rules if not rule.holds]
    if not failed:
        return f"allowed: {counted(len(verdict.rules), 'rule')} held"
    return printable(f"refused: {len(failed)} of {counted(len(verdict.rules), 'rule')} not held")


def _evidence(verdict: ConditionVerdict, indent: int, *, failed: bool) -> Iterator[str]:
    yield from (f"{' ' * indent}{line}" for line in verdict.evidence if failed or len(verdict.evidence) == 1)
    for part in verdict.parts:
        yield f"{' ' * indent}{_word(part.holds)} {part.condition.kind} (line {part.condition.line}): {part.reason}"
        yield from _evidence(part, indent + 2, failed=failed)


def _word(holds: bool | None) -> str:  # noqa: FBT001 - the answer itself
    return "unknown:" if holds is None else "yes:" if holds else "no:"


def document(judged: JudgedImage) -> Mapping[str, object]:
    """Give the values of docs/reference/policy.md."""
    return {
        "schema": SCHEMA,
        "image": judged.name,
        "digest": judged.evidence.digest,
        "policy": judged.verdict.policy.name,
        "allowed": judged.verdict.allowed,
        "rules": [_rule(rule) for rule in judged.verdict.rules],
        "evidence": msgspec.to_builtins(judged.evidence),
    }


def _rule(rule: RuleVerdict) -> dict[str, object]:
    return {"name": rule.rule.name, **_condition(rule.verdict)}


def _condition(verdict: ConditionVerdict) -> dict[str, object]:
    return {
        "condition": verdict.condition.kind.value,
        "line": verdict.condition.line,
        "holds": verdict.holds,
        "reason": verdict.reason,
        "evidence": list(verdict.evidence),
        "parts": [_condition(part) for part in verdict.parts],
    }


def case_lines(judged: Sequence[JudgedCase]) -> Iterator[str]:
    """Write which cases came out as they should."""
    for one in judged:
        expected = "pass" if one.case.allowed else "fail"
        yield printable(
            f"  {'ok  ' if one.ok else 'WRONG'} {one.case.name} (line {one.case.line}): expected {expected}"
        )
        if not one.ok:
            for rule in one.verdict.rules:
                yield printable(f"      {'pass' if rule.holds else 'fail'}  {rule.rule.name}: {rule.verdict.reason}")
    wrong = sum(not one.ok for one in judged)
    yield (
        f"  {counted(len(judged), 'case')}, {wrong} wrong"
        if wrong
        else f"  {counted(len(judged), 'case')}, all as expected"
    )
