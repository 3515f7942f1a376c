"""Private copies of programs: executed from where nothing leads to the program itself."""

import os
import subprocess
import sys

import pytest

from wherry.sandbox import private

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2) is Linux's")


@pytest.fixture(params=["memory", "unnamed"])
def copy(request: pytest.FixtureRequest) -> int:
    """A copy of `true`, in memory and as a file without a name."""
    if request.param == "memory":
        return private.private_copy("/bin/true", "copy")
    source = os.open("/bin/true", os.O_RDONLY)
    try:
        return private._unnamed(source)
    finally:
        os.close(source)


def test_runs_and_has_no_name(copy):
    """It runs, and no folder has it."""
    path = f"/proc/self/fd/{copy}"

    assert subprocess.run([path], pass_fds=[copy], check=False).returncode == 0
    assert private.is_private(path)
    assert not private.is_private("/bin/true")
    assert not private.is_private()  # pytest itself is not a launcher
    os.close(copy)


def test_takes_no_writes():
    """What is in memory is sealed: neither its bytes nor its length change, whoever opens it for writing."""
    copy = private.private_copy("/bin/true", "copy")

    with pytest.raises(PermissionError):
        os.write(copy, b"planted")
    with pytest.raises(PermissionError):
        os.truncate(f"/proc/self/fd/{copy}", 0)

    os.close(copy)
