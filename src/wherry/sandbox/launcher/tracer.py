"""A tracer: which files, programs and sockets a process and all that it starts ask for, and what came of it.

It is the only thread of a process of its own, without a library, so that it can be the sandbox's. In the sandbox a
filter stops the traced at the calls of `traced_calls.py` alone, and all others run at full speed; a process that runs
already can be given no filter, so it stops at each call, twice.

Signals are passed on and reported, but for SIGURG: Go's runtime interrupts its goroutines by it, hundreds of times.

Sources: ptrace(2); Linux 6.18, kernel/ptrace.c, kernel/seccomp.c (since 4.8 the stop at a filter comes after the one
at the call's entry, so the next is the one at its exit); Go 1.26, runtime/signal_unix.go.
"""

import errno
import marshal
import os
import signal
import time

from wherry.sandbox.launcher import ptrace
from wherry.sandbox.launcher.traced_calls import CALLS, FLAGS, PATHS, SOCKETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import TraceEvent

_ALL = 0x40000000  # __WALL of waitpid(2)
_HERE = 0xFFFFFF9C  # AT_FDCWD, as an unsigned int
_CALL_STOP = signal.SIGTRAP | 0x80
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_STARTS = ("execve", "execveat")
_MOST = 256
"""Events that are kept before they are written."""
LONGEST_ADDRESS = 128  # struct sockaddr_storage
FIRST_WORD = 0xFFFFFFFF


class Tracer:
    """Follows tasks from stop to stop."""

    def __init__(self, out: int, *, filtered: bool, calls: bool = False, main: int = 0) -> None:
        """Begin with no task.

        Args:
            out: where events are written.
            filtered: whether the traced have a filter that stops them; else they stop at every call.
            calls: whether each system call is reported once.
            main: the process whose end is the end of the trace; before it executes a program, nothing is reported.
                0: there is none, and all is reported.
        """
        self._out = out
        self._filtered = filtered
        self._calls = calls
        self._main = main
        self._began = not main
        self._from = time.monotonic_ns()
        self._events: list[TraceEvent] = []
        self._tasks: dict[int, int] = {}
        """The process of each task."""
        self._programs: dict[int, str] = {}
        """By process."""
        self._parents: dict[int, int] = {}
        """Of new tasks: the process that made them."""
        self._pending: dict[int, TraceEvent] = {}
        """Calls whose end is awaited, by task."""
        self._seen: set[tuple[int, int]] = set()
        self._leaving = False
        self.code = 0
        """The main process's exit code, once it ended; below 0 a signal killed it."""

    def take(self, task: int, *, kill: bool) -> None:
        """Trace a task, and all that it makes from now on.

        Args:
            task: a thread.
            kill: whether it is killed when we end, however we do.

        Raises:
            OSError: it can't be traced.
        """
        options = ptrace.FOLLOW | (ptrace.CAUGHT if self._filtered else 0) | (ptrace.KILL_ON_EXIT if kill else 0)
        ptrace.request(ptrace.SEIZE, task, options)
        self._tasks[task] = _process_of(task)
        if not self._filtered:
            ptrace.request(ptrace.INTERRUPT, task)

    def leave(self) -> None:
        """Let every task go, at its next stop; called from a signal's handler."""
        self._leaving = True
        for task in list(self._tasks):
            try:
                ptrace.request(ptrace.INTERRUPT, task)
            except OSError:
                continue  # it ends, or is stopped and will be let go anyway

    def run(self) -> None:
        """Follow the tasks until none is left, or the main process ended."""
        try:
            while self._tasks:
                task, status = os.waitpid(-1, _ALL | os.WNOHANG)
                if task == 0:
                    self._flush()
                    task, status = os.waitpid(-1, _ALL)
                try:
                    if self._stopped(task, status):
                        return
                except ProcessLookupError:
                    continue  # killed while it was stopped; its end comes next
        except ChildProcessError:
            return  # nothing is left to wait for
        finally:
            self._flush()

    def _stopped(self, task: int, status: int) -> bool:
        """Act on a stop or an end; report whether the trace is over."""
        if not os.WIFSTOPPED(status):
            return self._ended(task, os.waitstatus_to_exitcode(status))
        event, number = status >> 16, os.WSTOPSIG(status)
        if task not in self._tasks:
            self._appeared(task)
        if self._leaving:
            self._let_go(task, 0 if event or number == _CALL_STOP else number)
            return False
        if number == _CALL_STOP:
            self._at_call(task)
        elif event == ptrace.FILTERED:
            self._entered(task, *ptrace.syscall_info(task)[1:])
        elif event in ptrace.FORKED:
            self._parents[ptrace.event_message(task)] = self._tasks[task]
        elif event == ptrace.EXECUTED:
            self._executed(task)
        elif event == ptrace.STOPPED and number in _GROUP_STOPS:
            ptrace.request(ptrace.LISTEN, task)
            return False
        elif event == 0:
            self._signalled(task, number)
            self._resume(task, number)
            return False
        self._resume(task)
        return False

    def _resume(self, task: int, number: int = 0) -> None:
        to_exit = task in self._pending or not self._filtered
        ptrace.request(ptrace.TO_SYSCALL if to_exit else ptrace.CONTINUE, task, number)

    def _let_go(self, task: int, number: int) -> None:
        ptrace.request(ptrace.DETACH, task, number)
        self._forget(task)

    def _forget(self, task: int) -> None:
        self._pending.pop(task, None)
        process = self._tasks.pop(task, 0)
        if process == task:
            self._programs.pop(process, None)

    def _appeared(self, task: int) -> None:
        parent = self._parents.pop(task, 0)
        process = self._tasks[task] = parent if parent and ptrace.is_thread(task, parent) else _process_of(task)
        if process == task and parent in self._programs:
            self._programs[process] = self._programs[parent]

    def _ended(self, task: int, code: int) -> bool:
        process = self._tasks.get(task, 0)
        if process == task and self._began:
            event = self._event(task)
            event["exit"] = code
            if task == self._main:
                self.code = code
                event["left"] = len(set(self._tasks.values()) - {task})
            self._write(event)
        self._forget(task)
        return bool(self._main) and task == self._main

    def _signalled(self, task: int, number: int) -> None:
        if number == signal.SIGURG or not self._began:
            return
        event = self._event(task)
        event["signal"] = number
        event["sender"] = ptrace.sender(task)
        self._write(event)

    def _at_call(self, task: int) -> None:
        place, architecture, number, words = ptrace.syscall_info(task)
        if place == ptrace.EXIT:
            event = self._pending.pop(task, None)
            if event is not None and self._began:
                event["result"] = number
                self._finished(task, event)
        elif place == ptrace.ENTRY:
            self._entered(task, architecture, number, words)

    def _finished(self, _task: int, event: "TraceEvent") -> None:
        self._write(event)

    def _entered(self, task: int, architecture: int, number: int, words: "tuple[int, ...]") -> None:
        name = CALLS.get(architecture, {}).get(number)
        if not self._began and name not in _STARTS:
            return
        if self._calls and (architecture, number) not in self._seen:
            self._seen.add((architecture, number))
            seen = self._event(task)
            seen["seen"] = (architecture, number)
            self._write(seen)
        if name is None:
            return
        event = self._event(task)
        event["call"] = name
        if name in SOCKETS:
            event["descriptor"] = words[0] & FIRST_WORD
            if name != "listen":
                event["address"] = memory(task, words[1], min(words[2] & FIRST_WORD, LONGEST_ADDRESS))
        else:
            folder, at = PATHS[name]
            path = _text(task, words[at])
            if not path and name not in _STARTS:
                return  # an address that can't be read, or AT_EMPTY_PATH: what is asked about is open already
            event["path"] = _absolute(task, _HERE if folder < 0 else words[folder] & FIRST_WORD, path)
            if name in FLAGS:
                event["flags"] = words[FLAGS[name]] & FIRST_WORD
        self._pending[task] = event

    def _executed(self, task: int) -> None:
        """Take note of a new program: of its process only this task is left, and it has the process's number."""
        before = ptrace.event_message(task)
        if before != task and before in self._pending:
            self._pending[task] = self._pending.pop(before)
        for other in [one for one, process in self._tasks.items() if process == task and one != task]:
            self._forget(other)
        self._tasks[task] = task
        program = _link(f"/proc/{task}/exe")
        self._programs[task] = program
        if not self._began:
            self._began = task == self._main
            self._from = time.monotonic_ns()
            self._pending[task] = {**self._event(task), "call": "execve", "path": program}
        if (event := self._pending.get(task)) is not None:
            event["executed"] = program

    def _event(self, task: int) -> "TraceEvent":
        process = self._tasks.get(task, task)
        if process not in self._programs:
            self._programs[process] = _link(f"/proc/{process}/exe")
        return {"at": time.monotonic_ns() - self._from, "process": process, "program": self._programs[process]}

    def _write(self, event: "TraceEvent") -> None:
        self._events.append(event)
        if len(self._events) >= _MOST:
            self._flush()

    def _flush(self) -> None:
        """Write what has gathered, behind its length; who reads no more ends the trace."""
        if not self._events:
            return
        batch = marshal.dumps(self._events)
        self._events.clear()
        rest = memoryview(len(batch).to_bytes(4, "little") + batch)
        while rest:
            rest = rest[os.write(self._out, rest) :]


def _process_of(task: int) -> int:
    """Give the process that a task belongs to; the task where that can't be found out."""
    try:
        with open(f"/proc/{task}/status", "rb") as file:
            lines = file.read(4096)
    except OSError:
        return task
    _, found, rest = lines.partition(b"\nTgid:")
    return int(rest.partition(b"\n")[0]) if found else task


def _text(task: int, address: int) -> str:
    try:
        return os.fsdecode(ptrace.read_text(task, address))
    except OSError:
        return ""


def memory(task: int, address: int, size: int) -> bytes:
    """Read some memory of a task; nothing where it can't be read."""
    try:
        return ptrace.read(task, address, size) if size else b""
    except OSError:
        return b""


def _absolute(task: int, folder: int, path: str) -> str:
    """Give a path from the root, if what it starts from can be found out."""
    if path.startswith("/") or not path:
        return path
    start = _link(f"/proc/{task}/cwd" if folder == _HERE else f"/proc/{task}/fd/{folder}")
    return f"{start.rstrip('/')}/{path}" if start.startswith("/") else path


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        return "" if error.errno != errno.EACCES else "?"
