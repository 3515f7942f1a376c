"""A control group that limits how many processes a container has: setrlimit(2) does not limit root.

Sources: Linux 6.18, Documentation/admin-guide/cgroup-v1/pids.rst and cgroup-v2.rst, "PID".
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Group

_PREFIX = "wherry-"


class NoGroup(OSError):
    """No control group can be made that limits processes."""


class Pids:
    """A group of one container."""

    def __init__(self, folder: str) -> None:
        """Take its folder, which is there."""
        self._folder = folder
        self._members = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def join(self) -> None:
        """Move this process into it, and so all that it starts from now on."""
        os.write(self._members, b"0")
        os.close(self._members)

    def close(self) -> None:
        """Delete the group, which has no process any more."""
        os.close(self._members)
        try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
            os.rmdir(self._folder)
        except OSError:
            pass  # a process in it is not reaped yet; the next one that makes a group here deletes it


def make(group: "Group") -> Pids:
    """Make a group in the first folder that takes one.

    Raises:
        NoGroup: none does.
    """
    reason = "no cgroup with the pids controller is mounted"
    for parent in group["parents"]:
        folder = f"{parent}/{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        _sweep(parent)
        try:
            os.mkdir(folder, 0o755)
        except OSError as error:
            reason = f"{parent}: {error.strerror}"
            continue
        try:
            _write(f"{folder}/pids.max", b"%d" % group["most"])
            return Pids(folder)
        except OSError as error:
            os.rmdir(folder)
            missing = error.errno in (errno.ENOENT, errno.EACCES)
            reason = f"{parent}: no pids.max" if missing else f"{parent}: {error.strerror}"
    raise NoGroup(errno.ENOTSUP, reason)


def _sweep(parent: str) -> None:
    """Delete groups whose maker was killed: those of no process, since the kernel refuses to delete the others."""
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in names:
        maker = name.removeprefix(_PREFIX).partition("-")[0]
        if not name.startswith(_PREFIX) or os.path.exists(f"/proc/{maker}"):
            continue
        try:
            os.rmdir(f"{parent}/{name}")
        except OSError:
            continue


def _write(path: str, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, content)
    finally:
        os.close(file)
