"""Which rights a build in a cluster needs, asked before anything is created."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from wherry.app.clusters import Cluster
from wherry.cluster.kube_errors import KubeRefused, missing_right
from wherry.cluster.kube_resources import EVENTS, JOBS, NAMESPACES, PODS, SECRETS, KubeResource
from wherry.errors import HostUnable, NotPermitted

_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class NeededRight:
    """One right, and what it is for."""

    verb: str
    resource: KubeResource
    sub: str = ""
    needed: bool = True
    """Whether nothing works without it."""

    @property
    def title(self) -> str:
        """As roles have it."""
        return self.resource.title + (f"/{self.sub}" if self.sub else "")


FOLLOW: Final = (
    NeededRight("get", JOBS),
    NeededRight("list", JOBS),
    NeededRight("watch", JOBS),
    NeededRight("delete", JOBS),
    NeededRight("list", PODS),
    NeededRight("watch", PODS),
    NeededRight("get", PODS, "log", needed=False),
    NeededRight("list", EVENTS, needed=False),
    NeededRight("watch", EVENTS, needed=False),
)
"""What a client needs that picks a build up."""
CREATE: Final = (NeededRight("create", JOBS), *FOLLOW)
LOGIN: Final = (NeededRight("create", SECRETS), NeededRight("patch", JOBS))
"""What it needs to give pods the user's credentials for the registry."""


def check_rights(cluster: Cluster, rights: Iterable[NeededRight]) -> frozenset[str]:
    """Ask whether the user has all that is needed; nothing is created.

    Args:
        cluster: where.
        rights: which.

    Returns:
        What the user may not, but can do without, as `VERB RESOURCE`.

    Raises:
        NotPermitted: something is missing; each right is named.
        KubeRefused: the cluster can't be asked.
    """
    wanted = tuple(rights)

    def allowed(right: NeededRight) -> bool:
        return cluster.server.may(right.verb, right.resource, cluster.namespace, sub=right.sub).allowed

    first = allowed(wanted[0])  # a cluster that can't be asked is said once
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = [first, *pool.map(allowed, wanted[1:])]
    missing = [right for right, yes in zip(wanted, answers, strict=True) if not yes]
    needed = [right for right in missing if right.needed]
    if needed:
        said = ", ".join(f"{right.verb} {right.title}" for right in needed)
        raise NotPermitted(
            f"{cluster.namespace}: this user may not {said} ({cluster.source})",
            hint=_hint(cluster.namespace, needed),
        )
    return frozenset(f"{right.verb} {right.title}" for right in missing)


def require_namespaces(cluster: Cluster, images: Iterable[str]) -> Mapping[str, object]:
    """Find out whether Dockerfiles can be built in the pods of a namespace; nothing is created.

    Args:
        cluster: where.
        images: those whose steps need a namespace, by title.

    Returns:
        What the pods' container needs in its securityContext.

    Raises:
        HostUnable: the namespace forbids what they need; the settings that are missing are named.
    """
    from wherry.app.pod_security import dockerfiles_in_pods

    titles = tuple(images)
    if not titles:
        return {}
    try:
        found = cluster.server.find(NAMESPACES, "", cluster.namespace) or {}
    except KubeRefused as error:
        if error.passing:
            raise
        found = {}  # the API server refuses the pods, if it does, with the reason
    answer = dockerfiles_in_pods((found.get("metadata") or {}).get("labels") or {})
    if not answer.works:
        raise HostUnable(
            f"{', '.join(titles)}: no Dockerfile can be built in pods of namespace {cluster.namespace}, which enforces "
            f"{answer.level!r}; a pod would need\n" + "\n".join(f"  {line}" for line in answer.missing),
            hint=answer.remedy,
        )
    return {"seccompProfile": {"type": answer.seccomp}} if answer.seccomp else {}


def _hint(namespace: str, needed: list[NeededRight]) -> str:
    if len(needed) == 1:
        return missing_right(needed[0].verb, needed[0].title, namespace)
    return (
        "`wherry help kubernetes-builds` has a Role with all rights that a build needs; or choose another namespace "
        "with --namespace"
    )
