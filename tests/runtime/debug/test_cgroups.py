"""A container's first process, by its id in /proc."""

import os
from pathlib import Path

import pytest

from wherry.runtime.debug.cgroups import container_process

ID = "3f" * 32


def process(proc: Path, number: int, parent: int, group: str) -> None:
    """Put a process into a /proc of the test's own."""
    folder = proc / str(number)
    folder.mkdir()
    folder.joinpath("cgroup").write_text(group)
    folder.joinpath("stat").write_text(f"{number} (a) b) S {parent} 1 1 0\n")


@pytest.mark.parametrize(
    "group", [f"3:memory:/kubepods/burstable/pod1/{ID}\n0::/\n", f"0::/kubepods.slice/cri-containerd-{ID}.scope\n"]
)
def test_finds_the_first(tmp_path, group):
    """It is the one that no other of them started; its name may have any character."""
    process(tmp_path, 40, 12, group)
    process(tmp_path, 7, 40, group)
    process(tmp_path, 12, 1, "0::/system.slice/containerd.service\n")

    assert container_process(ID, tmp_path) == 40


def test_finds_none(tmp_path):
    """No process of that container, one that ended while we looked, or no id at all."""
    (tmp_path / "9").mkdir()
    process(tmp_path, 12, 1, "0::/\n")

    assert container_process(ID, tmp_path) is None
    assert container_process("", tmp_path) is None
    assert container_process("/", tmp_path) is None
    assert container_process(ID) is None, f"process {os.getpid()} is in no such group"
