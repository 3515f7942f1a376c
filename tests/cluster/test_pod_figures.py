"""What kubelets and pods say becomes figures; what anyone else writes does no harm."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cluster.pod_documents import EventDocument, PodDocument, quantity
from wherry.cluster.pod_figures import OCCURRENCES, PulledText, ends_of, pulled_text, pulls_of, start_of
from wherry.typed import from_plain

BEGAN = "2026-11-29T10:00:00Z"


def later(seconds: int) -> str:
    """Give a moment after the beginning."""
    return f"2026-11-29T{10 + seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"


def event(message: str, **more: object) -> EventDocument:
    """Give an event of a kubelet."""
    told = {
        "metadata": {"name": "api.1", "namespace": "shop", "uid": "e1"},
        "involvedObject": {
            "kind": "Pod", "name": "api", "namespace": "shop", "uid": "p1", "fieldPath": "spec.containers{app}",
        },
        "reason": "Pulled", "message": message, "source": {"component": "kubelet", "host": "node1"},
        "firstTimestamp": BEGAN, "lastTimestamp": BEGAN, "count": 1,
    }  # fmt: skip
    return from_plain({**told, **more}, EventDocument)


def pod(status: dict[str, Any], **spec: object) -> PodDocument:
    """Give a pod of one container, app."""
    container = {"name": "app", "image": "r.example/api:1", "resources": {"limits": {"memory": "16Mi"}}}
    return from_plain(
        {
            "metadata": {"name": "api", "namespace": "shop", "uid": "p1", "creationTimestamp": BEGAN},
            "spec": {"nodeName": "node1", "containers": [container], **spec},
            "status": status,
        },
        PodDocument,
    )


def status(restarts: int = 0, **states: object) -> dict[str, Any]:
    """Give the state of its container."""
    row = {"name": "app", "image": "r.example/api:1", "imageID": "r.example/api@sha256:" + "a" * 64}
    return {"containerStatuses": [{**row, "restartCount": restarts, **states}]}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('Successfully pulled image "a:1" in 1.2s (1.3s including waiting). Image size: 123 bytes.',
         PulledText("a:1", 1.2, 1.3, 123)),
        ('Successfully pulled image "a:1" in 1m2.5s (1h0m3s including waiting)', PulledText("a:1", 62.5, 3603.0)),
        ('Successfully pulled image "a:1" in 250ms', PulledText("a:1", 0.25)),
        ('Container image "a:1" already present on machine', PulledText("a:1", None, present=True)),
        ('Container image "a:1" already present on machine and can be accessed by the pod',
         PulledText("a:1", None, present=True)),
        ('Pulling image "a:1"', None),
        ('Successfully pulled image "a:1" in soon', None),
        ('Successfully pulled image "a:1" in -1s', None),
        ('Successfully pulled image "a:1" in 9999999999s', None),
    ],
)  # fmt: skip
def test_words_of_kubelets(message: str, expected: PulledText | None) -> None:
    """Those of all versions since 1.16; others are none."""
    assert pulled_text(message) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("128Mi", 128 << 20), ("0.5G", 500_000_000), ("1e3", 1000), ("500m", 1), ("1k", 1000), (64, 64), ("64", 64),
     ("much", None), ("9E", None), (True, None), (float("nan"), None), ("-1", None), (None, None), ("1e99", None)],
)  # fmt: skip
def test_quantities(text: object, expected: int | None) -> None:
    """As Kubernetes writes them."""
    assert quantity(text) == expected


def test_each_occurrence_of_an_event_is_a_pull_of_its_own() -> None:
    """One event that came three times; who saw two of them gets the third, under the name that all give it."""
    text = 'Successfully pulled image "a:1" in 1s'
    three = list(pulls_of(event(text, count=3, lastTimestamp=later(10))))

    assert [one.at - three[0].at for one in three] == [timedelta(0), timedelta(seconds=5), timedelta(seconds=10)]
    assert len({one.key for one in three}) == 3
    assert next(iter(pulls_of(event(text)))).key == three[0].key
    assert list(pulls_of(event(text, count=3, lastTimestamp=later(10)), seen=2)) == three[2:]
    assert len(list(pulls_of(event(text, count=1_000_000)))) == OCCURRENCES
    assert (three[0].pod, three[0].container, three[0].node) == ("shop/api", "app", "node1")


def test_an_image_that_is_there_counts_once() -> None:
    """A container that crashes all the time says so each time."""
    assert len(list(pulls_of(event('Container image "a" already present on machine', count=900)))) == 1


def test_a_kill_is_one_end_before_and_after_the_restart() -> None:
    """Its identity is the container's: in `state` first, then in `lastState` with one restart more."""
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": later(9), "containerID": "c://1"}}
    (before,) = ends_of(pod(status(state=killed)))
    (after,) = ends_of(pod(status(1, state={"running": {"startedAt": later(10)}}, lastState=killed)))

    assert (before.key, before.reason, before.code, before.limit) == (after.key, "OOMKilled", 137, 16 << 20)
    assert (before.restarts, after.restarts) == (0, 1)


def test_an_end_that_went_well_is_none() -> None:
    """A Job's pod that did its work is no figure; one that was restarted after it is."""
    done = {"terminated": {"reason": "Completed", "exitCode": 0, "finishedAt": later(9), "containerID": "c://1"}}

    assert list(ends_of(pod(status(state=done)))) == []
    assert [one.reason for one in ends_of(pod(status(1, lastState=done)))] == ["Completed"]


def ready(after: int, *, restarts: int = 0, started: int = 3, **spec: object) -> PodDocument:
    """Give a pod that got ready."""
    moments = {"PodScheduled": 1, "Initialized": 2, "Ready": after}
    told = [{"type": one, "status": "True", "lastTransitionTime": later(at)} for one, at in moments.items()]
    running = {"running": {"startedAt": later(started)}}
    return pod({**status(restarts, state=running), "conditions": told}, **spec)


def test_a_start_until_ready() -> None:
    """Its parts, in seconds since the pod was created."""
    found = start_of(ready(5))

    assert found is not None
    assert (found.scheduled, found.initialized, found.started, found.ready) == (1.0, 2.0, 3.0, 5.0)
    assert found.images == (("r.example/api:1", "sha256:" + "a" * 64),)


def test_a_moment_of_a_later_change_is_no_start() -> None:
    """After a restart, or where a probe failed in between; a watcher that saw it knows better."""
    probed = {"containers": [{"name": "app", "readinessProbe": {"httpGet": {}}}]}

    assert start_of(ready(5, restarts=1)) is None
    assert start_of(ready(7000, **probed)) is None
    assert start_of(ready(7000, **probed), watched=True) is not None
    assert start_of(pod(status())) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from([BEGAN, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "state", "lastState", "terminated", "finishedAt", "startedAt", "running", "type",
                         "status", "lastTransitionTime", "containerStatuses", "conditions", "restartCount"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(_JSON, _JSON, st.integers(-2, 1 << 70), st.text(max_size=40))
def test_documents_of_anyone(told: object, moment: object, count: int, message: str) -> None:
    """Each is refused by its decoder, or gives figures; nothing else happens."""
    try:
        found = from_plain({"metadata": {"name": "x", "creationTimestamp": moment}, "status": told}, PodDocument)
    except msgspec.ValidationError:
        pass
    else:
        list(ends_of(found))
        start_of(found)
    try:
        said = event(f'Successfully pulled image "{message}" in 1s', count=count, firstTimestamp=moment)
    except msgspec.ValidationError:
        return
    assert len(list(pulls_of(said))) <= OCCURRENCES
