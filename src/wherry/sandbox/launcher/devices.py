"""Device nodes of a sandbox: its own, so that a chmod in it changes no node of the host.

Where a node can't be made (a user namespace gives no right to), the host's is shown by a mount that is read-only:
that forbids changes of its mode, owner and attributes, but not writing to the device.

Sources: user_namespaces(7), mknod(2); Linux 6.18, fs/open.c `do_dentry_open` and fs/namei.c `may_open`, for special
files on read-only mounts; OCI runtime-spec v1.2.1, config-linux.md "Default Devices".
"""

import os
import stat

from wherry.sandbox.launcher import syscalls

NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
"""Names with their numbers, major and minor (Linux 6.18, Documentation/admin-guide/devices.txt)."""

_QUIET = syscalls.NO_SET_UID | syscalls.NO_EXEC
_NULL = os.makedev(1, 3)


def own_nodes() -> int:
    """Make a filesystem with nodes of our own, not attached yet; -1 where that is not allowed.

    It takes the host's rights, so call it before entering a user namespace; what it makes can be mounted in there.
    """
    try:
        mount = syscalls.new_filesystem("tmpfs", [("mode", "755"), ("size", "65536")], _QUIET)
    except OSError:
        return -1
    try:
        for name, numbers in NODES.items():
            os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(*numbers), dir_fd=mount)
            os.chmod(name, 0o666, dir_fd=mount)  # noqa: S103 - as everywhere
        os.close(os.open("null", os.O_RDWR | os.O_CLOEXEC, dir_fd=mount))
    except OSError:  # no right to make them, or made where no device can be opened
        os.close(mount)
        return -1
    return mount


class Devices:
    """Where mounts of single nodes come from."""

    def __init__(self, nodes: int, stage: str) -> None:
        """Take the filesystem of `own_nodes` (-1: none), and an empty folder to attach it to."""
        self._folder = "/dev"
        self._own = nodes >= 0
        if self._own:
            self._folder = f"{stage}/nodes"
            os.mkdir(self._folder, 0o755)
            place = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            syscalls.attach(nodes, place)
            os.close(place)

    def node(self, name: str) -> int:
        """Give a mount of one node, not attached yet."""
        mount = syscalls.clone_mount(f"{self._folder}/{name}", recursive=False)
        syscalls.restrict(mount, _QUIET | (0 if self._own else syscalls.READ_ONLY), recursive=False)
        return mount

    def mask(self) -> int:
        """Give a mount that covers a file: an empty device that nothing can be done to."""
        mount = self.node("null")
        syscalls.restrict(mount, syscalls.READ_ONLY, recursive=False)
        return mount


def opened(mount: int) -> int:
    """Open the device that a mount shows."""
    return os.open(f"/proc/self/fd/{mount}", os.O_RDWR | os.O_CLOEXEC)


def replace_null(null: int) -> None:
    """Put our own null device in the place of the host's, where that is a standard stream.

    What is open can be changed by fchmod(2) and, through /proc/self/fd, by name.
    """
    for stream in range(3):
        try:
            status = os.fstat(stream)
        except OSError:
            continue
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL:
            os.dup2(null, stream)
