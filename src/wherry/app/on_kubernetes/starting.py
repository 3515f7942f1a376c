"""Begin a build in a cluster: sources to the registry, then the Job, then what it owns."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from wherry.app.build.call import Streams
from wherry.app.build.options import DockerfileBuild, GoBuild
from wherry.app.clusters import Cluster
from wherry.app.on_kubernetes.ending import delete_temporary
from wherry.app.on_kubernetes.login import PodRegistries, insecure_for_pods, login_config
from wherry.app.on_kubernetes.options import ClusterOptions, require_builder
from wherry.app.on_kubernetes.planning import PlannedImage
from wherry.app.progress import TransferCounts
from wherry.app.session import Session
from wherry.cluster.build_job import JobWords, job_of, login_secret
from wherry.cluster.build_run import VERSION, ClusterRun, RunTask
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_resources import JOBS, SECRETS
from wherry.settings.kubernetes import KubernetesSettings

if TYPE_CHECKING:
    from wherry.app.gathered import RemoteBuild

_AT_ONCE: Final = 8
"""Pods at a time, unless more are asked for."""
_UNFIT: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """A build that a cluster does, or is to do."""

    run: ClusterRun
    job: Mapping[str, Any]
    """The Job, as it is created."""
    login: Mapping[str, Any]
    """What pods push with: a config.json of Docker; empty: nothing, or a Secret that is there."""


def new_name(images: Sequence[PlannedImage]) -> str:
    """Name a build after its first image; the rest is by chance."""
    title = _UNFIT.sub("-", images[0].image.title.lower()).strip("-")[:24].strip("-") or "build"
    return f"{title}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSources:
    """What a build is made of, and where it is to be."""

    images: Sequence[PlannedImage]
    namespace: str
    streams: Streams


def prepared_run(
    session: Session,
    sources: RunSources,
    settings: KubernetesSettings,
    options: ClusterOptions,
    security: Mapping[str, Any],
) -> StartedRun:
    """Send the sources to the registry, and write the Job; nothing is created in a cluster.

    Args:
        session: where the sources are, and who the user is.
        sources: what is built.
        settings: of `[kubernetes]`, with what the caller says.
        options: what the caller says.
        security: what the pods' container needs in its securityContext.

    Raises:
        InvalidUsage: no image of pods is named, or an option can't be kept elsewhere.
        AccessDenied, RegistryError: the registry refuses the sources.
    """
    from wherry.app.build_artifact import push_artifact

    require_builder(settings)
    images = sources.images
    name, named = new_name(images), PodRegistries(settings.registry)
    builds = [_remote(one, options, named) for one in images]
    with session.progress.step("send sources") as step:
        pushed = push_artifact(session, images[0].image.repository, builds, name, sources.streams.stdin)
        sent = TransferCounts(sent=pushed.sent, blobs=1) if pushed.sent else TransferCounts(there=len(builds))
        step.moved(sent, last=True)
    run = ClusterRun(
        version=VERSION,
        name=name,
        artifact=pushed.reference,
        tag=pushed.tag,
        images=tuple(one.image for one in images),
        tasks=tuple(
            RunTask(image=task.build, platform=task.platform, tag=task.tag, copy=task.copy)
            for task in pushed.recipe.tasks
        ),
        verify=options.verify,
        memory=settings.memory,
    )
    try:
        return StartedRun(
            run=run,
            job=job_of(_job_words(session, sources, settings, options, run, security)),
            login=login_of(session, images, settings),
        )
    except BaseException:
        delete_temporary(session, run)
        raise


def _job_words(
    session: Session,
    sources: RunSources,
    settings: KubernetesSettings,
    options: ClusterOptions,
    run: ClusterRun,
    security: Mapping[str, Any],
) -> JobWords:
    named = PodRegistries(settings.registry)
    insecure = insecure_for_pods(session, [one.repository for one in run.images], named)
    login = login_of(session, sources.images, settings)
    return replace(
        _words(settings, options, run, sources.namespace),
        argv=("worker", "--artifact", named.repository(run.artifact)),
        env={**({"WHERRY_INSECURE_REGISTRIES": ",".join(insecure)} if insecure else {}), **dict(settings.env)},
        secret=settings.push_secret or (f"{run.name}-login" if login else ""),
        security=security,
    )


def login_of(session: Session, images: Sequence[PlannedImage], settings: KubernetesSettings) -> Mapping[str, Any]:
    """Give the user's credentials that pods push with; empty: none, or a Secret that is there.

    Raises:
        AccessDenied: a helper that should know them failed.
    """
    if settings.push_secret:
        return {}
    return login_config(session, [one.image.repository for one in images], PodRegistries(settings.registry))


def _remote(one: PlannedImage, options: ClusterOptions, named: PodRegistries) -> "RemoteBuild":
    from wherry.app.gathered import RemoteBuild

    wanted, of_go = one.wanted, isinstance(one.wanted, GoBuild)
    if isinstance(wanted, DockerfileBuild):
        wanted = replace(
            wanted,
            cache_from=tuple(map(named.cache, wanted.cache_from)),
            cache_to=tuple(map(named.cache, wanted.cache_to)),
        )
    return RemoteBuild(
        name=one.image.title,
        wanted=wanted,
        repository=named.repository(one.image.repository),
        platforms=one.platforms,
        copies=2 if options.verify else 1,
        cache_from=tuple(map(named.cache, options.cache_from)) if of_go else (),
        cache_to=tuple(map(named.cache, options.cache_to)) if of_go else (),
    )


def create(cluster: Cluster, started: StartedRun, *, held: bool) -> None:
    """Create the Job, and what it owns.

    Args:
        cluster: where.
        started: the build.
        held: whether something else starts the Job.

    Raises:
        KubeRefused: the API server does not take it; nothing is left.
    """
    job = dict(started.job)
    if started.login and not held:
        job = {**job, "spec": {**job["spec"], "suspend": True}}  # until the Secret is there
    made = cluster.server.create(JOBS, cluster.namespace, job)
    if not started.login:
        return
    name = str(made["metadata"]["name"])
    try:
        secret = login_secret(made, f"{name}-login", started.login)
        cluster.server.create(SECRETS, cluster.namespace, secret)
        if not held:
            cluster.server.patch(JOBS, cluster.namespace, name, {"spec": {"suspend": False}})
    except KubeRefused:
        cluster.server.delete(JOBS, cluster.namespace, name)
        raise


def _words(settings: KubernetesSettings, options: ClusterOptions, run: ClusterRun, namespace: str) -> JobWords:
    return JobWords(
        name=run.name,
        namespace=namespace,
        builder=settings.builder,
        argv=(),
        tasks=len(run.tasks),
        run=run.encoded(),
        parallelism=settings.parallelism or min(len(run.tasks), _AT_ONCE),
        retries=settings.retries,
        deadline=int(settings.deadline),
        keep=int(settings.keep),
        queue=settings.queue,
        suspend=options.suspend,
        spread=options.verify,
        service_account=settings.service_account,
        pull_secrets=settings.pull_secrets,
        priority_class=settings.priority_class,
        node_selector=dict(settings.node_selector),
        tolerations=settings.tolerations,
        cpu=settings.cpu,
        memory=settings.memory,
        storage=settings.storage,
        labels=dict(settings.labels),
        annotations=dict(settings.annotations),
    )
