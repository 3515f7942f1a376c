"""ValidatingAdmissionPolicy: rules in CEL that the API server itself judges; it asks no registry.

So it can demand digests and registries, of containers, init containers, ephemeral containers and image volumes, and
never a signature. Only images that a request adds count: a pod that is older than the policy can still be debugged.

Sources: Kubernetes 1.34, "Validating Admission Policy" (admissionregistration.k8s.io/v1), "Common Expression Language
in Kubernetes"; image volumes are in the API since 1.31.
"""

from collections.abc import Iterator

from wherry.app.admission.configuration import AdmissionExemption, AdmissionMode, AdmissionRule
from wherry.app.admission.engines.common import (
    Document,
    EngineGap,
    EngineOptions,
    EnginePolicy,
    PolicyEngine,
    asked_rules,
    image_pattern,
    is_everything,
    namespace_pattern,
)
from wherry.app.admission.state import AdmissionState

_ACTIONS = {AdmissionMode.ENFORCE: ["Deny"], AdmissionMode.WARN: ["Warn"], AdmissionMode.AUDIT: ["Audit"]}
_DIGEST = "r'@sha256:[0-9a-f]{64}$'"
_LISTS = ("containers", "initContainers", "ephemeralContainers")
_IMAGE = "name.substring(name.indexOf(' ') + 1)"
_CANNOT = "it asks no registry and reads no image"
_NEAREST = {"non-root": "; Pod Security's `restricted` demands it of pods"}


def vap_policy(state: AdmissionState, options: EngineOptions) -> EnginePolicy:
    """Write a policy and its binding for each mode that is used, and say what is left out: every condition."""
    documents = [document for mode in AdmissionMode for document in _of_mode(state, options, mode)]
    gaps = [
        one.gap(condition, _CANNOT + _NEAREST.get(condition.kind, ""))
        for one in asked_rules(state)
        for condition in one.conditions
    ]
    if not documents:
        gaps.append(EngineGap("configuration", "nothing is left", "tags are allowed, and every image has a rule"))
    return EnginePolicy(PolicyEngine.VAP, tuple(documents), tuple(gaps))


def _of_mode(state: AdmissionState, options: EngineOptions, mode: AdmissionMode) -> Iterator[Document]:
    validations = []
    if state.settings.pin and any(rule.mode is mode for rule in state.settings.rules):
        validations.append(_validation("unpinned", "use a digest (NAME@sha256:…), not a tag: "))
    if mode is AdmissionMode.ENFORCE and not any(map(is_everything, state.settings.rules)):
        validations.append(_validation("unknown", "no rule of the policy is for this image: "))
    if not validations:
        return
    name = f"{options.name}-{mode}"
    yield {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["pods", "pods/ephemeralcontainers"],
                }],
            },
            "variables": [{"name": key, "expression": text} for key, text in _variables(state, mode)],
            "validations": validations,
        },
    }  # fmt: skip
    selected = {} if options.labels is None else {"matchResources": {"namespaceSelector": _labels(options)}}
    yield {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": _ACTIONS[mode], **selected},
    }


def _labels(options: EngineOptions) -> Document:
    return {"matchLabels": dict(options.labels or {})}


def _validation(variable: str, words: str) -> Document:
    return {
        "expression": f"variables.{variable}.size() == 0",
        "messageExpression": f"'{words}' + variables.{variable}.join(', ')",
        "reason": "Forbidden",
    }


def _variables(state: AdmissionState, mode: AdmissionMode) -> Iterator[tuple[str, str]]:
    yield "named", _named("object")
    yield "before", f"request.operation == 'UPDATE' ? {_named('oldObject')} : []"
    yield "images", f"variables.named.filter(name, !(name in variables.before)).map(name, {_IMAGE})"
    decided = f"{_verdict(state)} == '{mode}'"
    yield "unpinned", f"variables.images.filter(image, {decided} && !image.matches({_DIGEST}))"
    if mode is AdmissionMode.ENFORCE:
        yield "unknown", f"variables.images.filter(image, {_verdict(state)} == 'unknown')"


def _named(root: str) -> str:
    """List `CONTAINER IMAGE` of a pod."""
    rows = [
        f"(has({root}.spec.{key}) ? {root}.spec.{key}.map(c, c.name + ' ' + (has(c.image) ? c.image : '')) : [])"
        for key in _LISTS
    ]
    volumes = (
        f"(has({root}.spec.volumes) ? {root}.spec.volumes.filter(v, has(v.image) && has(v.image.reference))"
        f".map(v, 'volumes/' + v.name + ' ' + v.image.reference) : [])"
    )
    return " + ".join([*rows, volumes])


def _verdict(state: AdmissionState) -> str:
    """Say by the first rule that fits what follows for `image`; exemptions come before."""
    parts = [f"{_fits(one)} ? 'exempt' : " for one in state.settings.exemptions]
    for rule in state.settings.rules:
        if is_everything(rule):
            return f"({''.join(parts)}'{rule.mode}')"
        parts.append(f"{_fits(rule)} ? '{rule.mode}' : ")
    return f"({''.join(parts)}'unknown')"


def _fits(selected: AdmissionRule | AdmissionExemption) -> str:
    selector = selected.selector
    parts = []
    if "*" not in selector.namespaces:
        parts.append(f"request.namespace.matches({_raw(namespace_pattern(selector.namespaces))})")
    if "**" not in selector.images:
        parts.append(f"image.matches({_raw(image_pattern(selector.images))})")
    return f"({' && '.join(parts) or 'true'})"


def _raw(text: str) -> str:
    """Write a text as CEL's raw string."""
    return f"r'{text}'" if "'" not in text else "r'^$'"
