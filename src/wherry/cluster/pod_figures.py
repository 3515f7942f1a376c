"""Figures of pods and events: image pulls, containers that ended or were restarted, and starts until ready.

All of it is values in, values out. The identity of a figure comes from what it is of (the uid of an event and the
number of the occurrence, the id of a container, the uid of a pod), so two that watch the same cluster, and one that
looks twice, give the same figures under the same names.

Sources: Kubernetes 1.34, pkg/kubelet/images/image_manager.go ("Successfully pulled image …"), since 1.27 with the time
spent waiting, since 1.29 with the size; Go 1.26, time.Duration.String.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wherry.analysis.timeouts.service import go_seconds
from wherry.cluster.pod_documents import ContainerStatus, EventDocument, PodDocument, TerminatedState

OOM: Final = "OOMKilled"
OCCURRENCES: Final = 100
"""Of one event that are told apart; those before count as seen."""
FLAPPED: Final = timedelta(minutes=10)
"""A pod with a probe that got ready so long after its containers ran was probably ready before: a later moment."""
_LARGEST: Final = 1 << 53
_LONGEST: Final = 1e9
_PULLED: Final = re.compile(
    r'Successfully pulled image "((?:[^"\\]|\\.){1,1024})"(?: in ([^ ]{1,64}))?'
    r"(?: \(([^ ]{1,64}) including waiting\))?\.?(?: Image size: ([0-9]{1,19}) bytes\.?)?"
)
_PRESENT: Final = re.compile(r'Container image "((?:[^"\\]|\\.){1,1024})" already present on machine')
_FIELD: Final = re.compile(r"spec\.(?:c|initC|ephemeralC)ontainers\{(.{1,253})\}")


@dataclass(frozen=True, slots=True)
class PulledText:
    """What a kubelet says of a pull."""

    image: str
    seconds: float | None
    """None: the image was on the node, or a kubelet before 1.16 said nothing."""
    waiting: float | None = None
    """Seconds with those spent waiting for other pulls of the node; None before 1.27."""
    size: int | None = None
    """Bytes by the container runtime's count; None before 1.29."""
    present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePull:
    """An image that a node pulled for a container, or had."""

    key: str
    at: datetime
    pod: str
    pod_uid: str
    container: str
    node: str
    text: PulledText
    digest: str = ""
    """Of the image; empty where the pod is gone before its node said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """A container that ended, or was restarted."""

    key: str
    at: datetime | None
    pod: str
    container: str
    node: str
    image: str
    digest: str
    restarts: int
    """Of the pod's container until now; one end may be seen again with one more."""
    reason: str = ""
    code: int | None = None
    limit: int | None = None
    """Bytes of memory that it might use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStart:
    """A pod that got ready: seconds since it was created; moments of the API are whole seconds."""

    key: str
    at: datetime
    pod: str
    node: str
    images: tuple[tuple[str, str], ...]
    """Name and digest of each."""
    scheduled: float | None
    initialized: float | None
    started: float
    """Until its last container ran."""
    ready: float


def pulled_text(message: str) -> PulledText | None:
    """Read what a kubelet says of a pull; None where it says something else."""
    if found := _PULLED.match(message):
        image, took, waited, size = found.groups()
        seconds, waiting, count = _seconds(took), _seconds(waited), int(size) if size else None
        if took and seconds is None:
            return None
        return PulledText(image, seconds, waiting, count if count is None or count <= _LARGEST else None)
    if found := _PRESENT.match(message):
        return PulledText(found[1], None, present=True)
    return None


def _seconds(text: str | None) -> float | None:
    found = go_seconds(text) if text else None
    return round(found, 9) if found is not None and found <= _LONGEST else None


def pulls_of(event: EventDocument, *, seen: int = 0) -> Iterator[ImagePull]:
    """Give the pulls that an event tells, one for each time it came; those on the node already count once.

    Args:
        event: a document of any kind of event.
        seen: occurrences that were given before.
    """
    subject, last = event.involved_object, _last(event)
    if event.reason != "Pulled" or subject.kind != "Pod" or last is None:
        return
    text = pulled_text(event.message)
    if text is None or (text.seconds is None and not text.present):
        return
    field = _FIELD.fullmatch(subject.field_path)
    count = max((event.series.count if event.series else None) or 0, event.count or 0, 1)
    first = event.first_timestamp or event.event_time or last
    name = event.metadata.uid or f"{event.metadata.namespace}/{event.metadata.name}"
    count = 1 if text.present else count
    for number in range(max(seen, count - OCCURRENCES) + 1, count + 1):
        share = (number - 1) / (count - 1) if count > 1 else 1.0  # the moments between are not told
        yield ImagePull(
            key=f"pull {name} {number}", at=first + (last - first) * share, pod=f"{subject.namespace}/{subject.name}",
            pod_uid=subject.uid, container=field[1] if field else "",
            node=event.source.host or event.reporting_instance or "", text=text,
        )  # fmt: skip


def _last(event: EventDocument) -> datetime | None:
    observed = event.series.last_observed_time if event.series else None
    return observed or event.last_timestamp or event.event_time or event.first_timestamp


def digest_in(pod: PodDocument, container: str) -> str:
    """Give the digest of a container's image, where its node has said it."""
    return next((one.digest for one in pod.status.containers if one.name == container), "")


def ends_of(pod: PodDocument) -> Iterator[ContainerEnd]:
    """Give an end for each container of a pod that ended otherwise than well, or was restarted."""
    for status in pod.status.containers:
        ended = [one for one in (status.last_state.terminated, status.state.terminated) if one is not None]
        for one in ended:
            if status.restart_count or one.exit_code or one.reason not in {"", "Completed"}:
                yield _end(pod, status, one)
        if status.restart_count and not ended:
            yield _end(pod, status, None)


def _end(pod: PodDocument, status: ContainerStatus, ended: TerminatedState | None) -> ContainerEnd:
    whose = f"{pod.metadata.uid or pod.place} {status.name}"
    moment = ended.finished_at if ended is not None else None
    which = (ended.container_id or str(moment or status.restart_count)) if ended is not None else "restarted"
    return ContainerEnd(
        key=f"end {whose} {which}",
        at=moment,
        pod=pod.place,
        container=status.name,
        node=pod.spec.node_name,
        image=_name(pod, status),
        digest=status.digest,
        restarts=status.restart_count,
        reason=ended.reason or ("Completed" if not ended.exit_code else "Error") if ended is not None else "",
        code=ended.exit_code if ended is not None else None,
        limit=pod.spec.limit(status.name),
    )


def _name(pod: PodDocument, status: ContainerStatus) -> str:
    """Name an image as the pod does: a node may know it under another name, or by its digest only."""
    return pod.spec.image(status.name) or status.image


def start_of(pod: PodDocument, *, watched: bool = False) -> PodStart | None:
    """Give the start of a pod that is ready for the first time; None where it is not, or that can't be told.

    A condition has the moment of its last change. So pods with restarts are left out, and pods with a probe that got
    ready long after their containers ran, unless that was watched.

    Args:
        pod: as it is.
        watched: it was seen before, and was not ready then.
    """
    conditions = {one.type: one.last_transition_time for one in pod.status.conditions or () if one.status == "True"}
    created, ready = pod.metadata.creation_timestamp, conditions.get("Ready")
    statuses = pod.status.container_statuses or ()
    running = [one.state.running.started_at for one in statuses if one.state.running is not None]
    if created is None or ready is None or not statuses or len(running) != len(statuses):
        return None
    moments = [one for one in running if one is not None]
    if len(moments) != len(running) or any(one.restart_count for one in statuses):
        return None
    probed = any(one.readiness_probe is not None for one in pod.spec.containers or ()) or pod.spec.readiness_gates
    if probed and not watched and ready - max(moments) > FLAPPED:
        return None
    return PodStart(
        key=f"start {pod.metadata.uid or pod.place}",
        at=ready,
        pod=pod.place,
        node=pod.spec.node_name,
        images=tuple((_name(pod, one), one.digest) for one in statuses),
        scheduled=_since(created, conditions.get("PodScheduled")),
        initialized=_since(created, conditions.get("Initialized")),
        started=_since(created, max(moments)) or 0.0,
        ready=_since(created, ready) or 0.0,
    )


def _since(created: datetime, moment: datetime | None) -> float | None:
    return None if moment is None else min(max((moment - created).total_seconds(), 0.0), _LONGEST)
