"""The namespaces in which a process is and we are not, sorted by the user namespace that owns each.

A user namespace has to be joined before what it owns; one that is nested in another, after that one. So the way from
ours to a process's is a list of levels, outermost first.

Sources: ioctl_ns(2), setns(2), user_namespaces(7); Linux 6.18, fs/nsfs.c.
"""

import errno
import fcntl
import os
import struct

from wherry.sandbox.launcher import syscalls

FLAGS = {
    "user": syscalls.CLONE_NEWUSER,
    "pid": syscalls.CLONE_NEWPID,
    "mnt": syscalls.CLONE_NEWNS,
    "net": syscalls.CLONE_NEWNET,
    "uts": syscalls.CLONE_NEWUTS,
    "ipc": syscalls.CLONE_NEWIPC,
    "cgroup": 0x02000000,
}
"""The kinds, in the order in which they are joined, each with its CLONE_NEW… flag."""
_NONE = 0x20000000 if os.uname().machine.startswith(("mips", "ppc", "sparc", "alpha")) else 0
_OWNER, _PARENT, _MAKER = _NONE | 0xB701, _NONE | 0xB702, _NONE | 0xB704
"""NS_GET_USERNS, NS_GET_PARENT, NS_GET_OWNER_UID."""
_DEEPEST = 34
"""User namespaces are nested in at most 32 others (user_namespaces(7))."""


class Level:
    """A user namespace on the way from ours to a process's."""

    def __init__(self, user: int, maker: int) -> None:
        """Take its descriptor and its maker.

        Args:
            user: open; -1: it is ours already.
            maker: the user who made it, as we number users; -1: ours.
        """
        self.user = user
        self.maker = maker
        self.kinds: dict[str, int] = {}
        """Namespaces that it owns and we are not in, open, by kind."""


class Way:
    """The levels from our user namespace to a process's, and what is out of our sight."""

    def __init__(self, process: int) -> None:
        """Open what differs.

        Raises:
            OSError: EACCES where we may not look at the process, ENOENT or ESRCH where it is gone.
        """
        self.levels = _levels(process)
        self.beyond: list[str] = []
        """Kinds that belong to a user namespace above ours."""
        numbers = [_own("user"), *(_number(level.user) for level in self.levels[1:])]
        for kind in FLAGS:
            if kind != "user" and (opened := _differing(process, kind)) >= 0:
                place = _level(opened, numbers)
                if place < 0:
                    self.beyond.append(kind)
                    os.close(opened)
                else:
                    self.levels[place].kinds[kind] = opened

    def close(self) -> None:
        """Close all of them."""
        for level in self.levels:
            for opened in (level.user, *level.kinds.values()):
                if opened >= 0:
                    os.close(opened)


def started(process: int) -> int:
    """Give when a process was started, in ticks since the machine was: with its id, what names it for good.

    Raises:
        OSError: there is no such process.
    """
    with open(f"/proc/{process}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def _levels(process: int) -> "list[Level]":
    found: list[Level] = []
    user = os.open(f"/proc/{process}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    while _number(user) != _own("user"):
        found.append(Level(user, _maker(user)))
        user = _asked(user, _PARENT)
        if user < 0 or len(found) > _DEEPEST:
            raise OSError(errno.EPERM, "its user namespace is not below this one", f"/proc/{process}/ns/user")
    os.close(user)
    return [Level(-1, -1), *reversed(found)]


def _level(opened: int, numbers: "list[tuple[int, int]]") -> int:
    """Find the level whose rights count for a namespace: its owner's, or that of one above it; -1: there is none.

    A container's network may belong to a user namespace next to its own: whoever rules what is above both may join it.
    """
    user = _asked(opened, _OWNER)
    while user >= 0:
        number, above = _number(user), -1
        if number not in numbers:
            above = _asked(user, _PARENT)
        os.close(user)
        if number in numbers:
            return numbers.index(number)
        user = above
    return -1


def _differing(process: int, kind: str) -> int:
    """Open a namespace of a process; -1 where it is ours too, or the kernel has no such kind."""
    try:
        opened = os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if os.path.exists(f"/proc/self/ns/{kind}"):
            raise
        return -1
    if _number(opened) == _own(kind):
        os.close(opened)
        return -1
    return opened


def _own(kind: str) -> "tuple[int, int]":
    status = os.stat(f"/proc/self/ns/{kind}")
    return status.st_dev, status.st_ino


def _number(opened: int) -> "tuple[int, int]":
    status = os.fstat(opened)
    return status.st_dev, status.st_ino


def _asked(opened: int, request: int) -> int:
    """Open the namespace that owns another, or the one above it; -1 where that is out of our sight."""
    try:
        return fcntl.ioctl(opened, request)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        return -1


def _maker(opened: int) -> int:
    answer = bytearray(4)
    fcntl.ioctl(opened, _MAKER, answer)
    return int(struct.unpack("=I", answer)[0])
