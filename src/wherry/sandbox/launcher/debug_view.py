"""What a debug shell sees: the target's files, in a copy of its mount namespace that is gone with the shell.

Nothing is written. Where the target has no usable /proc, one is made for its pid namespace; where there is no folder
for it, or a toolbox comes along, the root is an empty file system in memory into which everything at the top of the
target's root is mounted, with /.wherry for the toolbox.

A new /proc may be made only where a whole one is in sight (mount_too_revealing in Linux, fs/namespace.c), so it is made
in a copy of the *host's* mount namespace, by a process of the target's pid namespace, and carried over detached.
"""

import errno
import os
import stat

from wherry.sandbox.launcher import syscalls
from wherry.sandbox.launcher.overlays import overlay_to_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.sandbox.debug_spec import DebugEntry

TOOLS = "/.wherry"
_MOST = 1000
"""Names at the top of a target's root that are shown: each takes a mount."""
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_QUIET = syscalls.NO_SET_UID | syscalls.NO_DEVICES


class DebugView:
    """A root to be entered."""

    def __init__(self, job: "DebugEntry", root: int, program: int) -> None:
        """Take what is open.

        Args:
            job: what is wanted.
            root: the target's.
            program: the toolbox, where it is one; else -1.
        """
        self._job = job
        self._root = root
        self._program = program
        self.entered = False

    def enter(self, namespace: int, *, among: bool) -> None:
        """Join the target's mount namespace and make what it sees the root.

        Args:
            namespace: the target's, open; -1: we are in it.
            among: whether this process is in the target's pid namespace; only then a /proc of it can be made.

        Raises:
            OSError: the kernel refuses something that there is no way around.
        """
        self.entered = True
        if not self._job["mounts"]:
            return  # no right to it, and the caller has seen that the root is ours
        has_proc = self._has_proc(among=among)
        fresh, tools, null = -1, -1, -1
        if self._job["tools"] or not has_proc:
            if namespace < 0:  # where the target's root is; a copy has another
                namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            syscalls.unshare(syscalls.CLONE_NEWNS)
            fresh = _fresh_proc() if among and not has_proc else -1
            tools = self._tools()
            null = syscalls.clone_mount(os.devnull, recursive=False)
        if namespace >= 0:
            syscalls.enter_namespace(namespace, syscalls.CLONE_NEWNS)
        if self._job["own_ids"]:
            self._be_mapped()
        os.fchdir(self._root)
        syscalls.unshare(syscalls.CLONE_NEWNS)  # the working directory is the same place in the copy
        syscalls.keep_mounts()
        self._arrange(fresh, tools, null, needs_names=not has_proc and fresh < 0)
        os.chroot(".")
        os.chdir("/")

    def _be_mapped(self) -> None:
        """Be a user that the namespace knows: nothing can be made by another."""
        for group in (0, self._job["gid"]):
            if _may(os.setresgid, group):
                break
        for user in (0, self._job["uid"]):
            if _may(os.setresuid, user):
                break
        syscalls.forbid_inspection()

    def _has_proc(self, *, among: bool) -> bool:
        """Report whether the target's /proc is one in which the payload will find itself."""
        try:
            proc = os.open("proc", _PLACE | os.O_DIRECTORY, dir_fd=self._root)
        except OSError:
            return False
        try:
            return syscalls.is_on_proc(proc) and (not among or bool(os.readlink("self", dir_fd=proc)))
        except OSError:
            return False
        finally:
            os.close(proc)

    def _tools(self) -> int:
        """Give the toolbox as a mount that is not attached yet; -1: there is none."""
        folders = self._job["tools"]
        if not folders:
            return -1
        mount = overlay_to_read(folders, "") if len(folders) > 1 else syscalls.clone_mount(folders[0], recursive=True)
        syscalls.restrict(mount, syscalls.READ_ONLY | _QUIET, recursive=True)
        return mount

    def _arrange(self, fresh: int, tools: int, null: int, *, needs_names: bool) -> None:
        if tools < 0 and not needs_names:
            if fresh < 0:
                return
            try:
                place = os.open("proc", _PLACE | os.O_DIRECTORY)
            except OSError:
                place = -1
            if place >= 0:
                syscalls.attach(fresh, place)
                os.close(place)
                return
        root = _Root()
        root.build(fresh, tools, null)
        if needs_names and tools < 0:
            root.name_tools(self._program, self._job["names"])


class _Root:
    """A root in memory, over the target's, with all that is at the top of that."""

    def __init__(self) -> None:
        self._under = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        mount = syscalls.new_filesystem("tmpfs", [("mode", "755"), ("size", "16m")], _QUIET)
        self._root = os.dup(mount)
        place = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        syscalls.attach(mount, place)
        os.close(place)

    def build(self, fresh: int, tools: int, null: int) -> None:
        """Fill it and make it the working directory."""
        for name in os.listdir(self._under)[:_MOST]:
            if name != "proc" or fresh < 0:
                self._show(name, self._under)
        if fresh >= 0:
            self._attach("proc", fresh)
        if "dev" not in os.listdir(self._under):  # shells start what is in the background with it
            os.mkdir("dev", 0o755, dir_fd=self._root)
            os.close(os.open("dev/null", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._root))
            self._put("dev/null", null)
        if tools >= 0:
            self._lend(tools)
            self._attach(TOOLS[1:], tools)
        os.fchdir(self._root)

    def _show(self, name: str, folder: int) -> None:
        """Show what another folder has under a name; what the kernel does not let us show is left out."""
        try:
            status = os.lstat(name, dir_fd=folder)
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=folder), name, dir_fd=self._root)
                return
            mount = syscalls.clone_mount(name, recursive=True, folder=folder)
        except OSError:
            return
        if stat.S_ISDIR(status.st_mode):
            self._attach(name, mount)
            return
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._root))
        self._put(name, mount)

    def _attach(self, name: str, mount: int) -> None:
        os.mkdir(name, 0o755, dir_fd=self._root)
        self._put(name, mount)

    def _put(self, name: str, mount: int) -> None:
        place = os.open(name, _PLACE, dir_fd=self._root)
        syscalls.attach(mount, place)
        os.close(place)

    def _lend(self, tools: int) -> None:
        """Show what dynamic programs of a toolbox load, where the target has nothing under that name."""
        taken = set(os.listdir(self._under))
        opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tools)
        try:
            there = sorted(set(os.listdir(opened)) - taken)
            for name in there:
                if name in ("usr", "bin", "sbin") or name.startswith("lib"):
                    self._link(name)
        finally:
            os.close(opened)

    def _link(self, name: str) -> None:
        os.symlink(f"{TOOLS[1:]}/{name}", name, dir_fd=self._root)

    def name_tools(self, program: int, names: "list[str]") -> None:
        """Put a program under all its names: without /proc it can't start itself again."""
        folder = f"{TOOLS[1:]}/bin"
        os.mkdir(TOOLS[1:], 0o755, dir_fd=self._root)
        os.mkdir(folder, 0o755, dir_fd=self._root)
        place = f"{folder}/busybox"
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755, dir_fd=self._root)
        at = 0
        while moved := os.sendfile(file, program, at, 1 << 20):
            at += moved
        os.close(file)
        for name in names:
            if name != "busybox":
                os.symlink("busybox", f"{folder}/{name}", dir_fd=self._root)


def _may(change: "Callable[[int, int, int], None]", number: int) -> bool:
    try:
        change(number, number, number)
    except OSError:
        return False
    return True


def _fresh_proc() -> int:
    """Make a /proc of the pid namespace that this process is in; -1 where the kernel refuses."""
    try:
        return syscalls.new_filesystem("proc", [], _QUIET | syscalls.NO_EXEC)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EBUSY):
            raise
        return -1
