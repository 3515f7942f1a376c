"""A build on Kubernetes, simulated: an Indexed Job's pods on nodes that share one registry.

Discrete events, no clock and no chance but a seed. What is shared (the registry's link, the requests it can answer) is
given to all that want it in equal parts, each at most as much as one stream takes; so a share changes only when one
comes or goes, and a virtual clock says when each is done (weighted fair queueing: Parekh and Gallager, 1993).

Sources: Kubernetes 1.34, pkg/controller/job (one second between two looks; a back-off of 10 s that doubles, for each
index); kube-controller-manager --kube-api-qps (20).
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_SYNC = 1.0
"""Seconds after which the Job controller looks at pods that ended."""
_BACKOFF, _LONGEST_BACKOFF = 10.0, 360.0
_TINY = 1e-9
Then = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Task:
    """One completion index: a platform of a service, built once."""

    name: str
    compile: float
    """Seconds that the step takes alone on a node, with what its cache has."""
    fetched: int = 0
    """Bytes of cache that it takes from the registry first."""
    pushed: int = 0
    """Bytes of its image, and of cache that it leaves."""
    twin: int | None = None
    """The task that builds the same, on another node if there is one."""


@dataclass(frozen=True, slots=True)
class JobParameters:
    """Of the Job, as `wherry build --on kubernetes` writes it."""

    parallelism: int
    backoff_limit_per_index: int = 2
    """An index that fails once more ends the build: maxFailedIndexes is 0."""
    failure: float = 0.0
    """Share of tries that end by no fault of the source, at any moment of their compilation."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Nodes, and what a pod costs before it works."""

    nodes: int
    slots: int = 1
    """Pods that a node runs at a time; each compiles as fast as alone."""
    creations: float = 20.0
    """Pods a second that the Job controller creates."""
    start: float = 1.0
    """Seconds from a pod with its image on the node until it works."""
    unpack: float = 150e6
    """Bytes a second (as stored) that a node unpacks of an image."""
    stream: float = 125e6
    """Bytes a second that one transfer takes at most: a node's link."""
    round_trip: float = 0.002
    """Seconds of a request that waits for nothing."""


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """What all pods share."""

    bandwidth: float
    """Bytes a second."""
    requests: float
    """Requests a second."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """What a pod and a node ask for."""

    image: int
    """Bytes of the builder's image, as stored; once a node."""
    context: int
    """Bytes of the sources; each pod."""
    image_requests: int = 12
    fetch_requests: int = 10
    """Of a pod before it compiles."""
    push_requests: int = 14
    index_requests: int = 6
    """Of the client at the end, for each two platforms."""
    image_there: bool = False
    """The nodes have it: a second run, or images pulled beforehand."""


@dataclass(slots=True)
class Simulated:
    """What came of it."""

    seconds: float
    ok: bool
    compile: float
    """Seconds that pods compiled, in all, with what was lost in tries that failed."""
    moved: float
    """Bytes over the registry's link."""
    asked: float
    """Requests."""
    pulls: int
    """Nodes that pulled the image."""
    tries: int
    busy: float
    """Share of the time in which the registry's link was full."""


class Shared:
    """Something that is parted equally among those that want it."""

    def __init__(self, events: "Events", capacity: float, most: float) -> None:
        """Take what there is a second, and how much of it one may have."""
        self._events, self._capacity, self._most = events, capacity, most
        self._waiting: list[tuple[float, int, Then]] = []
        self._virtual = self._since = 0.0
        self._number = self._turn = 0
        self.served = 0.0
        """All that was given."""
        self.full = 0.0
        """Seconds in which there was not enough for all."""

    def take(self, amount: float, then: Then) -> None:
        """Ask for an amount; `then` is called once it was given."""
        self._pass()
        self._number += 1
        heapq.heappush(self._waiting, (self._virtual + amount, self._number, then))
        self._plan()

    @property
    def _rate(self) -> float:
        return min(self._most, self._capacity / len(self._waiting)) if self._waiting else 0.0

    def _pass(self) -> None:
        elapsed = self._events.now - self._since
        rate, count = self._rate, len(self._waiting)
        self._virtual += elapsed * rate
        self.served += elapsed * rate * count
        if count * self._most >= self._capacity:
            self.full += elapsed
        self._since = self._events.now

    def _plan(self) -> None:
        self._turn += 1
        if self._waiting:
            turn = self._turn
            wait = max(self._waiting[0][0] - self._virtual, 0.0) / self._rate
            self._events.after(wait, lambda: self._finish(turn))

    def _finish(self, turn: int) -> None:
        if turn != self._turn:
            return  # one came or went since
        self._pass()
        self._virtual = max(self._virtual, self._waiting[0][0])  # no rounding leaves the first one behind
        done = []
        while self._waiting and self._waiting[0][0] <= self._virtual * (1 + _TINY):
            done.append(heapq.heappop(self._waiting)[2])
        if not self._waiting:
            self._virtual = 0.0  # small numbers are exact
        self._plan()
        for then in done:
            then()


class Events:
    """What happens, in order of time; what happens at once, in the order in which it was planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Then]] = []
        self._number = 0

    def after(self, seconds: float, then: Then) -> None:
        """Plan something."""
        self._number += 1
        heapq.heappush(self._queue, (self.now + seconds, self._number, then))

    def run(self) -> None:
        """Let all of it happen."""
        while self._queue:
            self.now, _, then = heapq.heappop(self._queue)
            then()


@dataclass(slots=True)
class _Node:
    number: int
    free: int
    there: bool
    pulling: list[Then] = field(default_factory=list)


class _Run:
    """One Job, from its creation to the index."""

    def __init__(
        self,
        tasks: Sequence[Task],
        job: JobParameters,
        machines: Machines,
        limits: RegistryLimits,
        transfers: Transfers,
        seed: int,
    ) -> None:
        self._tasks, self._job, self._machines, self._transfers = tasks, job, machines, transfers
        self._seed = seed
        self.events = Events()
        self.link = Shared(self.events, limits.bandwidth, machines.stream)
        self.asks = Shared(self.events, limits.requests, 1 / machines.round_trip)
        self._nodes = [_Node(number, machines.slots, transfers.image_there) for number in range(machines.nodes)]
        self._free = [(-machines.slots, number) for number in range(machines.nodes)]
        self._left = deque(range(len(tasks)))
        self._unplaced: deque[int] = deque()
        self._placed: dict[int, int] = {}
        self._tries = [0] * len(tasks)
        self._active = self._done = 0
        self._next_creation = 0.0
        self.failed = False
        self.compile = self.end = 0.0
        self.pulls = 0

    def run(self) -> Simulated:
        """Let the Job run."""
        self._create()
        self.events.run()
        return Simulated(
            seconds=self.end, ok=not self.failed, compile=self.compile, moved=self.link.served, asked=self.asks.served,
            pulls=self.pulls, tries=sum(self._tries), busy=self.link.full / self.end if self.end else 0.0,
        )  # fmt: skip

    def _create(self) -> None:
        """Create pods as far as the parallelism goes, as fast as the controller may."""
        while self._left and self._active < self._job.parallelism and not self.failed:
            index = self._left.popleft()
            self._active += 1
            self._next_creation = max(self._next_creation, self.events.now) + 1 / self._machines.creations
            self.events.after(self._next_creation - self.events.now, lambda index=index: self._schedule(index))  # type: ignore[misc] # its default is its value

    def _schedule(self, index: int) -> None:
        self._unplaced.append(index)
        self._place()

    def _place(self) -> None:
        """Give pods to the nodes that have most room; twins to different ones, if there are."""
        while self._unplaced and self._free:
            index = self._unplaced.popleft()
            node = self._nodes[
                self._choose(self._placed.get(-1 if (twin := self._tasks[index].twin) is None else twin))
            ]
            node.free -= 1
            self._placed[index] = node.number
            if node.free:
                heapq.heappush(self._free, (-node.free, node.number))
            self._with_image(node, lambda index=index, node=node: self._start(index, node))  # type: ignore[misc] # as above

    def _choose(self, other: int | None) -> int:
        first = heapq.heappop(self._free)
        if first[1] != other or not self._free:
            return first[1]
        second = heapq.heappop(self._free)
        heapq.heappush(self._free, first)
        return second[1]

    def _with_image(self, node: _Node, then: Then) -> None:
        """Pull the image once a node; the others of the node wait for it."""
        if node.there:
            then()
            return
        node.pulling.append(then)
        if len(node.pulling) > 1:
            return
        self.pulls += 1

        def unpacked() -> None:
            node.there = True
            for one in node.pulling:
                one()

        size = self._transfers.image
        self._transfer(
            self._transfers.image_requests, size, lambda: self.events.after(size / self._machines.unpack, unpacked)
        )

    def _transfer(self, requests: int, size: float, then: Then) -> None:
        self.asks.take(requests, lambda: self.link.take(size, then))

    def _start(self, index: int, node: _Node) -> None:
        task = self._tasks[index]
        self._tries[index] += 1
        chance = random.Random(f"{self._seed} {index} {self._tries[index]}")  # noqa: S311 - no secret
        fails = chance.random() < self._job.failure
        spent = task.compile * (chance.random() if fails else 1.0)

        def compiled() -> None:
            self.compile += spent
            if fails:
                self._ended(index, node, ok=False)
            else:
                self._transfer(self._transfers.push_requests, task.pushed, lambda: self._ended(index, node, ok=True))

        def fetched() -> None:
            self.events.after(spent, compiled)

        self.events.after(
            self._machines.start,
            lambda: self._transfer(self._transfers.fetch_requests, self._transfers.context + task.fetched, fetched),
        )

    def _ended(self, index: int, node: _Node, *, ok: bool) -> None:
        node.free += 1
        self._free = [row for row in self._free if row[1] != node.number] if node.free > 1 else self._free
        heapq.heapify(self._free)
        heapq.heappush(self._free, (-node.free, node.number))
        self._place()
        if ok:
            self._done += 1
        elif self._tries[index] > self._job.backoff_limit_per_index:
            self.failed = True
        if self._done == len(self._tasks):
            count = self._transfers.index_requests * ((len(self._tasks) + 1) // 2)
            self.asks.take(count, self._finish)
            return
        if self.failed:
            self.end = self.end or self.events.now
            return
        wait = _SYNC if ok else _SYNC + min(_BACKOFF * 2 ** (self._tries[index] - 1), _LONGEST_BACKOFF)
        self.events.after(wait, lambda: self._again(None if ok else index))

    def _again(self, index: int | None) -> None:
        """Count a pod as gone, and create others."""
        self._active -= 1
        if index is not None:
            self._left.appendleft(index)
        self._create()

    def _finish(self) -> None:
        self.end = self.events.now


def simulate(
    tasks: Sequence[Task],
    job: JobParameters,
    machines: Machines,
    limits: RegistryLimits,
    transfers: Transfers,
    *,
    seed: int = 0,
) -> Simulated:
    """Run a Job.

    Args:
        tasks: its indexes.
        job: its parameters.
        machines: the cluster.
        limits: the registry.
        transfers: what pods and nodes ask of it.
        seed: of what fails; the same gives the same.

    Cost: O(log n) for each of about 12 events a pod, where a node runs one at a time.
    """
    return _Run(tasks, job, machines, limits, transfers, seed).run()


def least_seconds(task: Task, machines: Machines, limits: RegistryLimits, transfers: Transfers, count: int) -> float:
    """Give what a Job that has this task takes at least, whatever runs next to it: its critical path."""
    stream, ask = min(machines.stream, limits.bandwidth), min(1 / machines.round_trip, limits.requests)
    image = 0.0
    if not transfers.image_there:
        image = transfers.image_requests / ask + transfers.image / stream + transfers.image / machines.unpack
    moved = (transfers.context + task.fetched + task.pushed) / stream
    asked = (transfers.fetch_requests + transfers.push_requests) / ask
    index = transfers.index_requests * ((count + 1) // 2) / ask
    return 1 / machines.creations + image + machines.start + moved + asked + task.compile + index
