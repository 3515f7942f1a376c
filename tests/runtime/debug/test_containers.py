"""Containers are found by the folders of their runtimes, whatever those hold."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.runtime.debug.containers import FoundContainer, RuntimePlaces, folder_containers
from wherry.sandbox.launcher.namespaces import started

OURS, PARENT = os.getpid(), os.getppid()


def put(path: Path, document: object) -> None:
    """Write a file of state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))


def found(places: RuntimePlaces) -> list[tuple[str, str, str]]:
    """Give runtime, id and name of each."""
    return [(one.runtime, one.id, one.name) for one in folder_containers(places)]


def places(top: Path) -> RuntimePlaces:
    """Give places below a folder."""
    return RuntimePlaces(run=top / "run", library=top / "lib", user_run=top / "user", user_data=top / "data")


def test_each_runtime(tmp_path):
    """runc, crun, podman, Docker, containerd with nerdctl's and CRI's names, root's and rootless ones."""
    where = places(tmp_path)
    state = {"id": "r1", "init_process_pid": OURS, "init_process_start": started(OURS)}
    cases = {
        "run/runc/r1/state.json": (state, ("runc", "r1", "")),
        "user/runc/r2/state.json": (state, ("runc", "r2", "")),
        "run/crun/c1/status": ({"pid": OURS, "process-start-time": started(OURS)}, ("crun", "c1", "")),
        "user/crun/c2/status": ({"pid": OURS}, ("crun", "c2", "")),
        "lib/docker/containers/d1/config.v2.json": ({"Name": "/web", "State": {"Pid": OURS}}, ("docker", "d1", "web")),
        "run/containerd/io.containerd.runtime.v2.task/default/t1/init.pid": (str(OURS), ("containerd", "t1", "")),
    }
    for name, (document, wanted) in cases.items():
        put(tmp_path / name, document)
        assert found(where) == [wanted], name
        (tmp_path / name).unlink()

    task = tmp_path / "run/containerd/io.containerd.runtime.v2.task/k8s.io/t2"
    put(task / "init.pid", str(OURS))
    notes = {"io.kubernetes.cri.sandbox-name": "pod-1", "io.kubernetes.cri.container-name": "app"}
    put(task / "config.json", {"annotations": notes})
    assert found(where) == [("containerd", "t2", "pod-1/app")]
    put(tmp_path / "lib/nerdctl/1935db59/names/k8s.io/mine", "t2")
    assert found(where) == [("containerd", "t2", "mine")]

    put(tmp_path / "data/containers/storage/overlay-containers/containers.json", [{"id": "p1", "names": ["db"]}, 7, {}])
    put(tmp_path / "user/containers/overlay-containers/p1/userdata/pidfile", str(PARENT))
    put(tmp_path / "user/crun/p1/status", {"pid": PARENT})
    assert found(where) == [("podman", "p1", "db"), ("containerd", "t2", "mine")]


def test_what_ended(tmp_path):
    """A process that is gone, or another one of that number, is no container."""
    put(tmp_path / "run/runc/a/state.json", {"init_process_pid": OURS, "init_process_start": started(OURS) + 1})
    put(tmp_path / "run/crun/b/status", {"pid": 4194303})
    put(tmp_path / "run/crun/c/status", {"pid": True})

    assert found(places(tmp_path)) == []


def test_podman_elsewhere(tmp_path):
    """Podman's run root is where it was at first: a container's own mounts name it."""
    storage = tmp_path / "lib/containers/storage"
    put(storage / "vfs-containers/volatile-containers.json", [{"id": "p1", "names": ["db"]}, {"id": "..", "names": []}])
    mounts = [{"destination": "/proc", "source": "proc"}, 7]
    state = tmp_path / "elsewhere/p1/userdata"
    mounts.append({"destination": "/etc/hosts", "source": str(state / "hosts")})
    put(storage / "vfs-containers/p1/userdata/config.json", {"mounts": mounts})
    put(state / "pidfile", str(OURS))

    assert found(places(tmp_path)) == [("podman", "p1", "db")]


def test_podmans_pid_of_old(tmp_path):
    """Podman leaves the file of a pid when a container ends: a younger process of that number is not the container."""
    put(tmp_path / "graph/vfs-containers/containers.json", [{"id": "p1", "names": ["db"]}])
    state = tmp_path / "user/containers/vfs-containers/p1/userdata"
    put(state / "pidfile", str(OURS))
    os.utime(state / "pidfile", (1, 1))
    where = RuntimePlaces(user_run=tmp_path / "user", podman_roots=(tmp_path / "graph",))
    assert ("podman", "p1", "db") not in found(where)

    put(state / "conmon.pid", str(PARENT))
    os.utime(state / "pidfile", (1, 1))
    assert ("podman", "p1", "db") in found(where)  # the clock was set; conmon is its parent


def test_names():
    """A name, an id, or at least three letters of an id."""
    one = FoundContainer("runc", "abcdef", "web", 1)

    assert [one.is_called(name) for name in ("web", "abcdef", "abc", "ab", "we", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.one_of(
        st.text(max_size=50),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["id", "names", "pid", "init_process_pid", "State", "Pid", "Name", "annotations", "mounts"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
        ),
    )
)
def test_any_state(tmp_path_factory, document):
    """Whatever stands in these files, nothing but containers that run come of it."""
    top = tmp_path_factory.mktemp("state")
    for name in (
        "run/runc/a/state.json", "run/crun/a/status", "lib/docker/containers/a/config.v2.json",
        "lib/containers/storage/vfs-containers/containers.json",
        "lib/containers/storage/vfs-containers/a/userdata/config.json",
        "run/containerd/io.containerd.runtime.v2.task/n/a/config.json",
        "run/containerd/io.containerd.runtime.v2.task/n/a/init.pid",
    ):  # fmt: skip
        put(top / name, document)

    for one in folder_containers(places(top)):
        assert started(one.pid) >= 0
