"""One more program in a container that runs: in its namespaces and control groups, under its own limits.

Two processes: the launcher, which moves into the container and waits, and the program, which is made after that and so
is in the container's pid namespace. Both are copies of the sealed interpreter until the program is executed.

Sources: setns(2), pid_namespaces(7).
"""

import errno
import fcntl
import marshal
import os
import select
import signal
import socket
import stat
import sys
import termios

from wherry.sandbox import private
from wherry.sandbox.channel import FAILED, LINE, tell
from wherry.sandbox.launcher import syscalls
from wherry.sandbox.launcher.container import NOT_STARTED, Payload
from wherry.sandbox.launcher.handles import KINDS
from wherry.sandbox.launcher.reaping import exit_code
from wherry.sandbox.launcher.rootfs import open_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.enter_spec import Enter
    from wherry.sandbox.spec import Container

_NULL = os.makedev(1, 3)


def run(job: "Enter") -> int:
    """Enter, start the program, and stay until it ended; give its exit code."""
    container = job["container"]
    opened = _received(job["handles"])
    if container["limits"]:
        import resource  # noqa: F401 - loaded before the root changes; the program sets its limits by it
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    emulator = -1
    if container["emulator"] and container["emulator"]["path"]:
        emulator = private.private_copy(container["emulator"]["path"], "emulator")
    for folder in job["groups"]:
        _join(folder)
    _enter(opened)
    sys.meta_path.clear()  # from here on an import would find the container's files
    slave = _terminal(container) if container["terminal"] else -1
    payload = Payload(container, emulator, slave, null=_null(), proc=proc)
    return _watch(payload)


def _received(names: "list[str]") -> "dict[str, int]":
    with socket.socket(fileno=os.dup(LINE)) as line:
        _, descriptors, _, _ = socket.recv_fds(line, 16, len(names))
    if len(descriptors) != len(names):
        raise OSError(errno.ESRCH, "the container has ended")
    return dict(zip(names, descriptors, strict=True))


def _join(folder: str) -> None:
    """Move into a control group: a program outside of it would not be limited."""
    try:
        file = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, b"0")
        finally:
            os.close(file)
    except OSError as error:
        raise OSError(error.errno, f"its control group {folder} cannot be joined: {error.strerror}") from error


def _enter(opened: "dict[str, int]") -> None:
    """Move into the namespaces that are not ours already: entering one's own may be refused."""
    ours = {name: os.stat(f"/proc/self/ns/{name}") for name in KINDS}
    for name, kind in KINDS.items():
        there = os.fstat(opened[name])
        if (there.st_dev, there.st_ino) != (ours[name].st_dev, ours[name].st_ino):
            syscalls.enter_namespace(opened[name], kind)
    for descriptor in opened.values():
        os.close(descriptor)
    os.chdir("/")


def _terminal(container: "Container") -> int:
    """Make a terminal of the container's own, and hand its master to the caller."""
    try:
        terminals = os.open("/dev/pts", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise OSError(errno.ENOTTY, "it has no /dev/pts, which -t needs (was it started with --no-dev?)") from error
    master, slave = open_terminal(terminals)
    os.close(terminals)
    try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
        fcntl.ioctl(slave, termios.TIOCSWINSZ, fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        pass  # our stdout is not a terminal, so there is no size
    if container["ids"] is None or not container["ids"]["single"]:
        os.fchown(slave, container["uid"], -1)
    with socket.socket(fileno=os.dup(LINE)) as line:
        socket.send_fds(line, [marshal.dumps({"terminal": True})], [master])
    os.close(master)
    return slave


def _null() -> int:
    null = os.open("/dev/null", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(null)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL:
        raise OSError(errno.ENODEV, "its /dev/null is another file by now")
    return null


def _watch(payload: Payload) -> int:
    child = os.fork()
    if child == 0:
        try:
            os._exit(payload.start())
        finally:
            os._exit(NOT_STARTED)  # whatever is raised: nothing of ours is done twice
    tell({"started": True})
    for stream in (0, 1):
        os.dup2(payload.null, stream)
    payload.close()
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(LINE, select.POLLIN | select.POLLRDHUP)
    while True:
        ready = dict(poll.poll())
        if watched in ready:
            return exit_code(os.waitpid(child, 0)[1])
        message = os.read(LINE, 16)
        signal.pidfd_send_signal(watched, message[0] if message else signal.SIGKILL)
        if not message:
            os.waitpid(child, 0)
            return FAILED
