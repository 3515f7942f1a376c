"""The caller's side: start the launcher, hand it a job, pass signals on, hear what it says."""

import fcntl
import marshal
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from wherry.errors import CannotWrite, HostUnable, WherryError
from wherry.sandbox.channel import FAILED, FRAMES, JOB, LINE
from wherry.sandbox.debug_spec import DebugEntry
from wherry.sandbox.enter_spec import Enter
from wherry.sandbox.private import private_copy
from wherry.sandbox.spec import Attach, Container, Delete, LauncherEvent, Serve, Unpack, Weigh

_LARGEST_EVENT = 1 << 16
_FREE = 10
"""From here on no descriptor is one of the launcher's."""


class SandboxRefused(HostUnable):
    """This machine, or its kernel, refuses what a sandbox needs."""


class BadLayer(WherryError):
    """A layer can't be unpacked as it says."""

    exit_code = 65  # EX_DATAERR


class CopyFailed(WherryError):
    """A COPY, ADD or WORKDIR cannot find its source or write its target."""

    exit_code = 65  # EX_DATAERR


class NotStarted(WherryError):
    """The program is not in the image, or can't be executed."""

    def __init__(self, message: str, *, hint: str, code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code


class Launcher:
    """A launcher at work."""

    def __init__(
        self,
        job: Container | Attach | Enter | DebugEntry | Unpack | Delete | Weigh | Serve,
        *,
        stdin: bool = False,
        streams: Mapping[int, int] | None = None,
    ) -> None:
        """Start it.

        Args:
            job: what to do.
            stdin: whether it may read ours; else it reads nothing.
            streams: what it has in the place of some of our standard streams.

        Raises:
            HostUnable: it can't be started.
        """
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job_read, job_write = os.pipe()
        frames_read, frames_write = os.pipe()
        handed = {JOB: job_read, LINE: theirs.detach(), FRAMES: frames_read}
        try:
            self.process = _spawn(handed, streams or {}, stdin=stdin)
        finally:
            for descriptor in handed.values():
                os.close(descriptor)
        with os.fdopen(job_write, "wb", buffering=0) as stream, suppress(BrokenPipeError):
            stream.write(marshal.dumps(job))  # type: ignore[arg-type] # a TypedDict is a dict
        self.frames = os.fdopen(frames_write, "wb", buffering=1 << 20)

    def hear(self) -> tuple[LauncherEvent, int | None] | None:
        """Wait for one event; None once it has ended."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self.line, _LARGEST_EVENT, 1)
        except ConnectionResetError:  # it ended before it read all that we sent
            return None
        if not message:
            return None
        return marshal.loads(message), next(iter(descriptors), None)  # noqa: S302 - our own process wrote it

    def send(self, number: int) -> None:
        """Pass a signal on to the program; one that ended needs none."""
        with suppress(OSError):
            self.line.send(bytes((number,)))

    def end(self) -> int:
        """Wait until it ended; give its exit code (128 and the signal where one killed it)."""
        self.line.close()
        with suppress(BrokenPipeError):
            self.frames.close()
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        return 128 - code if code < 0 else code

    def kill(self) -> None:
        """End it now; the kernel ends all that is in the sandbox with it."""
        os.kill(self.process, signal.SIGKILL)


def raised(event: LauncherEvent, why: Callable[[], str]) -> WherryError:  # noqa: PLR0911 - one return a stage
    """Make the error of an event.

    Args:
        event: one with `error`.
        why: asked for a hint where the machine refused something.
    """
    message = event["error"]
    match event.get("stage"):
        case "exec":
            hint = "give a program in the image, or --entrypoint; `wherry inspect` shows the image's command"
            return NotStarted(message, hint=hint, code=event.get("code", FAILED))
        case "attach":
            return SandboxRefused(message, hint=why())
        case "limit":
            return HostUnable(
                message,
                hint="run it as root, or in a group that systemd delegates: "
                "systemd-run --user --scope -p Delegate=yes wherry run …; or leave the limit out",
            )
        case "enter":
            return SandboxRefused(f"cannot enter the container: {message}", hint=why())
        case "image":
            return BadLayer(
                message, hint="the image has a symbolic link at a path the container needs; build it without the link"
            )
        case "disk":
            return CannotWrite(
                message, hint="free disk space (`wherry gc` deletes unused blobs), or use another --cache"
            )
        case "cache":
            return CannotWrite(
                message, hint="use a --cache on a file system that supports them: ext4, xfs, btrfs or tmpfs"
            )
        case "files":
            return CopyFailed(message, hint="check the paths; with --from, they are relative to that stage's root")
        case "layer":
            return BadLayer(message, hint="the layer is damaged; build the image or load it again")
        case _:
            return SandboxRefused(f"cannot create a sandbox: {message}", hint=why())


def _spawn(handed: dict[int, int], streams: Mapping[int, int], *, stdin: bool) -> int:
    """Start the launcher in a session of its own, so that it hears a Ctrl-C from us only."""
    wanted = {**handed, **streams}
    safe = {place: fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FREE) for place, descriptor in wanted.items()}
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    if not stdin:
        actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    actions += [(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in safe.items()]
    script = str(Path(__file__).with_name("launcher") / "main.py")
    try:
        argv = [sys.executable, "-I", "-S", script]
        environment = _interpreter.environment()
        return os.posix_spawn(_interpreter.path(), argv, environment, file_actions=actions, setsid=True)
    except OSError as error:
        raise HostUnable(
            f"{sys.executable}: {error.strerror}", hint="cannot start wherry's interpreter; reinstall wherry"
        ) from error
    finally:
        for descriptor in safe.values():
            os.close(descriptor)


class _Interpreter:
    """A private copy of our interpreter, made once a process."""

    def __init__(self) -> None:
        self._copy = -1
        self._made = (0, 0)

    def path(self) -> str:
        """Give a path to execute it by, from this process."""
        if not self._still_open():
            first = private_copy(sys.executable, "wherry-launcher")
            self._copy = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, _FREE)
            os.close(first)
            status = os.fstat(self._copy)
            self._made = (status.st_dev, status.st_ino)
        return f"/proc/self/fd/{self._copy}"

    def environment(self) -> dict[str, str]:
        """Name the folder of its library: `$ORIGIN` in a run path means nothing to a copy without a name."""
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
            library = next((line[line.index("/") :].rpartition("/")[0] for line in lines if "/libpython" in line), "")
        return {"LD_LIBRARY_PATH": library} if library and ":" not in library else {}

    def _still_open(self) -> bool:
        """Report whether the descriptor still is the copy: a program that uses us may have closed it."""
        try:
            status = os.fstat(self._copy)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._made


_interpreter = _Interpreter()
