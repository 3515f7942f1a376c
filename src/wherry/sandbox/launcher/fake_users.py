"""Who processes are, in a container that has one id only: calls about users and groups, answered.

Sources: credentials(7), setresuid(2), setreuid(2); proc_pid_status(5), proc_pid_stat(5).
"""

import errno
import struct

from wherry.sandbox.launcher.answered_call import LEAVE, AnsweredCall, AsItIs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_GROUPS = 65536


class FakeUser:
    """Who a process is: real, effective and saved ids, and groups."""

    def __init__(self) -> None:
        self.uids, self.gids = [0, 0, 0], [0, 0, 0]
        self.groups: tuple[int, ...] = ()

    def copy(self) -> "FakeUser":
        """Give another that is the same so far."""
        other = FakeUser()
        other.uids, other.gids, other.groups = list(self.uids), list(self.gids), self.groups
        return other


class FakeUsers:
    """Who processes are: calls about users, answered."""

    def __init__(self) -> None:
        self._changed: dict[int, tuple[str, FakeUser]] = {}
        """By process, with when it was started: those that became another, and what they start."""

    def getuid(self, call: AnsweredCall) -> int:
        """Give the real user."""
        return self._known(call).uids[0]

    def geteuid(self, call: AnsweredCall) -> int:
        """Give the effective user."""
        return self._known(call).uids[1]

    def getgid(self, call: AnsweredCall) -> int:
        """Give the real group."""
        return self._known(call).gids[0]

    def getegid(self, call: AnsweredCall) -> int:
        """Give the effective group."""
        return self._known(call).gids[1]

    def getresuid(self, call: AnsweredCall) -> int:
        """Give real, effective and saved user."""
        return _three(call, self._known(call).uids)

    def getresgid(self, call: AnsweredCall) -> int:
        """Give real, effective and saved group."""
        return _three(call, self._known(call).gids)

    def setuid(self, call: AnsweredCall) -> int:
        """Become a user."""
        return self._set(call, "uids", _set_one)

    def setgid(self, call: AnsweredCall) -> int:
        """Become of a group."""
        return self._set(call, "gids", _set_one)

    def setreuid(self, call: AnsweredCall) -> int:
        """Set real and effective user."""
        return self._set(call, "uids", _set_two)

    def setregid(self, call: AnsweredCall) -> int:
        """Set real and effective group."""
        return self._set(call, "gids", _set_two)

    def setresuid(self, call: AnsweredCall) -> int:
        """Set real, effective and saved user."""
        return self._set(call, "uids", _set_three)

    def setresgid(self, call: AnsweredCall) -> int:
        """Set real, effective and saved group."""
        return self._set(call, "gids", _set_three)

    def setfsuid(self, call: AnsweredCall) -> int:
        """Tell whose files it opens; that is the effective user always."""
        return (self._find(call.process) or FakeUser()).uids[1]

    def setfsgid(self, call: AnsweredCall) -> int:
        """Tell of which group it opens files."""
        return (self._find(call.process) or FakeUser()).gids[1]

    def getgroups(self, call: AnsweredCall) -> int:
        """Give the supplementary groups."""
        groups = self._known(call).groups
        if not call.number(0):
            return len(groups)
        if call.number(0) < len(groups):
            raise OSError(errno.EINVAL, "too few")
        call.write(1, struct.pack(f"={len(groups)}I", *groups))
        return len(groups)

    def setgroups(self, call: AnsweredCall) -> int:
        """Set the supplementary groups."""
        user = self._own(call)
        if user.uids[1]:
            raise OSError(errno.EPERM, "not root")
        user.groups = call.ints(1, call.number(0)) if 0 < call.number(0) <= _MOST_GROUPS else ()
        return 0

    def _known(self, call: AnsweredCall) -> FakeUser:
        user = self._find(call.process)
        if user is None:
            raise AsItIs
        return user

    def _set(self, call: AnsweredCall, kind: str, rule: "Callable[[AnsweredCall, list[int], bool], list[int]]") -> int:
        user = self._own(call)
        setattr(user, kind, rule(call, getattr(user, kind), user.uids[1] == 0))
        return 0

    def _own(self, call: AnsweredCall) -> FakeUser:
        """Give who a process is, to be changed for it alone."""
        process, _ = _relations(call.process)
        user = (self._find(process) or FakeUser()).copy()
        self._changed[process] = (_started(process), user)
        return user

    def _find(self, task: int) -> "FakeUser | None":
        """Find who a process is: what it became, or what started it."""
        try:
            while self._changed and task > 1:
                process, task = _relations(task)
                started, user = self._changed.get(process, ("", FakeUser()))
                if started and started == _started(process):
                    return user
        except OSError:
            return None  # one that it comes from has just ended
        return None


def _set_one(call: AnsweredCall, ids: "list[int]", root: bool) -> "list[int]":  # noqa: FBT001 - a rule has one form
    wanted = call.id(0)
    if root:
        return [wanted] * 3
    return [ids[0], _allowed(wanted, (ids[0], ids[2])), ids[2]]


def _set_two(call: AnsweredCall, ids: "list[int]", root: bool) -> "list[int]":  # noqa: FBT001 - as above
    real, effective = call.id(0), call.id(1)
    new = list(ids)
    if real != LEAVE:
        new[0] = real if root else _allowed(real, ids[:2])
    if effective != LEAVE:
        new[1] = effective if root else _allowed(effective, ids)
    if real != LEAVE or (effective not in (LEAVE, ids[0])):
        new[2] = new[1]
    return new


def _set_three(call: AnsweredCall, ids: "list[int]", root: bool) -> "list[int]":  # noqa: FBT001 - as above
    wanted = [call.id(place) for place in range(3)]
    return [old if new == LEAVE else new if root else _allowed(new, ids) for new, old in zip(wanted, ids, strict=True)]


def _allowed(wanted: int, among: "list[int] | tuple[int, ...]") -> int:
    if wanted not in among:
        raise OSError(errno.EPERM, "not root")
    return wanted


def _three(call: AnsweredCall, ids: "list[int]") -> int:
    for place, number in enumerate(ids):
        call.write(place, struct.pack("=I", number))
    return 0


def _relations(task: int) -> "tuple[int, int]":
    """Give the process that a task is of, and its parent (proc_pid_status(5))."""
    with open(f"{task}/status", "rb") as file:
        fields = dict(line.split(b":", 1) for line in file if line.startswith((b"Tgid:", b"PPid:")))
    return int(fields[b"Tgid"]), int(fields[b"PPid"])


def _started(process: int) -> str:
    """Tell when a process was started, so that one with a number used again is not taken for it (proc_pid_stat(5))."""
    with open(f"{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[19].decode()
