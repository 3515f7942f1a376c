"""Watch a program for writes to connections and pipes that nobody reads: SIGPIPE."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.errors import HostUnable, InvalidUsage, NotFound, WherryError

if TYPE_CHECKING:
    from wherry.analysis.sigpipe_document import SigpipeDocument
    from wherry.host.process import ProcessHandle
    from wherry.runtime.sigpipe.count import BrokenPipes
    from wherry.runtime.sigpipe.explain import UsualTimeout
    from wherry.runtime.sigpipe.watch import SignalEffect
    from wherry.sandbox.spec import TraceEvent

_TRACING = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_HOST_PIDS = "pid:[4026531836]"
"""The machine's own pid namespace: PROC_PID_INIT_INO of Linux."""
_ATTACHING = 20.0
"""Seconds that bpftrace has to attach its probes; it takes one or two."""
_PAUSE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SigpipeOptions:
    """How a program is watched."""

    arguments: tuple[str, ...] = ()
    """Of a command or an image."""
    by: str = "auto"
    """`ebpf`, `tracer`, or `auto`: eBPF for a process where root has it, else our own tracer."""
    seconds: float = 0.0
    """0: until it ends, or a KeyboardInterrupt."""
    network: str = "default"
    """Of an image, as for `wherry run`."""
    ports: tuple[str, ...] = ()
    """Of an image: published ones, as ADDRESS/PORT:PORT."""
    values: tuple[str, ...] = ()
    """Files that state timeouts by name, as of `wherry timeouts`."""
    every: float = 1.0
    """Seconds between two reports."""
    report: "Callable[[SigpipeDocument], None]" = field(default=lambda _: None)
    """Called with what was seen so far, now and then."""
    notice: Callable[[str], None] = field(default=lambda _: None)


def probe_sigpipe(session: Session, target: str, options: SigpipeOptions) -> "tuple[SigpipeDocument, int]":
    """Watch a process, a container of `wherry run`, an image or a command for SIGPIPE.

    Args:
        session: where images and containers are.
        target: a PID, a container's name, an image's, or a command.
        options: how.

    Returns:
        What was seen, and the exit code of a command that was started for it, else 0.

    Raises:
        NotFound: there is no such target.
        HostUnable: this machine can't watch it; the hint says why.
    """
    process = _process(session, target) if not options.arguments else 0
    if process:
        return _watched(session, target, process, options), 0
    if target in session.store.tags() or ("/" not in target and ":" in target):
        return _image(session, target, options), 0
    if options.by == "ebpf":
        raise InvalidUsage(
            "--by ebpf: a command is watched from its start, which eBPF cannot",
            hint="start it first, then give its PID",
        )
    return _Watch(session, target, options).command()


def _watched(session: Session, target: str, process: int, options: SigpipeOptions) -> "SigpipeDocument":
    watch, missing = _Watch(session, target, options), ebpf_missing(session)
    if options.by == "ebpf" and missing:
        raise HostUnable(f"cannot watch by eBPF: {missing}", hint="leave --by out: the tracer needs none of it")
    if not missing and options.by != "tracer":
        return watch.by_ebpf(process)
    if options.by == "auto" and os.geteuid() == 0:
        options.notice(f"by the tracer, which slows the process down: eBPF is not available ({missing})")
    return watch.by_tracer(process)


def _image(session: Session, name: str, options: SigpipeOptions) -> "SigpipeDocument":
    """Run an image in the background while it is watched; nothing of it is kept."""
    from wherry.app.running import stop_container
    from wherry.app.supervised import DetachOptions, KeepOptions, run_detached
    from wherry.runtime.run import RunOptions
    from wherry.runtime.security import Security

    wanted = RunOptions(arguments=options.arguments, security=Security(network=options.network, ports=options.ports))
    known = run_detached(session, name, wanted, DetachOptions(keep=KeepOptions(removes=True)), notice=options.notice)
    try:
        return _watched(session, name, known.state.pid, options)
    finally:
        stop_container(known)


def ebpf_missing(session: Session) -> str:
    """Say what this machine lacks to watch a process by eBPF; empty: nothing."""
    from wherry.host.process import which

    if os.geteuid() != 0:
        return "it needs root"
    if not which("bpftrace", session.environment.get("PATH", os.defpath)):
        return "bpftrace is not installed"
    if not any((folder / "events/signal/signal_generate").is_dir() for folder in _TRACING):
        return "tracefs is not mounted: mount -t tracefs none /sys/kernel/tracing"
    with suppress(OSError):
        if os.readlink("/proc/self/ns/pid") != _HOST_PIDS:  # noqa: PTH115 - as it is written
            return "this is a container, which has other process ids than the kernel reports"
    return ""


def _process(session: Session, target: str) -> int:
    """Give the process of a target that runs; 0: it is an image or a command."""
    if target.isdecimal():
        if not Path(f"/proc/{target}").is_dir():
            raise NotFound(f"{target}: no such process", hint="`ps` lists those that run")
        return int(target)
    from wherry.app.found_containers import container_process
    from wherry.app.running import find_container

    if found := container_process(session, target):
        return found
    try:
        known = find_container(session, target)
    except WherryError:
        return 0
    if not known.running:
        raise NotFound(f"{target}: the container does not run", hint="`wherry ps -a` shows how it is")
    return known.state.pid


class _Watch:
    """One watch: its counts, its clock, and what is reported meanwhile."""

    def __init__(self, session: Session, target: str, options: SigpipeOptions) -> None:
        self._session = session
        self._target = target
        self._options = options
        self._by = "tracer"
        self._timeouts = _stated(session, options.values)
        self._pipes = _pipes()
        self._effects: dict[int, SignalEffect] = {}
        self._executes: dict[int, str] = {}
        """What each process executed when its effect was looked up."""
        self._began = time.monotonic()
        self._reported = self._began
        self._turn = threading.Lock()

    def by_tracer(self, process: int) -> "SigpipeDocument":
        """Watch a process by our own tracer."""
        _attached(process, self._meet, self._traced, self._options.seconds)
        return self._document()

    def by_ebpf(self, process: int) -> "SigpipeDocument":
        """Watch a process by bpftrace."""
        self._by = "ebpf"
        self._meet(process)
        _by_bpftrace(
            self._session, process, self._options.seconds, begun=self._begin, hear=self._heard, tick=self._tick
        )
        return self._document()

    def _begin(self) -> None:
        self._began = time.monotonic()

    def command(self) -> "tuple[SigpipeDocument, int]":
        """Start a command, and watch it by our own tracer."""
        code = _started(self._session, self._target, self._options, self._traced)
        return self._document(), code

    def _meet(self, process: int) -> None:
        self._pipes.meet(process)
        self._pipes.programs[process] = _link(f"/proc/{process}/exe")
        self._effects[process] = _effect(process, "")
        self._options.report(self._document())

    def _traced(self, event: "TraceEvent") -> None:
        found = _from_trace(event)
        if found is not None:
            self._heard(found)

    def _heard(self, event: "object") -> None:
        with self._turn:
            pid = _take(self._pipes, event)
            program = self._pipes.programs.get(pid, "")
            if pid not in self._effects or self._executes.get(pid) != program:
                self._executes[pid] = program
                self._effects[pid] = _effect(pid, program)
        self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._reported >= self._options.every:
            self._reported = now
            self._options.report(self._document())

    def _document(self) -> "SigpipeDocument":
        with self._turn:
            return _document_of(
                self._pipes, self._by, self._target, time.monotonic() - self._began, self._effects, self._timeouts
            )


def _pipes() -> "BrokenPipes":
    from wherry.runtime.sigpipe.count import BrokenPipes
    from wherry.runtime.sigpipe.sockets import peers_by_inode, socket_peers

    return BrokenPipes(socket_peers, peers_by_inode)


def _take(pipes: "BrokenPipes", event: object) -> int:
    from wherry.runtime.sigpipe.events import PipeEvent

    assert isinstance(event, PipeEvent)  # noqa: S101 - nothing else is heard
    pipes.hear(event)
    return event.pid


def _from_trace(event: "TraceEvent") -> object:
    from wherry.runtime.sigpipe.events import traced_event

    return traced_event(event)


def _document_of(
    pipes: "BrokenPipes",
    by: str,
    target: str,
    seconds: float,
    effects: "dict[int, SignalEffect]",
    timeouts: "Sequence[UsualTimeout]",
) -> "SigpipeDocument":
    from wherry.runtime.sigpipe.watch import SignalEffect, sigpipe_document

    unknown = SignalEffect(go=False, text="not known")
    return sigpipe_document(
        pipes, by=by, target=target, seconds=seconds, effects=lambda pid: effects.get(pid, unknown), timeouts=timeouts
    )


def _effect(process: int, program: str) -> "SignalEffect":
    """Look at a process; one that has ended by now is judged by its file."""
    from wherry.runtime.sigpipe.watch import signal_effect

    go = _is_go(Path(f"/proc/{process}/exe")) or (bool(program) and _is_go(Path(program)))
    return signal_effect(process, go=go)


def _is_go(program: Path) -> bool:
    """Look for what Go's linker puts into every program."""
    import mmap

    from wherry.golang.buildinfo import find

    try:
        with (
            program.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view,
        ):
            return find(view) is not None
    except (OSError, ValueError):
        return False


def _stated(session: Session, values: Sequence[str]) -> "tuple[UsualTimeout, ...]":
    """Give the timeouts of files of values, and this machine's."""
    from wherry.app.manifest_files import manifest_texts
    from wherry.cluster.placed_yaml import placed_documents
    from wherry.cluster.timeout_values import stated_timeouts
    from wherry.runtime.sigpipe.explain import UsualTimeout

    found = [
        UsualTimeout(one.seconds, f"{one.name}, {one.place}")
        for name, text in manifest_texts(session, values, str, recursive=False)
        for one in stated_timeouts(placed_documents(text, name))
        if not one.is_count and one.seconds > 0
    ]
    with suppress(OSError, ValueError):
        seconds = float(Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text())
        found.append(
            UsualTimeout(
                seconds, "net.ipv4.tcp_fin_timeout here, which ends no open connection: look at the others first"
            )
        )
    return tuple(found)


def _attached(process: int, meet: Callable[[int], None], hear: "Callable[[TraceEvent], None]", seconds: float) -> None:
    from wherry.runtime.trace.attached import trace_process

    meet(process)
    trace_process(process, hear, seconds=seconds, pipes=True)


def _started(session: Session, target: str, options: SigpipeOptions, hear: "Callable[[TraceEvent], None]") -> int:
    from wherry.host.process import which
    from wherry.runtime.trace.attached import trace_command

    path = session.environment.get("PATH", "")
    found = str(session.cwd / target) if "/" in target else which(target, path) or ""
    if not found:
        raise NotFound(
            f"{target}: no container, no image in the local store and no command on PATH",
            hint="give a PID, a container, an image, or a command",
        )
    argv = [target, *options.arguments]
    return trace_command(found, argv, session.environment, session.cwd, hear, seconds=options.seconds, pipes=True)


def _by_bpftrace(
    session: Session,
    process: int,
    seconds: float,
    *,
    begun: Callable[[], None],
    hear: Callable[["object"], None],
    tick: Callable[[], None],
) -> None:
    """Run bpftrace until the process ends, the time is over, or a KeyboardInterrupt."""
    from wherry.host.process import Command
    from wherry.runtime.sigpipe.events import BpfLines, InOrder, bpf_script

    lines, order, turn = BpfLines(process, _link(f"/proc/{process}/exe")), InOrder(hear), threading.Lock()

    def line(text: str) -> None:
        with turn:
            for event in lines.events(text):
                order.add(event, time.monotonic())

    def look() -> None:
        with turn:
            order.release(time.monotonic())
        tick()

    # The runner hands on stderr line by line, so its results go there; by -o they would be buffered.
    argv = ("sh", "-c", 'exec bpftrace -q -B line -e "$1" >&2', "sh", bpf_script(process))
    command = Command(argv, Path("/"), {**session.environment, "LC_ALL": "C"}, on_line=line, keeps_lines=False)
    running = session.runner.start(command)
    ended = threading.Event()
    words: list[str] = []

    def wait() -> None:
        words.append(running.finish().words)
        ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        for _ in _until(ended, _ATTACHING, lambda: lines.ready):
            pass
        if not lines.ready:
            running.stop()
            thread.join(5)
            raise HostUnable(f"bpftrace attached nothing: {_last(words)}", hint="leave --by out, or use --by tracer")
        begun()
        for _ in _until(ended, seconds or float("inf"), lambda: not Path(f"/proc/{process}").is_dir()):
            look()
    except KeyboardInterrupt:
        pass
    finally:
        _end(running, thread)
        order.release(0.0, every=True)


def _until(ended: threading.Event, seconds: float, done: Callable[[], bool]) -> Iterator[None]:
    due = time.monotonic() + seconds
    while not ended.wait(_PAUSE) and time.monotonic() < due and not done():
        yield


def _end(running: "ProcessHandle", thread: threading.Thread) -> None:
    running.stop()
    thread.join(5)


def _last(words: list[str]) -> str:
    return (" ".join(words).strip().splitlines() or ["it ended"])[-1]


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - as it is written
    except OSError:
        return ""
