"""The Job controller and the kubelet of a test's API server: what each pod does is scripted."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kube_server import KubeFake

Document = dict[str, Any]
_SOURCE = 42


@dataclass(frozen=True)
class PodScript:
    """What a pod does."""

    result: Document | str = ""
    """Its termination message."""
    exit_code: int = 0
    reason: str = ""
    """Of its end: `OOMKilled`."""
    log: bytes = b""
    stuck: Document | None = None
    """Its status for good, in place of running."""
    before: Callable[[], object] | None = None
    """Called while it runs."""


@dataclass
class JobController:
    """Does Jobs as the script says; give its `hook` to a `KubeFake`."""

    script: Callable[[int, int, str], PodScript]
    """Given the completion index, the number of the try (from 1), and the platform."""
    tries: dict[int, int] = field(default_factory=dict)
    jobs: list[Document] = field(default_factory=list)
    """Each that was begun, as it was created."""
    node: str = "node-1"
    _begun: set[str] = field(default_factory=set)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def hook(self, fake: KubeFake, kind: str, job: Document) -> None:
        """Begin a Job that is not suspended."""
        if kind != "jobs.batch" or "spec" not in job or job["spec"].get("suspend"):
            return
        with self._turn:
            if job["metadata"]["uid"] in self._begun:
                return
            self._begun.add(job["metadata"]["uid"])
        self.jobs.append(job)
        space, name = job["metadata"]["namespace"], job["metadata"]["name"]
        failed = any(self._index(fake, job, index) for index in range(job["spec"]["completions"]))
        condition = {"type": "Failed", "reason": "MaxFailedIndexesExceeded"} if failed else {"type": "Complete"}
        fake.objects.change("jobs.batch", space, name, {"status": {"conditions": [{**condition, "status": "True"}]}})

    def _index(self, fake: KubeFake, job: Document, index: int) -> bool:
        """Do an index; tell whether it failed for good."""
        for number in range(1, job["spec"]["backoffLimitPerIndex"] + 2):
            self.tries[index] = number
            tasks = json.loads(job["metadata"]["annotations"]["wherry.dev/run"])["tasks"]
            script = self.script(index, number, tasks[index]["platform"])
            self._pod(fake, job, index, number, script)
            if script.stuck is not None:
                return False
            if script.exit_code == 0 and script.reason != "OOMKilled":
                return False
            if script.exit_code == _SOURCE:
                return True
        return True

    def _pod(self, fake: KubeFake, job: Document, index: int, number: int, script: PodScript) -> None:
        said, template = job["metadata"], job["spec"]["template"]
        name, space = f"{said['name']}-{index}-{number}", said["namespace"]
        owner = {"kind": "Job", "name": said["name"], "uid": said["uid"]}
        place = str(index)
        fake.objects.create("pods", space, {
            "metadata": {
                "name": name, "namespace": space, "ownerReferences": [owner],
                "labels": {**template["metadata"]["labels"], "batch.kubernetes.io/job-completion-index": place},
                "annotations": {"batch.kubernetes.io/job-completion-index": place},
            },
            "spec": {**template["spec"], "nodeName": self.node},
            "status": script.stuck or {"phase": "Pending"},
        })  # fmt: skip
        if script.stuck is not None:
            return
        fake.logs[name] = script.log
        fake.objects.change("pods", space, name, _state("Running", {"running": {}}))
        if script.before is not None:
            script.before()
        text = script.result if isinstance(script.result, str) else json.dumps(script.result)
        ended = {"exitCode": script.exit_code, "message": text, "reason": script.reason or "Completed"}
        phase = "Failed" if script.exit_code or script.reason == "OOMKilled" else "Succeeded"
        if fake.objects.get("pods", space, name) is not None:
            fake.objects.change("pods", space, name, _state(phase, {"running": None, "terminated": ended}))


def _state(phase: str, state: Document) -> Document:
    kept = {key: value for key, value in state.items() if value is not None}
    return {"status": {"phase": phase, "containerStatuses": [{"name": "build", "state": kept}]}}
