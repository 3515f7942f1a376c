"""The Job of a build on Kubernetes: one completion index a platform, pods that pass Pod Security's "restricted".

Sources: Kubernetes 1.34: "Jobs" (Indexed, backoff limit per index, pod failure policy), "Pod Security Standards",
"Pod Topology Spread Constraints"; Kueue 0.17, "Run A Kubernetes Job".
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wherry.cluster.build_documents import SOURCE_AT_FAULT

Document = dict[str, Any]
CONTAINER: Final = "build"
LABEL: Final = "wherry.dev/build"
"""The name of the build, of Job and pods."""
RUN: Final = "wherry.dev/run"
"""The annotation of a Job that has what its client has to know; see `build_run.py`."""
QUEUE: Final = "kueue.x-k8s.io/queue-name"
INDEX: Final = "batch.kubernetes.io/job-completion-index"
USER: Final = 65532
"""As wherry's image and those of distroless have it."""
_WORK, _LOGIN = "/work", "/var/run/wherry"
_GRACE: Final = 5
"""Seconds for a pod to end; the worker takes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWords:
    """What a Job is made of."""

    name: str
    namespace: str
    builder: str
    """Image of the pods."""
    argv: tuple[str, ...]
    """Arguments of its entry point."""
    tasks: int
    run: str
    """Text of the annotation RUN."""
    parallelism: int = 1
    retries: int = 4
    deadline: int = 3600
    keep: int = 3600
    queue: str = ""
    suspend: bool = False
    spread: bool = False
    """Whether pods rather run on different nodes."""
    secret: str = ""
    """Of type kubernetes.io/dockerconfigjson; empty: none is mounted."""
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    priority_class: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, str]] = ()
    cpu: str = "500m"
    memory: str = "2Gi"
    storage: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    """More of the pod's spec, such as `hostUsers`."""
    security: Mapping[str, Any] = field(default_factory=dict)
    """More of the container's securityContext."""


def job_of(words: JobWords) -> Document:
    """Write the Job.

    A platform that the source is at fault for ends the whole; evictions and drained nodes cost no try; all that fails
    otherwise is tried again, by itself.
    """
    spec: Document = {
        "completionMode": "Indexed",
        "completions": words.tasks,
        "parallelism": min(words.parallelism, words.tasks),
        "backoffLimitPerIndex": words.retries,
        "maxFailedIndexes": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "FailIndex",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [SOURCE_AT_FAULT]},
                },
            ]
        },
        "activeDeadlineSeconds": words.deadline,
        "ttlSecondsAfterFinished": words.keep,
        "template": {"metadata": _pod_metadata(words), "spec": _pod_spec(words)},
    }
    if words.suspend or words.queue:
        spec["suspend"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": words.name,
            "namespace": words.namespace,
            "labels": {**_labels(words.name), **({QUEUE: words.queue} if words.queue else {})},
            "annotations": {RUN: words.run},
        },
        "spec": spec,
    }


def login_secret(job: Mapping[str, Any], name: str, config: Mapping[str, Any]) -> Document:
    """Write the Secret by which pods push; it goes with the Job that owns it.

    Args:
        job: as the API server has it.
        name: of the Secret.
        config: a config.json of Docker, with credentials for the registries that are pushed to.
    """
    said = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": said["name"], "uid": said["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {
            "name": name, "namespace": said["namespace"], "labels": _labels(said["name"]), "ownerReferences": [owner],
        },
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
    }  # fmt: skip


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "wherry", "app.kubernetes.io/component": "build", LABEL: name}


def _pod_metadata(words: JobWords) -> Document:
    found: Document = {"labels": {**words.labels, **_labels(words.name)}}
    if words.annotations:
        found["annotations"] = dict(words.annotations)
    return found


def _pod_spec(words: JobWords) -> Document:
    volumes: list[Document] = [_scratch("work", words.storage), _scratch("tmp", "")]
    if words.secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        volumes.append({"name": "login", "secret": {"secretName": words.secret, "items": items, "defaultMode": 0o440}})
    spec: Document = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(words)],
        "volumes": volumes,
        **words.pod,
    }  # fmt: skip
    said = {
        "serviceAccountName": words.service_account,
        "priorityClassName": words.priority_class,
        "nodeSelector": dict(words.node_selector),
        "tolerations": [dict(one) for one in words.tolerations],
        "imagePullSecrets": [{"name": name} for name in words.pull_secrets],
    }
    spec |= {key: value for key, value in said.items() if value}
    if words.spread:
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {LABEL: words.name}},
            }
        ]  # fmt: skip
    return spec


def _container(words: JobWords) -> Document:
    mounts = [{"name": "work", "mountPath": _WORK}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - in a pod of ours
    env = {"HOME": _WORK, **words.env}
    if words.secret:
        mounts.append({"name": "login", "mountPath": _LOGIN, "readOnly": True})  # type: ignore[dict-item] # JSON
        env = {**env, "DOCKER_CONFIG": _LOGIN}
    storage = {"ephemeral-storage": words.storage} if words.storage else {}
    return {
        "name": CONTAINER,
        "image": words.builder,
        "args": list(words.argv),
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "resources": {
            "requests": {"cpu": words.cpu, "memory": words.memory, **storage},
            "limits": {"memory": words.memory, **storage},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            **words.security,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }  # fmt: skip


def _scratch(name: str, limit: str) -> Document:
    return {"name": name, "emptyDir": {"sizeLimit": limit} if limit else {}}
