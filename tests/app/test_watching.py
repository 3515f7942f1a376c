"""A watch of a cluster: each figure once, over lost connections, versions that are gone, and a second watch."""

import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli_shell import Shell
from kube_server import KubeFake, kube_server
from wherry.app import watch_lines
from wherry.app.cluster_figures import kubelet_entry
from wherry.app.clusters import cluster
from wherry.app.metrics_server import metrics_server
from wherry.app.session import Session
from wherry.app.watch_lines import FigureFile
from wherry.app.watch_totals import WatchTotals
from wherry.app.watching import WatchOptions, watch_cluster, watched_machine
from wherry.cluster.kubelet_metrics import kubelet_report
from wherry.errors import InvalidDocument
from wherry.history.entry import CallFigures, ContainerFigures
from wherry.history.exchange import read
from wherry.report.cluster_watch import watch_metrics

BEGAN = "2026-11-29T10:00:00Z"
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[KubeFake]:
    """An API server."""
    with kube_server(tmp_path / "kube") as started:
        yield started


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "kube").mkdir()


def put_pod(fake: KubeFake, name: str, *, restarts: int = 0, killed: int = 0, ready: bool = False) -> None:
    """Have a pod whose container runs; with `killed`, it was killed for memory so many times."""
    status: dict[str, Any] = {
        "name": "app", "image": "r/api:1", "imageID": f"r/api@{DIGEST}", "restartCount": restarts,
        "state": {"running": {"startedAt": BEGAN}},
    }  # fmt: skip
    if killed:
        ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": BEGAN, "containerID": f"c://{name}{killed}"}
        status["lastState"] = {"terminated": ended}
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": BEGAN}] if ready else []
    fake.objects.put(
        "pods",
        {
            "metadata": {
                "name": name, "namespace": "shop", "uid": f"u-{name}", "creationTimestamp": BEGAN,
                "labels": {"app": name},
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "r/api:1"}]},
            "status": {"containerStatuses": [status], "conditions": conditions},
        },
    )  # fmt: skip


def put_event(fake: KubeFake, name: str, *, pod: str, count: int = 1) -> None:
    """Have an event of a pull."""
    fake.objects.put(
        "events",
        {
            "metadata": {"name": name, "namespace": "shop", "uid": f"e-{name}"},
            "involvedObject": {
                "kind": "Pod", "name": pod, "namespace": "shop", "uid": f"u-{pod}", "fieldPath": "spec.containers{app}",
            },
            "reason": "Pulled", "message": 'Successfully pulled image "r/api:1" in 1.5s (2s including waiting)',
            "firstTimestamp": BEGAN, "lastTimestamp": BEGAN, "count": count, "source": {"host": "n1"},
        },
    )  # fmt: skip


class Watching:
    """A watch in a thread."""

    def __init__(self, fake: KubeFake, folder: Path, **options: Any) -> None:
        session = Session(
            store=folder / "s", cache=folder / "c", cwd=folder, environment={"KUBECONFIG": str(fake.config)}
        )
        self.stop, self.found = threading.Event(), queue.Queue[CallFigures]()
        self.lines: queue.Queue[tuple[str, bool]] = queue.Queue()
        self.thread = threading.Thread(
            target=watch_cluster,
            args=(session, cluster(session), WatchOptions(**options), lambda entry, _fresh: self.found.put(entry)),
            kwargs={"stop": self.stop, "notice": lambda line, away: self.lines.put((line, away))},
        )

    def next(self) -> CallFigures:
        """Wait for a figure."""
        return self.found.get(timeout=20)

    def rest(self) -> list[CallFigures]:
        """Give what is left."""
        return list(self.found.queue)


@contextmanager
def watching(fake: KubeFake, folder: Path, **options: Any) -> Iterator[Watching]:
    """Watch until the block ends."""
    made = Watching(fake, folder, **options)
    made.thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        made.thread.join()


@pytest.mark.slow
def test_over_lost_connections_and_gone_versions(fake: KubeFake, tmp_path: Path) -> None:
    """What happens while nobody watches is given afterwards; what was given is not given again."""
    put_pod(fake, "a", ready=True)
    put_event(fake, "one", pod="a")
    with watching(fake, tmp_path) as watch:
        first = [watch.next(), watch.next()]
        fake.objects.forget()  # 410 for who goes on
        fake.hang_up()
        put_event(fake, "one", pod="a", count=2)
        second = watch.next()
        fake.faults.extend([0, 503, 0])
        fake.hang_up()
        put_pod(fake, "a", restarts=1, killed=1)
        third = watch.next()
        rest = watch.rest()

    assert sorted(one.node_pull is not None for one in first) == [False, True]
    assert second.node_pull is not None
    assert second.node_pull.seconds == 1.5
    assert second.images[0].digest == DIGEST
    assert third.container is not None
    assert (third.container.reason, third.container.restarts) == ("OOMKilled", 1)
    assert rest == []
    assert len({one.id for one in (*first, second, third)}) == 4


@pytest.mark.slow
def test_two_watches_give_the_same_lines(fake: KubeFake, tmp_path: Path) -> None:
    """One that saw all of it, and one that came later: each figure has one id."""
    put_pod(fake, "a")
    put_event(fake, "one", pod="a")
    with watching(fake, tmp_path) as early:
        ids = {early.next().id}
        put_event(fake, "one", pod="a", count=2)
        ids.add(early.next().id)
        with watching(fake, tmp_path) as late:
            again = {late.next().id, late.next().id}

    assert again == ids


def shell_for(fake: KubeFake, folder: Path) -> Shell:
    """Call wherry with the server's configuration."""
    made = Shell(folder / "shell")
    made.environment["KUBECONFIG"] = str(fake.config)
    return made


def test_once_into_a_file_into_the_history(fake: KubeFake, tmp_path: Path) -> None:
    """Two runs, one file: it has each figure once, and so has the history; labels choose pods and their pulls."""
    put_pod(fake, "a", restarts=2, killed=2)
    put_pod(fake, "b", ready=True)
    put_event(fake, "one", pod="a", count=2)
    put_event(fake, "two", pod="b")
    shell = shell_for(fake, tmp_path)

    assert shell("watch", "--once", "-o", "f.jsonl", "--metrics", "m.prom") == []
    assert "3 pulls (median 1.5 s), 1 start, 1 end, 1 by OOM" in shell.err
    before = (shell.root / "f.jsonl").read_bytes()
    shell("watch", "--once", "-o", "f.jsonl")
    assert (shell.root / "f.jsonl").read_bytes() == before
    assert shell("history", "import", "f.jsonl") == ["f.jsonl: 5 calls, 5 of them new"]
    assert len(shell("watch", "--once", "--json", "--quiet", "--selector", "app=b")) == 1 + 2
    assert shell.err == ""
    metrics = {one.name: one for one in text_string_to_metric_families((shell.root / "m.prom").read_text())}
    assert metrics["wherry_node_pulls"].samples[0].value == 3
    assert metrics["wherry_container_ends"].samples[0].labels["reason"] == "OOMKilled"
    assert metrics["wherry_node_pull_duration_seconds"].samples[-2].value == 4.5


def test_missing_rights_are_named_before_anything_else(fake: KubeFake, tmp_path: Path) -> None:
    """All of them, and the command that prints the role; no file is made."""
    fake.forbidden |= {("watch", "events"), ("list", "pods")}
    shell = shell_for(fake, tmp_path)
    shell("watch", "-o", "f.jsonl", code=69)

    assert "list pods, watch events" in shell.err
    assert "wherry watch --print-rbac -n shop" in shell.err
    assert not (shell.root / "f.jsonl").exists()
    assert all("selfsubjectaccessreviews" in path for _, path in fake.requests)


def test_rights_are_the_least(tmp_path: Path) -> None:
    """Read two kinds; a kubelet's proxy only where it was asked for; no write, no secret."""
    import yaml

    shell = Shell(tmp_path / "shell")
    _, role, binding = yaml.safe_load_all("\n".join(shell("watch", "--print-rbac", "-n", "shop")))
    *_, wide, _ = yaml.safe_load_all("\n".join(shell("watch", "--print-rbac", "-A", "--kubelets")))
    manifests = list(yaml.safe_load_all("\n".join(shell("watch", "--print", "-A", "--image", "r/wherry:1"))))

    assert [(one["resources"], one["verbs"]) for one in role["rules"]] == [
        (["pods"], ["list", "watch"]), (["events"], ["list", "watch"]),
    ]  # fmt: skip
    assert binding["subjects"][0]["namespace"] == "shop"
    assert [one["resources"] for one in wide["rules"]] == [["pods"], ["events"], ["nodes"], ["nodes/proxy"]]
    assert [one["kind"] for one in manifests] == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment"]
    shell("watch", "--print", code=64)


def test_metrics_over_http(tmp_path: Path) -> None:
    """Two paths and no other; what an image is named does no harm to the lines."""
    totals = WatchTotals()
    report = kubelet_report(
        "n1", 'kubelet_image_pull_duration_seconds_sum{image_size_in_bytes="0-10MB"} 2.5\n'
        'kubelet_image_pull_duration_seconds_count{image_size_in_bytes="0-10MB"} 4\nprocess_start_time_seconds 1.7e+09',
    )  # fmt: skip
    assert report is not None
    totals.add(kubelet_entry(report, 1.0))
    end = ContainerFigures(pod="p", container="c", restarts=2, reason='O"OM\n\\')
    for _ in range(2):
        totals.add(CallFigures(id="a" * 16, at=5.0, command="cluster", subject='"}\n', container=end))
    with metrics_server(("127.0.0.1", 0), lambda: watch_metrics(totals), lambda: True) as url:
        text = urllib.request.urlopen(url).read().decode()  # noqa: S310 - our own
        found = {one.name: one.samples for one in text_string_to_metric_families(text)}
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url.replace("/metrics", "/"))  # noqa: S310 - as above

    assert [(one.labels["reason"], one.value) for one in found["wherry_container_ends"]] == [('O"OM\n\\', 1.0)]
    assert [one.value for one in found["wherry_container_restarts"]] == [1.0]
    assert [(one.labels, one.value) for one in found["wherry_kubelet_pulls"]] == [({"node": "n1", "size": "0-10MB"}, 4)]


@pytest.mark.parametrize("harm", [b"notes\n", b'{"id":"x"}\n', b"[" * 50_000 + b"\n", b"\xff", b"no line end"])
def test_a_file_that_is_something_else_stays(tmp_path: Path, harm: bytes) -> None:
    """It is not appended to."""
    (tmp_path / "f").write_bytes(harm)
    with pytest.raises(InvalidDocument):
        FigureFile(tmp_path / "f", "a1", 1.0)

    assert (tmp_path / "f").read_bytes() == harm


def test_a_line_that_was_cut_off_goes(tmp_path: Path) -> None:
    """By a full disk, say; the lines before stay, and the file is a history again."""
    entry = CallFigures(id="a" * 16, at=5.0, command="cluster")
    with FigureFile(tmp_path / "f", "a1", 1.0) as file:
        assert file.add(entry)
    whole = (tmp_path / "f").read_bytes()
    (tmp_path / "f").write_bytes(whole + b'{"id":"b')
    with FigureFile(tmp_path / "f", "a1", 2.0) as file:
        assert not file.add(entry)

    assert (tmp_path / "f").read_bytes() == whole


def test_a_full_file_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import takes 200,000 lines; both files are histories."""
    monkeypatch.setattr(watch_lines, "MOST_LINES", 3)
    with FigureFile(tmp_path / "f", "a1", 1.0) as file:
        for number in range(4):
            file.add(CallFigures(id=f"{number:016x}", at=5.0, command="cluster"))
    found = [len(read(BytesIO((tmp_path / name).read_bytes()), name, 9.0).entries) for name in ("f.1", "f")]

    assert found == [2, 2]


def test_a_machine_is_the_cluster(fake: KubeFake, tmp_path: Path) -> None:
    """All that watch it name the same history, which has no name of a host."""
    document = json.loads(fake.config.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://10.96.0.1"
    other = tmp_path / "other"
    other.write_text(json.dumps(document))
    names = {
        watched_machine(
            cluster(Session(store=tmp_path, cache=tmp_path, cwd=tmp_path, environment={"KUBECONFIG": name}))
        )
        for name in (str(fake.config), str(other))
    }

    assert len(names) == 1
