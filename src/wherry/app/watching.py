"""Watch a cluster: what its pods and events say of pulls, ends and starts, as lines of a history.

Each line has an id that comes from what it is of, so a watch that is started again, or a second one next to it, writes
the same lines under the same ids, and an import takes each once.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from wherry.app.cluster_figures import entry_of, kubelet_entry
from wherry.cluster.kube_api import KubeSelection
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_http import KubeRequest
from wherry.cluster.kube_resources import EVENTS, NODES, PODS, KubeResource
from wherry.cluster.kube_watch import KubeEvent, KubeWatch
from wherry.cluster.kubelet_metrics import kubelet_report
from wherry.cluster.pod_observer import ClusterFigure, PodObserver
from wherry.cluster.watch_manifest import needed_rights
from wherry.errors import HostUnable

if TYPE_CHECKING:
    from wherry.app.clusters import Cluster
    from wherry.app.session import Session
    from wherry.history.entry import CallFigures

PULLED: Final = "reason=Pulled,involvedObject.kind=Pod"
_PAUSE: Final = 0.5
"""Seconds between two looks at the clock."""
_KUBELETS: Final = 60.0
"""Seconds between two looks at the kubelets' own figures."""
_GRAIN: Final = 2.0
"""Moments of the API are whole seconds."""
_LARGEST: Final = 32 << 20
_QUEUED: Final = 10_000
Notice = Callable[[str, bool], None]
_Take = Callable[["CallFigures", bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What is watched, and for how long."""

    everywhere: bool = False
    """All namespaces, not only the cluster's own."""
    labels: str = ""
    """Only pods with these, as `kubectl -l`."""
    once: bool = False
    """Only what is there now."""
    seconds: float | None = None
    """None: until it is stopped."""
    kubelets: bool = False
    """Read the kubelets' own histograms of pulls too."""


@dataclass(slots=True)
class _Failed:
    error: BaseException


def watched_machine(found: "Cluster") -> str:
    """Name the history that a cluster's figures are of: the same for each that watches it, and no name of a host."""
    address = found.server.http.address
    return hashlib.blake2b(address.authorities or address.url.encode(), digest_size=8).hexdigest()


def check_rights(found: "Cluster", options: WatchOptions) -> None:
    """Ask for each right that a watch needs before anything else is asked.

    Raises:
        HostUnable: some are missing; each is named.
        KubeRefused: the API server does not answer.
    """
    namespace = "" if options.everywhere else found.namespace
    missing = [
        f"{verb} {resource.title}{f'/{part}' if part else ''}"
        for verb, resource, part in needed_rights(once=options.once, kubelets=options.kubelets)
        if not found.server.may(verb, resource, namespace if resource.namespaced else "", sub=part).allowed
    ]
    if missing:
        place = "in every namespace" if options.everywhere else f"in namespace {found.namespace}"
        scope = "-A" if options.everywhere else f"-n {found.namespace}"
        scope += (" --kubelets" if options.kubelets else "") + (" --once" if options.once else "")
        raise HostUnable(
            f"{found.source}: missing rights {place}: {', '.join(missing)}",
            hint=f"`wherry watch --print-rbac {scope}` prints the role that has them; ask for it",
        )


def watch_cluster(  # noqa: PLR0913 - each is another end of it
    session: "Session",
    found: "Cluster",
    options: WatchOptions,
    take: _Take,
    *,
    notice: Notice = lambda _line, _away: None,
    tick: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> int:
    """Give each figure as it comes, until it is stopped; give how many documents were none of a pod or an event.

    Args:
        session: its clock dates what has no moment of its own.
        found: the cluster.
        options: what is watched.
        take: hears of each figure, and whether it happened during the watch.
        notice: hears that the API server is away, and that it is back: a line, and whether it is away.
        tick: called about twice a second.
        stop: ends it, from another thread.

    Raises:
        HostUnable: rights are missing.
        KubeRefused: the API server refuses, or does not answer for ten minutes.
    """
    check_rights(found, options)
    observer = PodObserver(selects=bool(options.labels))
    namespace = "" if options.everywhere else found.namespace
    pods = KubeSelection(namespace=namespace, labels=options.labels)
    events = KubeSelection(namespace=namespace, fields=PULLED)
    if options.once:
        _listed(session, found, observer, pods, events, take)
        if options.kubelets:
            for entry in _kubelets(session, found, notice):
                take(entry, False)  # noqa: FBT003 - as `take` has it
        return observer.refused
    running = _Running(session, found, observer, take, notice, stop or threading.Event())
    running.watch(PODS, pods)
    running.watch(EVENTS, events)
    if options.kubelets:
        running.read_kubelets()
    try:
        running.run(None if options.seconds is None else time.monotonic() + options.seconds, tick)
    finally:
        running.end()
    return observer.refused


def _listed(
    session: "Session", found: "Cluster", observer: PodObserver, pods: KubeSelection, events: KubeSelection, take: _Take
) -> None:
    now = time.monotonic()
    for document in found.server.list(PODS, pods):
        for figure in observer.pod("ADDED", document, now):
            take(entry_of(figure, session.clock()), False)  # noqa: FBT003 - as `take` has it
    for document in found.server.list(EVENTS, events):
        for figure in observer.event("ADDED", document, now):
            take(entry_of(figure, session.clock()), False)  # noqa: FBT003 - as `take` has it
    for figure in observer.overdue(float("inf")):
        take(entry_of(figure, session.clock()), False)  # noqa: FBT003 - as `take` has it


def _kubelets(session: "Session", found: "Cluster", notice: Notice) -> "Iterator[CallFigures]":
    """Read what each kubelet counted; one that does not answer is reported, and passed over."""
    for node in found.server.list(NODES, KubeSelection()):
        name = str((node.get("metadata") or {}).get("name") or "")
        path = f"{NODES.path('', quote(name, safe=''), 'proxy')}/metrics"
        try:
            stream = found.server.http.stream(KubeRequest(method="GET", path=path))
        except KubeRefused as error:
            if not error.passing:
                raise
            notice(f"node {name}: its kubelet's metrics are left out: {error.message}", False)  # noqa: FBT003 - as it has it
            continue
        text = bytearray()
        for chunk in stream.chunks():
            text += chunk
            if len(text) > _LARGEST:
                break
        stream.close()
        if (report := kubelet_report(name, text.decode(errors="replace"))) is not None:
            yield kubelet_entry(report, session.clock())


@dataclass(slots=True)
class _Queued:
    """What one of the threads found."""

    resource: KubeResource | None
    event: "KubeEvent | CallFigures | _Failed"


class _Running:
    """The watches, each in a thread, and the one reader of what they find."""

    def __init__(
        self,
        session: "Session",
        found: "Cluster",
        observer: PodObserver,
        take: _Take,
        notice: Notice,
        stopped: threading.Event,
    ) -> None:
        self._session, self._found, self._observer = session, found, observer
        self._take, self._notice, self._stopped = take, notice, stopped
        self._queue: queue.Queue[_Queued] = queue.Queue(_QUEUED)
        self._watches: list[KubeWatch] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._began = session.clock() - _GRAIN

    def watch(self, resource: KubeResource, selection: KubeSelection) -> None:
        """Start a watch."""
        first = not self._watches  # one of them says that the server is away
        made = self._found.server.watch(
            resource, selection, lost=self._lost if first else None, found=self._back if first else None
        )
        self._watches.append(made)
        self._start(lambda: ((resource, event) for event in made))

    def read_kubelets(self) -> None:
        """Start reading what kubelets count, again and again."""

        def reports() -> "Iterator[tuple[None, CallFigures]]":
            known: set[str] = set()
            while not self._over.is_set():
                for entry in _kubelets(self._session, self._found, self._notice):
                    if entry.id not in known:
                        known.add(entry.id)
                        yield None, entry
                self._over.wait(_KUBELETS)

        self._start(reports)

    def _start(self, source: "Callable[[], Iterator[tuple[KubeResource | None, KubeEvent | CallFigures]]]") -> None:
        def move() -> None:
            try:
                for resource, event in source():
                    self._put(_Queued(resource, event))
                    if self._over.is_set():
                        return
            except BaseException as error:  # noqa: BLE001 - the reader raises it
                self._put(_Queued(None, _Failed(error)))

        thread = threading.Thread(target=move, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _put(self, row: _Queued) -> None:
        while not self._over.is_set():
            try:
                self._queue.put(row, timeout=_PAUSE)
            except queue.Full:
                continue
            return

    def run(self, due: float | None, tick: Callable[[], None]) -> None:
        """Read until it is time."""
        while not self._stopped.is_set():
            now = time.monotonic()
            if due is not None and now >= due:
                break
            self._session.checkpoint()
            try:
                row = self._queue.get(timeout=min(_PAUSE, max(due - now, 0.0)) if due is not None else _PAUSE)
            except queue.Empty:
                self._give(self._observer.overdue(time.monotonic()))
            else:
                self._read(row)
            tick()

    def _read(self, row: _Queued) -> None:
        event, now = row.event, time.monotonic()
        if isinstance(event, _Failed):
            raise event.error
        if not isinstance(event, KubeEvent):
            self._take(event, False)  # noqa: FBT003 - as `take` has it
        elif event.kind == "SYNCED":
            return
        elif row.resource == PODS:
            self._give(self._observer.pod(event.kind, event.document, now))
        else:
            self._give(self._observer.event(event.kind, event.document, now))

    def _give(self, figures: "Iterator[ClusterFigure]") -> None:
        for figure in figures:
            entry = entry_of(figure, self._session.clock())
            self._take(entry, entry.at >= self._began)

    def end(self) -> None:
        """Stop the threads, and give what still waits."""
        self._over.set()
        for one in self._watches:
            one.stop()
        for thread in self._threads:
            thread.join(2.0)
        self._give(self._observer.overdue(float("inf")))

    def _lost(self, error: KubeRefused) -> None:
        self._notice(f"{error.message}; waiting for it", True)  # noqa: FBT003 - as it has it

    def _back(self) -> None:
        self._notice("the API server answers again", False)  # noqa: FBT003 - as it has it
