"""Tracing outside of any container: a process that runs already, or a command of the caller's own.

Two processes: the launcher, which hears the caller, and the tracer. A process that ran before goes on when the tracer
is gone, however it went; a command that was started for the trace ends with it.
"""

import marshal
import os
import select
import signal
import socket

from wherry.sandbox.channel import FAILED, LINE, tell
from wherry.sandbox.launcher import seccomp, syscalls
from wherry.sandbox.launcher.pipe_tracer import PipeTracer, pipe_numbers
from wherry.sandbox.launcher.reaping import exit_code
from wherry.sandbox.launcher.traced_calls import numbers
from wherry.sandbox.launcher.tracer import Tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Attach

_NOT_STARTED = 127
_BY_SIGNAL = 128


def run(job: "Attach") -> int:
    """Trace until the traced ended or the caller wants no more; give a command's exit code, else 0."""
    read, write = os.pipe()
    with socket.socket(fileno=os.dup(LINE)) as line:
        socket.send_fds(line, [marshal.dumps({"traced": True})], [read])
    os.close(read)
    tracer = os.fork()
    if tracer == 0:
        try:
            os._exit(_trace(job, write))
        finally:
            os._exit(FAILED)
    os.close(write)
    watched = os.pidfd_open(tracer)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(LINE, select.POLLIN | select.POLLRDHUP)
    while True:
        ready = dict(poll.poll())
        if watched in ready:
            break
        if message := os.read(LINE, 16):
            os.kill(tracer, message[0])
        else:
            os.kill(tracer, signal.SIGTERM)
            poll.unregister(LINE)
    return exit_code(os.waitpid(tracer, 0)[1])


def _trace(job: "Attach", out: int) -> int:
    syscalls.die_with_parent()
    os.set_inheritable(out, False)  # noqa: FBT003 - it takes no keyword
    return _command(job, out) if job["argv"] else _process(job, out)


def _process(job: "Attach", out: int) -> int:
    """Trace all threads of a process, those too that it makes while we look."""
    process = job["process"]
    tracer = (PipeTracer if job.get("pipes") else Tracer)(out, filtered=False)
    signal.signal(signal.SIGTERM, lambda *_: tracer.leave())
    signal.signal(signal.SIGINT, lambda *_: tracer.leave())
    known: set[int] = set()
    try:
        while new := {int(name) for name in os.listdir(f"/proc/{process}/task")} - known:
            for task in new:
                _take(tracer, task, last=not known)
                known.add(task)
    except OSError as error:
        tell({"error": f"process {process} cannot be traced: {error.strerror}", "stage": "attach"})
        return FAILED
    tell({"started": True})
    tracer.run()
    return 0


def _take(tracer: Tracer, task: int, *, last: bool) -> None:
    """Trace a thread; one of several that is gone, or traced by then since its maker is, is no error."""
    try:
        tracer.take(task, kill=False)
    except OSError:
        if last:
            raise


def _command(job: "Attach", out: int) -> int:
    """Start a command under the filter that stops it for us, and trace it to its end."""
    wanted = pipe_numbers() if job.get("pipes") else numbers()
    if not wanted:
        tell({"error": f"the tracer has no table of system calls for {os.uname().machine}", "stage": "attach"})
        return FAILED
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os._exit(_start(job, wanted, theirs))
        finally:
            os._exit(_NOT_STARTED)
    theirs.close()
    tracer = (PipeTracer if job.get("pipes") else Tracer)(out, filtered=True, main=child)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, lambda given, _: os.kill(child, given))
    ours.recv(1)
    try:
        tracer.take(child, kill=True)
    except OSError as error:
        tell({"error": f"the command cannot be traced: {error.strerror}", "stage": "attach"})
        return FAILED
    ours.send(b"!")
    tell({"started": True})
    tracer.run()
    code = tracer.code
    return _BY_SIGNAL - code if code < 0 else code


def _start(job: "Attach", wanted: "dict[int, tuple[int, ...]]", sync: socket.socket) -> int:
    syscalls.allow_inspection()
    sync.send(b"?")
    if not sync.recv(1):
        return _NOT_STARTED
    os.chdir(job["folder"])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    os.umask(job["mask"])
    syscalls.close_on_exec_from(3)
    syscalls.forbid_new_privileges()  # a filter of a user's own asks for it: set-user-ID programs run as the caller
    seccomp.load(seccomp.traced(wanted, everything=False))
    try:
        os.execve(job["program"], job["argv"], job["environment"])  # noqa: S606 - this is what was asked for
    except OSError as error:
        tell({"error": f"{job['program']}: {error.strerror}", "stage": "exec", "code": _NOT_STARTED - 1})
        return _NOT_STARTED
