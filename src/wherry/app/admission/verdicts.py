"""What is said of one image of a request, in words for machines and for people."""

from dataclasses import dataclass
from enum import StrEnum

from wherry.app.admission.configuration import AdmissionMode
from wherry.cluster.admission import ImageUse
from wherry.trust.evidence import ImageEvidence
from wherry.trust.policy import ConditionKind, ConditionVerdict, PolicyVerdict, RuleVerdict


class VerdictReason(StrEnum):
    """Why an image is accepted or not."""

    ACCEPTED = "accepted"
    EXEMPT = "exempt"
    NOT_SIGNED = "not-signed"
    BY_ANOTHER = "signed-by-another"
    RULE = "rule"
    """Another rule than one about signatures."""
    NOT_PINNED = "not-pinned"
    NOT_FOUND = "not-found"
    NO_POLICY = "no-policy"
    INVALID = "invalid-reference"
    THROTTLED = "throttled"
    DENIED = "denied"
    """The registry wants other credentials."""
    UNREACHABLE = "unreachable"
    LATE = "deadline"
    UNKNOWN = "unknown"
    """What a rule asks is not known, for another reason than the registry."""
    INTERNAL = "internal"


COULD_NOT_ASK = frozenset({
    VerdictReason.THROTTLED, VerdictReason.DENIED, VerdictReason.UNREACHABLE, VerdictReason.LATE,
    VerdictReason.INTERNAL,
})  # fmt: skip
"""Reasons that say nothing about the image."""
GOOD = frozenset({VerdictReason.ACCEPTED, VerdictReason.EXEMPT})


@dataclass(frozen=True, slots=True)
class JudgedReference:
    """What was found out about a reference, whoever uses it."""

    reason: VerdictReason
    detail: str = ""
    """For people."""
    digest: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageVerdict:
    """A place that names an image, and what is said about that."""

    use: ImageUse
    reference: str
    """With registry and tag."""
    judged: JudgedReference
    policy: str = ""
    mode: AdmissionMode = AdmissionMode.ENFORCE
    seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether nothing is against it."""
        return self.judged.reason in GOOD

    @property
    def message(self) -> str:
        """Say it to the person who creates the object."""
        known = f" ({self.judged.digest[:19]}…)" if self.judged.digest and "@" not in self.use.text else ""
        detail = self.judged.detail.removeprefix(f"{self.use.text}: ").removeprefix(f"{self.reference}: ")
        return f"{self.use.what}: {self.use.shown}{known}: {detail}"


def judged_by(verdict: PolicyVerdict, evidence: ImageEvidence) -> JudgedReference:
    """Say in one sentence what a policy says of an image."""
    failed = [rule for rule in verdict.rules if not rule.holds]
    if not failed:
        return JudgedReference(VerdictReason.ACCEPTED, digest=evidence.digest)
    # What is certain comes first: an image that is refused anyway needs no registry that answers.
    rule = next((one for one in failed if one.verdict.holds is False), failed[0])
    reason = _reason(rule, evidence)
    said = "; ".join(_said(rule.verdict))
    more = f" (and {len(failed) - 1} more rules of {len(verdict.rules)})" if len(failed) > 1 else ""
    word = "not known whether it fulfils" if reason in COULD_NOT_ASK else "refused by"
    detail = f'{word} rule "{rule.rule.name}" of {verdict.policy.name}{more}: {said}'
    return JudgedReference(reason, f"{detail}{_remedy(reason)}", evidence.digest)


def _remedy(reason: VerdictReason) -> str:
    match reason:
        case VerdictReason.NOT_SIGNED:
            return ". Sign it: wherry sign --key KEY IMAGE"
        case VerdictReason.BY_ANOTHER:
            return ". It is signed, but not by a key that the policy names"
        case VerdictReason.THROTTLED:
            return ". This says nothing about the image: the registry limits requests; try again in a moment"
        case VerdictReason.UNREACHABLE | VerdictReason.LATE:
            return ". This says nothing about the image: try again once the registry answers"
        case VerdictReason.DENIED:
            return ". This says nothing about the image: the webhook's credentials are not enough"
        case _:
            return ""


def _reason(rule: RuleVerdict, evidence: ImageEvidence) -> VerdictReason:
    kinds = set(_failing(rule.verdict))
    answers = {one.answer: one.cause for one in evidence.signatures if one.answer != "signed"}
    if rule.verdict.holds is None:
        cause = answers.get("could-not-ask")
        if kinds & _SIGNATURES and cause is not None:
            return VerdictReason(cause or "unreachable")
        return VerdictReason.UNKNOWN
    if kinds and kinds <= _SIGNATURES:
        return VerdictReason.BY_ANOTHER if "signed-by-another" in answers and "not-signed" not in answers else (
            VerdictReason.NOT_SIGNED
        )  # fmt: skip
    return VerdictReason.RULE


_SIGNATURES = frozenset({ConditionKind.SIGNED_BY, ConditionKind.ATTESTED})


def _failing(verdict: ConditionVerdict) -> list[ConditionKind]:
    if verdict.holds:
        return []
    if not verdict.parts:
        return [verdict.condition.kind]
    if verdict.condition.kind is ConditionKind.NOT:
        return [verdict.condition.kind]
    return [kind for part in verdict.parts for kind in _failing(part)]


def _said(verdict: ConditionVerdict) -> list[str]:
    """Give the reasons of what does not hold, with the first line of evidence that says more."""
    if verdict.holds:
        return []
    if verdict.parts and verdict.condition.kind is not ConditionKind.NOT:
        return [line for part in verdict.parts for line in _said(part)][:4]
    by_another = "signed-by-another" in verdict.evidence  # its detail repeats the policy's keys
    lines = [] if by_another else [line for line in verdict.evidence[:3] if line not in {"not-signed", "could-not-ask"}]
    return [f"{verdict.reason}{f' ({lines[0]})' if lines else ''}"]
