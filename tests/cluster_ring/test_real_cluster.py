"""The cluster of the second ring works: a pod runs an image that wherry pushed, and an end leaves nothing."""

import pytest

from real_cluster import RealCluster, running_cluster

pytestmark = pytest.mark.cluster


def test_runs_an_image_that_wherry_pushed(real_cluster, cluster_namespace, busybox_image):
    """The registry has one name for us and for the node, and the pod's output comes back."""
    real_cluster.kubectl(
        "run", "hello", "-n", cluster_namespace, "--image", busybox_image, "--restart=Never", "--", "echo", "hello"
    )
    real_cluster.kubectl(
        "wait", "pod/hello", "-n", cluster_namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"
    )

    assert real_cluster.kubectl("logs", "hello", "-n", cluster_namespace).stdout == "hello\n"


def test_deletes_its_namespace(real_cluster: RealCluster):
    """A namespace is gone after its block, or going: no pod keeps it."""
    with real_cluster.namespace("restricted") as name:
        real_cluster.kubectl("get", "namespace", name)

    real_cluster.kubectl("wait", "namespace", name, "--for=delete", "--timeout=60s")


def test_skips_with_a_reason(monkeypatch, tmp_path):
    """Without a cluster and a recipe a test of this ring is skipped, and says why."""
    monkeypatch.delenv("WHERRY_TEST_CLUSTER", raising=False)
    monkeypatch.setenv("WHERRY_CLUSTER_RECIPE", str(tmp_path))

    with pytest.raises(pytest.skip.Exception, match="no recipe"), running_cluster():
        pass
