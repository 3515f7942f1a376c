"""What tests on a real Kubernetes share: the cluster, a namespace, a registry.

To write one: put it into this folder, begin the module with `pytestmark = pytest.mark.cluster`, and take what it needs:

- `real_cluster`: tests/real_cluster.py says what it can (kubectl, apply, get, namespaces with a Pod Security level);
- `cluster_namespace`: a namespace of the test's own, deleted at its end;
- `cluster_registry`: a registry by one name for us and for the node: `cluster_registry.host`;
- `cluster_wherry`: wherry as a process that uses both: `cluster_wherry("push", name)`;
- `busybox_image`: an image with a shell, in the registry; `videometa_image`: the example service, without one;
- `wherry_image`: wherry itself, if WHERRY_TEST_IMAGE names an image of `make image`.

A server that the cluster calls (a webhook) listens on 127.0.0.1 at `real_cluster.port(1)`. What is cluster-wide (a
webhook's configuration, a policy, a ClusterRole) is named after the namespace, chosen by a namespaceSelector, and
deleted by the test that made it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from built_images import file, folder, put_layers
from needs import need
from real_cluster import ROOT, ClusterWherry, RealCluster, running_cluster
from registries import Running, distribution
from wherry.layer.entry import Entry, EntryKind
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[RealCluster]:
    """A Kubernetes with one node at least; skips with a reason where there is none."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster_namespace(real_cluster: RealCluster) -> Iterator[str]:
    """An empty namespace without Pod Security; `real_cluster.namespace("restricted")` makes another."""
    with real_cluster.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def cluster_registry(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A registry in plain HTTP, by one name for us and for the node: `cluster_registry.host`."""
    folder: Path = tmp_path_factory.mktemp("registry")
    with distribution(folder, port=real_cluster.port(0)) as running:
        yield running


@pytest.fixture(scope="session")
def cluster_wherry(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> ClusterWherry:
    """Call wherry with the cluster's configuration and a store of the tests' own."""
    return ClusterWherry(real_cluster, tmp_path_factory.mktemp("wherry"))


@pytest.fixture(scope="session")
def busybox_image(cluster_registry: Running, cluster_wherry: ClusterWherry) -> str:
    """An image in the registry with busybox's programs in /bin, which runs as user 65532; by digest."""
    program = Path(need("busybox")).read_bytes()
    names = ("sh", "sleep", "echo", "cat", "ls", "wget", "true", "false", "id", "env")
    links = [Entry(path=f"bin/{name}", kind=EntryKind.SYMLINK, mode=0o777, target="busybox") for name in sorted(names)]
    rows = [folder("bin"), file("bin/busybox", program, 0o755), *links]
    store = DiskStore(cluster_wherry.home / "store")
    name = f"{cluster_registry.host}/test/busybox:1"
    root = put_layers(store, [rows], RuntimeConfig(user="65532:65532", env=("PATH=/bin",)))
    store.tag(name, root)
    cluster_wherry("push", name)
    return f"{name.rpartition(':')[0]}@{root.digest}"


@pytest.fixture(scope="session")
def videometa_image(cluster_registry: Running, cluster_wherry: ClusterWherry) -> str:
    """The example service, built and pushed by wherry: no shell, user 65532 by its image; by digest."""
    name = f"{cluster_registry.host}/test/videometa:1"
    done = cluster_wherry("build", "-t", name, "--push", cwd=ROOT / "examples" / "videometa")
    return f"{name.rpartition(':')[0]}@{done.stdout.strip().rpartition('@')[2]}"


@pytest.fixture(scope="session")
def wherry_image(cluster_registry, cluster_wherry: ClusterWherry) -> str:
    """An image with wherry as `make image` makes it; WHERRY_TEST_IMAGE names it."""
    named = os.environ.get("WHERRY_TEST_IMAGE", "")
    if not named:
        pytest.skip("WHERRY_TEST_IMAGE names no image with wherry (`make image` makes one)")
    name = f"{cluster_registry.host}/test/wherry:1"
    digest = cluster_wherry("copy", named, name).stdout.strip().rpartition("@")[2]
    return f"{name.rpartition(':')[0]}@{digest}"
