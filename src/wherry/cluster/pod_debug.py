"""An ephemeral container next to one of a pod: who it runs as, and what became of it.

It passes Pod Security's "restricted" where its target does: no capability, no new privileges, the runtime's seccomp
filter, and the target's own user and group, without which it could not look into the target's /proc: the kernel asks
for both, or for CAP_SYS_PTRACE.

Sources: Kubernetes 1.34, "Ephemeral Containers", "Pod Security Standards"; API reference, EphemeralContainer and
ContainerStatus; ptrace(2), "Ptrace access mode checking".
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from wherry.errors import HostUnable, NotFound

_FAILED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError",
           "RunContainerError", "ErrImageNeverPull")  # fmt: skip
_GATE = 'read -r go; cd /proc/1/root 2>/dev/null; exec "$@"'
"""The container waits for a line before it begins: what it prints before anybody is attached would be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTarget:
    """A container of a pod."""

    pod: str
    container: str
    image: str
    image_id: str
    """As the node reports it, with its digest; may be empty."""
    user: int | None
    """Its user, where the pod says so; None: the image says it."""
    group: int | None
    running: bool
    shares_processes: bool
    """Whether all containers of the pod see each other's processes."""
    container_id: str = ""
    """As its runtime has it; empty: none has been started."""
    node: str = ""


class PodRights(Enum):
    """What an ephemeral container may do."""

    TARGET = "as the target's user"
    """Nothing beyond its user: it passes "restricted" where its target does."""
    ROOT = "as user 0"
    """With the runtime's usual capabilities, which "baseline" takes; other users' /proc stays closed to it."""
    TRACER = "as user 0 with SYS_PTRACE"
    """Which no level of Pod Security below "privileged" takes."""


def pod_target(document: Mapping[str, Any], pod: str, container: str = "") -> PodTarget:
    """Choose the container of a pod; by default the one that its annotation names, else its first.

    Raises:
        NotFound: it has no such container.
        HostUnable: the pod has ended.
    """
    spec, status = _mapping(document, "spec"), _mapping(document, "status")
    rows = [row for row in _rows(spec, "containers") if isinstance(row.get("name"), str)]
    notes = _mapping(_mapping(document, "metadata"), "annotations")
    wanted = container or str(notes.get("kubectl.kubernetes.io/default-container") or "")
    chosen = next((row for row in rows if row["name"] == wanted), None if container or not rows else rows[0])
    if chosen is None:
        names = ", ".join(str(row["name"]) for row in rows) or "none"
        raise NotFound(f"pod/{pod}: no container {container}", hint=f"it has: {names}")
    if status.get("phase") in ("Succeeded", "Failed"):
        raise HostUnable(
            f"pod/{pod}: it has ended ({status['phase']}), and an ended pod takes no container",
            hint="debug its image: wherry debug image/NAME",
        )
    own, whole = _mapping(chosen, "securityContext"), _mapping(spec, "securityContext")
    state = next((row for row in _rows(status, "containerStatuses") if row.get("name") == chosen["name"]), {})
    return PodTarget(
        pod=pod,
        container=str(chosen["name"]),
        image=str(chosen.get("image") or ""),
        image_id=str(state.get("imageID") or ""),
        user=_number(own.get("runAsUser"), whole.get("runAsUser")),
        group=_number(own.get("runAsGroup"), whole.get("runAsGroup")),
        running="running" in _mapping(state, "state"),
        shares_processes=spec.get("shareProcessNamespace") is True,
        container_id=str(state.get("containerID") or "").rpartition("://")[2],
        node=str(spec.get("nodeName") or ""),
    )


def ephemeral_container(  # noqa: PLR0913 - a container, and who it is
    target: PodTarget,
    image: str,
    argv: Sequence[str],
    *,
    user: int | None,
    group: int | None,
    tty: bool,
    rights: PodRights = PodRights.TARGET,
    waits: bool = False,
) -> dict[str, Any]:
    """Write the container.

    Args:
        target: whose processes it sees.
        image: the toolbox, with a shell at /bin/sh, if the command does not wait by itself.
        argv: what it runs once a line was sent to it.
        user: its user; None: the image's.
        group: its group; None: the image's.
        tty: whether it has a terminal.
        rights: what it may do; with those of root, `user` and `group` don't count.
        waits: whether the command itself waits for the line.
    """
    return {
        "name": f"wherry-debug-{secrets.token_hex(4)}",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(argv) if waits else ["/bin/sh", "-c", _GATE, "sh", *argv],
        "stdin": True,
        "stdinOnce": True,  # nothing of it goes on once the caller is gone
        "tty": tty,
        "targetContainerName": target.container,
        "securityContext": _confined(user, group) if rights is PodRights.TARGET else _root(rights),
    }


def _confined(user: int | None, group: int | None) -> dict[str, Any]:
    ids = {**({} if user is None else {"runAsUser": user}), **({} if group is None else {"runAsGroup": group})}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        **ids,
        **({"runAsNonRoot": True} if user else {}),
        **({"runAsNonRoot": False} if user == 0 else {}),
    }


def _root(rights: PodRights) -> dict[str, Any]:
    more = {"capabilities": {"add": ["SYS_PTRACE"]}} if rights is PodRights.TRACER else {}
    return {
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": False,  # else the kubelet holds it to what the pod says
        "seccompProfile": {"type": "RuntimeDefault"},
        **more,
    }


@dataclass(frozen=True, slots=True)
class EphemeralState:
    """How an ephemeral container is."""

    running: bool = False
    code: int | None = None
    """Its exit code, once it ended."""
    failed: str = ""
    """Why it will not start, in the node's words."""
    waiting: str = ""


def ephemeral_state(document: Mapping[str, Any], name: str) -> EphemeralState:
    """Read how an ephemeral container is from its pod."""
    rows = _rows(_mapping(document, "status"), "ephemeralContainerStatuses")
    state = next((_mapping(row, "state") for row in rows if row.get("name") == name), {})
    if "running" in state:
        return EphemeralState(running=True)
    ended = _mapping(state, "terminated")
    if ended:
        code = ended.get("exitCode")
        reason = str(ended.get("reason") or "")
        failed = f"{reason}: {ended.get('message') or ''}" if reason in ("StartError", "ContainerCannotRun") else ""
        return EphemeralState(code=code if isinstance(code, int) else 1, failed=failed)
    waiting = _mapping(state, "waiting")
    reason, said = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    return EphemeralState(failed=f"{reason}: {said}" if reason in _FAILED else "", waiting=reason)


def _mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _rows(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = row.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _number(*values: object) -> int | None:
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)
