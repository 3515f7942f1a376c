"""What watched pods and events become: figures, each given once.

An event of a pull may come before its pod, and before the pod's node has said which digest it runs; so a pull waits
until a container that started after it is seen, its pod is gone, or it has waited long enough.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import msgspec

from wherry.cluster.pod_documents import EventDocument, PodDocument
from wherry.cluster.pod_figures import ContainerEnd, ImagePull, PodStart, digest_in, ends_of, pulls_of, start_of
from wherry.typed import from_plain

ClusterFigure = ImagePull | ContainerEnd | PodStart
PATIENCE: Final = 30.0
"""Seconds that a pull waits for its digest."""
_GRAIN: Final = timedelta(seconds=2)
"""Moments of the API are whole seconds."""


@dataclass(slots=True)
class _SeenPod:
    """What has to be remembered of a pod."""

    document: PodDocument
    ends: dict[str, int] = field(default_factory=dict)
    """Restarts by end that the pod still shows, as they were given."""
    started: bool = False


@dataclass(slots=True)
class PodObserver:
    """Takes documents as they come, from lists or watches; keeps what it needs of those that exist."""

    selects: bool = False
    """Pods were selected by labels: pulls of other pods are left out."""
    refused: int = 0
    """Documents that are none of a pod or an event."""
    _pods: dict[str, _SeenPod] = field(default_factory=dict)
    _events: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, list[tuple[float, ImagePull]]] = field(default_factory=dict)

    def pod(self, kind: str, document: Mapping[str, Any], now: float) -> Iterator[ClusterFigure]:
        """Take what happened to a pod.

        Args:
            kind: ADDED, MODIFIED or DELETED.
            document: the pod; of one that is gone, perhaps only its names.
            now: of a clock that only goes on.
        """
        try:
            pod = from_plain(document, PodDocument)
        except (msgspec.ValidationError, RecursionError):
            self.refused += 1
            return
        identity = pod.metadata.uid or pod.place
        known = self._pods.get(identity)
        seen = _SeenPod(pod) if known is None else known
        seen.document = pod if pod.status.containers or known is None else seen.document
        given, seen.ends = seen.ends, {}
        for end in ends_of(pod):
            if given.get(end.key, -1) < end.restarts:
                yield end
            seen.ends[end.key] = max(given.get(end.key, -1), end.restarts)
        if not seen.started and (start := start_of(pod, watched=known is not None)) is not None:
            yield start
        seen.started = seen.started or pod.ready  # a later moment is of another change
        if kind == "DELETED":
            yield from (with_digest(pull, seen.document) for _, pull in self._waiting.pop(identity, []))
            self._pods.pop(identity, None)
        else:
            self._pods[identity] = seen
            yield from self._settled(identity, seen.document, now)

    def event(self, kind: str, document: Mapping[str, Any], now: float) -> Iterator[ClusterFigure]:
        """Take what happened to an event; see `pod`."""
        try:
            event = from_plain(document, EventDocument)
        except (msgspec.ValidationError, RecursionError):
            self.refused += 1
            return
        identity = event.metadata.uid or f"{event.metadata.namespace}/{event.metadata.name}"
        if kind == "DELETED":
            self._events.pop(identity, None)
            return
        before = self._events.get(identity, 0)
        for pull in pulls_of(event, seen=before):
            self._waiting.setdefault(pull.pod_uid, []).append((now + PATIENCE, pull))
        count = max((event.series.count if event.series else None) or 0, event.count or 0, 1)
        self._events[identity] = max(before, count)
        uid = event.involved_object.uid
        if uid in self._waiting and (seen := self._pods.get(uid)) is not None:
            yield from self._settled(uid, seen.document, now)

    def overdue(self, now: float) -> Iterator[ClusterFigure]:
        """Give the pulls that have waited long enough, with what is known of them."""
        for uid in list(self._waiting):
            seen = self._pods.get(uid)
            rest = self._waiting.pop(uid)
            if left := [pair for pair in rest if pair[0] > now]:
                self._waiting[uid] = left
            if seen is not None or not self.selects:
                document = seen.document if seen is not None else None
                yield from (with_digest(pull, document) for due, pull in rest if due <= now)

    def _settled(self, uid: str, pod: PodDocument, now: float) -> Iterator[ClusterFigure]:
        """Give the pulls of a pod whose containers ran after them."""
        waiting = self._waiting.pop(uid, [])
        left = []
        for due, pull in waiting:
            if due <= now or _ran_since(pod, pull):
                yield with_digest(pull, pod)
            else:
                left.append((due, pull))
        if left:
            self._waiting[uid] = left


def with_digest(pull: ImagePull, pod: PodDocument | None) -> ImagePull:
    """Add the digest that a pod has for a pulled image, where it has one."""
    return pull if pod is None else replace(pull, digest=digest_in(pod, pull.container))


def figures_in(pods: Iterable[PodDocument], events: Iterable[EventDocument]) -> Iterator[ClusterFigure]:
    """Give the figures of lists that are there whole."""
    by_uid: dict[str, PodDocument] = {}
    for pod in pods:
        if pod.metadata.uid:
            by_uid[pod.metadata.uid] = pod
        yield from ends_of(pod)
        if (start := start_of(pod)) is not None:
            yield start
    for event in events:
        for pull in pulls_of(event):
            yield with_digest(pull, by_uid.get(pull.pod_uid))


def _ran_since(pod: PodDocument, pull: ImagePull) -> bool:
    status = next((one for one in pod.status.containers if one.name == pull.container), None)
    if status is None or not status.digest:
        return False
    running, ended, last = status.state.running, status.state.terminated, status.last_state.terminated
    moments = [one.started_at for one in (running, ended, last) if one is not None and one.started_at is not None]
    return any(moment >= pull.at - _GRAIN for moment in moments)
