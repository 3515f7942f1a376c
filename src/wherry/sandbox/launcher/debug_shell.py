"""A program of ours in the namespaces of a process that runs already: what `wherry debug` starts.

Three processes. The *launcher* joins the user and pid namespaces and waits. The *keeper*, its child, is in all
namespaces of the target, in a mount namespace of its own that is a copy of the target's, so that what is mounted here
is seen only here; all that comes from below it is its child in the end (PR_SET_CHILD_SUBREAPER), and it kills the lot
before it goes, also when the launcher is killed. The *payload* is the shell, as the target's user.

Sources: setns(2), mount_namespaces(7), pid_namespaces(7), pidfd_send_signal(2) on descriptors of /proc/PID.
"""

import errno
import marshal
import os
import select
import signal
import socket
import sys
import time

from wherry.sandbox import private
from wherry.sandbox.channel import FAILED, LINE, STREAMS, describe, tell
from wherry.sandbox.launcher import seccomp, syscalls
from wherry.sandbox.launcher.debug_view import DebugView
from wherry.sandbox.launcher.namespaces import FLAGS, Way, started
from wherry.sandbox.launcher.reaping import default_signals, hear_children, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.debug_spec import DebugEntry
    from wherry.sandbox.launcher.namespaces import Level

_KILL = 5  # CAP_KILL
_BY_SIGNAL = 128
_OPTIONAL = ("cgroup",)
_PATIENCE = 10_000
"""Milliseconds that the keeper has for its end once the caller is gone."""
_DYING = 1000
_PAUSE = 0.001


def run(job: "DebugEntry") -> int:
    """Be the launcher: join, start the keeper, wait for it; give the exit code."""
    syscalls.rename_process("wherry-debug")
    target = os.pidfd_open(job["process"])
    if started(job["process"]) != job["started"]:
        raise ProcessLookupError(errno.ESRCH, "it has ended", f"process {job['process']}")
    place = _Place(job)
    view = DebugView(job, place.root, place.program)
    sys.meta_path.clear()  # from here on an import would find the target's files
    levels = place.way.levels
    last = max((number for number, level in enumerate(levels) if "pid" in level.kinds), default=-1)
    for number, level in enumerate(levels[: last + 1]):
        _join(level)
        if number < last and "mnt" in level.kinds:  # which owns it counts no more further below
            view.enter(level.kinds["mnt"], among=False)
    if last >= 0:
        syscalls.enter_namespace(levels[last].kinds["pid"], FLAGS["pid"])
    alive, ours = os.pipe()
    keeper = _fork()
    if keeper == 0:
        try:
            os.close(ours)
            os._exit(_Keeper(job, place, alive).run(view, last))
        except OSError as error:
            tell({"error": describe(error), "stage": "attach"})
        finally:
            os._exit(FAILED)
    os.close(alive)
    place.close()
    return _wait(keeper, target)


def _wait(keeper: int, target: int) -> int:
    """Wait for the keeper; one that does not end when the caller is gone is killed."""
    watched = os.pidfd_open(keeper)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(LINE, select.POLLRDHUP)
    ready = [descriptor for descriptor, _ in poll.poll()]
    if watched not in ready:
        poll.unregister(LINE)
        if not poll.poll(_PATIENCE):
            os.kill(keeper, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    left = select.poll()
    left.register(target, select.POLLIN)
    if code < 0 and left.poll(_DYING):  # the first process of a pid namespace ends after the others
        tell({"notice": "the target ended, and the shell with it"})
    return _BY_SIGNAL - code if code < 0 else code


def _fork() -> int:
    try:
        return os.fork()
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise ProcessLookupError(errno.ESRCH, "it has ended, and its pid namespace with it", "the target") from error


def _join(level: "Level") -> None:
    """Join a user namespace and what it owns, but for the two kinds that take more than that."""
    if level.user >= 0:
        syscalls.enter_namespace(level.user, FLAGS["user"])
    for kind, opened in level.kinds.items():
        if kind in ("pid", "mnt"):
            continue
        try:
            syscalls.enter_namespace(opened, FLAGS[kind])
        except OSError:
            if kind not in _OPTIONAL:
                raise


class _Place:
    """What is opened before any namespace is joined."""

    def __init__(self, job: "DebugEntry") -> None:
        process = job["process"]
        self.way = Way(process)
        self.root = os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.program = private.private_copy(job["program"], "toolbox") if job["program"] else -1
        self.slave = _terminal() if job["terminal"] else -1
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Leave it to the keeper."""
        self.way.close()
        for stream in STREAMS[:2]:
            os.dup2(self.null, stream)
        for opened in (self.root, self.program, self.slave, self.null):
            if opened >= 0:
                os.close(opened)


def _terminal() -> int:
    """Make a terminal on the host, and hand its master to the caller; the target gets no terminal of the caller's."""
    import fcntl
    import termios

    master, slave = os.openpty()
    try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
        fcntl.ioctl(slave, termios.TIOCSWINSZ, fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        pass
    with socket.socket(fileno=os.dup(LINE)) as line:
        socket.send_fds(line, [marshal.dumps({"terminal": True})], [master])
    os.close(master)
    return slave


class _Keeper:
    """The parent of all that runs in the target."""

    def __init__(self, job: "DebugEntry", place: _Place, alive: int) -> None:
        self._job = job
        self._place = place
        self._alive = alive
        """Ends when the launcher does."""

    def run(self, view: DebugView, last: int) -> int:
        """Join what is left, start the payload and stay until it ends; give its exit code.

        Args:
            view: what the payload sees.
            last: the level that the launcher has joined; -1: none.
        """
        syscalls.adopt_orphans()
        levels = self._place.way.levels
        for number, level in enumerate(levels):
            if number > last:
                _join(level)
            if number >= last and "mnt" in level.kinds:
                view.enter(level.kinds["mnt"], among=True)
        if not view.entered:
            view.enter(-1, among=True)
        return self._watch(self._place.null)

    def _watch(self, null: int) -> int:
        woken = hear_children()
        child = _fork()
        if child == 0:
            try:
                signal.set_wakeup_fd(-1)
                os._exit(self._start())
            except OSError as error:
                tell({"error": describe(error), "stage": "attach"})
            finally:
                os._exit(FAILED)
        tell({"started": True})
        syscalls.keep_capabilities((_KILL,))
        for stream in STREAMS:
            os.dup2(null, stream)
        if self._place.slave >= 0:
            os.close(self._place.slave)
        poll = select.poll()
        poll.register(self._alive, 0)
        poll.register(LINE, select.POLLIN | select.POLLRDHUP)
        poll.register(woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            code = reap(child, woken) if woken in ready else None
            if code is None and (self._alive in ready or (LINE in ready and not _forward(child))):
                code = FAILED
            if code is not None:
                self._sweep()
                return code

    def _start(self) -> int:
        """Become the payload; what this gives is the exit code where that failed."""
        job, slave = self._job, self._place.slave
        syscalls.close_on_exec_from(len(STREAMS))
        default_signals()
        os.setsid()
        if slave >= 0:
            syscalls.control_terminal(slave)
            for stream in STREAMS:
                os.dup2(slave, stream)
        syscalls.new_session_keyring()
        os.umask(0o022)
        if job["filtered"] and (code := seccomp.usual(job["capabilities"], socketcall=False)):
            seccomp.load(code)
        if job["bounded"]:
            syscalls.bound_capabilities(tuple(job["capabilities"]))
        self._become()
        argv, environment = job["argv"], job["environment"]
        if self._place.program >= 0:
            os.execve(self._place.program, argv, environment)  # noqa: S606 - this is what was asked for
        return _execute(argv, environment)

    def _become(self) -> None:
        job = self._job
        if job["own_ids"]:
            try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
                os.setgroups(job["groups"])
            except PermissionError:
                pass  # denied in the target's user namespace, to the target too
            os.setresgid(job["gid"], job["gid"], job["gid"])
            os.setresuid(job["uid"], job["uid"], job["uid"])
        syscalls.keep_capabilities(tuple(job["capabilities"]))
        if job["no_new_privileges"]:
            syscalls.forbid_new_privileges()

    def _sweep(self) -> None:
        """Kill all that came from the payload, also what left its session."""
        for process in iter(self._descendants, []):
            for found in process:
                _kill(self._place.proc, found)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(_PAUSE)

    def _descendants(self) -> "list[str]":
        """Name all processes below this one, as the host's /proc numbers them."""
        proc = self._place.proc
        opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
        try:
            names = [name for name in os.listdir(opened) if name.isdecimal()]
        finally:
            os.close(opened)
        children: dict[str, list[str]] = {}
        for name in names:
            children.setdefault(_parent(proc, name), []).append(name)
        found, left = [], [os.readlink("self", dir_fd=proc)]
        while left:
            below = children.get(left.pop(), [])
            found += below
            left += below
        return found


def _parent(proc: int, name: str) -> str:
    try:
        file = os.open(f"{name}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return ""
    try:
        return os.read(file, 4096).rpartition(b")")[2].split()[1].decode()
    except (OSError, IndexError):
        return ""
    finally:
        os.close(file)


def _kill(proc: int, name: str) -> None:
    try:
        process = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(process)


def _forward(child: int) -> bool:
    """Hand a signal from the caller on; report whether there still is a caller."""
    message = os.read(LINE, 16)
    if message:
        os.kill(child, message[0])
    return bool(message)


def _execute(argv: "list[str]", environment: "dict[str, str]") -> int:
    folders = [""] if "/" in argv[0] else [f"{folder}/" for folder in environment["PATH"].split(":")]
    for folder in folders:
        try:
            os.execve(f"{folder}{argv[0]}", argv, environment)  # noqa: S606 - this is what was asked for
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise FileNotFoundError(errno.ENOENT, "not found, or its interpreter is not in the target", argv[0])
