"""One process in a rootfs: the first process of a pid namespace watches over it and reaps what it leaves.

Three processes: the *launcher* stays outside the pid namespace and waits for the *init*, which is inside
and has put the rootfs together; the *payload* is what the user asked for. Each dies with the one before
it, and the kernel kills whatever else is in a pid namespace when its init ends.

Sources: pid_namespaces(7), capabilities(7), PR_SET_PDEATHSIG(2const); the capabilities are Docker's default.
"""

import errno
import marshal
import os
import select
import signal
import sys

from wherry.sandbox import private
from wherry.sandbox.channel import FAILED, LINE, STREAMS, describe, tell
from wherry.sandbox.launcher import confine, syscalls, userns
from wherry.sandbox.launcher.devices import replace_null
from wherry.sandbox.launcher.overlays import MountRefused
from wherry.sandbox.launcher.owners import note_made
from wherry.sandbox.launcher.paths import UnsuitablePath, change_folder, entered, take_away
from wherry.sandbox.launcher.reaping import default_signals, exit_code, hear_children, reap
from wherry.sandbox.launcher.rootfs import Rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from wherry.sandbox.launcher.handles import Handles
    from wherry.sandbox.launcher.tracing import Tracing
    from wherry.sandbox.spec import Container

_KILL = 5
NOT_FOUND, NOT_STARTED = 127, 126
"""Exit codes for a program that is missing, and for one that can't be started, as shells have them."""


def run(job: "Container", nodes: int) -> int:
    """Be the launcher: start the init, wait for it, and end it when the caller is gone; give the exit code.

    Args:
        job: what to run.
        nodes: a filesystem of device nodes, not attached yet; -1: none could be made.
    """
    outer = confine.Confinement(job)
    try:
        return _run(job, nodes, outer)
    finally:
        outer.close()


def _run(job: "Container", nodes: int, outer: "confine.Confinement") -> int:
    syscalls.unshare(syscalls.CLONE_NEWPID)
    alive, ours = os.pipe()
    stubs, said = os.pipe()
    init = os.fork()
    if init == 0:
        try:
            os.close(ours)
            os.close(stubs)
            syscalls.die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the first process it then hears none from inside
            os._exit(_guarded(job, nodes, outer, alive, said))
        finally:
            os._exit(FAILED)
    os.close(alive)
    os.close(said)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    _let_go_of_streams(null)
    os.close(null)
    watched = os.pidfd_open(init)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(LINE, select.POLLRDHUP)
    if any(descriptor == LINE for descriptor, _ in poll.poll()):
        os.kill(init, signal.SIGKILL)
    code = exit_code(os.waitpid(init, 0)[1])
    if job["writable"]:
        with os.fdopen(stubs, "rb") as stream:
            made = stream.read()
        take_away(f"{job['writable']}/{'tree' if job['overlay'] else 'full'}", marshal.loads(made) if made else [])  # noqa: S302 - our own process wrote it
        if job.get("owners") == "answered" and job["ids"] and job["ids"]["single"] and job["uid"] and job["overlay"]:
            note_made(f"{job['writable']}/tree", job["uid"], job["gid"])
    return code


def _guarded(job: "Container", nodes: int, outer: "confine.Confinement", alive: int, stubs: int) -> int:
    try:
        outer.enter()
        return _Init(job, nodes, alive, stubs).run()
    except UnsuitablePath as error:
        tell({"error": describe(error), "stage": "image"})
    except MountRefused as error:
        tell({"error": str(error.strerror), "stage": "mount"})
    except OSError as error:
        tell({"error": describe(error), "stage": "mount"})
    return FAILED


class _Init:
    """The first process of the pid namespace."""

    def __init__(self, job: "Container", nodes: int, alive: int, stubs: int) -> None:
        self._job = job
        self._nodes = nodes
        self._stubs = stubs
        """Where goes what was made to mount on."""
        self._alive = alive
        """Ends when the launcher does."""
        self._fake_ids: ModuleType | None = None
        """What answers calls about owners, where there is one id only."""
        self._tracing: Tracing | None = None
        self._handles: Handles | None = None

    def run(self) -> int:
        """Put the rootfs together, start the payload and stay until it ends; give its exit code."""
        job = self._job
        if job["limits"]:
            import resource  # noqa: F401 - loaded before the root changes; the payload sets its limits by it
        syscalls.unshare(syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC)
        if job["hostname"]:
            syscalls.set_hostname(job["hostname"])
        if job["ids"] is not None and job["ids"]["single"] and job.get("owners", "") in ("answered", "ignored"):
            from wherry.sandbox.launcher import fake_ids  # here, while its file can still be found

            self._fake_ids = fake_ids
        if job.get("trace"):
            from wherry.sandbox.launcher import tracing  # as above

            self._tracing = tracing.Tracing(job["trace"]) if job["trace"] != "probes" else None
        if job.get("handles"):
            from wherry.sandbox.launcher import handles  # as above

            self._handles = handles.Handles()
        emulator = -1
        if job["emulator"] and job["emulator"]["path"]:
            emulator = private.private_copy(job["emulator"]["path"], "emulator")
        rootfs = Rootfs(job, self._nodes, emulator, lambda words: tell({"notice": words}))
        try:
            rootfs.build()
        finally:
            os.write(self._stubs, marshal.dumps(rootfs.made))
            os.close(self._stubs)
        slave = self._terminal(rootfs) if job["terminal"] else -1
        sys.meta_path.clear()  # from here on an import would find the image's files
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        rootfs.enter()
        if emulator >= 0 and rootfs.emulated:
            os.close(emulator)
            emulator = -1
        if emulator >= 0:
            tell({"notice": "child processes are not emulated: the kernel has no binfmt_misc for user namespaces"})
        return self._watch(Payload(job, emulator, slave, null=rootfs.null, proc=proc))

    def _terminal(self, rootfs: Rootfs) -> int:
        import fcntl  # here, and before the root changes: few need them
        import socket
        import termios

        master, slave = rootfs.terminal()
        # Its size is right before the payload can ask for it; later changes come from the owner of the terminal.
        try:  # noqa: SIM105 - contextlib costs more than the rest of the launcher's imports
            fcntl.ioctl(slave, termios.TIOCSWINSZ, fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8)))
        except OSError:
            pass  # our stdout is not a terminal, so there is no size
        if self._job["ids"] is None or not self._job["ids"]["single"]:
            os.fchown(slave, self._job["uid"], -1)
        with socket.socket(fileno=os.dup(LINE)) as line:
            socket.send_fds(line, [marshal.dumps({"terminal": True})], [master])
        os.close(master)
        return slave

    def _owners(self, null: int) -> "Callable[[], None] | None":
        """Give what the payload does so that calls about owners are answered; None: nothing."""
        found, job = self._fake_ids, self._job
        if found is None:
            return None
        if not found.can_answer():
            tell({"notice": "chown in steps fails: with one id, its calls can't be answered on this machine"})
            return None
        if job.get("owners") == "ignored":
            return found.ignore_chown  # type: ignore[no-any-return] # a module's attribute
        channel = found.begin(null)
        return lambda: found.catch(channel, users=job["uid"] == 0)

    def _watch(self, payload: "Payload") -> int:
        woken = hear_children()
        payload.owners = self._owners(payload.null)
        payload.tracing = self._tracing
        child = os.fork()
        if child == 0:
            try:
                signal.set_wakeup_fd(-1)
                os._exit(payload.start())
            finally:
                os._exit(NOT_STARTED)  # whatever is raised: nothing of ours is done twice
        if self._tracing is not None:
            self._tracing.follow(child, payload.null)
        poll = select.poll()
        if self._handles is not None:
            self._handles.give(child, payload.proc, poll)
        tell({"started": True})
        syscalls.keep_capabilities((_KILL,))
        syscalls.die_with_parent()
        _let_go_of_streams(payload.null)
        payload.close()
        poll.register(self._alive, 0)
        poll.register(LINE, select.POLLIN | select.POLLRDHUP)
        poll.register(woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._handles is not None:
                self._handles.hear(ready, poll)
            if self._alive in ready:
                return FAILED
            if LINE in ready and not _forward(child):
                return FAILED
            if woken in ready and (code := reap(child, woken)) is not None:
                if self._tracing is not None:
                    self._tracing.finish()
                return code


class Payload:
    """What the user asked for; `start` turns this process into it."""

    def __init__(self, job: "Container", emulator: int, slave: int, *, null: int, proc: int = -1) -> None:
        """Take the job and what was opened for it; -1: nothing.

        Args:
            job: what to run.
            emulator: a private copy of the emulator.
            slave: of the terminal.
            null: the sandbox's own null device.
            proc: the host's /proc.
        """
        self._job = job
        self._emulator = emulator
        self._slave = slave
        self.proc, self.null = proc, null
        self.owners: Callable[[], None] | None = None
        """Called once this process is confined."""
        self.tracing: Tracing | None = None

    def close(self) -> None:
        """Close what only the payload needs."""
        for opened in (self._emulator, self._slave, self.proc, self.null):
            if opened >= 0:
                os.close(opened)

    def start(self) -> int:
        """Exec; what it gives is the exit code where that failed, and was reported to the caller."""
        try:
            self._become()
            return self._exec()
        except OSError as error:
            tell({"error": describe(error), "stage": "exec", "code": NOT_STARTED})
            return NOT_STARTED

    def _become(self) -> None:
        job = self._job
        if self.tracing is not None:
            self.tracing.submit()
        syscalls.close_on_exec_from(len(STREAMS))
        default_signals()
        os.setsid()
        if self._slave >= 0:
            syscalls.control_terminal(self._slave)
            for stream in range(3):
                os.dup2(self._slave, stream)
        replace_null(self.null)
        syscalls.new_session_keyring()
        os.umask(0o022)
        single = job["ids"] is not None and job["ids"]["single"]
        if single and (job["uid"], job["gid"]) != (0, 0):
            userns.rename(job["uid"], job["gid"], self.proc)
        for limit in job["limits"]:
            _set_limit(*limit)
        confine.bound(job, self.tracing.filter() if self.tracing is not None else b"")
        # As runc does: as root first, since a user may start in a folder that only another may enter.
        there = entered(job["folder"])
        if self.owners is not None:
            self._answer_owners()
        if not single:
            os.setgroups(job["groups"])
            os.setresgid(job["gid"], job["gid"], job["gid"])
            os.setresuid(job["uid"], job["uid"], job["uid"])
        confine.hold(job)
        if not there:
            change_folder(job["folder"])

    def _answer_owners(self) -> None:
        assert self.owners is not None  # noqa: S101 - it was asked for
        try:
            self.owners()
        except OSError as error:
            tell({"notice": f"chown in steps fails: {error.strerror}"})

    def _exec(self) -> int:
        program = self._job["argv"][0]
        path = self._job["environment"].get("PATH", "")
        found = [program] if "/" in program else [f"{folder or '.'}/{program}" for folder in path.split(":")]
        refused = None
        for candidate in found:
            try:
                self._exec_file(candidate)
            except (FileNotFoundError, NotADirectoryError):
                refused = refused or _missing_interpreter(candidate)
            except OSError as error:
                refused = refused or f"{candidate}: {error.strerror}"
                if error.errno != errno.EACCES:
                    break
        if refused:
            tell({"error": refused, "stage": "exec", "code": NOT_STARTED})
            return NOT_STARTED
        where = "" if "/" in program else f" in PATH={path}"
        tell({"error": f"{program}: program not found in the image{where}", "stage": "exec", "code": NOT_FOUND})
        return NOT_FOUND

    def _exec_file(self, path: str) -> None:
        argv, environment = self._job["argv"], self._job["environment"]
        if self._emulator < 0:
            os.execve(path, argv, environment)  # noqa: S606 - this is what a sandbox is for
        if not os.access(path, os.X_OK):
            raise OSError(errno.EACCES if os.path.exists(path) else errno.ENOENT, "is not executable", path)
        os.execve(self._emulator, ["qemu", "-0", argv[0], path, *argv[1:]], environment)  # noqa: S606 - as above


def _set_limit(number: int, soft: int, hard: int) -> None:
    """Set a limit, as far as we may raise it."""
    resource = sys.modules["resource"]
    try:
        resource.setrlimit(number, (soft, hard))
    except (OSError, ValueError):
        most = resource.getrlimit(number)[1]
        allowed = [value if most < 0 else min(value, most) if value >= 0 else most for value in (soft, hard)]
        resource.setrlimit(number, (allowed[0], allowed[1]))


def _missing_interpreter(path: str) -> str:
    """Explain a file that is there and yet "not found": what it names as its interpreter is missing."""
    try:
        os.stat(path)
    except OSError:
        return ""
    return f"{path}: its interpreter (dynamic linker, or #! program) is not in the image"


def _forward(child: int) -> bool:
    """Hand a signal from the caller on; report whether there still is a caller."""
    message = os.read(LINE, 16)
    if len(message) > 1:  # for a trace: a socket of IP version 4 or 6
        sys.modules["wherry.sandbox.launcher.tracing"].hand_socket(message[1])
    elif message:
        os.kill(child, message[0])
    return bool(message)


def _let_go_of_streams(null: int) -> None:
    """Leave the caller's input and output to the payload alone, so that their other ends see it close them."""
    for stream in (0, 1):
        os.dup2(null, stream)
