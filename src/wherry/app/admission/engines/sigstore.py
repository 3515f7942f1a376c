"""What Kyverno and sigstore's policy-controller can verify themselves: signatures and attestations.

Sources: Kyverno 1.19.1, ImageValidatingPolicy (policies.kyverno.io/v1); policy-controller 0.13.1, ClusterImagePolicy
(policy.sigstore.dev/v1beta1).
"""

from collections.abc import Iterator

from wherry.app.admission.configuration import AdmissionMode
from wherry.app.admission.engines.common import (
    AskedRule,
    Document,
    EngineGap,
    EngineOptions,
    EnginePolicy,
    PolicyEngine,
    asked_rules,
    mode_gaps,
    namespace_pattern,
    unmatched_gap,
)
from wherry.app.admission.state import AdmissionState
from wherry.trust.policy import ConditionKind, PolicyCondition
from wherry.trust.statement import predicate_types

_ACTIONS = {AdmissionMode.ENFORCE: "Deny", AdmissionMode.WARN: "Warn", AdmissionMode.AUDIT: "Audit"}
_SIGNERS = (ConditionKind.SIGNED_BY, ConditionKind.ATTESTED)
_LISTS = ("containers", "initContainers", "ephemeralContainers")
_JUDGED = "this engine verifies signatures and attestations only; wherry's own webhook judges it"
_JOINED = "conditions joined by any or not have no counterpart; wherry's own webhook judges it"


def kyverno_policy(state: AdmissionState, options: EngineOptions) -> EnginePolicy:
    """Write an ImageValidatingPolicy for each rule that asks for a signature or an attestation."""
    documents, gaps = [], [*unmatched_gap(state, "Kyverno"), *_pattern_gaps(state)]
    for number, one in enumerate(asked_rules(state), 1):
        verified, left = _verified(one)
        gaps += left
        if verified:
            documents.append(_image_validating(state, options, number, one, verified))
    gaps += [EngineGap("configuration", "Kyverno does not judge images of volumes", "it lists containers only")]
    return EnginePolicy(PolicyEngine.KYVERNO, tuple(documents), tuple(gaps))


def controller_policy(state: AdmissionState, options: EngineOptions) -> EnginePolicy:
    """Write a ClusterImagePolicy for each rule that asks for a signature or an attestation."""
    documents: list[Document] = []
    instead = {AdmissionMode.AUDIT: "policy-controller only refuses or warns: it warns"}
    gaps = [*unmatched_gap(state, "policy-controller"), *mode_gaps(state, instead), *_controller_gaps(state, options)]
    for number, one in enumerate(asked_rules(state), 1):
        verified, left = _verified(one)
        gaps += left
        for place, condition in enumerate(verified, 1):
            if condition.signers.trusted_root:
                why = "a trusted root is an object of its own: make a TrustRoot of it, and name it in trustRootRef"
                gaps.append(one.gap(condition, why))
            documents.append(_cluster_image(options, f"{options.name}-{number}-{place}", one, condition))
    return EnginePolicy(PolicyEngine.POLICY_CONTROLLER, tuple(documents), tuple(gaps))


def _verified(one: AskedRule) -> tuple[list[PolicyCondition], list[EngineGap]]:
    """Part the conditions of a rule: those that signatures answer, and the others."""
    verified = [condition for condition in one.conditions if condition.kind in _SIGNERS]
    others = [condition for condition in one.conditions if condition.kind not in _SIGNERS]
    joined = (ConditionKind.ANY, ConditionKind.NOT, ConditionKind.ALL)
    return verified, [one.gap(other, _JOINED if other.kind in joined else _JUDGED) for other in others]


def _pattern_gaps(state: AdmissionState) -> Iterator[EngineGap]:
    patterns = {one for rule in state.settings.rules for one in rule.selector.images}
    if any("*" in one.replace("**", "") for one in patterns):
        yield EngineGap("configuration", "a single * in a pattern of images", "in Kyverno it fits slashes too")
    if len(state.settings.rules) > 1:
        yield EngineGap("configuration", "the first rule that fits decides", "in Kyverno all that fit have to hold")


def _image_validating(
    state: AdmissionState, options: EngineOptions, number: int, one: AskedRule, verified: list[PolicyCondition]
) -> Document:
    attestors: dict[str, Document] = {}
    attestations: list[Document] = []
    validations: list[Document] = []
    for place, condition in enumerate(verified, 1):
        names = []
        for key, attestor in _attestors(one, condition):
            name = f"signer{place}x{key}"
            attestors[name] = {"name": name, "cosign": attestor}
            names.append(f"attestors.{name}")
        call = f"verifyImageSignatures(image, [{', '.join(names)}])"
        if condition.kind is ConditionKind.ATTESTED:
            kind = f"statement{place}"
            attestations.append({"name": kind, "intoto": {"type": predicate_types(condition.type)[0]}})
            call = f"verifyAttestationSignatures(image, attestations.{kind}, [{', '.join(names)}])"
        every = [f"images.{key}.map(image, {call}).all(count, count > 0)" for key in _LISTS]
        message = f"{one.rule.name}: {condition.kind} does not hold ({one.place(condition)})"
        validations.append({"expression": " && ".join(every), "message": message})
    pinned = state.settings.pin
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ImageValidatingPolicy",
        "metadata": {"name": f"{options.name}-{number}"},
        "spec": {
            "failurePolicy": "Fail",
            "validationActions": [_ACTIONS[one.selected.mode]],
            "matchConstraints": {
                **({} if options.labels is None else {"namespaceSelector": {"matchLabels": dict(options.labels)}}),
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["pods", "pods/ephemeralcontainers"],
                }],
            },
            "matchConditions": list(_conditions(state, one)),
            "matchImageReferences": [{"glob": pattern.replace("**", "*")} for pattern in one.selected.selector.images],
            "validationConfigurations": {"mutateDigest": pinned, "verifyDigest": pinned, "required": True},
            "attestors": list(attestors.values()),
            **({"attestations": attestations} if attestations else {}),
            "validations": validations,
        },
    }  # fmt: skip


def _conditions(state: AdmissionState, one: AskedRule) -> Iterator[Document]:
    namespaces = one.selected.selector.namespaces
    if "*" not in namespaces:
        yield {
            "name": "namespaces",
            "expression": f"request.namespace.matches(r'{namespace_pattern(namespaces)}')",
        }
    exempt = tuple(
        name for row in state.settings.exemptions if "**" in row.selector.images for name in row.selector.namespaces
    )
    if exempt:
        yield {"name": "not-exempt", "expression": f"!request.namespace.matches(r'{namespace_pattern(exempt)}')"}


def _attestors(one: AskedRule, condition: PolicyCondition) -> Iterator[tuple[int, Document]]:
    """Give who may have signed: any one is enough."""
    wanted = one.loaded.signers[condition.signers]
    for number, key in enumerate(wanted.keys, 1):
        yield number, {"key": {"data": key.pem}, "ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True}}
    if wanted.identity is not None:
        root = (one.loaded.folder / condition.signers.trusted_root).read_text(errors="replace")
        yield 0, {"keyless": {"identities": [_identity(condition)]}, "trustedRoot": {"value": root}}


def _identity(condition: PolicyCondition) -> Document:
    names = condition.signers
    who = {"subject": names.identity} if names.identity else {"subjectRegExp": f"^(?:{names.pattern})$"}
    return {"issuer": names.issuer, **who}


def _controller_gaps(state: AdmissionState, options: EngineOptions) -> Iterator[EngineGap]:
    label = "policy-controller judges namespaces with the label policy.sigstore.dev/include=true"
    if options.labels is not None or any("*" not in rule.selector.namespaces for rule in state.settings.rules):
        yield EngineGap("configuration", "namespaces of a rule", label)
    if state.settings.exemptions:
        yield EngineGap("configuration", "exemptions", f"{label}: leave it off there")
    if state.settings.pin:
        yield EngineGap("configuration", "pin", "policy-controller puts digests in the place of tags by itself")
    if len(state.settings.rules) > 1:
        yield EngineGap("configuration", "the first rule that fits decides", "all policies that fit have to hold")


def _cluster_image(options: EngineOptions, name: str, one: AskedRule, condition: PolicyCondition) -> Document:
    wanted = one.loaded.signers[condition.signers]
    attested = (
        [{"name": "statement", "predicateType": predicate_types(condition.type)[0]}]
        if condition.kind is ConditionKind.ATTESTED
        else []
    )
    more = {"attestations": attested} if attested else {}
    authorities: list[Document] = [
        {"name": f"key-{number}", "key": {"data": key.pem, "hashAlgorithm": "sha256"}, **more}
        for number, key in enumerate(wanted.keys, 1)
    ]
    if wanted.identity is not None:
        keyless = {"identities": [_identity(condition)], "trustRootRef": f"{options.name}-trust"}
        authorities.append({"name": "identity", "keyless": keyless, **more})
    return {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": name},
        "spec": {
            "images": [{"glob": pattern} for pattern in one.selected.selector.images],
            "mode": "enforce" if one.selected.mode is AdmissionMode.ENFORCE else "warn",
            "authorities": authorities,
        },
    }
