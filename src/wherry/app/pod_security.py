"""What a Dockerfile needs of a pod, and which of it a namespace forbids: asked before a pod is made.

A RUN is a container in the pod's container, and files of any owner are written by COPY: both happen in a user namespace
of their own. Go builds need none of this.

Sources: Kubernetes 1.34, "Pod Security Standards" and "Pod Security Admission"; `SecurityContext.seccompProfile`,
`PodSpec.hostUsers`; containerd 1.6, contrib/seccomp (its default profile refuses unshare and mount).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wherry.app.session import Session
from wherry.dockerfile import instructions as of
from wherry.dockerfile.parser import parse
from wherry.dockerfile.stages import Graph
from wherry.errors import WherryError

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
RESTRICTED, BASELINE, PRIVILEGED = "restricted", "baseline", "privileged"
_SANDBOXED: Final = (of.Run, of.Copy, of.Add, of.Workdir)
_STRICTNESS: Final = (PRIVILEGED, BASELINE, RESTRICTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfilesInPods:
    """Whether Dockerfiles can be built in the pods of a namespace."""

    level: str
    """What the namespace enforces: `restricted`, `baseline` or `privileged`."""
    missing: tuple[str, ...] = ()
    """Settings that a pod would need and may not have there, in words; empty: it works."""
    remedy: str = ""
    seccomp: str = ""
    """`seccompProfile.type` that the pod has to have; empty: none may be set."""

    @property
    def works(self) -> bool:
        """Whether a pod may have all that is needed."""
        return not self.missing


def needs_namespace(dockerfile: str, target: str = "") -> bool:
    """Tell whether building a Dockerfile takes a user namespace: RUN, COPY, ADD or WORKDIR in a stage that is needed.

    What depends on variables (`FROM $BASE`) or comes with an image (ONBUILD) is not known before it is built; a stage
    that a variable may name counts as needed.

    Args:
        dockerfile: its text.
        target: the stage that is built; empty: the last.

    Raises:
        DockerfileError: it is none.
    """
    return any(any(isinstance(one, _SANDBOXED) for one in stage.instructions) for stage in _needed(dockerfile, target))


def runs_programs(dockerfile: str, target: str = "") -> bool:
    """Tell whether a Dockerfile has a RUN in a stage that is needed; otherwise as `needs_namespace`."""
    return any(any(isinstance(one, of.Run) for one in stage.instructions) for stage in _needed(dockerfile, target))


def _needed(dockerfile: str, target: str) -> Sequence[of.Stage]:
    stages = parse(dockerfile).stages
    graph = Graph(stages)
    number = graph.named(target) if target else len(stages) - 1
    if number is None or any("$" in stage.base.image for stage in stages):
        return stages
    return [stages[one] for one in sorted(graph.reached([number], [stage.base.image for stage in stages]))]


def dockerfiles_in_pods(labels: Mapping[str, str]) -> DockerfilesInPods:
    """Tell from a namespace's labels whether Dockerfiles can be built there, and what is missing if not.

    Args:
        labels: of the namespace; an unknown level counts as the strictest, as Kubernetes has it.
    """
    level = labels.get(ENFORCE, PRIVILEGED)
    if level not in _STRICTNESS:
        level = RESTRICTED
    if level == PRIVILEGED:
        return DockerfilesInPods(level=level, seccomp="Unconfined")
    why = "refuses pods that ask for it" if level == BASELINE else "the runtime's own profile refuses what RUN needs"
    return DockerfilesInPods(level=level, missing=(f"seccompProfile Unconfined: {why}", _OR), remedy=_ELSEWHERE)


_OR: Final = (
    "hostUsers: false with procMount Unmasked: it would do the same, where the runtime is containerd 2 or CRI-O and "
    "its profile lets pods make namespaces"
)
_ELSEWHERE: Final = (
    f"build in a namespace with the label {ENFORCE}=privileged, where pods may be seccompProfile Unconfined (they run "
    "as a plain user all the same), or build the Go module without its Dockerfile (--go)"
)


def check_namespaces(session: Session) -> None:
    """Make the namespace that steps would be in, and leave it: so that nothing begins that can't end.

    Raises:
        SandboxRefused: this pod gives none; the message says which of its settings are missing.
    """
    from wherry.app.sandboxes import mapping_of, why_refused
    from wherry.sandbox.client import SandboxClient
    from wherry.sandbox.start import SandboxRefused

    mapping = mapping_of(session)
    client = SandboxClient(mapping, why_refused(mapping))
    try:
        session.cache_folder.mkdir(parents=True, exist_ok=True)
        client.weigh([session.cache_folder])
    except SandboxRefused as error:
        raise SandboxRefused(missing_here(), hint=_REMEDY) from error
    finally:
        client.close()


def missing_here() -> str:
    """Say in words which settings this pod lacks, by what its kernel tells."""
    filtered = _status().get("Seccomp") == "2"
    users = "set" if _in_user_namespace() else "not set, the pod shares the node's users"
    lines = (
        "steps of a Dockerfile need a user namespace, and this pod gives none. Of three settings:",
        f"- seccompProfile Unconfined: {'not set, a filter is on' if filtered else 'set, no filter is on'}",
        f"- hostUsers: false (containerd 2 or CRI-O): {users}",
        "- procMount Unmasked: not needed; where the pod's /proc is masked, each RUN sees the pod's",
    )
    return "\n".join(lines)


_REMEDY: Final = (
    f"run pods with seccompProfile Unconfined, in a namespace with {ENFORCE}=privileged; Go modules need none of it"
)


def _status() -> dict[str, str]:
    from pathlib import Path

    try:
        lines = Path("/proc/self/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _in_user_namespace() -> bool:
    from pathlib import Path

    try:
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    except (OSError, WherryError):
        return False
