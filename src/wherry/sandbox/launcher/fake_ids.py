"""Owners and users for a container that has one id only: chown, stat and setuid do as if all ids were there.

A filter hands those calls to a process next to the container's first one (seccomp user notification). It keeps the
owner of a file as a note on it (`owners.OWNER`), and remembers which user a process has become. Files have one real
owner all the while, so nothing is forbidden that was not before.

Sources: seccomp_unotify(2), statx(2); Linux 6.18, include/uapi/linux/seccomp.h and
`struct stat` of arch/x86 and asm-generic.
"""

import errno
import fcntl
import os
import signal
import socket
import stat
import struct

from wherry.sandbox.launcher import seccomp, syscalls
from wherry.sandbox.launcher.answered_call import HERE, LEAVE, AnsweredCall, AsItIs
from wherry.sandbox.launcher.fake_users import FakeUsers
from wherry.sandbox.launcher.owners import OWNER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[["AnsweredCall"], int]
    Birth = tuple[int, int, int]
    """A file's kind, and the seconds and nanoseconds at which it was made."""

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, …_SEND
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_NO_FOLLOW, _EMPTY_PATH = 0x100, 0x1000  # AT_…
_CHANNEL = 3
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
_BIRTH_TIME, _BIRTH_AT = 0x800, 80
"""STATX_BTIME, and where `struct statx` has it."""
_TIME = struct.Struct("=qI")
_STREAMS = {b"/dev/stdin": b"/dev/fd/0", b"/dev/stdout": b"/dev/fd/1", b"/dev/stderr": b"/dev/fd/2"}


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
    OwnerSupervisor(listener).serve()


class OwnerSupervisor:
    """Answers calls until no process is left that makes any; its working directory is the container's /proc."""

    def __init__(self, listener: int) -> None:
        """Take what the calls come through."""
        self._listener = listener
        self._users = FakeUsers()
        self._others: dict[tuple[int, int], tuple[Birth, tuple[int, int]]] = {}
        """Owners of what can have no note, by device and inode; a file that got such a number later is another one."""
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
            answer = self._answer(name, AnsweredCall(process, tuple(words)), number)
            try:
                fcntl.ioctl(self._listener, _SEND, answer)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def _answer(self, name: int, call: AnsweredCall, number: int) -> bytes:
        """Give the answer; where what a call names can't be found out, the kernel has the right words."""
        try:
            return _ANSWER.pack(name, self._handlers[number](call), 0, 0)
        except (AsItIs, OverflowError, ValueError, struct.error):  # an address or a count that can't be one
            return _ANSWER.pack(name, 0, 0, _CONTINUE)
        except OSError as error:
            return _ANSWER.pack(name, 0, -(error.errno or errno.EIO), 0)

    def chown(self, call: AnsweredCall) -> int:
        """Answer chown: path, uid, gid."""
        return self._own(self._at(call, HERE, call.text(0)), call.id(1), call.id(2))

    def lchown(self, call: AnsweredCall) -> int:
        """Answer lchown: path, uid, gid."""
        return self._own(self._at(call, HERE, call.text(0), follow=False), call.id(1), call.id(2))

    def fchown(self, call: AnsweredCall) -> int:
        """Answer fchown: fd, uid, gid."""
        return self._own(_opened(call, call.number(0)), call.id(1), call.id(2))

    def fchownat(self, call: AnsweredCall) -> int:
        """Answer fchownat: folder, path, uid, gid, flags."""
        return self._own(self._named(call, 0, 1, call.number(4)), call.id(2), call.id(3))

    def stat(self, call: AnsweredCall) -> int:
        """Answer stat: path, result."""
        return self._describe(self._at(call, HERE, call.text(0)), call, 1)

    def lstat(self, call: AnsweredCall) -> int:
        """Answer lstat: path, result."""
        return self._describe(self._at(call, HERE, call.text(0), follow=False), call, 1)

    def fstat(self, call: AnsweredCall) -> int:
        """Answer fstat: fd, result."""
        return self._describe(_opened(call, call.number(0)), call, 1)

    def newfstatat(self, call: AnsweredCall) -> int:
        """Answer newfstatat: folder, path, result, flags."""
        return self._describe(self._named(call, 0, 1, call.number(3)), call, 2)

    def statx(self, call: AnsweredCall) -> int:
        """Answer statx: folder, path, flags, mask, result."""
        return self._describe(self._named(call, 0, 1, call.number(2)), call, 4, mask=call.id(3))

    def _own(self, place: int, uid: int, gid: int) -> int:
        try:
            before = self._owner(place, os.fstat(place))
            # Done for what else it does: set-user-ID bits and capabilities go, the time of the change is now.
            syscalls.own_place(place, uid if uid == LEAVE else 0, gid if gid == LEAVE else 0)
            owner = (before[0] if uid == LEAVE else uid, before[1] if gid == LEAVE else gid)
            if owner != before:
                self._note(place, os.fstat(place), owner)
        finally:
            os.close(place)
        return 0

    def _note(self, place: int, status: os.stat_result, owner: "tuple[int, int]") -> None:
        path = f"self/fd/{place}"
        self._others.pop((status.st_dev, status.st_ino), None)
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
        self._others[status.st_dev, status.st_ino] = self._birth(place, status), owner

    def _owner(self, place: int, status: os.stat_result) -> "tuple[int, int]":
        other = self._others.get((status.st_dev, status.st_ino))
        if other is not None and other[0] == self._birth(place, status):
            return other[1]
        if _can_have_note(status):
            try:
                uid, _, gid = os.getxattr(f"self/fd/{place}", OWNER).partition(b":")
                return int(uid), int(gid)
            except (OSError, ValueError):
                pass
        return status.st_uid, status.st_gid

    def _birth(self, place: int, status: os.stat_result) -> "Birth":
        """Tell what kind a file is and when it was made, which no other with its number shares."""
        content = syscalls.describe_place(self._raw_statx, place, _STATX[0], _BIRTH_TIME)
        return stat.S_IFMT(status.st_mode), *_TIME.unpack_from(content, _BIRTH_AT)

    def _describe(self, place: int, call: AnsweredCall, result: int, mask: int = 0) -> int:
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

    def _named(self, call: AnsweredCall, folder: int, path: int, flags: int) -> int:
        """Open what a folder's descriptor and a path, two arguments, name."""
        if call.words[path] and (name := call.text(path)):
            return self._at(call, call.number(folder), name, follow=not flags & _NO_FOLLOW)
        if not flags & _EMPTY_PATH:
            raise AsItIs
        return _opened(call, call.number(folder))

    def _at(self, call: AnsweredCall, folder: int, path: bytes, *, follow: bool = True) -> int:
        """Open, for its place only, what a path names for a process.

        Raises:
            AsItIs: nothing, or it can't be found out.
        """
        try:
            return self._resolved(call, folder, path, follow=follow)
        except OSError as error:
            raise AsItIs from error

    def _resolved(self, call: AnsweredCall, folder: int, path: bytes, *, follow: bool) -> int:
        flags = _PLACE | (0 if follow else os.O_NOFOLLOW)
        if path.startswith(b"/"):
            if _root_of(call.process) == self._root:
                return os.open(_of_caller(path, call.process), flags)
            start = os.open(f"{call.process}/root", _PLACE)
        else:
            start = _opened(call, folder)
        try:
            if path.startswith(b"/"):
                return syscalls.open_below(start, os.fsdecode(path), flags, resolve=syscalls.IN_ROOT)
            return os.open(path, flags, dir_fd=start)
        finally:
            os.close(start)


def _of_caller(path: bytes, process: int) -> bytes:
    """Give a path that means for us what it means for a process: /proc/self is the process that asks."""
    link = _STREAMS.get(path, path)
    for name in (b"/proc/self/", b"/proc/thread-self/", b"/dev/fd/"):
        if link.startswith(name):
            return b"/proc/%d/" % process + (b"fd/" if name == b"/dev/fd/" else b"") + link[len(name) :]
    return path


def _can_have_note(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def _opened(call: AnsweredCall, number: int) -> int:
    """Open what a process has open, or its working directory.

    Raises:
        AsItIs: it can't be opened.
    """
    try:
        return os.open(f"{call.process}/cwd" if number == HERE else f"{call.process}/fd/{number}", _PLACE)
    except OSError as error:
        raise AsItIs from error


def _root_of(process: "int | str") -> "tuple[int, int]":
    found = os.stat(f"{process}/root")
    return found.st_dev, found.st_ino
