"""Documents of pods, Jobs and events in words, with what to do about them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.cluster.build_job import JobWords, job_of
from wherry.cluster.build_pods import PodPhase, event_trouble, job_state, pod_state, twice

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
)
LOGIN = "login"
KEYS = st.sampled_from(
    ["metadata", "spec", "status", "containerStatuses", "conditions", "state", "type", "name", "reason"]
)


def pod(status: dict[str, Any], node: str = "node-1", **said: Any) -> dict[str, Any]:
    """Give a pod of index 3."""
    notes = {"batch.kubernetes.io/job-completion-index": "3"}
    return {
        "metadata": {"name": "p", "uid": "u", "annotations": notes, **said},
        "spec": {"nodeName": node},
        "status": status,
    }


def container(**state: Any) -> dict[str, Any]:
    """Give the status of a pod with one container."""
    return {"containerStatuses": [{"name": "build", "state": state}]}


def unscheduled(message: str) -> dict[str, Any]:
    """Give the status of a pod that no node takes."""
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}


@pytest.mark.parametrize(
    ("status", "phase", "said", "hint"),
    [
        ({"phase": "Pending"}, PodPhase.PREPARING, "starting on node-1", ""),
        (container(running={}), PodPhase.RUNNING, "building on node-1", ""),
        (container(waiting={"reason": "ContainerCreating"}), PodPhase.PREPARING, "starting", ""),
        (
            container(waiting={"reason": "ImagePullBackOff", "message": "Back-off: ErrImagePull: x: not found"}),
            PodPhase.PREPARING, "can't be pulled: x: not found", "pull-secrets",
        ),
        (
            container(waiting={"reason": "CreateContainerConfigError", "message": "container has runAsNonRoot"}),
            PodPhase.PREPARING, "runs as root", "make image",
        ),
        (
            unscheduled("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. preemption: 0/1 nodes"),
            PodPhase.PENDING, "no node has room: 0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory",
            "too little cpu and memory is free: ask for less (cpu, memory below",
        ),
        (unscheduled("1 node(s) had untolerated taint {a: b}"), PodPhase.PENDING, "untolerated", "tolerations"),
        (unscheduled("didn't match Pod's node affinity/selector"), PodPhase.PENDING, "selector", "node-selector"),
        (
            {"phase": "Failed", **container(terminated={"exitCode": 1, "reason": "OOMKilled"})},
            PodPhase.FAILED, "out of memory: it had 2Gi", 'memory = "4Gi"',
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "ephemeral local storage usage exceeds 1Gi"},
            PodPhase.FAILED, "evicted: ephemeral", "storage",
        ),
        ({"phase": "Failed", **container(terminated={"exitCode": 143})}, PodPhase.FAILED, "asked to end", "drained"),
        ({"phase": "Succeeded", **container(terminated={"exitCode": 0})}, PodPhase.DONE, "done", ""),
        (container(terminated={"exitCode": 0, "message": "{}"}), PodPhase.DONE, "done", ""),
    ],
)  # fmt: skip
def test_pods(status, phase, said, hint):
    """A pod is as far as its status says; what is wrong comes with a remedy."""
    found = pod_state(pod(status), "2Gi")

    assert found is not None
    assert (found.index, found.phase) == (3, phase)
    assert said in found.words
    assert hint in (found.trouble.hint if found.trouble else "")


@pytest.mark.parametrize(
    ("reason", "message", "said", "lasting"),
    [
        ("FailedCreate", 'Error creating: pods "a-0-x" is forbidden: exceeded quota: q', "exceeded quota: q", False),
        ("FailedCreate", "Error creating: violates PodSecurity", "violates PodSecurity", True),
        ("FailedCreate", 'Error creating: serviceaccount "x" not found', "serviceaccount", True),
        ("FailedMount", "secret x not found", "a volume can't be mounted", False),
    ],
)
def test_events(reason, message, said, lasting):
    """Events that matter are put into words, the same ones in the same words."""
    found = event_trouble({"reason": reason, "message": message})

    assert found is not None
    assert said in found.message
    assert "a-0-x" not in found.message
    assert found.lasting is lasting
    assert event_trouble({"reason": "Scheduled"}) is None


def test_jobs():
    """A Job is suspended, complete, or failed for a reason."""
    failed = {
        "status": {"conditions": [{"type": "FailureTarget", "status": "True", "reason": "MaxFailedIndexesExceeded"}]}
    }

    assert job_state({"spec": {"suspend": True}}).suspended
    assert job_state({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}).complete
    assert job_state(failed).failed == "MaxFailedIndexesExceeded"
    assert not job_state({"status": {"conditions": [{"type": "Failed", "status": "False"}]}}).failed


@settings(max_examples=60)
@given(
    st.dictionaries(
        KEYS,
        st.dictionaries(KEYS, ANY | st.lists(st.dictionaries(KEYS, ANY, max_size=3), max_size=2), max_size=3),
        max_size=3,
    )
)
def test_any_document(document):
    """No document of an API server is more than a pod or a Job that says little."""
    notes = {"annotations": {"batch.kubernetes.io/job-completion-index": "0"}}
    pod_state(document)
    pod_state({**document, "metadata": notes})
    job_state(document)
    event_trouble(document)


@pytest.mark.parametrize(
    ("text", "wanted"), [("2Gi", "4Gi"), ("512Mi", "1024Mi"), ("1.5Gi", "3Gi"), ("", ""), ("x", "")]
)
def test_twice(text, wanted):
    """A remedy asks for twice as much."""
    assert twice(text) == wanted


def test_optional_parts_of_a_job():
    """What is not asked for is not there; a queue suspends the Job."""
    plain = job_of(JobWords(name="n", namespace="s", builder="b", argv=("worker",), tasks=2, run="{}"))
    queued = job_of(
        JobWords(
            name="n", namespace="s", builder="b", argv=(), tasks=9, run="{}", queue="q", secret=LOGIN, parallelism=4
        )
    )
    spec = plain["spec"]["template"]["spec"]

    assert "suspend" not in plain["spec"]
    assert not {"nodeSelector", "tolerations", "imagePullSecrets", "serviceAccountName"} & set(spec)
    assert queued["spec"]["suspend"] is True
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert [one["name"] for one in queued["spec"]["template"]["spec"]["volumes"]] == ["work", "tmp", "login"]
