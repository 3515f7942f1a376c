"""The simulated build on Kubernetes: its sums, and what no cluster can be faster than."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

_ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model():
    """Give the simulation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(_ROOT / "bench"))
        yield importlib.import_module("cluster_model")


@pytest.fixture(scope="module")
def bench(model: ModuleType):
    """Give what writes the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(_ROOT / "bench"))
        yield importlib.import_module("cluster")


def tasks(model: ModuleType, seconds: list[float], pushed: int = 5_000_000) -> list:
    """Give a task for each time; each second one is the twin of the one before."""
    return [
        model.Task(str(at), one, 1_000_000, pushed, at - 1 if at % 2 else None) for at, one in enumerate(seconds)
    ]  # fmt: skip


_SECONDS = st.lists(st.floats(0.1, 100), min_size=1, max_size=40)
_LIMITS = st.tuples(st.floats(1e6, 1e10), st.floats(50, 1e5))


@settings(max_examples=60, deadline=None)
@given(_SECONDS, st.integers(1, 50), st.integers(1, 3), st.integers(1, 50), _LIMITS, st.booleans())
def test_work_is_conserved_and_bounds_hold(  # noqa: PLR0913, PLR0917 - all that a run depends on
    model, seconds, nodes, slots, parallelism, rates, there
) -> None:
    """Each byte and request is served once; no run beats its critical path, nodes, registry and parallelism."""
    work = tasks(model, seconds)
    machines, limits = model.Machines(nodes, slots), model.RegistryLimits(*rates)
    transfers = model.Transfers(90_000_000, 300_000, image_there=there)
    found = model.simulate(work, model.JobParameters(parallelism), machines, limits, transfers)

    moved = sum(one.fetched + one.pushed + transfers.context for one in work) + found.pulls * transfers.image
    pair = (len(work) + 1) // 2
    asked = (
        len(work) * (transfers.fetch_requests + transfers.push_requests) + found.pulls * transfers.image_requests
        + pair * transfers.index_requests
    )  # fmt: skip
    assert found.ok
    assert found.tries == len(work)
    assert found.compile == pytest.approx(sum(seconds))
    assert found.moved == pytest.approx(moved)
    assert found.asked == pytest.approx(asked)
    assert found.pulls == (0 if there else min(found.pulls, nodes, len(work)))
    least = max(model.least_seconds(one, machines, limits, transfers, len(work)) for one in work)
    side_by_side = min(nodes * slots, parallelism)
    bound = max(least, sum(seconds) / side_by_side, moved / limits.bandwidth, asked / limits.requests)
    assert found.seconds >= bound * (1 - 1e-6)


@settings(max_examples=30, deadline=None)
@given(_SECONDS, _LIMITS)
def test_one_node_is_one_after_the_other(model, seconds, rates) -> None:
    """All pods are there and wait; so it takes the image, then each pod by itself, then the index."""
    work = tasks(model, seconds)
    machines, limits = model.Machines(1), model.RegistryLimits(*rates)
    transfers = model.Transfers(90_000_000, 300_000)
    found = model.simulate(work, model.JobParameters(len(work)), machines, limits, transfers)

    stream, ask = min(machines.stream, limits.bandwidth), min(1 / machines.round_trip, limits.requests)
    image = transfers.image_requests / ask + transfers.image / stream + transfers.image / machines.unpack
    pods = sum(
        machines.start + (transfers.fetch_requests + transfers.push_requests) / ask
        + (transfers.context + one.fetched + one.pushed) / stream + one.compile
        for one in work
    )  # fmt: skip
    end = transfers.index_requests * ((len(work) + 1) // 2) / ask
    last = len(work) / machines.creations  # a pod may be over before the next is created
    least = 1 / machines.creations + image + pods + end
    assert found.seconds >= least * (1 - 1e-6)
    assert found.seconds <= (least + last) * (1 + 1e-6)


def test_a_registry_is_parted_equally(model) -> None:
    """Two transfers take twice as long together; one that comes later waits no longer than its part."""
    events = model.Events()
    shared, done = model.Shared(events, 100.0, 80.0), {}
    shared.take(100.0, lambda: done.update(first=events.now))
    events.after(1.0, lambda: shared.take(50.0, lambda: done.update(second=events.now)))
    events.run()

    assert done == pytest.approx({"first": 1.4, "second": 1.775})  # alone 80 a second, together 50 each
    assert shared.served == pytest.approx(150.0)


def test_failures_are_tried_again_and_then_end_it(model) -> None:
    """Always the same for a seed; with a limit that is reached, the build fails."""
    work = tasks(model, [10.0] * 30)
    args = (model.Machines(10), model.RegistryLimits(1e9, 1e4), model.Transfers(90_000_000, 300_000))
    some = [model.simulate(work, model.JobParameters(30, 5, 0.2), *args, seed=3) for _ in range(2)]
    none = model.simulate(work, model.JobParameters(30), *args)
    all_fail = model.simulate(work, model.JobParameters(30, 1, 1.0), *args)

    assert some[0] == some[1]
    assert some[0].ok
    assert some[0].tries > 30
    assert some[0].seconds > none.seconds
    assert not all_fail.ok
    assert all_fail.seconds > 0


def test_more_nodes_can_be_slower(model) -> None:
    """Where the registry's link is full, each node that pulls the image takes from the others."""
    work = tasks(model, [20.0] * 400)
    slow = model.RegistryLimits(125e6, 500)
    found = [
        model.simulate(work, model.JobParameters(400), model.Machines(n), slow, model.Transfers(95_000_000, 300_000))
        for n in (50, 400)
    ]

    assert found[1].seconds > found[0].seconds
    assert found[1].busy > 0.9


def test_the_picture_has_what_was_measured(bench, tmp_path) -> None:
    """Curves, and a mark for each recorded Job; a Job of pods that are known is simulated as it was."""
    document = json.loads((_ROOT / "bench" / "recorded" / "cluster.json").read_text())
    row = {
        "name": "<job>", "when": "2026-11-29T14:00:00Z", "nodes": 1, "parallelism": 2, "completions": 2,
        "seconds": 12.0, "load": 3.0, "pods": [
            {"index": n, "node": "n1", "seconds": 11.0, "worked": 10.0, "pushed": 1000, "ok": True, "began": 1.0}
            for n in (0, 1)
        ],
    }  # fmt: skip
    point = bench.RecordedPoint.parse(row)
    lines = [bench.Line("a", ((1, 10.0), (10, 2.0)))]
    drawn = bench.chart([("t", lines, [bench.Mark(point.name, (1, point.seconds))])], "x")
    again = bench.replayed(
        point, bench.RegistryLimits(1e9, 1e4), bench.Transfers(document["image"], document["context"])
    )

    assert len(ET.fromstring(drawn).findall(".//{*}circle")) == 2  # noqa: S314 - our own
    assert again.seconds == pytest.approx(11.2, abs=0.3)
    assert (point.side_by_side, point.idle) == (2, 1.0)
