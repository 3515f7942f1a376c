"""Verbs that work in a Kubernetes cluster."""

from typing import TYPE_CHECKING

from wherry.app.api.calls import Cancel, Hears, session_of
from wherry.app.session import Session

if TYPE_CHECKING:
    from wherry.app.build.options import DockerfileBuild, GoBuild
    from wherry.app.build.result import BuildResult
    from wherry.app.on_kubernetes.build import DetachedRun
    from wherry.app.on_kubernetes.options import ClusterOptions


def build_on_kubernetes(
    wanted: "GoBuild | DockerfileBuild",
    options: "ClusterOptions | None" = None,
    *,
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "BuildResult | DetachedRun":
    """Build images in a cluster, a pod for each platform, and push them.

    Args:
        wanted: the build; its names have to be of a registry that pods reach.
        options: how it runs there; what is not said is read from `[kubernetes]` of wherry.toml.
        session: see above; KUBECONFIG in its environment, or its home, names the cluster.
        progress: see above.
        cancel: see above; the Job is deleted.

    Returns:
        As `build`; with `detach`, the Job's name and namespace.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: the build cannot start; the hint says what to change.
        NotPermitted: the user lacks a right in the cluster; nothing was created.
        WherryError: any other failure; no name in the registry was changed.
    """
    from wherry.app.on_kubernetes.build import build_on_kubernetes as carried_out

    return carried_out(session_of(session, progress, cancel), wanted, options)
