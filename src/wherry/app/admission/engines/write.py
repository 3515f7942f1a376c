"""`wherry admission policy --for ENGINE`: documents to apply, with what they leave out as comments above them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from wherry.app.admission.engines.common import EngineOptions, EnginePolicy, PolicyEngine
from wherry.app.admission.state import AdmissionSource, AdmissionState, load_state
from wherry.app.session import Session
from wherry.errors import InvalidUsage

_WORDS = {
    PolicyEngine.VAP: "ValidatingAdmissionPolicy",
    PolicyEngine.KYVERNO: "Kyverno's ImageValidatingPolicy",
    PolicyEngine.GATEKEEPER: "Gatekeeper",
    PolicyEngine.POLICY_CONTROLLER: "sigstore's policy-controller",
}


def engine_policy(
    session: Session, source: AdmissionSource, engine: PolicyEngine, options: EngineOptions
) -> EnginePolicy:
    """Write what an engine can express of a policy.

    Args:
        session: where the files are.
        source: the configuration, or one policy.
        engine: whose language.
        options: names, and whom the documents are for.

    Raises:
        NotFound, InvalidSettings: as of `load_state`.
        InvalidUsage: Gatekeeper without the address of wherry's server.
    """
    if engine is PolicyEngine.GATEKEEPER and not options.provider.startswith("https://"):
        raise InvalidUsage(
            "admission policy: Gatekeeper asks wherry's server, by https",
            hint="give its address: --provider https://wherry-admission.wherry-system.svc:8443/gatekeeper",
        )
    made = _writer(engine)(load_state(session, source), options)
    return replace(made, gaps=tuple(dict.fromkeys(made.gaps)))


def _writer(engine: PolicyEngine) -> Callable[[AdmissionState, EngineOptions], EnginePolicy]:
    match engine:
        case PolicyEngine.VAP:
            from wherry.app.admission.engines.vap import vap_policy

            return vap_policy
        case PolicyEngine.GATEKEEPER:
            from wherry.app.admission.engines.gatekeeper import gatekeeper_policy

            return gatekeeper_policy
        case PolicyEngine.KYVERNO:
            from wherry.app.admission.engines.sigstore import kyverno_policy

            return kyverno_policy
        case PolicyEngine.POLICY_CONTROLLER:
            from wherry.app.admission.engines.sigstore import controller_policy

            return controller_policy


def yaml_of(policy: EnginePolicy) -> str:
    """Write the documents as YAML; above them, one comment for each thing that they leave out."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes long texts as blocks, and nothing as an alias."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
            """Write each value in full."""
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    head = [f"# {_WORDS[policy.engine]} leaves out:" if policy.gaps else f"# {_WORDS[policy.engine]}"]
    head += [f"# - {_one_line(str(gap))}" for gap in policy.gaps]
    plain: list[Mapping[str, object]] = [dict(one) for one in policy.documents]
    return "\n".join(head) + "\n" + yaml.dump_all(plain, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
