"""Points of a real cluster: how long an Indexed Job took there, and what each of its pods says of itself.

`python bench/cluster.py --record JOB -n NAMESPACE` asks kubectl and adds a point to bench/recorded/cluster.json.
"""

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_PAUSE = 0.3
_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True, slots=True)
class RecordedPod:
    """A pod of a Job."""

    index: int
    node: str
    seconds: float
    """That its container ran."""
    worked: float
    """That its build took, as its result says; 0 where it says none."""
    pushed: int
    ok: bool
    began: float = 0.0
    """Seconds from the Job's start to the container's."""


@dataclass(frozen=True, slots=True)
class RecordedPoint:
    """A Job, from its start to the end of its last pod."""

    name: str
    when: str
    nodes: int
    parallelism: int
    completions: int
    seconds: float
    load: float
    """Of the machine that all nodes were on."""
    pods: tuple[RecordedPod, ...]

    @property
    def side_by_side(self) -> int:
        """The most pods that ran at once on all nodes: what was free of them."""
        ends = sorted([(one.began, 1) for one in self.pods] + [(one.began + one.seconds, -1) for one in self.pods])
        running = most = 0
        for _, change in ends:
            running += change
            most = max(most, running)
        return max(most, 1)

    @property
    def idle(self) -> float:
        """Seconds in which none of its pods ran: others had the nodes, or Kubernetes was not done yet."""
        covered = end = 0.0
        for began, ended in sorted((one.began, one.began + one.seconds) for one in self.pods):
            covered += max(ended - max(began, end), 0.0)
            end = max(end, ended)
        return max(self.seconds - covered, 0.0)

    @classmethod
    def parse(cls, row: dict[str, Any]) -> "RecordedPoint":
        """Read one."""
        return cls(**{**row, "pods": tuple(RecordedPod(**one) for one in row["pods"])})


def record(job: str, namespace: str) -> RecordedPoint:
    """Follow a Job until it is over, and give what it and its pods say then; its client may delete it at once."""
    document: dict[str, Any] = {}
    while True:
        try:
            found = _kubectl("get", "job", job, "-n", namespace)
            pods = _kubectl("get", "pods", "-n", namespace, "-l", f"batch.kubernetes.io/job-name={job}")["items"]
        except subprocess.CalledProcessError:  # it is gone
            break
        document = {"job": found, "pods": pods} if pods else document
        ended = sum(1 for one in pods if _ended(one).get("exitCode") == 0)
        if ended >= found["spec"]["completions"]:
            break
        time.sleep(_PAUSE)
    return _point(job, document)


def _point(job: str, document: dict[str, Any]) -> RecordedPoint:
    found, pods = document["job"], document["pods"]
    began = datetime.fromisoformat(found["status"]["startTime"])
    rows = [row for one in pods if (row := _pod(one, began)) is not None]
    missing = found["spec"]["completions"] - sum(row.ok for row in rows)
    if missing:
        raise SystemExit(f"{job}: {missing} of its indexes did not end well, or it was gone before that was seen")
    ended = max(datetime.fromisoformat(_ended(one)["finishedAt"]) for one in pods if _ended(one))
    return RecordedPoint(
        name=job, when=found["status"]["startTime"], nodes=len({row.node for row in rows}),
        parallelism=found["spec"]["parallelism"], completions=found["spec"]["completions"],
        seconds=(ended - began).total_seconds(), load=round(os.getloadavg()[0], 1),
        pods=tuple(sorted(rows, key=lambda row: row.index)),
    )  # fmt: skip


def add(point: RecordedPoint, file: Path) -> None:
    """Add a point to the recorded ones, in place of one of the same name."""
    document = json.loads(file.read_text())
    rest = [row for row in document["points"] if row["name"] != point.name]
    document["points"] = [*rest, asdict(point)]
    file.write_text(json.dumps(document, indent=1) + "\n")


def _ended(pod: dict[str, Any]) -> dict[str, Any]:
    statuses = pod["status"].get("containerStatuses") or [{"state": {}}]
    found: dict[str, Any] = statuses[0]["state"].get("terminated") or {}
    return found


def _pod(pod: dict[str, Any], start: datetime) -> RecordedPod | None:
    ended = _ended(pod)
    if not ended:
        return None
    try:
        said = json.loads(ended.get("message") or "{}")
    except ValueError:
        said = {}
    began, end = (datetime.fromisoformat(ended[name]) for name in ("startedAt", "finishedAt"))
    return RecordedPod(
        index=int(pod["metadata"]["annotations"][_INDEX]), node=pod["spec"]["nodeName"],
        seconds=(end - began).total_seconds(), worked=round(float(said.get("seconds", 0)), 3),
        pushed=int(said.get("pulled", 0)), ok=ended["exitCode"] == 0,
        began=(began - start).total_seconds(),
    )  # fmt: skip


def _kubectl(*words: str) -> dict[str, Any]:
    done = subprocess.run(["kubectl", *words, "-o", "json"], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
