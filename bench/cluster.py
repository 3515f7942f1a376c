"""Replay recorded step times over 1 to 1,000 nodes, and write docs/benchmarks-cluster.md with its picture.

python bench/cluster.py                          # measure a registry here, simulate, write the page
python bench/cluster.py --record JOB -n SPACE    # first take a Job of a real cluster as a point (kubectl)
python bench/cluster.py --history FILE           # step times of `wherry history export` in place of the recorded ones
python bench/cluster.py --offline                # the registry as it was measured last
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cluster_chart import Line, Mark, chart
from cluster_model import JobParameters, Machines, RegistryLimits, Simulated, Task, Transfers, simulate
from cluster_points import RecordedPoint, add, record
from report import machine
from wherry.history.exchange import read

_ROOT = Path(__file__).resolve().parents[1]
RECORDED = _ROOT / "bench" / "recorded" / "cluster.json"
PAGE = _ROOT / "docs" / "benchmarks-cluster.md"
PICTURE = _ROOT / "docs" / "benchmarks-cluster.svg"
NODES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
SHOWN = (1, 2, 4, 8, 12, 30, 100, 200, 300, 500, 1000)
_FAST, _SLOW = RegistryLimits(1.25e9, 2000), RegistryLimits(125e6, 500)
_ENDLESS = RegistryLimits(1e15, 1e12)
_PLATFORMS = 2
_SEED = 1
_WARM_SHARE = 10
"""In the second run, one service in so many has changed."""


@dataclass(frozen=True, slots=True)
class RecordedService:
    """A service, as it was built on one machine."""

    name: str
    cold: float
    """Seconds of its compilation with empty caches."""
    warm: float
    """With the cache of before, after a change of one file."""
    pushed: int
    """Bytes of its layers, as stored."""
    cache: int
    """Bytes of its compiler's cache, as the registry has it."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is built, and how often."""

    title: str
    services: int
    verify: bool = True
    second: bool = False
    """The caches are in the registry, and the image is on the nodes."""

    def tasks(self, services: Sequence[RecordedService]) -> list[Task]:
        """Give the completion indexes, in the order of the Job."""
        found: list[Task] = []
        for number in range(self.services):
            service = services[number % len(services)]
            changed = not self.second or number % _WARM_SHARE == 0
            for _ in range(_PLATFORMS):
                first = len(found)
                seconds = service.cold if not self.second else service.warm if changed else 0.1
                cache = service.cache if changed else 0
                found.append(
                    Task(service.name, seconds, cache if self.second else 0, service.pushed + cache if changed else 0)
                )
                if self.verify:  # its caches are empty, always
                    found.append(Task(service.name, service.cold, 0, service.pushed, first))
        return found


SMALL = Workload("3 services, 2 platforms, each built twice: 12 pods", 3)
LARGE = Workload("250 services, 2 platforms, each built twice: 1,000 pods", 250)


@dataclass(frozen=True, slots=True)
class Case:
    """One curve."""

    title: str
    limits: RegistryLimits
    workload: Workload
    parallelism: int = 0
    """0: as many as there are pods."""
    image_there: bool = False
    failure: float = 0.0
    dashed: bool = False

    def run(self, services: Sequence[RecordedService], transfers: Transfers, nodes: int) -> Simulated:
        """Simulate it."""
        tasks = self.workload.tasks(services)
        there = self.image_there or self.workload.second
        return simulate(
            tasks, JobParameters(self.parallelism or len(tasks), failure=self.failure), Machines(nodes), self.limits,
            replace(transfers, image_there=there), seed=_SEED,
        )  # fmt: skip


def cases(workload: Workload, measured: RegistryLimits) -> tuple[Case, ...]:
    """Give the curves of a picture."""
    return (
        Case("registry without limits", _ENDLESS, workload, dashed=True),
        Case("registry at 10 Gbit/s", _FAST, workload),
        Case("registry at 1 Gbit/s", _SLOW, workload),
        Case("1 Gbit/s, image there", _SLOW, workload, image_there=True),
        Case("this machine's registry", measured, workload, dashed=True),
    )


def main() -> None:
    """Do what was asked."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--record", metavar="JOB")
    words.add_argument("-n", "--namespace", default="default")
    words.add_argument("--history", type=Path)
    words.add_argument("--offline", action="store_true")
    asked = words.parse_args()
    if asked.record:
        add(record(asked.record, asked.namespace), RECORDED)
    document: dict[str, Any] = json.loads(RECORDED.read_text())
    services = tuple(RecordedService(**row) for row in document["services"])
    if asked.history:
        services = from_history(asked.history, services)
    if not asked.offline:
        from cluster_registry import measure

        document["registry"] = asdict(measure())
        RECORDED.write_text(json.dumps(document, indent=1) + "\n")
    found = document["registry"]
    measured = RegistryLimits(max(found["bandwidth"].values()), max(found["requests"].values()))
    transfers = Transfers(document["image"], document["context"])
    points = [RecordedPoint.parse(row) for row in document["points"]]
    PICTURE.write_text(picture(services, transfers, measured, points))
    PAGE.write_text("\n".join(page(services, transfers, document, measured, points)) + "\n")


def from_history(file: Path, services: Sequence[RecordedService]) -> tuple[RecordedService, ...]:
    """Take the medians of compilations that were run, from an exported history; each name becomes a service."""
    with file.open("rb") as opened:
        entries = read(opened, str(file), 4e9).entries
    times: dict[str, list[float]] = {}
    for entry in entries:
        for step in entry.steps:
            words = step.name.split()
            if words[:1] == ["compile"] and not step.cached and len(words) > 1:
                times.setdefault(words[1], []).append(step.seconds)
    usual = services[0]
    found = [
        RecordedService(name, max(seconds), min(seconds), usual.pushed, usual.cache) for name, seconds in times.items()
    ]
    if not found:
        sys.exit(f"{file}: no compilation is recorded there; build something with empty caches, then export again")
    return tuple(found)


def picture(
    services: Sequence[RecordedService], transfers: Transfers, measured: RegistryLimits, points: Sequence[RecordedPoint]
) -> str:
    """Draw both workloads; what was measured is on the first."""
    marks = [Mark(f"{one.name}: {one.completions} pods, {one.seconds:g} s", (one.nodes, one.seconds)) for one in points]
    panels = []
    for workload, shown in ((SMALL, marks), (LARGE, [])):
        lines = [
            Line(case.title, tuple((n, case.run(services, transfers, n).seconds) for n in NODES), case.dashed)
            for case in cases(workload, measured)
        ]
        panels.append((workload.title, lines, shown))
    return chart(panels, "Seconds of a build by nodes, for registries of several speeds")


def page(
    services: Sequence[RecordedService],
    transfers: Transfers,
    document: dict[str, Any],
    measured: RegistryLimits,
    points: Sequence[RecordedPoint],
) -> Iterator[str]:
    """Write the page."""
    yield from _HEAD.format(image=transfers.image / 1e6).splitlines()
    yield from ("", *machine(document["registry"]["load"]), "")
    yield "![Seconds by nodes](benchmarks-cluster.svg)"
    for workload in (SMALL, LARGE):
        yield from ("", f"## {workload.title}", "")
        yield from _table(workload, services, transfers, measured)
    yield from ("", "## Where the registry becomes the limit", "")
    yield from _limits(services, transfers, measured)
    yield from ("", "## What else decides", "")
    yield from _others(services, transfers)
    yield from ("", "## Measured", "")
    yield from _measured(document, measured, points, transfers)
    yield from ("", *_ASSUMPTIONS.splitlines(), "")
    yield "| service | compiled with empty caches | after one edit | image | cache |"
    yield "| --- | --- | --- | --- | --- |"
    for one in services:
        sizes = f"{one.pushed / 1e6:.1f} MB | {one.cache / 1e6:.1f} MB"
        yield f"| {one.name} | {one.cold:.1f} s | {one.warm:.2f} s | {sizes} |"


def _table(
    workload: Workload, services: Sequence[RecordedService], transfers: Transfers, measured: RegistryLimits
) -> Iterator[str]:
    columns = cases(workload, measured)
    yield f"| nodes | {' | '.join(case.title for case in columns)} | link full at 1 Gbit/s |"
    yield f"| --- |{' --- |' * (len(columns) + 1)}"
    most = len(workload.tasks(services))
    for nodes in (one for one in SHOWN if one <= most):
        found = [case.run(services, transfers, nodes) for case in columns]
        yield f"| {nodes:,} | {' | '.join(_seconds(one.seconds) for one in found)} | {found[2].busy:.0%} |"


def _limits(services: Sequence[RecordedService], transfers: Transfers, measured: RegistryLimits) -> Iterator[str]:
    yield "The first number of nodes at which the registry makes a build a tenth slower than one without limits would,"
    yield "and the number with the shortest build: more nodes than that make it *slower*, since each pulls the image."
    yield ""
    yield "| build | registry | a tenth slower from | shortest at | it takes |"
    yield "| --- | --- | --- | --- | --- |"
    for workload in (SMALL, LARGE):
        ideal, *others = cases(workload, measured)
        best = {nodes: ideal.run(services, transfers, nodes).seconds for nodes in NODES}
        for case in others:
            found = {nodes: case.run(services, transfers, nodes).seconds for nodes in NODES}
            slower = next((f"{n:,} nodes" for n in NODES if found[n] > best[n] * 1.1), "never")
            least = min(found, key=lambda nodes: (round(found[nodes], 1), nodes))
            pods = len(workload.tasks(services))
            yield f"| {pods:,} pods | {case.title} | {slower} | {least:,} | {_seconds(found[least])} |"


def _others(services: Sequence[RecordedService], transfers: Transfers) -> Iterator[str]:
    rows = (
        ("1,000 pods, as above", Case("", _FAST, LARGE)),
        ("without --verify (500 pods)", Case("", _FAST, replace(LARGE, verify=False))),
        (
            "second run: one service in ten changed, caches from the registry",
            Case("", _FAST, replace(LARGE, second=True)),
        ),
        ("second run without --verify", Case("", _FAST, replace(LARGE, second=True, verify=False))),
        ("parallelism 8, the default's most", Case("", _FAST, LARGE, parallelism=8)),
        ("a try in 20 fails, and is made again (at most twice an index)", Case("", _FAST, LARGE, failure=0.05)),
    )
    yield "At 10 Gbit/s; seconds by nodes:"
    yield ""
    yield "| | 1 | 10 | 100 | 1,000 | pods started |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for title, case in rows:
        found = [case.run(services, transfers, nodes) for nodes in (1, 10, 100, 1000)]
        shown = [_seconds(one.seconds) + ("" if one.ok else " (failed)") for one in found]
        yield f"| {title} | {' | '.join(shown)} | {found[-1].tries:,} |"


def _measured(
    document: dict[str, Any], measured: RegistryLimits, points: Sequence[RecordedPoint], transfers: Transfers
) -> Iterator[str]:
    found = document["registry"]
    yield (
        f"One registry ({found['version'] or 'distribution'}) on loopback, asked by 1, 2, 4 and "
        f"8 clients that share its two cores at a load of {found['load']:.0f}, for 2.5 s each:"
    )
    yield ""
    yield "| clients | MB a second | requests a second |"
    yield "| --- | --- | --- |"
    for count, rate in found["bandwidth"].items():
        yield f"| {count} | {rate / 1e6:,.0f} | {found['requests'][count]:,.0f} |"
    yield ""
    if not points:
        yield "No Job of a real cluster is recorded yet: `python bench/cluster.py --record JOB -n NAMESPACE` adds one."
        return
    yield "Jobs of `wherry build --on kubernetes` on a real Kubernetes 1.34: one node with two cores, which others used"
    yield "too, and what the simulation makes of the seconds that their own pods took. They are marked in the"
    yield "picture of 12 pods; they have fewer, and much slower ones, so they check the model and not the curves:"
    yield ""
    yield "| Job | pods | ran at a time | nodes | it took | none of its pods ran for | simulated | load |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for one in points:
        again, ran = replayed(one, measured, transfers), one.seconds - one.idle
        yield (
            f"| {one.name} | {one.completions} | {one.side_by_side} of {one.parallelism} | {one.nodes} "
            f"| {one.seconds:.0f} s | {one.idle:.0f} s "
            f"| {again.seconds:.0f} s ({(again.seconds - ran) / ran:+.0%} of what is left) | {one.load:g} |"
        )


def replayed(point: RecordedPoint, measured: RegistryLimits, transfers: Transfers) -> Simulated:
    """Simulate a Job that was recorded: its pods side by side on its nodes, each as long as it worked there."""
    start = Machines(1).start
    tasks = [
        Task(str(pod.index), pod.worked or max(pod.seconds - start, 0.0), 0, pod.pushed) for pod in point.pods if pod.ok
    ]
    slots = -(-point.side_by_side // point.nodes)
    return simulate(
        tasks, JobParameters(point.parallelism), Machines(point.nodes, slots), measured,
        replace(transfers, image_there=True),
    )  # fmt: skip


def _seconds(value: float) -> str:
    if value < 100:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 6000 else f"{value / 3600:.1f} h"


_HEAD = """# Builds on many nodes, simulated

Written by `make bench-cluster`. **A simulation**: no 1,000 nodes were at hand. It replays step times that were recorded
on one machine as the pods of the Indexed Job that `wherry build --on kubernetes` writes (parallelism, back-off by
index, a second build of each platform with `--verify`), on nodes that all pull the builder's image ({image:.1f} MB) and
move sources, caches and results through one registry. The same input gives the same figures: what fails by chance has
a seed."""

_ASSUMPTIONS = """## What is assumed

- A node compiles one pod at a time, as fast as the machine of the recorded times (2 cores); nodes are equal, and no one
  else uses them. Compilation isn't slowed by transfers.
- The registry's link and its requests a second are parted equally among those that want them. A transfer takes at
  most 1 Gbit/s, a node's link. The registry's disk, TLS and latency beyond 2 ms a request are left out, and nodes don't
  share layers with each other: a cache of the registry in front of nodes would move the limit.
- Each node pulls the builder's image once, then unpacks it at 150 MB (as stored) a second; a pod takes 1 s from there.
- The Job controller creates at most 20 pods a second (kube-controller-manager's default), looks at ended pods after
  1 s, and waits 10 s, doubled with each failure, before it tries an index again. The scheduler takes no time, and gives
  twins to different nodes.
- A pod makes 24 requests, an image pull 12, and the client 6 for each platform's index; all parallelism is set to the
  number of pods, unless a row says otherwise (without `parallelism` in `[kubernetes]` it is at most 8).
- A second build of `--verify` has empty caches, always: it compiles everything, also in a second run.
- The recorded times are those of [the benchmark](benchmarks.md) (wherry, one platform) and
  [its bytes](benchmarks-bytes.md); *cache* is GOCACHE after that compilation, as a tar with zstd 3: measured for
  svc, the others are scaled by their times. In a first run each first build leaves it in the registry; in a second run
  each changed service fetches it and leaves it whole."""


if __name__ == "__main__":
    main()
