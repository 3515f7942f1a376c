"""Figures of a cluster as lines of a history, and what `kubectl get pods -o json` and `get events -o json` print."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec

from wherry.cluster.kubelet_metrics import KubeletReport
from wherry.cluster.pod_documents import EventDocument, PodDocument
from wherry.cluster.pod_figures import ContainerEnd, ImagePull, PodStart
from wherry.cluster.pod_observer import ClusterFigure, figures_in
from wherry.errors import InvalidDocument
from wherry.history.entry import (
    CallFigures,
    ContainerFigures,
    ImageFigures,
    KubeletFigures,
    KubeletPullFigures,
    NodePullFigures,
    PodStartFigures,
    text,
)
from wherry.typed import from_json

_MOST: Final = 200_000
_IMAGES: Final = 256


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = ""


class _KubeList(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    items: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=_MOST)]


def is_list(document: bytes) -> bool:
    """Report whether a file looks like a list of Kubernetes, and not like a history."""
    head = document[:4096]
    return b'"items"' in document and b'"wherryHistory"' not in head


def entries_of(document: bytes, name: str, now: float) -> Iterator[CallFigures]:
    """Give an entry for each pull, end and start in a list of pods and events; the same list gives the same ids.

    Args:
        document: what kubectl printed: of pods, of events, or of both (`kubectl get pods,events -o json`).
        name: what the reader knows it by.
        now: when that was, for restarts without a moment of their own.

    Raises:
        InvalidDocument: it is no such list.
    """
    try:
        found = from_json(document, _KubeList)
        usual = found.kind.removesuffix("List")  # items of a PodList have no kind of their own
        items = [(from_json(one, _Item).kind or usual, one) for one in found.items]
        pods = [from_json(one, PodDocument) for kind, one in items if kind == "Pod"]
        events = [from_json(one, EventDocument) for kind, one in items if kind == "Event"]
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidDocument(name, str(error)) from error
    yield from (entry_of(one, now) for one in figures_in(pods, events))


def entry_of(figure: ClusterFigure, now: float) -> CallFigures:
    """Write a figure as a line of a history.

    Args:
        figure: of a cluster.
        now: for one without a moment of its own.
    """
    moment = now if figure.at is None else figure.at.timestamp()
    entry = CallFigures(id=_id(figure.key), at=max(moment, 0.0), command="cluster")
    match figure:
        case ImagePull(text=told):
            return msgspec.structs.replace(
                entry,
                subject=text(told.image),
                seconds=told.seconds or 0.0,
                images=_images([(told.image, figure.digest)]),
                node_pull=NodePullFigures(
                    pod=text(figure.pod), container=text(figure.container), node=text(figure.node),
                    seconds=told.seconds or 0.0, waiting=told.waiting, size=told.size, present=told.present,
                ),
            )  # fmt: skip
        case ContainerEnd():
            return msgspec.structs.replace(
                entry,
                ok=figure.reason in {"", "Completed"},
                images=_images([(figure.image, figure.digest)]),
                container=ContainerFigures(
                    pod=text(figure.pod), container=text(figure.container), restarts=figure.restarts,
                    reason=text(figure.reason, 128), node=text(figure.node), code=figure.code, limit=figure.limit,
                ),
            )  # fmt: skip
        case PodStart():
            return msgspec.structs.replace(
                entry,
                seconds=figure.ready,
                images=_images(figure.images),
                pod_start=PodStartFigures(
                    pod=text(figure.pod), node=text(figure.node), scheduled=figure.scheduled,
                    initialized=figure.initialized, started=figure.started, ready=figure.ready,
                ),
            )  # fmt: skip


def kubelet_entry(report: KubeletReport, now: float) -> CallFigures:
    """Write what a kubelet counted as a line of a history."""
    pulls = tuple(
        KubeletPullFigures(size=text(one.size, 128), count=one.count, seconds=min(one.seconds, 1e9))
        for one in report.pulls
    )
    began = min(report.began, 253402300799.0)
    figures = KubeletFigures(node=text(report.node), began=began, pulls=pulls)
    return CallFigures(id=_id(report.key), at=now, command="cluster", kubelet=figures)


def _images(named: Iterable[tuple[str, str]]) -> tuple[ImageFigures, ...]:
    known = dict.fromkeys(named)
    return tuple(ImageFigures(name=text(name), digest=text(digest)) for name, digest in known if name and digest)[
        :_IMAGES
    ]


def _id(key: str) -> str:
    return hashlib.blake2b(key.encode(errors="replace"), digest_size=16).hexdigest()
