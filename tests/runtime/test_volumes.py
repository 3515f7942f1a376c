"""Who can write to what is mounted."""

import os

import pytest

from wherry.runtime.run import BindMount
from wherry.runtime.volumes import unwritable
from wherry.sandbox.accounts import ContainerUser
from wherry.sandbox.ids import Mapping

NONROOT = ContainerUser(uid=65532, gid=65532, groups=(), home="/")
ROOT = ContainerUser(uid=0, gid=0, groups=(), home="/")
MANY = Mapping("many", ((0, os.getuid(), 1), (1, 100000, 65536)), ((0, os.getgid(), 1), (1, 100000, 65536)))


@pytest.mark.parametrize(
    ("mode", "account", "kind", "read_only", "warned"),
    [
        (0o755, NONROOT, "many", False, True),
        (0o775, NONROOT, "many", False, True),
        (0o777, NONROOT, "many", False, False),
        (0o755, NONROOT, "many", True, False),
        (0o755, ROOT, "many", False, False),
        (0o755, NONROOT, "one", False, False),
    ],
)
def test_who_can_write(tmp_path, mode, account, kind, read_only, warned):
    """The folder is the caller's: uid 65532 is another, the container's root is the caller."""
    tmp_path.chmod(mode)
    mapping = MANY if kind == "many" else Mapping("one", ((0, os.getuid(), 1),), ((0, os.getgid(), 1),))

    said = list(unwritable([BindMount(tmp_path, "/data", read_only=read_only)], mapping, account))

    assert bool(said) == warned
    assert all("65532" in line and "-u 0" in line and "/data" in line for line in said)
