"""A step in a chroot: where nothing can be mounted and no namespace be had, as in a pod without privileges.

What a mount would show is put into the copy of the rootfs, and taken out again. There is no /proc, and no process id
namespace: what a step leaves running is found as our own orphans, and killed.

Source: chroot(2), PR_SET_CHILD_SUBREAPER(2const).
"""

import os
import select
import signal
import stat

from wherry.sandbox import calls
from wherry.sandbox.container import Payload
from wherry.sandbox.flatten import flatten
from wherry.sandbox.line import FAILED, LINE, tell
from wherry.sandbox.places import resolve
from wherry.sandbox.settle import settle
from wherry.sandbox.trash import delete_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Container, Mount

_NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_BY_SIGNAL = 128


def run(job: "Container") -> int:
    """Run a step to its end; give its exit code.

    Raises:
        OSError: the rootfs can't be put together.
    """
    tell({"notice": "no namespaces and mounts are to be had here: the step runs in a chroot, without /proc"})
    calls.adopt_orphans()
    caller = os.getppid()
    calls.outlive_parent()  # so that what was put in is taken out, secrets first, whoever is killed
    root = f"{job['writable']}/full"
    flatten(job["layers"], root)
    guests = _Guests(root, job["writable"])
    try:
        guests.borrow(job["mounts"])
        guests.nodes()
        for mount in job["mounts"]:
            guests.show(mount)
        guests.folder(job["folder"])
        code = _payload(job, root, caller)
    finally:
        guests.leave()
    settle(job["layers"], job["writable"])
    return code


def _payload(job: "Container", root: str, caller: int) -> int:
    if job["limits"]:
        import resource  # noqa: F401 - the payload sets its limits by it
    child = os.fork()
    if child == 0:
        calls.die_with_parent()
        os.chroot(root)
        os.chdir("/")
        os._exit(Payload(job, -1, -1).start())
    tell({"started": True})
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(LINE, select.POLLRDHUP)
    workshop = os.pidfd_open(caller)
    poll.register(workshop, select.POLLIN)
    gone = os.getppid() != caller or any(descriptor != watched for descriptor, _ in poll.poll())
    if gone:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _kill_orphans()
    if gone:
        return FAILED
    return _BY_SIGNAL - code if code < 0 else code


def _kill_orphans() -> None:
    """Kill whatever is below us, until nothing is."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            children = file.read().split()
        if not children:
            return
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
                os.waitpid(int(child), 0)
            except (ProcessLookupError, ChildProcessError):
                continue


class _Guests:
    """What is in a rootfs only while a step runs."""

    def __init__(self, root: str, writable: str) -> None:
        self._root = root
        self._opened = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._aside = f"{writable}/work"
        self._there: list[tuple[str, str, str]] = []
        """Where each is, what it took the place of (moved aside; empty: nothing), and where it goes back to."""
        self._made: list[tuple[str, int]] = []
        """Folders made on the way, and when the one above was changed last before."""
        self._locks: list[int] = []

    def borrow(self, mounts: "list[Mount]") -> None:
        """Wait until no other step has the caches of this one: without a mount, a folder is in one place only."""
        import fcntl

        for source in sorted({mount["source"] for mount in mounts if mount["kind"] == "folder"}):
            lock = os.open(f"{source}.moved", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._locks.append(lock)

    def nodes(self) -> None:
        """Give devices to those who may make them."""
        self.folder("/dev")
        for name, numbers in _NODES.items():
            place = f"{self._root}/dev/{name}"
            if os.path.lexists(place):
                continue
            try:
                os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(*numbers))
                os.chmod(place, 0o666)  # noqa: S103 - as everywhere
            except OSError:
                continue
            self._there.append((place, "", ""))

    def show(self, mount: "Mount") -> None:
        """Put one mount's files in place."""
        place = f"{self._root}/{'/'.join(resolve(self._opened, mount['destination']))}"
        self.folder(mount["destination"].rpartition("/")[0])
        aside = ""
        if os.path.lexists(place):
            aside = f"{self._aside}/{len(self._there)}"
            os.rename(place, aside)
        back = ""
        match mount["kind"]:
            case "content":
                file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mount["mode"])
                os.write(file, mount["content"])
                os.fchown(file, mount["uid"], mount["gid"])
                os.fchmod(file, mount["mode"])
                os.close(file)
            case "tmpfs":
                os.mkdir(place, 0o755)
                os.chmod(place, mount["mode"])
            case "folder":
                back = f"{mount['source']}/{mount['inner'].strip('/')}".rstrip("/")
                if os.path.isdir(back):
                    os.rename(back, place)
                else:
                    os.link(back, place)
                    back = ""
            case _:
                whole = f"{self._aside}/stack-{len(self._there)}"
                os.mkdir(whole, 0o755)
                flatten(mount["layers"], whole)
                os.rename(f"{whole}/{mount['inner'].strip('/')}".rstrip("/"), place)
        self._there.append((place, aside, back))

    def folder(self, path: str) -> None:
        """Have a folder, with those above it."""
        parts = resolve(self._opened, path)
        for end in range(1, len(parts) + 1):
            place = f"{self._root}/{'/'.join(parts[:end])}"
            if not os.path.lexists(place):
                self._made.append((place, os.lstat(os.path.dirname(place)).st_mtime_ns))
                os.mkdir(place, 0o755)

    def leave(self) -> None:
        """Take everything out again."""
        for place, aside, back in reversed(self._there):
            above = os.path.dirname(place)
            times = os.lstat(above)
            if back:
                os.rename(place, back)
            elif os.path.isdir(place) and not os.path.islink(place):
                delete_folder(place, self._aside)
            elif os.path.lexists(place):
                os.unlink(place)
            if aside:
                os.rename(aside, place)
            os.utime(above, ns=(times.st_atime_ns, times.st_mtime_ns))
        for place, before in reversed(self._made):
            try:
                os.rmdir(place)
            except OSError:
                continue
            above = os.path.dirname(place)
            os.utime(above, ns=(os.lstat(above).st_atime_ns, before))
        os.close(self._opened)
        for lock in self._locks:
            os.close(lock)
