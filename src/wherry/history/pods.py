"""Restarts and OOM kills, from what `kubectl get pods -o json` prints.

Source: Kubernetes 1.34 API, core/v1: PodList, ContainerStatus, ContainerStateTerminated.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final

import msgspec

from wherry.errors import InvalidDocument
from wherry.history.entry import CallFigures, ContainerFigures, Count, ImageFigures, text
from wherry.typed import from_json

LARGEST: Final = 64 << 20
"""Bytes of a list."""
_MOST: Final = 20_000


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Part of a pod; what we do not need is left."""


class TerminatedState(_Part, frozen=True, kw_only=True):
    """How a container ended."""

    reason: str = ""
    finished_at: datetime | None = None


class PodContainerState(_Part, frozen=True, kw_only=True):
    """What a container is now, or was before."""

    terminated: TerminatedState | None = None


class ContainerStatus(_Part, frozen=True, kw_only=True):
    """A container of a pod."""

    name: str
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    restart_count: Count = 0
    state: PodContainerState = PodContainerState()
    last_state: PodContainerState = PodContainerState()


class PodStatus(_Part, frozen=True, kw_only=True):
    """Its containers."""

    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class PodMetadata(_Part, frozen=True, kw_only=True):
    """Its names."""

    name: str
    namespace: str = ""
    uid: str = ""


class PodDocument(_Part, frozen=True, kw_only=True):
    """A pod."""

    kind: str = "Pod"
    metadata: PodMetadata
    status: PodStatus = PodStatus()


class PodList(_Part, frozen=True, kw_only=True):
    """A list of pods."""

    kind: str
    items: Annotated[tuple[PodDocument, ...], msgspec.Meta(max_length=_MOST)]


def is_list(document: bytes) -> bool:
    """Report whether a file looks like a list of Kubernetes, and not like a history."""
    head = document[:4096]
    return b'"items"' in document and b'"wherryHistory"' not in head


def entries_of(document: bytes, name: str, now: float) -> Iterator[CallFigures]:
    """Give an entry for each container that ended or was restarted; reading the same list again gives the same ids.

    Args:
        document: what kubectl printed.
        name: what the reader knows it by.
        now: when that was, for restarts without a moment of their own.

    Raises:
        InvalidDocument: it is no list of pods.
    """
    try:
        found = from_json(document, PodList)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidDocument(name, str(error)) from error
    for pod in found.items:
        if pod.kind == "Pod":
            for status in (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())):
                yield from _entries(pod, status, now)


def _entries(pod: PodDocument, status: ContainerStatus, now: float) -> Iterator[CallFigures]:
    ended = status.state.terminated or status.last_state.terminated
    if ended is None and not status.restart_count:
        return
    moment = ended.finished_at.timestamp() if ended and ended.finished_at else now
    place = f"{pod.metadata.namespace}/{pod.metadata.name}"
    told = f"{pod.metadata.uid or place} {status.name} {status.restart_count} {ended.reason if ended else ''}"
    digest = status.image_id.rpartition("@")[2]
    image = ImageFigures(name=text(status.image), digest=text(digest)) if status.image and digest else None
    yield CallFigures(
        id=hashlib.blake2b(told.encode(errors="replace"), digest_size=16).hexdigest(),
        at=max(moment, 0.0),
        command="cluster",
        ok=ended is None or ended.reason in {"", "Completed"},
        images=(image,) if image else (),
        container=ContainerFigures(
            pod=text(place),
            container=text(status.name),
            restarts=status.restart_count,
            reason=text(ended.reason, 128) if ended else "",
        ),
    )
