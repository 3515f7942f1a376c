"""Control groups that limit what a container takes: processes, memory, processors.

setrlimit(2) limits neither root's processes nor anybody's memory as a whole.

Version 2 has one folder for all controllers, and hands a controller down only from a group without processes of its
own. Where that group is ours alone (`systemd-run --user --scope -p Delegate=yes wherry …`), we move into a group below.

Sources: Linux 6.18, Documentation/admin-guide/cgroup-v1/{pids,memory}.rst and cgroup-v2.rst, "Organizing Processes and
Threads", "Enabling and Disabling", "Memory Interface Files".
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Group

_PREFIX = "wherry-"
_KILLED = ("memory.events", "memory.oom_control")
"""Where version 2 and version 1 count what was killed at a limit, as `oom_kill N`."""


class NoGroup(OSError):
    """No control group can be made that limits this."""


class ControlGroup:
    """A group of one container."""

    def __init__(self, folder: str) -> None:
        """Take its folder, which is there."""
        self.folder = folder
        self._members = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def join(self) -> None:
        """Move this process into it, and so all that it starts from now on."""
        os.write(self._members, b"0")
        os.close(self._members)

    def killed(self) -> int:
        """Count the processes that were killed since they took too much memory."""
        for name in _KILLED:
            for line in _text(f"{self.folder}/{name}").splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill" and count.isdecimal():
                    return int(count)
        return 0

    def close(self) -> None:
        """Delete the group, which has no process any more."""
        os.close(self._members)
        try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
            os.rmdir(self.folder)
        except OSError:
            pass  # a process in it is not reaped yet; the next one that makes a group here deletes it


def make(group: "Group") -> ControlGroup:
    """Make a group in the first folder that takes one.

    Raises:
        NoGroup: none does.
    """
    reason = f"no cgroup with the {group['controllers'][0]} controller is mounted"
    for parent in group["parents"]:
        folder = f"{parent}/{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        _sweep(parent)
        try:
            os.mkdir(folder, 0o755)
        except OSError as error:
            reason = f"{parent}: {error.strerror}"
            continue
        try:
            _fill(group, parent, folder)
            return ControlGroup(folder)
        except OSError as error:
            os.rmdir(folder)
            reason = f"{parent}: {error.strerror}"
    raise NoGroup(errno.ENOTSUP, reason)


def _fill(group: "Group", parent: str, folder: str) -> None:
    """Write the limits of a new group; in version 2 the group above may first have to hand its controllers down."""
    if group["unified"] and not all(os.path.exists(f"{folder}/{name}") for name, _ in group["files"]):
        _hand_down(parent, group["controllers"])
    for name, content in group["files"]:
        try:
            _write(f"{folder}/{name}", content)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES):
                raise OSError(error.errno, f"no {name}") from error
            raise OSError(error.errno, f"{name}: {error.strerror}") from error
    for name, content in group["optional"]:
        try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
            _write(f"{folder}/{name}", content)
        except OSError:
            pass  # a kernel that does not count swap


def _hand_down(parent: str, controllers: "list[str]") -> None:
    """Have a group hand controllers down; what it has of our own processes moves to a group below it first."""
    there = set(_text(f"{parent}/cgroup.controllers").split())
    if missing := [name for name in controllers if name not in there]:
        raise OSError(errno.ENOTSUP, f"the {missing[0]} controller is not delegated")
    words = " ".join(f"+{name}" for name in controllers).encode()
    try:
        _write(f"{parent}/cgroup.subtree_control", words)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise OSError(error.errno, f"cgroup.subtree_control: {error.strerror}") from error
        _move_below(parent)
        _write(f"{parent}/cgroup.subtree_control", words)


def _move_below(parent: str) -> None:
    """Move the processes of a group to a new one below it, if all are this call's of wherry."""
    caller = os.getppid()
    members = [int(word) for word in _text(f"{parent}/cgroup.procs").split()]
    if not all(_descends(member, caller) for member in members):
        raise OSError(
            errno.EBUSY,
            "other processes are in the group: start wherry in one of its own, "
            "systemd-run --user --scope -p Delegate=yes wherry run",
        )
    below = f"{parent}/{_PREFIX}{caller}-caller"
    os.makedirs(below, 0o755, exist_ok=True)
    for member in members:
        try:
            _write(f"{below}/cgroup.procs", b"%d" % member)
        except OSError as error:
            if error.errno != errno.ESRCH:  # it ended
                raise


def _descends(process: int, ancestor: int) -> bool:
    while process > 1 and process != ancestor:
        rest = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
        process = int(rest[1]) if len(rest) > 1 else 0
    return process == ancestor


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


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def _write(path: str, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, content)
    finally:
        os.close(file)
