"""`wherry watch` on a real Kubernetes: its figures are those of kubectl, and the board's are the database's."""

import json
import re
import sqlite3
import time
from pathlib import Path

import pytest

from real_cluster import ClusterWherry, RealCluster

pytestmark = pytest.mark.cluster


def pod(name: str, image: str, script: str, policy: str = "Always") -> dict:
    """Give a pod of one container that may have 16 MiB."""
    container = {
        "name": "app", "image": image, "command": ["sh", "-c", script], "imagePullPolicy": policy,
        "resources": {"limits": {"memory": "16Mi"}},
    }  # fmt: skip
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def told(cluster: RealCluster, namespace: str) -> tuple[list[float], dict[str, int]]:
    """Give what kubectl knows: seconds of pulls, and restarts by pod."""
    pulls: list[float] = []
    for one in cluster.get("events", "-n", namespace, "--field-selector", "reason=Pulled")["items"]:
        if found := re.search(r" in (?:(\d+)ms|([\d.]+)s) \(", one["message"]):
            pulls += [int(found[1]) / 1000 if found[1] else float(found[2])] * one["count"]
    pods = cluster.get("pods", "-n", namespace)["items"]
    counts = {one["metadata"]["name"]: one["status"]["containerStatuses"][0]["restartCount"] for one in pods}
    return sorted(pulls), counts


def test_figures_are_those_of_kubectl(
    real_cluster: RealCluster, cluster_namespace: str, cluster_wherry: ClusterWherry, busybox_image: str, tmp_path: Path
) -> None:
    """Pulls, an OOM kill, restarts and a start: listed, imported twice, counted once, and on the board."""
    grow = "x=aaaaaaaa; while true; do x=$x$x; done"
    pods = [pod("calm", busybox_image, "sleep 1000"), pod("grows", busybox_image, grow),
            pod("ends", busybox_image, "sleep 1; exit 3", "IfNotPresent")]  # fmt: skip
    real_cluster.kubectl(
        "apply",
        "-n",
        cluster_namespace,
        "-f",
        "-",
        stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": pods}),
    )
    due = time.monotonic() + 600  # a node may be busy
    while min(told(real_cluster, cluster_namespace)[1].get(name, 0) for name in ("grows", "ends")) < 1:
        assert time.monotonic() < due
        time.sleep(1)
    real_cluster.kubectl("delete", "pod", "ends", "-n", cluster_namespace)  # then nothing changes for a while
    lines = tmp_path / "figures.jsonl"
    words = ("watch", "--once", "-n", cluster_namespace, "-o", str(lines))
    history = {"WHERRY_HISTORY": str(tmp_path / "history")}
    before = told(real_cluster, cluster_namespace)
    cluster_wherry(*words)
    after = told(real_cluster, cluster_namespace)
    added = [cluster_wherry("history", "import", str(lines), **history).stdout for _ in range(2)]
    cluster_wherry("board", "--html", str(tmp_path / "board.html"), **history)
    page = (tmp_path / "board.html").read_text()
    with sqlite3.connect(tmp_path / "history" / "history-1.sqlite") as database:
        pulls = sorted(row[0] for row in database.execute("SELECT seconds FROM node_pulls WHERE NOT present"))
        ends = database.execute("SELECT pod, reason, restarts FROM containers").fetchall()
        digests = {row[0] for row in database.execute("SELECT digest FROM images")}
        kills = database.execute("SELECT COUNT(*) FROM containers WHERE reason = 'OOMKilled'").fetchone()[0]
        last = database.execute(
            "SELECT seconds FROM node_pulls WHERE NOT present ORDER BY at DESC, call DESC"
        ).fetchone()
    database.close()

    assert before[0] == pulls or after[0] == pulls
    assert max(row[2] for row in ends if row[0].endswith("/grows")) in {before[1]["grows"], after[1]["grows"]}
    assert {row[1] for row in ends if row[0].endswith("/grows")} == {"OOMKilled"}
    assert digests == {busybox_image.rpartition("@")[2]}
    assert ", 0 of them new" in added[1]
    assert re.search(rf'data-key="oom"><figcaption><b>[^<]*</b><span class="value" data-v="{float(kills)!r}"', page)
    assert (
        f'data-key="node-pull-seconds"><figcaption><b>Pull time on nodes</b><span class="value" data-v="{last[0]!r}"'
        in page
    )


def test_a_watch_sees_what_happens(
    real_cluster: RealCluster, cluster_namespace: str, cluster_wherry: ClusterWherry, busybox_image: str
) -> None:
    """With the role that it prints, and no other right; without it, each missing right is named."""
    listed = cluster_wherry("watch", "--print-rbac", "-n", cluster_namespace).stdout
    account = f"system:serviceaccount:{cluster_namespace}:wherry-watch"
    config = cluster_wherry.home / "watch.config"
    real_cluster.kubectl("create", "serviceaccount", "wherry-watch", "-n", cluster_namespace)
    token = real_cluster.kubectl("create", "token", "wherry-watch", "-n", cluster_namespace).stdout.strip()
    document = json.loads(real_cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout)
    document["users"][0]["user"] = {"token": token}
    config.write_text(json.dumps(document))
    call = ("watch", "--json", "--for", "10s", "-n", cluster_namespace)
    refused = cluster_wherry(*call, code=69, KUBECONFIG=str(config))
    real_cluster.kubectl("apply", "-f", "-", stdin=listed)
    real_cluster.kubectl(
        "apply", "-n", cluster_namespace, "-f", "-", stdin=json.dumps(pod("calm", busybox_image, "sleep 1000"))
    )
    real_cluster.kubectl("wait", "pod/calm", "-n", cluster_namespace, "--for=condition=Ready", "--timeout=60s")
    seen = [json.loads(line) for line in cluster_wherry(*call, KUBECONFIG=str(config)).stdout.splitlines()]
    secrets = real_cluster.kubectl(
        "auth", "can-i", "get", "secrets", "--as", account, "-n", cluster_namespace, check=False
    )

    assert "list pods, watch pods, list events, watch events" in refused.stderr
    assert {"nodePull", "podStart"} <= {key for line in seen for key in line}
    assert secrets.stdout.strip() == "no"
