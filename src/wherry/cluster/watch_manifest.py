"""What `wherry watch` needs in a cluster: the rights to read, and a Deployment that does it.

Sources: Kubernetes 1.34, "Using RBAC Authorization"; "Pod Security Standards", restricted; "Good practices for RBAC":
whoever may get nodes/proxy may run commands in every pod of the node, so that right is asked for by name only.
"""

from typing import Any, Final

from wherry.cluster.kube_resources import EVENTS, NODES, PODS, KubeResource

NAME: Final = "wherry-watch"
PORT: Final = 9477
"""Of the metrics in the Deployment."""
_TMP: Final = "/tmp"  # noqa: S108 - a volume of the pod
Manifest = dict[str, Any]
NeededRight = tuple[str, KubeResource, str]
"""A verb, a kind, and a part of it."""


def needed_rights(*, once: bool = False, kubelets: bool = False) -> tuple[NeededRight, ...]:
    """Give the rights that a watch needs, and no more."""
    verbs = ("list",) if once else ("list", "watch")
    rights = [(verb, kind, "") for kind in (PODS, EVENTS) for verb in verbs]
    return (*rights, *([("list", NODES, ""), ("get", NODES, "proxy")] if kubelets else []))


def rbac_manifests(namespace: str, *, everywhere: bool, once: bool = False, kubelets: bool = False) -> list[Manifest]:
    """Write a service account, a role with the rights that are needed, and their binding.

    Args:
        namespace: of the account, and of a role that is not cluster-wide.
        everywhere: the pods of every namespace are watched.
        once: they are listed only.
        kubelets: the kubelets' own metrics are read, too.
    """
    wide = everywhere or kubelets
    api, kind, group = "rbac.authorization.k8s.io/v1", "ClusterRole" if wide else "Role", "rbac.authorization.k8s.io"
    meta = {"name": NAME} if wide else {"name": NAME, "namespace": namespace}
    by_kind: dict[str, list[str]] = {}
    for verb, resource, part in needed_rights(once=once, kubelets=kubelets):
        by_kind.setdefault(f"{resource.plural}/{part}" if part else resource.plural, []).append(verb)
    rules = [{"apiGroups": [""], "resources": [name], "verbs": verbs} for name, verbs in by_kind.items()]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}},
        {"apiVersion": api, "kind": kind, "metadata": meta, "rules": rules},
        {
            "apiVersion": api, "kind": f"{kind}Binding", "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": kind, "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        },
    ]  # fmt: skip


def watch_manifests(
    namespace: str, image: str, *, everywhere: bool, labels: str = "", kubelets: bool = False
) -> list[Manifest]:
    """Write the rights, and a Deployment that watches: lines of a history as its log, metrics on a port.

    Args:
        namespace: where it runs.
        image: has wherry as its entrypoint, or in its PATH.
        everywhere: see `rbac_manifests`.
        labels: only pods with these.
        kubelets: see `rbac_manifests`.
    """
    words = ["wherry", "watch", "--json", "--quiet", "--listen", f"0.0.0.0:{PORT}"]
    words += ["-A"] if everywhere else ["-n", namespace]
    words += ["--selector", labels] if labels else []
    words += ["--kubelets"] if kubelets else []
    probe = {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 20, "timeoutSeconds": 5}
    container = {
        "name": "watch", "image": image, "command": words,
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "env": [{"name": "WHERRY_HISTORY", "value": "off"}, {"name": "HOME", "value": _TMP}],
        "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 150},
        "livenessProbe": probe, "readinessProbe": {**probe, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": _TMP}],
    }  # fmt: skip
    pod = {
        "serviceAccountName": NAME,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
    }  # fmt: skip
    named = {"app.kubernetes.io/name": NAME}
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace, "labels": named},
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": named},
            "template": {"metadata": {"labels": named, "annotations": scraped}, "spec": pod},
        },
    }  # fmt: skip
    return [*rbac_manifests(namespace, everywhere=everywhere, kubelets=kubelets), deployment]
