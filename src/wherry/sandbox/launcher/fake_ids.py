"""Owners and users for a container that has one id only: chown, stat and setuid do as if all ids were there.

A filter hands those calls to a process next to the container's first one (seccomp user notification). It keeps the
owner of a file as a note on it (`owners.OWNER`), and remembers which user a process has become. Files have one real
owner all the while, so nothing is forbidden that was not before.

Sources: seccomp_unotify(2), credentials(7), setresuid(2), statx(2); Linux 6.18, include/uapi/linux/seccomp.h and
`struct stat` of arch/x86 and asm-generic.
"""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import stat
import struct

from wherry.sandbox.launcher import seccomp, syscalls
from wherry.sandbox.launcher.owners import OWNER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[["Call"], int]

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, …_SEND
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_HERE = -100  # AT_FDCWD
_NO_FOLLOW, _EMPTY_PATH = 0x100, 0x1000  # AT_…
_LEAVE = 0xFFFFFFFF
"""An id of -1."""
_PAGE = 4096
_CHANNEL = 3
_MOST_GROUPS = 65536
_PLACE = os.O_PATH | os.O_CLOEXEC
_CAUGHT = {
    "x86_64": {
        "stat": 4, "fstat": 5, "lstat": 6, "newfstatat": 262, "statx": 332,
        "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260,
        "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getresuid": 118, "getresgid": 120,
        "setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setresuid": 117, "setresgid": 119,
        "getgroups": 115, "setgroups": 116, "setfsuid": 122, "setfsgid": 123,
    },
    "aarch64": {
        "newfstatat": 79, "fstat": 80, "statx": 291, "fchownat": 54, "fchown": 55,
        "getuid": 174, "getgid": 176, "geteuid": 175, "getegid": 177, "getresuid": 148, "getresgid": 150,
        "setuid": 146, "setgid": 144, "setreuid": 145, "setregid": 143, "setresuid": 147, "setresgid": 149,
        "getgroups": 158, "setgroups": 159, "setfsuid": 151, "setfsgid": 152,
    },
}  # fmt: skip
_STAT = {"x86_64": (144, 28), "aarch64": (128, 24)}
"""Of `struct stat`: its size, and where the two ids are."""
_STATX = (256, 20)


def can_answer() -> bool:
    """Tell whether calls can be answered here: there are tables for this processor, and /proc is the container's."""
    if os.uname().machine not in _CAUGHT:
        return False
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def begin(null: int) -> socket.socket:
    """Start the process that answers; give the channel that it waits on for what `catch` sends.

    Args:
        null: the sandbox's null device, open.
    """
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            _supervise(theirs.detach(), null)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def catch(channel: socket.socket, *, users: bool) -> None:
    """Have this process's calls, and those of all that it starts, answered by the one at the channel's other end.

    Args:
        channel: as `begin` gave it.
        users: whether calls about users are caught too.

    Raises:
        OSError: the kernel does not do it.
    """
    calls = _CAUGHT[os.uname().machine]
    wanted = [number for name, number in calls.items() if users or "stat" in name or "chown" in name]
    listener = seccomp.load_listener(seccomp.caught(wanted, seccomp.NOTIFY))
    socket.send_fds(channel, [b"l"], [listener])
    os.close(listener)


def ignore_chown() -> None:
    """Have every chown of this process, and of all that it starts, do nothing and say that it worked.

    Raises:
        OSError: the kernel does not do it.
    """
    calls = _CAUGHT[os.uname().machine]
    seccomp.load(seccomp.caught([number for name, number in calls.items() if "chown" in name], seccomp.SUCCEED))


def _supervise(channel: int, null: int) -> None:
    syscalls.die_with_parent()
    signal.set_wakeup_fd(-1)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.dup2(channel, _CHANNEL)
    syscalls.close_from(_CHANNEL + 1)
    with socket.socket(fileno=_CHANNEL) as waiting:
        _, (listener,), _, _ = socket.recv_fds(waiting, 1, 1)
    os.chdir("/proc")
    Supervisor(listener).serve()


class AsItIs(Exception):
    """The kernel does it right."""


class Call:
    """A call that waits for its answer."""

    def __init__(self, process: int, words: "tuple[int, ...]") -> None:
        self.process = process
        self.words = words

    def number(self, place: int) -> int:
        """Give an argument that is an int."""
        return ctypes.c_int(self.words[place] & _LEAVE).value

    def id(self, place: int) -> int:
        """Give an argument that is an id; `_LEAVE` stands for -1."""
        return self.words[place] & _LEAVE

    def text(self, place: int) -> bytes:
        """Read the text that an argument points to.

        Raises:
            AsItIs: it can't be read: the process is ours still, and has executed nothing.
        """
        address = self.words[place]
        found = b""
        try:
            with _Memory(self.process, os.O_RDONLY) as memory:
                while b"\0" not in found:
                    chunk = os.pread(memory, _PAGE - address % _PAGE, address)
                    if not chunk or len(found) > _PAGE:
                        raise AsItIs
                    found += chunk
                    address += len(chunk)
        except OSError as error:
            raise AsItIs from error
        return found.partition(b"\0")[0]

    def ints(self, place: int, count: int) -> "tuple[int, ...]":
        """Read ids that an argument points to."""
        with _Memory(self.process, os.O_RDONLY) as memory:
            found = os.pread(memory, 4 * count, self.words[place])
        return struct.unpack(f"={count}I", found)

    def write(self, place: int, content: bytes) -> None:
        """Write where an argument points to."""
        with _Memory(self.process, os.O_WRONLY) as memory:
            os.pwrite(memory, content, self.words[place])


class _Memory:
    """Another process's memory."""

    def __init__(self, process: int, flags: int) -> None:
        self._process = process
        self._flags = flags

    def __enter__(self) -> int:
        self._opened = os.open(f"{self._process}/mem", self._flags | os.O_CLOEXEC)
        return self._opened

    def __exit__(self, *_: object) -> None:
        os.close(self._opened)


class _User:
    """Who a process is: real, effective and saved ids, and groups."""

    def __init__(self) -> None:
        self.uids, self.gids = [0, 0, 0], [0, 0, 0]
        self.groups: tuple[int, ...] = ()

    def copy(self) -> "_User":
        """Give another that is the same so far."""
        other = _User()
        other.uids, other.gids, other.groups = list(self.uids), list(self.gids), self.groups
        return other


class Supervisor:
    """Answers calls until no process is left that makes any; its working directory is the container's /proc."""

    def __init__(self, listener: int) -> None:
        """Take what the calls come through."""
        self._listener = listener
        self._users = _Users()
        self._others: dict[tuple[int, int], tuple[int, int]] = {}
        """Owners of what can have no note, by device and inode."""
        numbers = _CAUGHT[os.uname().machine]
        self._handlers: dict[int, Handler] = {
            number: getattr(self if hasattr(self, name) else self._users, name) for name, number in numbers.items()
        }
        self._raw_stat = numbers["newfstatat"]
        self._raw_statx = numbers["statx"]
        self._layout = _STAT[os.uname().machine]
        self._root = _root_of("self")

    def serve(self) -> None:
        """Answer call after call."""
        while True:
            asked = bytearray(_NOTIFICATION.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, asked)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):  # that process is gone
                    continue
                return
            name, process, _, number, _, _, *words = _NOTIFICATION.unpack(asked)
            answer = self._answer(name, Call(process, tuple(words)), number)
            try:
                fcntl.ioctl(self._listener, _SEND, answer)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def _answer(self, name: int, call: Call, number: int) -> bytes:
        """Give the answer; where what a call names can't be found out, the kernel has the right words."""
        try:
            return _ANSWER.pack(name, self._handlers[number](call), 0, 0)
        except AsItIs:
            return _ANSWER.pack(name, 0, 0, _CONTINUE)
        except OSError as error:
            return _ANSWER.pack(name, 0, -(error.errno or errno.EIO), 0)

    def chown(self, call: Call) -> int:
        """Answer chown: path, uid, gid."""
        return self._own(self._at(call, _HERE, call.text(0)), call.id(1), call.id(2))

    def lchown(self, call: Call) -> int:
        """Answer lchown: path, uid, gid."""
        return self._own(self._at(call, _HERE, call.text(0), follow=False), call.id(1), call.id(2))

    def fchown(self, call: Call) -> int:
        """Answer fchown: fd, uid, gid."""
        return self._own(_opened(call, call.number(0)), call.id(1), call.id(2))

    def fchownat(self, call: Call) -> int:
        """Answer fchownat: folder, path, uid, gid, flags."""
        return self._own(self._named(call, 0, 1, call.number(4)), call.id(2), call.id(3))

    def stat(self, call: Call) -> int:
        """Answer stat: path, result."""
        return self._describe(self._at(call, _HERE, call.text(0)), call, 1)

    def lstat(self, call: Call) -> int:
        """Answer lstat: path, result."""
        return self._describe(self._at(call, _HERE, call.text(0), follow=False), call, 1)

    def fstat(self, call: Call) -> int:
        """Answer fstat: fd, result."""
        return self._describe(_opened(call, call.number(0)), call, 1)

    def newfstatat(self, call: Call) -> int:
        """Answer newfstatat: folder, path, result, flags."""
        return self._describe(self._named(call, 0, 1, call.number(3)), call, 2)

    def statx(self, call: Call) -> int:
        """Answer statx: folder, path, flags, mask, result."""
        return self._describe(self._named(call, 0, 1, call.number(2)), call, 4, mask=call.id(3))

    def _own(self, place: int, uid: int, gid: int) -> int:
        try:
            before = self._owner(place, os.fstat(place))
            # Done for what else it does: set-user-ID bits and capabilities go, the time of the change is now.
            syscalls.own_place(place, uid if uid == _LEAVE else 0, gid if gid == _LEAVE else 0)
            owner = (before[0] if uid == _LEAVE else uid, before[1] if gid == _LEAVE else gid)
            if owner != before:
                self._note(place, os.fstat(place), owner)
        finally:
            os.close(place)
        return 0

    def _note(self, place: int, status: os.stat_result, owner: "tuple[int, int]") -> None:
        path = f"self/fd/{place}"
        if _can_have_note(status):
            try:
                if owner == (0, 0):
                    os.removexattr(path, OWNER)
                else:
                    os.setxattr(path, OWNER, b"%d:%d" % owner)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.ENODATA):
                    raise
            else:
                return
        self._others[status.st_dev, status.st_ino] = owner

    def _owner(self, place: int, status: os.stat_result) -> "tuple[int, int]":
        if (other := self._others.get((status.st_dev, status.st_ino))) is not None:
            return other
        if _can_have_note(status):
            try:
                uid, _, gid = os.getxattr(f"self/fd/{place}", OWNER).partition(b":")
                return int(uid), int(gid)
            except (OSError, ValueError):
                pass
        return status.st_uid, status.st_gid

    def _describe(self, place: int, call: Call, result: int, mask: int = 0) -> int:
        """Answer a call for what a file is, where its owner is another than the kernel says."""
        try:
            status = os.fstat(place)
            owner = self._owner(place, status)
            if owner == (status.st_uid, status.st_gid):
                raise AsItIs
            size, at = _STATX if mask else self._layout
            number = self._raw_statx if mask else self._raw_stat
            content = syscalls.describe_place(number, place, size, mask)
        finally:
            os.close(place)
        struct.pack_into("=II", content, at, *owner)
        call.write(result, bytes(content))
        return 0

    def _named(self, call: Call, folder: int, path: int, flags: int) -> int:
        """Open what a folder's descriptor and a path, two arguments, name."""
        if call.words[path] and (name := call.text(path)):
            return self._at(call, call.number(folder), name, follow=not flags & _NO_FOLLOW)
        if not flags & _EMPTY_PATH:
            raise AsItIs
        return _opened(call, call.number(folder))

    def _at(self, call: Call, folder: int, path: bytes, *, follow: bool = True) -> int:
        """Open, for its place only, what a path names for a process.

        Raises:
            AsItIs: nothing, or it can't be found out.
        """
        try:
            return self._resolved(call, folder, path, follow=follow)
        except OSError as error:
            raise AsItIs from error

    def _resolved(self, call: Call, folder: int, path: bytes, *, follow: bool) -> int:
        flags = _PLACE | (0 if follow else os.O_NOFOLLOW)
        if path.startswith(b"/"):
            if _root_of(call.process) == self._root:
                return os.open(path, flags)
            start = os.open(f"{call.process}/root", _PLACE)
        else:
            start = _opened(call, folder)
        try:
            if path.startswith(b"/"):
                return syscalls.open_below(start, os.fsdecode(path), flags, resolve=syscalls.IN_ROOT)
            return os.open(path, flags, dir_fd=start)
        finally:
            os.close(start)


class _Users:
    """Who processes are: calls about users, answered."""

    def __init__(self) -> None:
        self._changed: dict[int, tuple[str, _User]] = {}
        """By process, with when it was started: those that became another, and what they start."""

    def getuid(self, call: Call) -> int:
        """Give the real user."""
        return self._known(call).uids[0]

    def geteuid(self, call: Call) -> int:
        """Give the effective user."""
        return self._known(call).uids[1]

    def getgid(self, call: Call) -> int:
        """Give the real group."""
        return self._known(call).gids[0]

    def getegid(self, call: Call) -> int:
        """Give the effective group."""
        return self._known(call).gids[1]

    def getresuid(self, call: Call) -> int:
        """Give real, effective and saved user."""
        return _three(call, self._known(call).uids)

    def getresgid(self, call: Call) -> int:
        """Give real, effective and saved group."""
        return _three(call, self._known(call).gids)

    def setuid(self, call: Call) -> int:
        """Become a user."""
        return self._set(call, "uids", _set_one)

    def setgid(self, call: Call) -> int:
        """Become of a group."""
        return self._set(call, "gids", _set_one)

    def setreuid(self, call: Call) -> int:
        """Set real and effective user."""
        return self._set(call, "uids", _set_two)

    def setregid(self, call: Call) -> int:
        """Set real and effective group."""
        return self._set(call, "gids", _set_two)

    def setresuid(self, call: Call) -> int:
        """Set real, effective and saved user."""
        return self._set(call, "uids", _set_three)

    def setresgid(self, call: Call) -> int:
        """Set real, effective and saved group."""
        return self._set(call, "gids", _set_three)

    def setfsuid(self, call: Call) -> int:
        """Tell whose files it opens; that is the effective user always."""
        return (self._find(call.process) or _User()).uids[1]

    def setfsgid(self, call: Call) -> int:
        """Tell of which group it opens files."""
        return (self._find(call.process) or _User()).gids[1]

    def getgroups(self, call: Call) -> int:
        """Give the supplementary groups."""
        groups = self._known(call).groups
        if not call.number(0):
            return len(groups)
        if call.number(0) < len(groups):
            raise OSError(errno.EINVAL, "too few")
        call.write(1, struct.pack(f"={len(groups)}I", *groups))
        return len(groups)

    def setgroups(self, call: Call) -> int:
        """Set the supplementary groups."""
        user = self._own(call)
        if user.uids[1]:
            raise OSError(errno.EPERM, "not root")
        user.groups = call.ints(1, call.number(0)) if 0 < call.number(0) <= _MOST_GROUPS else ()
        return 0

    def _known(self, call: Call) -> _User:
        user = self._find(call.process)
        if user is None:
            raise AsItIs
        return user

    def _set(self, call: Call, kind: str, rule: "Callable[[Call, list[int], bool], list[int]]") -> int:
        user = self._own(call)
        setattr(user, kind, rule(call, getattr(user, kind), user.uids[1] == 0))
        return 0

    def _own(self, call: Call) -> _User:
        """Give who a process is, to be changed for it alone."""
        process, _ = _relations(call.process)
        user = (self._find(process) or _User()).copy()
        self._changed[process] = (_started(process), user)
        return user

    def _find(self, task: int) -> "_User | None":
        """Find who a process is: what it became, or what started it."""
        if not self._changed:
            return None
        while task > 1:
            process, parent = _relations(task)
            started, user = self._changed.get(process, ("", _User()))
            if started and started == _started(process):
                return user
            task = parent
        return None


def _set_one(call: Call, ids: "list[int]", root: bool) -> "list[int]":  # noqa: FBT001 - a rule has one form
    wanted = call.id(0)
    if root:
        return [wanted] * 3
    return [ids[0], _allowed(wanted, (ids[0], ids[2])), ids[2]]


def _set_two(call: Call, ids: "list[int]", root: bool) -> "list[int]":  # noqa: FBT001 - as above
    real, effective = call.id(0), call.id(1)
    new = list(ids)
    if real != _LEAVE:
        new[0] = real if root else _allowed(real, ids[:2])
    if effective != _LEAVE:
        new[1] = effective if root else _allowed(effective, ids)
    if real != _LEAVE or (effective not in (_LEAVE, ids[0])):
        new[2] = new[1]
    return new


def _set_three(call: Call, ids: "list[int]", root: bool) -> "list[int]":  # noqa: FBT001 - as above
    wanted = [call.id(place) for place in range(3)]
    return [old if new == _LEAVE else new if root else _allowed(new, ids) for new, old in zip(wanted, ids, strict=True)]


def _allowed(wanted: int, among: "list[int] | tuple[int, ...]") -> int:
    if wanted not in among:
        raise OSError(errno.EPERM, "not root")
    return wanted


def _three(call: Call, ids: "list[int]") -> int:
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


def _can_have_note(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def _opened(call: Call, number: int) -> int:
    """Open what a process has open, or its working directory.

    Raises:
        AsItIs: it can't be opened.
    """
    try:
        return os.open(f"{call.process}/cwd" if number == _HERE else f"{call.process}/fd/{number}", _PLACE)
    except OSError as error:
        raise AsItIs from error


def _root_of(process: "int | str") -> "tuple[int, int]":
    found = os.stat(f"{process}/root")
    return found.st_dev, found.st_ino
