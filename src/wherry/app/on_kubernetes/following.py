"""Follow a build in a cluster until each platform has a result, or one can't have any.

Three watches (the Job, its pods, events) and the logs of pods that run put what they hear into one queue; the caller's
thread reads it, so that Ctrl-C ends it at once. A watch bears an API server that is away for a while.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from wherry.app.clusters import Cluster
from wherry.app.on_kubernetes.board import TaskBoard, task_name
from wherry.app.on_kubernetes.pod_logs import PodLogs
from wherry.app.session import Session
from wherry.cluster.build_documents import TaskResult
from wherry.cluster.build_job import LABEL
from wherry.cluster.build_pods import (
    JobState,
    PodPhase,
    PodState,
    PodTrouble,
    event_trouble,
    job_state,
    pod_state,
)
from wherry.cluster.build_run import ClusterRun
from wherry.cluster.kube_api import KubeSelection
from wherry.cluster.kube_resources import EVENTS, JOBS, PODS, KubeResource
from wherry.cluster.kube_watch import KubeEvent, KubeWatch
from wherry.errors import InvalidDocument, NotFound, WherryError

_TICK: Final = 0.5
_PULL_PATIENCE: Final = 90.0
"""Seconds that an image which can't be pulled is waited for: a registry may be away for a moment."""
_STARTS_PATIENCE: Final = 120.0
"""The same for a pod that does not start."""
_MEMORY: Final = "out of memory"
_LAST_WORDS: Final = 15.0
"""Seconds for the pods of a Job that has failed to say why."""


class ClusterBuildFailed(WherryError):
    """A platform can't be built."""


@dataclass(slots=True)
class _Task:
    """What is known of a completion index."""

    pod: PodState | None = None
    result: TaskResult | None = None
    failure: TaskResult | None = None
    trouble: PodTrouble | None = None
    node: str = ""
    stuck_since: float = 0.0
    tries: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """What came of a build."""

    results: Mapping[int, TaskResult]
    """By completion index; an index without one is done, but its pod is gone."""
    nodes: Mapping[int, str]


class Follower:
    """Follows one build."""

    def __init__(
        self,
        session: Session,
        cluster: Cluster,
        run: ClusterRun,
        board: TaskBoard,
        *,
        without: frozenset[str] = frozenset(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what is followed.

        Args:
            session: may be cancelled.
            cluster: where.
            run: which.
            board: shows it.
            without: rights that the user has not: `watch events`, `get pods/log`.
            monotonic: seconds.
        """
        self._session, self._cluster, self._run, self._board = session, cluster, run, board
        self._without, self._monotonic = without, monotonic
        self._heard: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._tasks = {number: _Task() for number in range(len(run.tasks))}
        self._job: JobState | None = None
        self._ending = 0.0
        self._logs = PodLogs(cluster, board.printed) if "get pods/log" not in without else None

    def follow(self) -> FollowedRun:
        """Follow it to its end.

        Raises:
            ClusterBuildFailed: a platform can't be built; why, and what to do.
            NotFound: the Job is gone.
            KubeRefused: no API server answers any more, or it refuses.
            Cancelled: the caller asked for it.
        """
        with self._watches():
            while True:
                self._session.checkpoint()
                try:
                    kind, heard = self._heard.get(timeout=_TICK)
                except queue.Empty:
                    kind, heard = "", None
                self._take(kind, heard)
                self._check_stuck()
                if self._is_over(idle=not kind):
                    return FollowedRun(
                        {number: one.result for number, one in self._tasks.items() if one.result is not None},
                        {number: one.node for number, one in self._tasks.items() if one.node},
                    )

    @contextmanager
    def _watches(self) -> Iterator[None]:
        namespace = self._cluster.namespace
        wanted: list[tuple[str, KubeResource, KubeSelection]] = [
            ("job", JOBS, KubeSelection(namespace=namespace, fields=f"metadata.name={self._run.name}")),
            ("pod", PODS, KubeSelection(namespace=namespace, labels=f"{LABEL}={self._run.name}")),
        ]
        if not self._without & {"watch events", "list events"}:
            wanted.append(("event", EVENTS, KubeSelection(namespace=namespace)))
        watches: list[KubeWatch] = []
        for kind, resource, selection in wanted:
            lost = (lambda error: self._heard.put(("lost", error))) if kind == "pod" else None
            found = (lambda: self._heard.put(("found", None))) if kind == "pod" else None
            watch = self._cluster.server.watch(resource, selection, lost=lost, found=found)
            watches.append(watch)
            threading.Thread(target=self._hear, args=(kind, watch), name=f"watch {kind}", daemon=True).start()
        try:
            yield
        finally:
            for watch in watches:
                watch.stop()
            if self._logs is not None:
                self._logs.close()

    def _hear(self, kind: str, watch: KubeWatch) -> None:
        try:
            for event in watch:
                self._heard.put((kind, event))
        except WherryError as error:
            self._heard.put(("error", error) if kind != "event" else ("", None))
        except Exception as error:  # noqa: BLE001 - a bug of ours is raised where somebody waits
            self._heard.put(("error", error))

    def _take(self, kind: str, heard: Any) -> None:
        match kind:
            case "job":
                self._take_job(heard)
            case "pod":
                self._take_pod(heard)
            case "event":
                self._take_event(heard)
            case "error":
                raise heard
            case "lost":
                self._session.progress.warn(f"{heard.message}; the build goes on in the cluster, asking again")
            case "found":
                self._session.progress.line("the API server answers again")

    def _take_job(self, event: KubeEvent) -> None:
        if event.kind == "SYNCED":
            if self._job is None:
                self._gone()
            return
        if event.kind == "DELETED":
            if not self._all_done():
                self._gone()
            return
        before, self._job = self._job, job_state(event.document)
        waits = ""
        if self._job.suspended:
            waits = "queued: the Job is suspended, and a queue or a person starts it"
        elif before is not None and before.suspended:
            waits = "queued"
        for number, task in self._tasks.items():
            if waits and task.pod is None:
                self._board.says(number, waits)
        if self._job.failed and not self._ending:
            self._ending = self._monotonic() + _LAST_WORDS

    def _gone(self) -> None:
        raise NotFound(
            f"job/{self._run.name}: it is gone from namespace {self._cluster.namespace}",
            hint="another client ended the build (`wherry tags` shows whether its names are there), it was deleted, "
            "or its time to be kept is over: then build again",
        )

    def _take_pod(self, event: KubeEvent) -> None:
        state = pod_state(event.document, self._run.memory)
        if state is None or state.index not in self._tasks:
            return
        task = self._tasks[state.index]
        if task.result is not None:
            return
        task.tries.add(state.uid)
        if event.kind == "DELETED":
            if task.pod is not None and task.pod.uid == state.uid:
                task.pod = None
                self._board.says(state.index, f"pod {state.name} is gone: tried again")
            return
        if task.pod is not None and task.pod.uid != state.uid and state.created < task.pod.created:
            return  # an earlier try
        if task.pod is None or task.pod.phase is not state.phase or task.pod.uid != state.uid:
            task.stuck_since = self._monotonic()
        task.pod = state
        self._show(state, task)

    def _show(self, state: PodState, task: _Task) -> None:
        where = task_name(self._run, self._run.tasks[state.index])
        if state.phase in (PodPhase.RUNNING, PodPhase.DONE, PodPhase.FAILED) and self._logs is not None:
            self._logs.follow(state.index, state.name, state.uid)
        if state.phase is PodPhase.DONE:
            self._take_result(state, task, where)
            return
        again = f" (try {len(task.tries)})" if len(task.tries) > 1 else ""
        if state.phase is PodPhase.FAILED:
            self._take_failure(state, task, where)
        elif state.leaving:
            self._board.says(state.index, f"pod {state.name} was deleted: tried again")
        else:
            self._board.says(state.index, f"{state.words}{again}")
            if state.trouble is not None and not state.trouble.lasting:
                self._board.warn(where, state.trouble)

    def _take_result(self, state: PodState, task: _Task, where: str) -> None:
        try:
            result = TaskResult.parse(state.result.encode(), f"pod/{state.name}")
        except InvalidDocument as error:
            raise ClusterBuildFailed(
                f"{where}: pod {state.name} ended well, and left no result: {error.problem}",
                hint="take a builder of the release that this wherry is of",
            ) from error
        wanted = self._run.tasks[state.index]
        if not result.ok or result.task != state.index or result.platform != wanted.platform:
            raise ClusterBuildFailed(
                f"{where}: pod {state.name} has the result of another task ({result.task}, {result.platform})",
                hint="delete the Job, and build again",
            )
        task.result, task.node = result, state.node
        if self._logs is not None:
            self._logs.drain(state.uid)
        self._board.done(state.index, result, state.node)

    def _take_failure(self, state: PodState, task: _Task, where: str) -> None:
        trouble = state.trouble or PodTrouble("the pod failed", "the log above says why")
        try:
            task.failure = TaskResult.parse(state.result.encode(), f"pod/{state.name}")
        except InvalidDocument:
            task.failure = None
        if task.failure is not None and not trouble.message.startswith(_MEMORY):
            # Indented, no line of a pod looks like one of ours.
            trouble = PodTrouble(
                task.failure.message.replace("\n", "\n  "), task.failure.hint, lasting=task.failure.fault == "source"
            )
        task.trouble = trouble
        if trouble.message.startswith(_MEMORY) and len(task.tries) > 1:
            raise ClusterBuildFailed(f"{where}: {trouble.message} ({len(task.tries)} tries)", hint=trouble.hint)
        self._board.says(state.index, f"failed: {trouble.message.splitlines()[0] if trouble.message else 'no word'}")
        if not trouble.lasting and not (self._job and self._job.failed):
            self._board.warn(where, trouble)

    def _take_event(self, event: KubeEvent) -> None:
        said = event.document.get("involvedObject")
        name = str(said.get("name") or "") if isinstance(said, dict) else ""
        if event.kind == "DELETED" or not (name == self._run.name or name.startswith(f"{self._run.name}-")):
            return
        trouble = event_trouble(event.document)
        if trouble is None:
            self._note_pull(str(event.document.get("reason") or ""), name)
            return
        if trouble.lasting and name == self._run.name:
            raise ClusterBuildFailed(f"job/{self._run.name}: {trouble.message}", hint=trouble.hint)
        self._board.warn(f"job/{self._run.name}" if name == self._run.name else f"pod/{name}", trouble)

    def _note_pull(self, reason: str, name: str) -> None:
        for number, task in self._tasks.items():
            pod = task.pod
            if reason == "Pulling" and pod is not None and pod.name == name and pod.phase is PodPhase.PREPARING:
                self._board.says(number, f"pulling the builder on {pod.node}")

    def _check_stuck(self) -> None:
        """End what waits for something that will not come."""
        now = self._monotonic()
        for number, task in self._tasks.items():
            pod = task.pod
            if pod is None or pod.phase is not PodPhase.PREPARING or pod.trouble is None:
                continue
            patience = 0.0 if pod.trouble.lasting else _PULL_PATIENCE
            if now - task.stuck_since >= patience:
                where = task_name(self._run, self._run.tasks[number])
                raise ClusterBuildFailed(f"{where}: {pod.trouble.message}", hint=pod.trouble.hint)

    def _all_done(self) -> bool:
        return all(task.result is not None for task in self._tasks.values())

    def _is_over(self, *, idle: bool) -> bool:
        """Tell whether all is done.

        Args:
            idle: whether nothing more was heard for a moment: the watches are not in step.

        Raises:
            ClusterBuildFailed: the Job has failed, and its pods have had time to say why.
        """
        if self._all_done():
            return True
        job = self._job
        if job is not None and job.complete:
            # Results of pods that somebody deleted are found by their tags.
            if not self._ending:
                self._ending = self._monotonic() + _LAST_WORDS / 3
            return self._monotonic() > self._ending
        if job is None or not job.failed:
            return False
        known = [number for number, task in self._tasks.items() if task.trouble is not None]
        if (known and idle) or self._monotonic() > self._ending:
            self._fail(job, known)
        return False

    def _fail(self, job: JobState, known: list[int]) -> None:
        for number, task in self._tasks.items():
            if task.result is None:
                self._board.failed(number)
        if job.failed == "DeadlineExceeded":
            raise ClusterBuildFailed(
                f"job/{self._run.name}: the deadline is over", hint="set deadline below [kubernetes] in wherry.toml"
            )
        if not known:
            raise ClusterBuildFailed(f"job/{self._run.name}: {job.failed}: {job.message}", hint="build again")
        number = known[0]
        trouble = self._tasks[number].trouble
        assert trouble is not None  # noqa: S101 - so it was chosen
        where = task_name(self._run, self._run.tasks[number])
        tries = len(self._tasks[number].tries)
        again = f" ({tries} tries)" if tries > 1 else ""
        raise ClusterBuildFailed(f"{where}: {trouble.message}{again}", hint=trouble.hint)
