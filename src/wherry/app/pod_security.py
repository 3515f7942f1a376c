"""What a RUN of a Dockerfile needs of a pod, and which of it a namespace forbids: asked before a pod is made.

A RUN is a container in the pod's container: it makes a user namespace. Go builds need none of this.

Sources: Kubernetes 1.34, "Pod Security Standards" and "Pod Security Admission"; `SecurityContext.seccompProfile`,
`PodSpec.hostUsers`; containerd 1.6, contrib/seccomp (its default profile refuses unshare and mount).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from wherry.dockerfile import instructions as of
from wherry.dockerfile.parser import parse
from wherry.dockerfile.stages import Graph
from wherry.errors import WherryError
from wherry.sandbox.start import SandboxRefused

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
RESTRICTED, BASELINE, PRIVILEGED = "restricted", "baseline", "privileged"
_STRICTNESS: Final = (PRIVILEGED, BASELINE, RESTRICTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInPods:
    """Whether RUN works in the pods of a namespace."""

    level: str
    """What the namespace enforces: `restricted`, `baseline` or `privileged`."""
    missing: tuple[str, ...] = ()
    """Settings that a pod would need and may not have there, in words; empty: RUN can work."""
    remedy: str = ""
    seccomp: str = ""
    """`seccompProfile.type` that the pod has to have; empty: none may be set."""

    @property
    def works(self) -> bool:
        """Whether a pod may have all that RUN needs."""
        return not self.missing


def runs_programs(dockerfile: str, target: str = "") -> bool:
    """Tell whether a Dockerfile has a RUN in a stage that its target needs.

    What depends on variables (`FROM $BASE`) or comes with an image (ONBUILD) is not known before it is built; a stage
    that a variable may name counts as needed.

    Args:
        dockerfile: its text.
        target: the stage that is built; empty: the last.

    Raises:
        DockerfileError: it is none.
    """
    stages = parse(dockerfile).stages
    graph = Graph(stages)
    if any("$" in stage.base.image for stage in stages):
        needed: Sequence[int] = range(len(stages))
    else:
        number = graph.named(target) if target else len(stages) - 1
        if number is None:
            return any(map(_runs, stages))  # the build says what is wrong with the target
        needed = sorted(graph.reached([number], [stage.base.image for stage in stages]))
    return any(_runs(stages[number]) for number in needed)


def _runs(stage: of.Stage) -> bool:
    return any(isinstance(one, of.Run) for one in stage.instructions)


def run_in_pods(labels: Mapping[str, str]) -> RunInPods:
    """Tell from a namespace's labels whether RUN can work there, and what is missing if not.

    Args:
        labels: of the namespace; an unknown level counts as the strictest, as Kubernetes has it.
    """
    level = labels.get(ENFORCE, PRIVILEGED)
    if level not in _STRICTNESS:
        level = RESTRICTED
    if level == PRIVILEGED:
        return RunInPods(level=level, seccomp="Unconfined")
    return RunInPods(
        level=level,
        missing=(
            "seccompProfile Unconfined: the runtime's own profile refuses the user namespace that each RUN is in"
            if level == RESTRICTED
            else "seccompProfile Unconfined: a baseline namespace refuses pods that ask for it",
            "hostUsers: false with procMount Unmasked: it would do the same, where the runtime is containerd 2 or "
            "CRI-O and the profile lets pods make namespaces",
        ),
        remedy=f"build in a namespace with the label {ENFORCE}=privileged, where pods may be seccompProfile Unconfined "
        "(they run as a plain user all the same), or build the Go module without its Dockerfile (--go)",
    )


@contextmanager
def explained() -> Iterator[None]:
    """Say which settings of the pod are missing where a sandbox is refused."""
    try:
        yield
    except SandboxRefused as error:
        raise SandboxRefused(f"{error.message}\n{missing_here()}", hint=_REMEDY) from error


def missing_here() -> str:
    """Say in words which settings this pod lacks, by what its kernel tells."""
    lines = ["a RUN needs a user namespace, and this pod gives none. Of three settings it lacks:"]
    status = _status()
    lines += [
        f"- seccompProfile Unconfined: {'not set, a filter is on' if status.get('Seccomp') == '2' else 'set, no filter is on'}",
        "- hostUsers: false (containerd 2 or CRI-O): "
        + ("set" if _in_user_namespace() else "not set, the pod shares the node's users"),
        "- procMount Unmasked: not needed; where the pod's /proc is masked, each RUN sees the pod's",
    ]
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
