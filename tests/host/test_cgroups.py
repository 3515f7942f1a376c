"""The limits that control groups set, read from trees made up for it, and from this machine."""

from pathlib import Path

import pytest

from wherry.host.cgroups import Cgroup, own_cgroup


def tree(root: Path, **files: str) -> Path:
    """Make up a machine; `proc__self__cgroup` is /proc/self/cgroup."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_version_2_and_the_groups_above(tmp_path):
    """The tightest limit counts, wherever it is set."""
    for name, text in {
        "cgroup.controllers": "cpu memory pids",
        "a/memory.max": "1000",
        "a/b/memory.max": "max",
        "a/cpu.max": "max 100000",
        "a/b/cpu.max": "150000 100000",
    }.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    assert own_cgroup(tree(tmp_path, proc__self__cgroup="0::/a/b")) == Cgroup(2, 1000, 1.5)


def test_version_1(tmp_path):
    """Each controller has a hierarchy of its own, and no limit is a very large one."""
    folder = tmp_path / "sys/fs/cgroup"
    (folder / "memory/a").mkdir(parents=True)
    (folder / "cpu").mkdir()
    (folder / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (folder / "memory/a/memory.limit_in_bytes").write_text("4096\n")
    (folder / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (folder / "cpu/cpu.cfs_period_us").write_text("100000\n")

    assert own_cgroup(tree(tmp_path, proc__self__cgroup="4:memory:/a\n1:cpu,cpuacct:/\n0::/")) == Cgroup(1, 4096, None)


@pytest.mark.parametrize("table", ["", "nonsense", "0::/gone/from/here", "0::../.."])
def test_a_machine_without(tmp_path, table):
    """Where nothing is mounted, nothing is limited."""
    assert own_cgroup(tree(tmp_path, proc__self__cgroup=table)) == Cgroup(0, None, None)


def test_here():
    """This machine has some hierarchy, or none; the limits are above zero."""
    found = own_cgroup()

    assert found.version in {0, 1, 2}
    assert found.memory is None or found.memory > 0
