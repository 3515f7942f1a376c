"""What the pods of a build do, why they wait or failed, and what to do about it: documents of the API to words.

Sources: Kubernetes 1.34 API reference, PodStatus, ContainerStatus, JobStatus, Event; "Pod Lifecycle"; kubelet's
reasons (pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go, pkg/kubelet/eviction).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from wherry.cluster.build_job import CONTAINER, INDEX

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_NEVER: Final = frozenset({"InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CREATE: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"})
_ABSENT: Final = re.compile(
    r"not found|manifest unknown|denied|unauthorized|no basic auth|forbidden|401|403", re.IGNORECASE
)
_SIGNALS: Final = {134: "it aborted", 137: "it was killed", 139: "it crashed", 143: "it was asked to end"}
_KILLED, _TERMINATED = 137, 143
_LACKS: Final = re.compile(r"Insufficient ([a-z-]+(?:\.[a-z-]+)*)")
_ASIDE: Final = re.compile(r"\.? ?(no new claims to deallocate|preemption: ).*")
"""What the scheduler adds that helps nobody who only wants a pod."""
_OF_POD: Final = re.compile(r'pods "[^"]*" is forbidden: ')
_UNITS: Final = re.compile(r"([0-9.]+)([A-Za-z]*)")


class PodPhase(StrEnum):
    """How far a pod is."""

    PENDING = "pending"
    """No node has it."""
    PREPARING = "preparing"
    """A node pulls its image and starts it."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """What is wrong, and what to do about it."""

    message: str
    hint: str
    lasting: bool = False
    """Whether waiting does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """A pod, as far as a build wants to know it."""

    name: str
    uid: str
    index: int
    phase: PodPhase
    words: str
    """What it does, for people."""
    created: str = ""
    node: str = ""
    trouble: PodTrouble | None = None
    result: str = ""
    """The termination message."""
    exit_code: int | None = None
    leaving: bool = False
    """Whether it was deleted, and ends."""


def pod_state(document: Mapping[str, Any], memory: str = "") -> PodState | None:
    """Read a pod; None: it has no completion index, so it is no pod of a build.

    Args:
        document: as the API server has it.
        memory: what pods may take, for remedies.
    """
    said, spec, status = _map(document, "metadata"), _map(document, "spec"), _map(document, "status")
    index = (_map(said, "annotations").get(INDEX) or _map(said, "labels").get(INDEX)) if said else None
    if index is None or not str(index).isdecimal():
        return None
    row = next((one for one in _rows(status, "containerStatuses") if one.get("name") == CONTAINER), {})
    state = _map(row, "state")
    node = str(spec.get("nodeName") or "")
    phase, words, trouble = _progress(status, state, node, memory)
    ended = _map(state, "terminated")
    code = ended.get("exitCode")
    return PodState(
        name=str(said.get("name")), uid=str(said.get("uid")), index=int(index), phase=phase, words=words,
        created=str(said.get("creationTimestamp") or ""), node=node, trouble=trouble,
        result=str(ended.get("message") or ""), exit_code=code if isinstance(code, int) else None,
        leaving=bool(said.get("deletionTimestamp")),
    )  # fmt: skip


def _progress(
    status: Mapping[str, Any], state: Mapping[str, Any], node: str, memory: str
) -> tuple[PodPhase, str, PodTrouble | None]:
    ended, phase = _map(state, "terminated"), status.get("phase")
    if phase == "Succeeded" or (
        phase != "Failed" and ended and ended.get("exitCode") == 0 and ended.get("reason") != "OOMKilled"
    ):
        return PodPhase.DONE, "done", None
    if phase == "Failed" or ended:
        failure = _failure(status, ended, memory)
        return PodPhase.FAILED, failure.message, failure
    if "running" in state:
        return PodPhase.RUNNING, f"building on {node}" if node else "building", None
    return _before(status, _map(state, "waiting"), node)


def _before(
    status: Mapping[str, Any], waiting: Mapping[str, Any], node: str
) -> tuple[PodPhase, str, PodTrouble | None]:
    """Read a pod that does not run yet."""
    if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
        trouble = _waiting(str(waiting["reason"]), str(waiting.get("message") or ""))
        return PodPhase.PREPARING, trouble.message, trouble
    placed = next((one for one in _rows(status, "conditions") if one.get("type") == "PodScheduled"), {})
    if placed.get("status") == "False":
        trouble = _unscheduled(str(placed.get("message") or placed.get("reason") or ""))
        return PodPhase.PENDING, trouble.message, trouble
    if not node:
        return PodPhase.PENDING, "waits for a node", None
    return PodPhase.PREPARING, f"starting on {node}", None


def _waiting(reason: str, message: str) -> PodTrouble:
    said = _short(message.rpartition("ErrImagePull: ")[2])
    text = f"{reason}: {said}" if said else reason
    if reason in _PULL:
        return PodTrouble(
            f"the builder can't be pulled: {said or reason}",
            "check builder below [kubernetes] (or --builder), and pull-secrets for its registry",
            lasting=_ABSENT.search(message) is not None,
        )
    if reason in _NEVER:
        return PodTrouble(f"the builder can't be pulled: {text}", "correct builder below [kubernetes]", lasting=True)
    if "runAsNonRoot" in message:
        return PodTrouble(f"the builder runs as root: {text}", "take the image that `make image` makes", lasting=True)
    if reason in _CREATE:
        return PodTrouble(f"the pod does not start: {text}", "check the builder's image, and that of `wherry` in it")
    return PodTrouble(text, "`kubectl describe pod` may say more")


def _unscheduled(message: str) -> PodTrouble:
    hint = "`kubectl describe nodes` shows what they have"
    if "Insufficient" in message:
        what = " and ".join(dict.fromkeys(_LACKS.findall(message)))
        hint = f"too little {what} is free: ask for less ({_keys(what)} below [kubernetes]), or add a node"
    elif "untolerated taint" in message:
        hint = "set tolerations below [kubernetes], or wait for other nodes"
    elif "node affinity" in message or "node selector" in message:
        hint = "no node has what node-selector below [kubernetes] asks for"
    return PodTrouble(f"no node has room: {_short(_ASIDE.sub('', message))}", hint)


def _keys(what: str) -> str:
    keys = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "storage"}
    return ", ".join(keys[word] for word in what.split(" and ") if word in keys) or "cpu, memory"


def _failure(status: Mapping[str, Any], ended: Mapping[str, Any], memory: str) -> PodTrouble:
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        has = f"it had {memory}" if memory else "its limit was reached"
        return PodTrouble(
            f"out of memory: {has}", f'set memory = "{twice(memory) or "4Gi"}" below [kubernetes] in wherry.toml'
        )
    if reason == "Evicted":
        hint = "set storage below [kubernetes], so that a node with room is taken"
        if "memory" in message:
            hint = "set memory below [kubernetes] to what the build needs, so that a node with room is taken"
        return PodTrouble(f"evicted: {_short(message)}", hint)
    if reason in (
        "Preempting",
        "Preempted",
        "NodeLost",
        "NodeShutdown",
        "Shutdown",
        "Terminated",
        "UnexpectedAdmissionError",
    ):
        return PodTrouble(
            f"its node let it go: {reason}{f' ({_short(message)})' if message else ''}", "it is tried again"
        )
    code = ended.get("exitCode")
    if ended.get("reason") == "StartError":
        return PodTrouble(
            f"the builder has no `wherry` to start: {_short(str(ended.get('message') or ''))}",
            "take the image that `make image` makes", lasting=True,
        )  # fmt: skip
    if code is None:
        return PodTrouble(f"the pod ended{f': {reason}' if reason else ''}", "`kubectl describe pod` may say more")
    word = _SIGNALS.get(code, f"exit code {code}")
    hint = "the log above says why"
    if code == _KILLED:
        hint = "a node kills what takes too much memory, or the pod was deleted without grace"
    elif code == _TERMINATED:
        hint = "the pod was deleted, or its node drained"
    return PodTrouble(f"the pod failed: {word}", hint)


def event_trouble(document: Mapping[str, Any]) -> PodTrouble | None:
    """Read an event of a Job or its pods; None: it is not worth a word."""
    reason, message = str(document.get("reason") or ""), str(document.get("message") or "")
    if reason == "FailedCreate":
        return _not_created(message)
    if reason in ("FailedMount", "FailedAttachVolume"):
        return PodTrouble(f"a volume can't be mounted: {_short(message)}", "check push-secret below [kubernetes]")
    if reason in ("FailedCreatePodSandBox", "NetworkNotReady", "NodeNotReady", "TaintManagerEviction", "Preempted"):
        return PodTrouble(f"{reason}: {_short(message)}", "the cluster tries again by itself")
    if reason == "Evicted":
        return PodTrouble(f"evicted: {_short(message)}", "it is tried again, on another node where there is one")
    return None


def _not_created(message: str) -> PodTrouble:
    text = f"no pod can be created: {_short(_OF_POD.sub('', message.removeprefix('Error creating: ')))}"
    if "exceeded quota" in message:
        return PodTrouble(
            text,
            "the namespace's quota is used up: wait, ask for less (cpu, memory below [kubernetes]), or --parallelism 1",
        )
    if "must specify" in message:
        return PodTrouble(
            text, "the quota wants every pod to name what it takes: set storage below [kubernetes] too", lasting=True
        )
    if "PodSecurity" in message:
        return PodTrouble(text, "the namespace does not permit such pods", lasting=True)
    if "serviceaccount" in message.lower() and "not found" in message:
        return PodTrouble(text, "correct service-account below [kubernetes]", lasting=True)
    return PodTrouble(text, "`kubectl describe job` may say more")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A Job, as far as a build wants to know it."""

    uid: str
    suspended: bool
    complete: bool
    failed: str = ""
    """The reason, where it has failed or is about to."""
    message: str = ""


def job_state(document: Mapping[str, Any]) -> JobState:
    """Read a Job."""
    conditions = {
        str(one.get("type")): one
        for one in _rows(_map(document, "status"), "conditions")
        if one.get("status") == "True"
    }
    failed = conditions.get("Failed") or conditions.get("FailureTarget") or {}
    return JobState(
        uid=str(_map(document, "metadata").get("uid")),
        suspended=_map(document, "spec").get("suspend") is True,
        complete="Complete" in conditions or "SuccessCriteriaMet" in conditions,
        failed=str(failed.get("reason") or ("failed" if failed else "")),
        message=str(failed.get("message") or ""),
    )


def twice(text: str) -> str:
    """Give twice a quantity; empty for what is none."""
    match = _UNITS.fullmatch(text)
    return f"{float(match[1]) * 2:g}{match[2]}" if match else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 400 else f"{line[:400]}…"  # noqa: PLR2004 - a few lines of a terminal


def _map(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _rows(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = document.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
