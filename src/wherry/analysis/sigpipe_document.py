"""The document of `wherry probe sigpipe --json`; docs/how-to/sigpipe.md describes it."""

import msgspec


class _SigpipePart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class BreakGroup(_SigpipePart, frozen=True, kw_only=True):
    """Writes of one process to one peer that ended with SIGPIPE; times in seconds, null where not known."""

    pid: int
    program: str
    descriptor: str
    """`socket`, `pipe`, `stdout`, `stderr`."""
    fd: int
    """The last one."""
    call: str
    peer: str
    closed_by: str
    """`peer`, `peer (reset)`, `the process itself`, `not seen`."""
    count: int
    per_second: float
    idle: float | None
    """Without data before the close: the median."""
    late: float | None
    """Between the close and the write: the median."""
    equals: tuple[str, ...]
    """Timeouts as long as `idle`."""
    remedy: str


class ResetCount(_SigpipePart, frozen=True, kw_only=True):
    """Calls that ended with ECONNRESET, without a signal."""

    pid: int
    peer: str
    count: int


class WatchedProcess(_SigpipePart, frozen=True, kw_only=True):
    """A process that got SIGPIPE, or ended."""

    pid: int
    program: str
    count: int
    go: bool
    effect: str
    """What SIGPIPE does to it."""
    code: int | None
    """Exit code, where it ended; below 0 a signal killed it."""


class SigpipeDocument(_SigpipePart, frozen=True, kw_only=True):
    """What was seen."""

    version: int = 1
    by: str
    """`ebpf` or `tracer`."""
    target: str
    seconds: float
    """How long was watched."""
    total: int
    """SIGPIPE in all."""
    per_second: float
    peak: int
    """Most in one second."""
    silent: int
    """EPIPE without a signal."""
    breaks: tuple[BreakGroup, ...]
    """The most frequent first."""
    resets: tuple[ResetCount, ...]
    processes: tuple[WatchedProcess, ...]
