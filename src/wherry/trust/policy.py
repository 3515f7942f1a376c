"""Policies: small conditions that combine, and what follows from them for what is known of an image.

A pure function: the same evidence gives the same verdict, on a command line and in an admission webhook. What is not
known never counts as fulfilled, and its opposite does not either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from wherry.trust.evidence import HoleEvidence, ImageEvidence, PlatformEvidence, SignatureEvidence
from wherry.trust.signature import SignerNames

_DAY = 86400
_LEVELS = ("none", "module", "package", "symbol")
_SEVERITIES = ("none", "low", "medium", "high", "critical")
_SHOWN = 5


class ConditionKind(StrEnum):
    """What a condition asks; the keys of a policy file."""

    ALL = "all"
    ANY = "any"
    NOT = "not"
    SIGNED_BY = "signed-by"
    ATTESTED = "attested"
    BUILT_FROM = "built-from"
    BASE = "base"
    HOLES = "no-known-hole-above"
    NON_ROOT = "non-root"
    NO_SHELL = "no-shell"
    PULLED = "max-pulled"
    UNPACKED = "max-unpacked"
    PLATFORMS = "platforms"
    AGE = "max-age"
    REPRODUCED = "reproduced"


@dataclass(frozen=True, slots=True)
class PolicyCondition:
    """One condition, or several that are joined."""

    kind: ConditionKind
    line: int
    """In the policy's file."""
    words: tuple[str, ...] = ()
    """Patterns, platforms or a level, by kind."""
    signers: SignerNames = field(default_factory=SignerNames)
    """Who must have signed, or attested."""
    limit: float = 0
    """Bytes or seconds."""
    type: str = ""
    """Of an attestation."""
    reviewed_only: bool = False
    parts: "tuple[PolicyCondition, ...]" = ()


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A condition with a name that verdicts and tests use."""

    name: str
    condition: PolicyCondition


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """A policy: all of its rules have to hold."""

    name: str
    """Its file, as it was given."""
    rules: tuple[PolicyRule, ...]

    def conditions(self) -> "tuple[PolicyCondition, ...]":
        """Give all conditions that ask something, also those inside others: what evidence has to be gathered."""
        found: list[PolicyCondition] = []
        rest = [rule.condition for rule in self.rules]
        while rest:
            one = rest.pop()
            rest += one.parts
            if not one.parts:
                found.append(one)
        return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class ConditionVerdict:
    """What is said of one condition."""

    condition: PolicyCondition
    holds: bool | None
    """None: not known."""
    reason: str
    evidence: tuple[str, ...] = ()
    parts: "tuple[ConditionVerdict, ...]" = ()


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What is said of one rule."""

    rule: PolicyRule
    verdict: ConditionVerdict

    @property
    def holds(self) -> bool:
        """Whether it is known to hold."""
        return self.verdict.holds is True


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What is said of an image."""

    policy: ImagePolicy
    rules: tuple[RuleVerdict, ...]

    @property
    def allowed(self) -> bool:
        """Whether every rule holds."""
        return all(rule.holds for rule in self.rules)


def judge_image(policy: ImagePolicy, evidence: ImageEvidence) -> PolicyVerdict:
    """Judge an image by what is known of it."""
    return PolicyVerdict(policy, tuple(RuleVerdict(rule, _judge(rule.condition, evidence)) for rule in policy.rules))


def _judge(condition: PolicyCondition, evidence: ImageEvidence) -> ConditionVerdict:
    if condition.kind in _JOINED:
        return _joined(condition, tuple(_judge(part, evidence) for part in condition.parts))
    holds, reason, lines = _JUDGES[condition.kind](condition, evidence)
    why = evidence.unknown.get(condition.kind.value, "")
    if holds is None and why:
        reason = f"{reason}: {why}"
    return ConditionVerdict(condition, holds, reason, tuple(lines))


_JOINED = frozenset({ConditionKind.ALL, ConditionKind.ANY, ConditionKind.NOT})


def _joined(condition: PolicyCondition, parts: tuple[ConditionVerdict, ...]) -> ConditionVerdict:
    """Join verdicts by Kleene's logic: what is not known decides only where the rest does not."""
    answers = [part.holds for part in parts]
    match condition.kind:
        case ConditionKind.ALL:
            decided = False if False in answers else None if None in answers else True
            reason = f"{answers.count(True)} of {len(answers)} conditions hold"
        case ConditionKind.ANY:
            decided = True if True in answers else None if None in answers else False
            reason = f"{answers.count(True)} of {len(answers)} alternatives hold"
        case _:
            decided = None if answers[0] is None else not answers[0]
            reason = f"the opposite of: {parts[0].reason}"
    return ConditionVerdict(condition, decided, reason, (), parts)


_Answer = tuple[bool | None, str, Sequence[str]]


def _signed(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    what = f"attested ({condition.type})" if condition.type else "signed"
    for one in evidence.signatures:
        if one.type == condition.type and _same_signers(one, condition.signers):
            lines = [f"{one.answer}{f' by {one.signer}' if one.signer else ''}", *filter(None, [one.detail])]
            if one.answer == "could-not-ask":
                return None, f"not known whether it is {what}", lines
            holds = one.answer == "signed"
            return (
                holds,
                f"{what} by {one.signer or condition.signers}" if holds else (f"not {what} by {condition.signers}"),
                lines,
            )
    return None, f"not known whether it is {what}", ()


def _same_signers(one: SignatureEvidence, names: SignerNames) -> bool:
    identity = names.identity, names.pattern, names.issuer, names.trusted_root
    return set(one.keys) == set(names.keys) and identity == (
        one.identity, one.identity_regexp, one.issuer, one.trusted_root
    )  # fmt: skip


def _each(
    evidence: ImageEvidence, holds: Callable[[PlatformEvidence], tuple[bool | None, str]], good: str, bad: str
) -> _Answer:
    """Ask every platform: one that does not fulfil it decides."""
    if not evidence.platforms:
        return None, "nothing is known of its platforms", ()
    answers = [(one.platform, *holds(one)) for one in evidence.platforms]
    lines = [f"{platform}: {words}" for platform, _, words in answers]
    held = [answer for _, answer, _ in answers]
    if False in held:
        return False, bad, lines
    return (None, f"not known whether {good}", lines) if None in held else (True, good, lines)


def _built_from(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    wanted = ", ".join(condition.words)

    def holds(one: PlatformEvidence) -> tuple[bool | None, str]:
        if not one.source:
            return False, "no label names its source"
        revision = f" at {one.revision}" if one.revision else ""
        return _matches(one.source, condition.words), f"the label says {one.source}{revision}"

    return _each(evidence, holds, f"built from {wanted}", f"not built from {wanted}")


def _base(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    wanted = ", ".join(condition.words)

    def holds(one: PlatformEvidence) -> tuple[bool | None, str]:
        if not one.base:
            return False, "it does not say what its base is"
        shown = f"{one.base}@{one.base_digest}" if one.base_digest else one.base
        return _matches(one.base, condition.words) or _matches(shown, condition.words), f"its base is {shown}"

    return _each(evidence, holds, f"its base is one of {wanted}", f"its base is none of {wanted}")


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _holes(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    (limit,) = condition.words
    if evidence.holes is None:
        return None, "its known holes are not known", ()
    above = [
        one for one in evidence.holes
        if _above(one, limit) and not (condition.reviewed_only and one.reviewed is False)
    ]  # fmt: skip
    lines = [
        f"{one.id}: {one.level}, severity {one.severity}{f', {one.subject}' if one.subject else ''}" for one in above
    ]
    more = len(lines) - _SHOWN
    lines = [*lines[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    if above:
        return False, f"{len(above)} known holes above {limit}", lines
    if evidence.unscanned:
        return None, "some programs cannot be scanned", evidence.unscanned
    return True, f"no known hole above {limit}", (f"{len(evidence.holes)} known holes in all",)


def _above(hole: HoleEvidence, limit: str) -> bool:
    if limit in _LEVELS:
        return hole.level not in _LEVELS or _LEVELS.index(hole.level) > _LEVELS.index(limit)
    # A severity that nobody gave may be any.
    return hole.severity not in _SEVERITIES or _SEVERITIES.index(hole.severity) > _SEVERITIES.index(limit)


def _non_root(_condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    def holds(one: PlatformEvidence) -> tuple[bool | None, str]:
        if one.uid is None:
            return None, f"the user {one.user!r} is not in the image's /etc/passwd"
        return one.uid != 0, f"it runs as {one.user or 'root'} (uid {one.uid})"

    return _each(evidence, holds, "it runs as another user than root", "it runs as root")


def _no_shell(_condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    def holds(one: PlatformEvidence) -> tuple[bool | None, str]:
        if one.shells is None:
            return None, "its files were not listed"
        return not one.shells, f"shells: {', '.join(one.shells[:_SHOWN]) or 'none'}"

    return _each(evidence, holds, "it has no shell", "it has a shell")


def _pulled(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    return _within(condition, evidence, "pulled", lambda one: one.pulled)


def _unpacked(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    return _within(condition, evidence, "unpacked", lambda one: one.unpacked)


def _within(
    condition: PolicyCondition, evidence: ImageEvidence, what: str, measure: Callable[[PlatformEvidence], int | None]
) -> _Answer:
    def holds(one: PlatformEvidence) -> tuple[bool | None, str]:
        size = measure(one)
        return (None, "not measured") if size is None else (size <= condition.limit, f"{size} bytes {what}")

    limit = int(condition.limit)
    return _each(evidence, holds, f"at most {limit} bytes {what}", f"more than {limit} bytes {what}")


def _platforms(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    there = {one.platform for one in evidence.platforms}
    missing = [one for one in condition.words if one not in there]
    lines = (f"it has {', '.join(sorted(there)) or 'none'}",)
    if missing:
        return False, f"no image for {', '.join(missing)}", lines
    return True, f"it has {', '.join(condition.words)}", lines


def _age(condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    days = f"{condition.limit / _DAY:g} days"

    def holds(one: PlatformEvidence) -> tuple[bool | None, str]:
        if one.created is None or one.created <= 0:
            return None, "it does not say when it was made"
        age = evidence.now - one.created
        return age <= condition.limit, f"made {max(age, 0) / _DAY:.1f} days ago"

    return _each(evidence, holds, f"made within {days}", f"older than {days}")


def _reproduced(_condition: PolicyCondition, evidence: ImageEvidence) -> _Answer:
    lines = (evidence.reproduced_detail,) if evidence.reproduced_detail else ()
    if evidence.reproduced is None:
        return None, "it was not rebuilt", lines
    return evidence.reproduced, "a rebuild is identical" if evidence.reproduced else "a rebuild differs", lines


_JUDGES: Mapping[ConditionKind, Callable[[PolicyCondition, ImageEvidence], _Answer]] = {
    ConditionKind.SIGNED_BY: _signed,
    ConditionKind.ATTESTED: _signed,
    ConditionKind.BUILT_FROM: _built_from,
    ConditionKind.BASE: _base,
    ConditionKind.HOLES: _holes,
    ConditionKind.NON_ROOT: _non_root,
    ConditionKind.NO_SHELL: _no_shell,
    ConditionKind.PULLED: _pulled,
    ConditionKind.UNPACKED: _unpacked,
    ConditionKind.PLATFORMS: _platforms,
    ConditionKind.AGE: _age,
    ConditionKind.REPRODUCED: _reproduced,
}
