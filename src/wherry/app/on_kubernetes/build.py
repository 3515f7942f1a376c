"""`wherry build --on kubernetes`: plan here, ask for rights, send sources, run a Job, follow it, end it here."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from wherry.app.build.call import Streams
from wherry.app.build.deliver import Delivery
from wherry.app.build.options import DockerfileBuild, FrontEnd, GoBuild
from wherry.app.build.result import BuildResult
from wherry.app.clusters import Cluster, cluster
from wherry.app.on_kubernetes.board import TaskBoard
from wherry.app.on_kubernetes.delivering import LocalWork, deliver_run, local_work
from wherry.app.on_kubernetes.ending import built_run, delete_temporary, patiently
from wherry.app.on_kubernetes.following import Follower
from wherry.app.on_kubernetes.login import PodRegistries, loopback_registries
from wherry.app.on_kubernetes.options import ClusterOptions, kubernetes_settings, require_builder
from wherry.app.on_kubernetes.planning import PlannedImage, planned_images
from wherry.app.on_kubernetes.rights import CREATE, FOLLOW, LOGIN, check_rights, require_namespaces
from wherry.app.on_kubernetes.starting import RunSources, StartedRun, create, login_of, prepared_run
from wherry.app.session import Session
from wherry.cluster.build_job import RUN
from wherry.cluster.build_run import ClusterRun
from wherry.cluster.kube_api import KubeServer
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_resources import JOBS
from wherry.errors import Cancelled, NotFound, WherryError
from wherry.registry.errors import RegistryError
from wherry.settings.kubernetes import KubernetesSettings

if TYPE_CHECKING:
    from wherry.trust.keys import Signer

_PATIENCE: Final = 120.0
"""Seconds that an API server may be away before a request is given up; watches are more patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachedRun:
    """A build that goes on in a cluster without its client."""

    name: str
    namespace: str


def build_on_kubernetes(
    session: Session,
    wanted: GoBuild | DockerfileBuild,
    options: ClusterOptions | None = None,
    *,
    streams: Streams | None = None,
    signer: "Signer | None" = None,
) -> BuildResult | DetachedRun:
    """Build images in a cluster, and push them.

    Args:
        session: where the sources are, KUBECONFIG, and where progress is reported.
        wanted: what; names have to be of a registry that pods reach.
        options: how; what it does not say is read from `[kubernetes]` of wherry.toml.
        streams: what `-` stands for.
        signer: signs the images, where one does.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
        NotPermitted: the user lacks a right in the cluster; nothing was created.
        KubeRefused: the cluster refuses, or does not answer.
        ClusterBuildFailed: a platform can't be built; no name was changed.
        PlatformsDiffer: with `verify`, two builds of a platform differ; no name was changed.
        Cancelled, KeyboardInterrupt: the Job was deleted.
    """
    options = options or ClusterOptions()
    with ExitStack() as stack:
        call = _opened(session, wanted, options, streams or Streams(), stack)
        found = cluster(session, context=call.settings.context, namespace=call.settings.namespace, patience=_PATIENCE)
        held = options.suspend or bool(call.settings.queue)
        needed = LOGIN if login_of(session, call.images, call.settings) else ()
        without = check_rights(found, (*CREATE, *needed))
        security = require_namespaces(found, (one.image.title for one in call.images if one.sandboxed))
        started = prepared_run(session, call.sources(found.namespace), call.settings, options, security)
        run = started.run
        with _undone(session, found, run):
            create(found, started, held=held)
            session.progress.line(f"job/{run.name} in namespace {found.namespace}")
            if options.detach:
                return DetachedRun(name=run.name, namespace=found.namespace)
            return _followed(session, found, run, call.work, without, signer)


def printed_manifests(
    session: Session,
    wanted: GoBuild | DockerfileBuild,
    options: ClusterOptions | None = None,
    *,
    streams: Streams | None = None,
) -> tuple[StartedRun, list[dict[str, Any]]]:
    """Write the manifests of a build, and create nothing in a cluster; its sources are sent to the registry.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    options = options or ClusterOptions()
    with ExitStack() as stack:
        call = _opened(session, wanted, options, streams or Streams(), stack)
        namespace = call.settings.namespace or "default"
        # What a namespace permits is not asked; where it does not, the API server says so.
        security = {"seccompProfile": {"type": "Unconfined"}} if any(one.sandboxed for one in call.images) else {}
        started = prepared_run(session, call.sources(namespace), call.settings, options, security)
        return started, [dict(started.job)]


def attach_to_run(
    session: Session, name: str, options: ClusterOptions | None = None, *, signer: "Signer | None" = None
) -> BuildResult:
    """Pick up a build whose client is gone, and end it: the index, its names, and what was temporary.

    Raises:
        NotFound: there is no such Job.
        InvalidDocument: it is no build of wherry.
        ClusterBuildFailed, PlatformsDiffer, NotPermitted, KubeRefused: as `build_on_kubernetes`.
    """
    options = options or ClusterOptions()
    settings = kubernetes_settings(session, (), options)
    found = cluster(session, context=settings.context, namespace=settings.namespace, patience=_PATIENCE)
    without = check_rights(found, FOLLOW)
    job = found.server.find(JOBS, found.namespace, name)
    if job is None:
        raise NotFound(
            f"job/{name}: not in namespace {found.namespace}",
            hint=f"kubectl get jobs -n {found.namespace} -l wherry.dev/build lists builds; --namespace NAME chooses",
        )
    text = str((job["metadata"].get("annotations") or {}).get(RUN) or "")
    run = ClusterRun.parse(text, f"job/{name}")
    if run.name != name:
        raise NotFound(f"job/{name}: its annotation is of {run.name}", hint=f"attach to {run.name}")
    with _undone(session, found, run):
        return _followed(session, found, run, LocalWork(delivery=Delivery(push=True)), without, signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A call, read."""

    images: tuple[PlannedImage, ...]
    settings: KubernetesSettings
    streams: Streams
    work: LocalWork

    def sources(self, namespace: str) -> RunSources:
        """Give what is sent."""
        return RunSources(images=self.images, namespace=namespace, streams=self.streams)


def _opened(
    session: Session, wanted: GoBuild | DockerfileBuild, options: ClusterOptions, streams: Streams, stack: ExitStack
) -> _Opened:
    paths = wanted.packages if isinstance(wanted, GoBuild) else (wanted.context,)
    settings = kubernetes_settings(session, paths, options)
    require_builder(settings)
    streams = replace(streams, stdin=_read_once(streams.stdin, stack))
    images = planned_images(session, wanted, stack, streams)
    for name in loopback_registries((one.image.repository for one in images), PodRegistries(settings.registry)):
        session.progress.warn(
            f"{name}: in a pod this is the pod itself; "
            "set registry below [kubernetes] to the name that pods have for it"
        )
    return _Opened(images=images, settings=settings, streams=streams, work=local_work(wanted, images))


def _read_once(stdin: Callable[[], IO[bytes]], stack: ExitStack) -> Callable[[], IO[bytes]]:
    """Let standard input be read more than once."""
    from tempfile import TemporaryDirectory

    kept: list[Path] = []

    def opened() -> IO[bytes]:
        if not kept:
            kept.append(Path(stack.enter_context(TemporaryDirectory(prefix="wherry-stdin-")), "stdin"))
            source = stdin()
            with kept[0].open("wb") as file:
                while chunk := source.read(1 << 20):
                    file.write(chunk)
        return stack.enter_context(kept[0].open("rb"))

    return opened


@contextmanager
def _undone(session: Session, found: Cluster, run: ClusterRun) -> Iterator[None]:
    """Delete the Job and what is temporary, if the build fails or is cancelled; say so.

    A cluster or a registry that is away keeps them: the build may be picked up.
    """
    try:
        yield
    except KubeRefused as error:
        if error.passing:
            error.hint = (
                f"the build may go on: `wherry build --on kubernetes --attach {run.name}` picks it up; {error.hint}"
            )
        else:
            _undo(session, found, run)
        raise
    except RegistryError as error:
        error.hint = (
            f"what pods built is kept: `wherry build --on kubernetes --attach {run.name}` ends it, "
            f"once the registry is back; {error.hint}"
        )
        raise
    except (WherryError, KeyboardInterrupt) as error:
        if isinstance(error, Cancelled | KeyboardInterrupt):
            session.progress.line(f"cancelled: deleting job/{run.name} in namespace {found.namespace}")
        _undo(session, found, run)
        raise


def _undo(session: Session, found: Cluster, run: ClusterRun) -> None:
    try:
        deleted = _hasty(found).delete(JOBS, found.namespace, run.name)
        if deleted:
            session.progress.line(f"deleted job/{run.name} with its pods")
    except KubeRefused as error:
        session.progress.warn(
            f"job/{run.name} could not be deleted: {error.message}; "
            f"delete it: kubectl delete job {run.name} -n {found.namespace}"
        )
    delete_temporary(session, run)


def _hasty(found: Cluster) -> KubeServer:
    """Give the server, asked for ten seconds at most: the user waits for the end."""
    return KubeServer.of(found.server.http.address, patience=10.0)


def _followed(
    session: Session,
    found: Cluster,
    run: ClusterRun,
    work: LocalWork,
    without: frozenset[str],
    signer: "Signer | None",
) -> BuildResult:
    began = session.clock()
    for right in sorted(without):
        session.progress.line(f"without the right to {right}: less is shown")
    with TaskBoard(session.progress, run) as board:
        followed = Follower(session, found, run, board, without=without).follow()
    built = patiently(session, lambda: built_run(session, run, followed))
    result = BuildResult(
        front_end=FrontEnd.GO if built.images[0].package else FrontEnd.DOCKERFILE,
        images=built.images,
        steps=(),
        unchanged=False,
        looked_at=0,
        seconds=session.clock() - began,
    )
    result = deliver_run(session, built, result, work, signer)
    found.server.delete(JOBS, found.namespace, run.name)
    delete_temporary(session, run)
    return result
