"""Gatekeeper: a constraint that asks wherry's server about images, by Gatekeeper's external data.

The server judges by the whole policy; what is written here is who asks it, and for which images.

Sources: Gatekeeper 3.23, "External Data" (externaldata.gatekeeper.sh/v1beta1), "Constraint Templates"
(templates.gatekeeper.sh/v1).
"""

import base64
from collections.abc import Iterator

from wherry.app.admission.configuration import AdmissionMode
from wherry.app.admission.engines.common import (
    Document,
    EngineGap,
    EngineOptions,
    EnginePolicy,
    PolicyEngine,
    mode_gaps,
)
from wherry.app.admission.state import AdmissionState

KIND = "WherryImages"
_TIMEOUT = 2
"""Seconds that Gatekeeper waits for the server: its own webhook gives up after 3 in its manifests."""
_REGO = """\
package wherryimages

lists := {"containers", "initContainers", "ephemeralContainers"}

named(pod) = found {
  containers := {[list, row.name, row.image] | list := lists[_]; row := pod.spec[list][_]}
  volumes := {["volumes", row.name, row.image.reference] | row := pod.spec.volumes[_]}
  found := containers | volumes
}

# Only what a request adds counts: a pod that is older than the policy can still be debugged.
before = found {
  input.review.operation == "UPDATE"
  found := named(input.review.oldObject)
}

before = set() {
  not input.review.operation == "UPDATE"
}

images := {row[2] | row := (named(input.review.object) - before)[_]}

answer := external_data({"provider": input.parameters.provider, "keys": keys}) {
  keys := [key | image := images[_]; key := sprintf("%v %v", [input.review.object.metadata.namespace, image])]
  count(keys) > 0
}

violation[{"msg": msg}] {
  msg := answer.errors[_][1]
}

violation[{"msg": msg}] {
  answer.system_error != ""
  msg := sprintf("the images could not be judged: %v", [answer.system_error])
}

violation[{"msg": msg}] {
  input.parameters.pin
  image := images[_]
  not regex.match("@sha256:[0-9a-f]{64}$", image)
  msg := sprintf("%v: use a digest (NAME@sha256:…), not a tag", [image])
}
"""


def gatekeeper_policy(state: AdmissionState, options: EngineOptions) -> EnginePolicy:
    """Write the provider, the template and the constraint."""
    return EnginePolicy(
        PolicyEngine.GATEKEEPER,
        (_provider(options), _template(), _constraint(state, options)),
        tuple(_gaps(state, options)),
    )


def _gaps(state: AdmissionState, options: EngineOptions) -> Iterator[EngineGap]:
    silent = "wherry's server accepts such an image, with a line in its log; Gatekeeper's user reads nothing"
    yield from mode_gaps(state, {AdmissionMode.WARN: silent, AdmissionMode.AUDIT: silent})
    if state.settings.pin:
        why = "tags are refused; the webhook /mutate of wherry's server puts digests in their place"
        yield EngineGap("configuration", "pin", why)
    if not options.authority:
        why = "give --ca FILE: Gatekeeper refuses a provider without it"
        yield EngineGap("provider", "who signed the certificate of wherry's server is not known", why)
    why = "--external-data-provider-response-cache-ttl of its controller says how long"
    yield EngineGap("Gatekeeper", "answers are kept for 3 minutes, also where a key or the policy changes", why)
    why = "set failurePolicy: Fail in its ValidatingWebhookConfiguration, or pods start unseen while Gatekeeper is gone"
    yield EngineGap("Gatekeeper", "its manifests have failurePolicy: Ignore", why)


def _provider(options: EngineOptions) -> Document:
    timed = "" if "?" in options.provider else f"?timeout={_TIMEOUT}s"
    bundle = base64.b64encode(options.authority.encode()).decode()
    return {
        "apiVersion": "externaldata.gatekeeper.sh/v1beta1",
        "kind": "Provider",
        "metadata": {"name": options.name},
        "spec": {"url": f"{options.provider}{timed}", "timeout": _TIMEOUT, "caBundle": bundle},
    }


def _template() -> Document:
    properties = {
        "provider": {"type": "string", "description": "The Provider that asks wherry's server."},
        "pin": {"type": "boolean", "description": "Whether tags are refused."},
    }
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": KIND.lower(), "annotations": {"description": "Images that wherry's server refuses."}},
        "spec": {
            "crd": {
                "spec": {
                    "names": {"kind": KIND},
                    "validation": {"openAPIV3Schema": {"type": "object", "properties": properties}},
                }
            },
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": _REGO}],
        },
    }


def _constraint(state: AdmissionState, options: EngineOptions) -> Document:
    excluded = [
        name
        for row in state.settings.exemptions
        if "**" in row.selector.images
        for name in row.selector.namespaces
        if name.strip("*").replace("-", "").isalnum()
    ]
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": KIND,
        "metadata": {"name": options.name},
        "spec": {
            "enforcementAction": "deny",
            "match": {
                "kinds": [{"apiGroups": [""], "kinds": ["Pod"]}],
                **({"excludedNamespaces": excluded} if excluded else {}),
                **({} if options.labels is None else {"namespaceSelector": {"matchLabels": dict(options.labels)}}),
            },
            "parameters": {"provider": options.name, "pin": state.settings.pin},
        },
    }
