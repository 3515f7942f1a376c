"""What a process makes of SIGPIPE, and what was counted as a document."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from wherry.analysis.sigpipe_document import BreakGroup, ResetCount, SigpipeDocument, WatchedProcess
from wherry.runtime.sigpipe.count import BreakKey, BreakTimes, BrokenPipes
from wherry.runtime.sigpipe.events import SIGPIPE
from wherry.runtime.sigpipe.explain import USUAL, UsualTimeout, equals, remedy

_BIT = 1 << 12
"""SIGPIPE in the masks of /proc/PID/status: bit 13 - 1."""


@dataclass(frozen=True, slots=True)
class SignalEffect:
    """What SIGPIPE does to a process."""

    go: bool
    text: str


def signal_effect(process: int, *, go: bool, root: Path = Path("/proc")) -> SignalEffect:
    """Say what SIGPIPE does to a process, by its masks in /proc and by whether Go built it."""
    try:
        status = (root / str(process) / "status").read_text(errors="replace")
    except OSError:
        status = ""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    masks = {name: int(fields.get(name, "0").strip() or "0", 16) for name in ("SigIgn", "SigCgt")}
    if go:
        return SignalEffect(
            go, "Go: a socket or pipe gives the writer EPIPE and the program runs on; at stdout or stderr it dies"
        )
    if masks["SigIgn"] & _BIT:
        return SignalEffect(go, "ignored: the write gives EPIPE and the program runs on")
    if masks["SigCgt"] & _BIT:
        return SignalEffect(go, "caught: its handler runs, and the write gives EPIPE")
    return SignalEffect(go, "not handled: the process dies")


def sigpipe_document(
    found: BrokenPipes,
    *,
    by: str,
    target: str,
    seconds: float,
    effects: Callable[[int], SignalEffect],
    timeouts: Iterable[UsualTimeout] = (),
) -> SigpipeDocument:
    """Give what was counted.

    Args:
        found: the counts.
        by: `ebpf` or `tracer`.
        target: as the user named it.
        seconds: how long was watched.
        effects: says what SIGPIPE does to a process.
        timeouts: of this machine and of the user, besides the usual ones.
    """
    known = (*timeouts, *USUAL)
    length = max(seconds, 1e-3)
    breaks = [_group(key, times, length, known) for key, times in found.breaks.items()]
    counts = {pid: sum(one.count for one in breaks if one.pid == pid) for pid in found.programs}
    processes = []
    for pid, program in found.programs.items():
        if counts[pid] or found.exits.get(pid) == -SIGPIPE:
            effect = effects(pid)
            processes.append(
                WatchedProcess(
                    pid=pid, program=program, count=counts[pid], go=effect.go, effect=effect.text,
                    code=found.exits.get(pid),
                )
            )  # fmt: skip
    return SigpipeDocument(
        by=by,
        target=target,
        seconds=round(seconds, 3),
        total=found.total,
        per_second=round(found.total / length, 3),
        peak=max(found.seconds.values(), default=0),
        silent=found.silent,
        breaks=tuple(sorted(breaks, key=lambda one: -one.count)),
        resets=tuple(ResetCount(pid=pid, peer=peer, count=count) for (pid, peer), count in found.resets.most_common()),
        processes=tuple(processes),
    )


def _group(key: BreakKey, times: BreakTimes, seconds: float, known: tuple[UsualTimeout, ...]) -> BreakGroup:
    idle, late = times.median_idle, times.median_late
    matches = equals(idle, known) if idle >= 0 else ()
    return BreakGroup(
        pid=key.pid,
        program=key.program,
        descriptor=key.descriptor,
        fd=times.fd,
        call=key.call,
        peer=key.peer,
        closed_by=key.closed_by,
        count=times.count,
        per_second=round(times.count / seconds, 3),
        idle=round(idle, 3) if idle >= 0 else None,
        late=round(late, 3) if late >= 0 else None,
        equals=matches,
        remedy=remedy(key.descriptor, key.closed_by, idle, late, matches),
    )
