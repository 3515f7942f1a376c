"""What the writers of all engines share: what is asked of them, what they give, patterns in their languages."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wherry.app.admission.configuration import AdmissionExemption, AdmissionMode, AdmissionRule
from wherry.app.admission.state import AdmissionState, LoadedPolicy
from wherry.trust.policy import ConditionKind, PolicyCondition, PolicyRule

Document = Mapping[str, object]
_DOCKER_HUB = "docker.io/"


class PolicyEngine(StrEnum):
    """Who judges pods, where it is not wherry's own webhook."""

    VAP = "vap"
    """ValidatingAdmissionPolicy of Kubernetes itself."""
    KYVERNO = "kyverno"
    GATEKEEPER = "gatekeeper"
    POLICY_CONTROLLER = "policy-controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How documents are called and whom they are for."""

    name: str = "wherry"
    """The beginning of each document's name."""
    labels: Mapping[str, str] | None = None
    """Of the namespaces that they are for; None: all."""
    provider: str = ""
    """Address of wherry's server for Gatekeeper: `https://NAME.NAMESPACE.svc:8443/gatekeeper`."""
    authority: str = ""
    """Who signed that server's certificate, in PEM."""


@dataclass(frozen=True, slots=True)
class EngineGap:
    """Something that an engine does not do as the policy says it."""

    place: str
    """The file, with a line where there is one."""
    what: str
    why: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.place}: {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """Documents for one engine, and what they leave out."""

    engine: PolicyEngine
    documents: tuple[Document, ...]
    gaps: tuple[EngineGap, ...]


@dataclass(frozen=True, slots=True)
class AskedRule:
    """One rule of a policy, and the images it is for."""

    number: int
    """Of the rule in the configuration, from 1 on."""
    selected: AdmissionRule
    loaded: LoadedPolicy
    rule: PolicyRule

    @property
    def conditions(self) -> tuple[PolicyCondition, ...]:
        """Give what has to hold, all of it."""
        condition = self.rule.condition
        return condition.parts if condition.kind is ConditionKind.ALL else (condition,)

    def place(self, condition: PolicyCondition) -> str:
        """Say where a condition is written."""
        return f"{self.loaded.name}:{condition.line}"

    def gap(self, condition: PolicyCondition, why: str) -> EngineGap:
        """Say that a condition is left out."""
        return EngineGap(self.place(condition), f"{condition.kind} of the rule {self.rule.name!r}", why)


def asked_rules(state: AdmissionState) -> Iterator[AskedRule]:
    """List all rules of all policies that a configuration names, in its order."""
    for number, selected in enumerate(state.settings.rules, 1):
        loaded = state.policies[selected.policy]
        for rule in loaded.policy.rules:
            yield AskedRule(number, selected, loaded, rule)


def is_everything(selected: AdmissionRule | AdmissionExemption) -> bool:
    """Report whether a rule is for all images of all namespaces."""
    return "*" in selected.selector.namespaces and "**" in selected.selector.images


def unmatched_gap(state: AdmissionState, engine: str) -> Iterator[EngineGap]:
    """Say that images without a rule are let through, where an engine can't refuse them."""
    if not any(is_everything(rule) for rule in state.settings.rules):
        yield EngineGap("configuration", f"{engine} lets images by that no rule is for", "apply `--for vap` too")


def mode_gaps(state: AdmissionState, modes: Mapping[AdmissionMode, str]) -> Iterator[EngineGap]:
    """Say of each mode that an engine lacks what is written in its place."""
    for mode, why in modes.items():
        numbers = [str(number) for number, rule in enumerate(state.settings.rules, 1) if rule.mode is mode]
        if numbers:
            yield EngineGap("configuration", f'mode "{mode}" of rule {", ".join(numbers)}', why)


def namespace_pattern(patterns: tuple[str, ...]) -> str:
    """Write shell patterns of namespaces as one regular expression of RE2, for the whole of a name."""
    return f"^(?:{'|'.join(map(_shell, patterns))})$"


def image_pattern(patterns: tuple[str, ...]) -> str:
    """Write patterns of `REGISTRY/REPOSITORY` as one regular expression of RE2 for a reference as pods have it.

    Docker Hub's short names count: `docker.io/library/nginx` is `nginx` too.
    """
    return f"^(?:{'|'.join(map(_image, patterns))})(?::[A-Za-z0-9_.-]+)?(?:@[a-z0-9]+:[0-9a-f]+)?$"


def _image(pattern: str) -> str:
    whole = _slashes(pattern)
    if not pattern.startswith(_DOCKER_HUB):
        return whole
    rest = pattern.removeprefix(_DOCKER_HUB)
    short = [_slashes(rest.removeprefix("library/"))] if rest.startswith("library/") else []
    return "(?:" + "|".join([whole, _slashes(rest), *short]) + ")"


def _slashes(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": "[^@]*", "*": "[^/:@]*"}.get(part) or re.escape(part) for part in parts)


def _shell(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern)
