"""Lists of pods and events become lines of a history, once each."""

import json
from pathlib import Path

import msgspec
import pytest

from recorded import BEGAN, DAY, built
from wherry.app.board_cluster import cluster_of
from wherry.app.cluster_figures import entries_of, is_list
from wherry.errors import InvalidDocument
from wherry.history import database as module
from wherry.history.database import HistoryDatabase
from wherry.history.entry import CallFigures, ContainerFigures, NodePullFigures
from wherry.history.schema import MORE
from wherry.history.trends import metrics_of

NOW = BEGAN + 100 * DAY
PODS = b"""{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "api-1", "namespace": "prod", "uid": "u1"},
 "status": {"containerStatuses": [
  {"name": "api", "image": "r.example/api:1", "imageID": "r.example/api@sha256:%s", "restartCount": 3,
   "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
   "finishedAt": "2026-05-28T20:26:40Z", "containerID": "c://3"}}},
  {"name": "calm", "restartCount": 0, "state": {"running": {}}, "lastState": {}}]}},
 {"kind": "Event", "metadata": {"name": "e", "uid": "e1"}, "reason": "Pulled", "count": 2,
  "message": "Successfully pulled image \\"r.example/api:1\\" in 1.2s (1.5s including waiting). Image size: 33 bytes.",
  "involvedObject": {"kind": "Pod", "name": "api-1", "namespace": "prod", "uid": "u1",
  "fieldPath": "spec.containers{api}"}, "firstTimestamp": "2026-05-28T20:26:40Z",
  "lastTimestamp": "2026-05-28T20:26:50Z", "source": {"host": "n1"}},
 {"kind": "Secret", "metadata": {"name": 7}}]}""" % (b"a" * 64)


def test_figures_of_a_cluster(tmp_path: Path) -> None:
    """A kill and two pulls, with the digest that the pod has; reading the list again adds nothing."""
    with HistoryDatabase(tmp_path) as found:
        added = [found.add(entries_of(PODS, "pods.json", NOW)) for _ in range(2)]
        rows = found.ask("SELECT at, pod, container, reason, restarts FROM containers")
        pulls = found.ask("SELECT p.at, seconds, waiting, size, digest FROM node_pulls p JOIN images USING (call)")
        points = {one.kind.key: one.points for one in metrics_of(found)}
        board = cluster_of(found)

    assert added == [3, 0]
    assert rows == [(BEGAN, "prod/api-1", "api", "OOMKilled", 3)]
    assert sorted(pulls) == [(BEGAN + at, 1.2, 1.5, 33, "sha256:" + "a" * 64) for at in (0, 10)]
    assert points["node-pull-seconds"] == ((BEGAN, 1.2), (BEGAN + 10, 1.2))
    assert [value for _, value in points["oom"]] == [1.0]
    assert [(one.pulls, one.median, one.kills) for one in board.images] == [(2, 1.2, 1)]
    assert [(one.pod, one.code) for one in board.kills] == [("prod/api-1", 137)]


def test_a_month_without_kills_is_zero(tmp_path: Path) -> None:
    """A cluster that was watched and killed nothing is a figure, too."""
    pull = NodePullFigures(pod="p/a", seconds=1.0)
    with HistoryDatabase(tmp_path) as found:
        found.add(entries_of(PODS, "pods.json", NOW))
        found.add([CallFigures(id="c" * 16, at=NOW, command="cluster", node_pull=pull)])
        points = {one.kind.key: one.points for one in metrics_of(found)}

    assert [value for _, value in points["oom"]] == [1.0, 0.0]


def test_restarts_grow_with_what_is_seen_again(tmp_path: Path) -> None:
    """The end of a container that was seen before its restart has the restart afterwards; merging back is nothing."""
    again = PODS.replace(b'"restartCount": 3', b'"restartCount": 4')
    with HistoryDatabase(tmp_path) as found:
        for document in (PODS, again, PODS):
            found.add(entries_of(document, "pods.json", NOW))
        rows = found.ask("SELECT restarts FROM containers")
        told = [one.container.restarts for one in found.entries() if one.container]

    assert rows == [(4,)]
    assert told == [4]


def test_clusters_leave_room_for_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many figures of a cluster the oldest go, pulls before ends; builds stay."""
    monkeypatch.setattr(module, "OF_CLUSTERS", 5)
    end = ContainerFigures(pod="p/a", container="c", reason="OOMKilled")
    pulls = [
        CallFigures(id=f"{n:016x}", at=BEGAN + n, command="cluster", node_pull=NodePullFigures(pod="p"))
        for n in range(9)
    ]
    with HistoryDatabase(tmp_path) as found:
        found.add([built(10**6, at=1.0), CallFigures(id="e" * 16, at=2.0, command="cluster", container=end), *pulls])
        kept = [one.id for one in found.entries()]
        ((rows,),) = found.ask("SELECT COUNT(*) FROM node_pulls")

    assert kept == [built(10**6).id, "e" * 16, *(one.id for one in pulls[5:])]
    assert rows == 4


def test_a_database_of_before_gets_the_tables(tmp_path: Path) -> None:
    """It has no rows of clusters in it, and keeps all others."""
    with HistoryDatabase(tmp_path) as found:
        found.add([built(1)])
        for line in MORE.splitlines():
            if line.startswith("CREATE TABLE"):
                found.ask(f"DROP TABLE {line.split()[2]}")
    with HistoryDatabase(tmp_path) as found:
        assert found.add(entries_of(PODS, "pods.json", NOW)) == 3
        assert len(list(found.entries())) == 4


def test_a_raw_list_has_items_without_a_kind() -> None:
    """As `kubectl get --raw` gives them."""
    document = json.loads(PODS)
    pods = {"kind": "PodList", "items": [{k: v for k, v in document["items"][0].items() if k != "kind"}]}

    assert is_list(PODS)
    assert len(list(entries_of(json.dumps(pods).encode(), "pods.json", NOW))) == 1


@pytest.mark.parametrize(
    "harm", [b"{}", b"[]", b'{"kind":"List","items":[{"kind":"Pod","metadata":{"name":1}}]}',
             b'{"kind":"List","items":[7]}', b'{"kind":"List","items":[' + b"[" * 90_000],
)  # fmt: skip
def test_other_lists_are_refused(harm: bytes) -> None:
    """They are no lists of a cluster."""
    with pytest.raises(InvalidDocument):
        list(entries_of(harm, "pods.json", NOW))


def test_hostile_names_are_lines_all_the_same() -> None:
    """Names of any length and letters; each line is read again."""
    harm = "<script>\u202e" + "x" * 9000
    document = json.dumps(json.loads(PODS)).replace("api-1", harm).replace("r.example/api:1", "y" * 900)

    for one in entries_of(document.encode(), "pods.json", NOW):
        assert CallFigures.parse(one.encoded()) == one
        assert msgspec.json.decode(one.encoded())["command"] == "cluster"
