"""A tracer's events as JSON lines: what `wherry trace` prints; `docs/reference/trace.md` describes them."""

import errno

import msgspec

from wherry.runtime.trace.observe import address_of, signal_name, tidy
from wherry.sandbox.spec import TraceEvent


class TraceLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event."""

    time: float
    """Seconds since the trace began."""
    pid: int
    program: str
    event: str
    """`file`, `exec`, `socket`, `signal` or `exit`."""
    call: str = ""
    """The system call."""
    path: str = ""
    address: str = ""
    fd: int = -1
    error: str = ""
    """Such as `ENOENT`; empty where it worked."""
    signal: str = ""
    sender: int = 0
    """The process that sent the signal; 0: the kernel."""
    code: int | None = None
    """Of a process that ended; below 0 a signal killed it."""


def line_of(event: TraceEvent) -> TraceLine | None:
    """Give the line of an event; None where it has none."""
    time, pid, program = round(event["at"] / 1e9, 6), event["process"], _text(event["program"])
    result = event.get("result", 0)
    error = errno.errorcode.get(-result, str(-result)) if result < 0 else ""
    call = event.get("call", "")
    if "signal" in event:
        name, sender = signal_name(event["signal"]), event.get("sender", 0)
        return TraceLine(time=time, pid=pid, program=program, event="signal", signal=name, sender=sender)
    if "exit" in event:
        return TraceLine(time=time, pid=pid, program=program, event="exit", code=event["exit"])
    if "path" in event:
        kind = "exec" if call.startswith("execve") else "file"
        path = _text(tidy(event["path"] or event.get("executed", "")))
        return TraceLine(time=time, pid=pid, program=program, event=kind, call=call, path=path, error=error)
    if "descriptor" in event:
        address = address_of(event.get("address", b""))
        return TraceLine(
            time=time, pid=pid, program=program, event="socket", call=call, address=address, fd=event["descriptor"],
            error=error,
        )  # fmt: skip
    return None


def _text(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="replace")
