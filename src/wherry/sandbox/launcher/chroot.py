"""A step in a chroot: where neither mounts nor namespaces are available, as in a pod without privileges.

What a mount would show is put into the copy of the rootfs, and taken out again. There is no /proc, and no process id
namespace: what a step leaves running is found as our own orphans, and killed. Steps lack the capabilities that lead
out of a chroot (CAP_SYS_CHROOT, CAP_MKNOD); where a mount namespace is available, the copy is its only file system.

Source: chroot(2), pivot_root(2), PR_SET_CHILD_SUBREAPER(2const).
"""

import os
import select
import signal
import stat

from wherry.sandbox.channel import FAILED, LINE, describe, tell
from wherry.sandbox.launcher import confine, syscalls
from wherry.sandbox.launcher.container import NOT_STARTED, Payload
from wherry.sandbox.launcher.devices import NODES
from wherry.sandbox.launcher.diff_copy import settle
from wherry.sandbox.launcher.flatten import flatten
from wherry.sandbox.launcher.paths import make_folder, open_inside, resolve, take_away
from wherry.sandbox.launcher.reaping import exit_code
from wherry.sandbox.launcher.rootfs import shown_as
from wherry.sandbox.launcher.trash import delete_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.launcher.paths import Made
    from wherry.sandbox.spec import Container, Mount

_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYS_CHROOT, _MKNOD = 18, 27
_NOTICE = (
    "no namespaces or mounts available: the step runs in a chroot without /proc, which isolates files, "
    "but not processes (a step can signal and trace processes of its user), network, sockets or System V IPC"
)


def run(job: "Container") -> int:
    """Run a step to its end; give its exit code.

    Raises:
        OSError: the rootfs can't be put together.
    """
    tell({"notice": _NOTICE})
    syscalls.adopt_orphans()
    caller = os.getppid()
    syscalls.outlive_parent()  # so that what was put in is taken out, secrets first, even if a process is killed
    confine.without_namespaces(job)
    job["capabilities"] = [number for number in job["capabilities"] if number not in (_SYS_CHROOT, _MKNOD)]
    outer = confine.Confinement(job)
    root = f"{job['writable']}/full"
    flatten(job["layers"], root)
    guests = _Guests(root, job["writable"])
    try:
        guests.borrow(job["mounts"])
        guests.nodes()
        for mount in job["mounts"]:
            guests.show(mount)
        guests.folder(job["folder"])
        code = _payload(job, outer, root, caller, guests.null())
    finally:
        guests.leave()
        outer.close()
    settle(job["layers"], job["writable"])
    return code


def _payload(job: "Container", outer: confine.Confinement, root: str, caller: int, null: int) -> int:
    if job["limits"]:
        import resource  # noqa: F401 - the payload sets its limits by it
    child = os.fork()
    if child == 0:
        try:
            syscalls.die_with_parent()
            try:
                outer.enter()
            except OSError as error:
                tell({"error": f"network {job['network']}: {describe(error)}", "stage": "namespace"})
                os._exit(FAILED)
            _enter(root)
            os._exit(Payload(job, -1, -1, null=null).start())
        finally:
            os._exit(NOT_STARTED)  # whatever is raised: what the parent does afterwards is not done here
    tell({"started": True})
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(LINE, select.POLLRDHUP)
    forkserver = os.pidfd_open(caller)
    poll.register(forkserver, select.POLLIN)
    gone = os.getppid() != caller or any(descriptor != watched for descriptor, _ in poll.poll())
    if gone:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    _kill_orphans()
    return FAILED if gone else exit_code(status)


def _enter(root: str) -> None:
    """Make a folder the root: the only one where mounts are available, else that of this process alone."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.make_private()
        place = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        syscalls.attach(syscalls.clone_mount(root, recursive=False), place)
        os.close(place)
        os.chdir(root)
        syscalls.pivot_here()
    except OSError:
        os.chroot(root)
        os.chdir("/")


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


class _Guest:
    """One thing that is in a rootfs only while a step runs."""

    def __init__(self, folder: int, name: str) -> None:
        self.folder = folder
        """Where it is, open: the step may move or replace what is above it."""
        self.name = name
        self.aside = ""
        """The name among what was moved aside for it; empty: nothing was."""
        self.home: tuple[int, str] | None = None
        """The open folder and the name where it belongs otherwise, and goes back to."""
        self.identity = (0, 0)
        """Device and inode: something else by its name is not it."""


class _Guests:
    """What is in a rootfs only while a step runs.

    All is done from open folders and by single names, so no link that a step leaves is followed.
    """

    def __init__(self, root: str, writable: str) -> None:
        self._root = root
        self._opened = os.open(root, _PLACE)
        self._trash = f"{writable}/work"
        self._aside = os.open(self._trash, _PLACE)
        self._there: list[_Guest] = []
        self._made: Made = []
        self._locks: list[int] = []

    def borrow(self, mounts: "list[Mount]") -> None:
        """Wait until no other step has the caches of this one: without a mount, a folder is in one place only."""
        import fcntl

        for source in sorted({mount["source"] for mount in mounts if mount["kind"] == "folder"}):
            lock = os.open(f"{source}.moved", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._locks.append(lock)

    def nodes(self) -> None:
        """Make the devices, where that is allowed."""
        folder = self._folder("/dev")
        for name, numbers in NODES.items():
            if _status(folder, name) is not None:
                continue
            try:
                os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(*numbers), dir_fd=folder)
                os.chmod(name, 0o666, dir_fd=folder)  # noqa: S103 - as everywhere
            except OSError:
                continue
            self._note(_Guest(os.dup(folder), name))
        os.close(folder)

    def null(self) -> int:
        """Open a null device of our own; where there is none, what reads as empty and takes no writes."""
        for guest in self._there:
            if guest.name == "null":
                try:
                    return os.open("null", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=guest.folder)
                except OSError:  # on a mount without devices
                    break
        read, write = os.pipe()
        os.close(write)
        return read

    def show(self, mount: "Mount") -> None:
        """Put one mount's files in place."""
        *above, name = resolve(self._opened, mount["destination"])
        guest = _Guest(self._folder("/".join(above)), name)
        if _status(guest.folder, name) is not None:
            guest.aside = str(len(self._there))
            os.rename(name, guest.aside, src_dir_fd=guest.folder, dst_dir_fd=self._aside)
        match mount["kind"]:
            case "content":
                self._content(guest, mount)
            case "tmpfs":
                os.mkdir(name, 0o700, dir_fd=guest.folder)
                os.chmod(name, mount["mode"], dir_fd=guest.folder)
            case "folder":
                self._folder_of_host(guest, mount)
            case _:
                self._stack(guest, mount)
        self._note(guest)

    def folder(self, path: str) -> None:
        """Have a folder, with those above it."""
        os.close(self._folder(path))

    def leave(self) -> None:
        """Take everything out again."""
        for guest in reversed(self._there):
            times = os.fstat(guest.folder)
            try:
                self._take_out(guest)
                if guest.aside:
                    os.rename(guest.aside, guest.name, src_dir_fd=self._aside, dst_dir_fd=guest.folder)
                os.utime(f"/proc/self/fd/{guest.folder}", ns=(times.st_atime_ns, times.st_mtime_ns))
            except FileNotFoundError:
                continue  # the step deleted the folder that it was in
            finally:
                os.close(guest.folder)
        take_away(self._root, self._made)
        os.close(self._opened)
        os.close(self._aside)
        for lock in self._locks:
            os.close(lock)

    def _take_out(self, guest: _Guest) -> None:
        status = _status(guest.folder, guest.name)
        same = status is not None and (status.st_dev, status.st_ino) == guest.identity
        if guest.home is not None:
            folder, name = guest.home
            try:
                if same:
                    os.rename(guest.name, name, src_dir_fd=guest.folder, dst_dir_fd=folder)
                    return
                os.mkdir(name, 0o755, dir_fd=folder)  # the step has put it elsewhere: it is the layer's now
            finally:
                os.close(folder)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            delete_folder(guest.name, self._trash, guest.folder)
        else:
            os.unlink(guest.name, dir_fd=guest.folder)

    def _note(self, guest: _Guest) -> None:
        status = os.stat(guest.name, dir_fd=guest.folder, follow_symlinks=False)
        guest.identity = (status.st_dev, status.st_ino)
        self._there.append(guest)

    def _content(self, guest: _Guest, mount: "Mount") -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(guest.name, flags, 0o600, dir_fd=guest.folder)
        left = memoryview(mount["content"])
        while left:
            left = left[os.write(file, left) :]
        os.fchown(file, mount["uid"], mount["gid"])
        os.fchmod(file, mount["mode"])
        os.close(file)

    def _folder_of_host(self, guest: _Guest, mount: "Mount") -> None:
        """Move a folder of the host to the step, or give a file of it (an agent's socket) a second name."""
        top = os.open(mount["source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        *above, name = resolve(top, mount["inner"]) or [""]
        if name:
            home = open_inside(top, "/".join(above))
        else:
            outside, _, name = mount["source"].rstrip("/").rpartition("/")
            home = os.open(outside or "/", _PLACE)
        os.close(top)
        status = os.stat(name, dir_fd=home, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rename(name, guest.name, src_dir_fd=home, dst_dir_fd=guest.folder)
            guest.home = (home, name)
        else:
            os.link(name, guest.name, src_dir_fd=home, dst_dir_fd=guest.folder, follow_symlinks=False)
            os.close(home)
            if stat.S_ISSOCK(status.st_mode):
                shown_as(f"/proc/self/fd/{guest.folder}/{guest.name}", mount, owned=True)

    def _stack(self, guest: _Guest, mount: "Mount") -> None:
        whole = f"{self._trash}/stack-{len(self._there)}"
        os.mkdir(whole, 0o755)
        flatten(mount["layers"], whole)
        opened = os.open(whole, _PLACE)
        *above, name = resolve(opened, mount["inner"]) or [""]
        if name:
            folder = open_inside(opened, "/".join(above))
            os.rename(name, guest.name, src_dir_fd=folder, dst_dir_fd=guest.folder)
            os.close(folder)
        else:
            os.rename(whole, guest.name, dst_dir_fd=guest.folder)
        os.close(opened)

    def _folder(self, path: str) -> int:
        """Open a folder, made with those above it where it is missing."""
        return make_folder(self._opened, path, made=self._made)


def _status(folder: int, name: str) -> "os.stat_result | None":
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
