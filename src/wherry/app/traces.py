"""A traced run of an image: the very image, in the sandbox, with probes, and what it asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wherry.app.containers import prepared
from wherry.app.session import Session
from wherry.errors import HostUnable
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.analysis.deps.document import PlatformDeps
    from wherry.analysis.deps.image_root import ImageRoot
    from wherry.analysis.deps.observed import RunObservation
    from wherry.analysis.deps.trace_document import TraceDocument
    from wherry.oci.image import Image
    from wherry.runtime.run import BindMount
    from wherry.runtime.trace.attend import TraceOutcome
    from wherry.sandbox.spec import TraceEvent
    from wherry.store.find import Located


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """How an image is run to be traced."""

    arguments: tuple[str, ...] = ()
    """In place of the image's Cmd."""
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: "tuple[BindMount, ...]" = ()
    network: str = "none"
    """`none` (loopback alone), `default` or `host`, as `wherry run` has them."""
    seconds: float = 10.0
    """At most; 0: until the program ends."""
    until: str = "exit"
    """What ends it earlier: `exit`, `probes` (all answered) or `listening`."""
    probes: tuple[str, ...] = ()
    """Such as `http://localhost:8080/healthz` or `tcp://localhost:5432`, asked inside the container."""
    calls: bool = False
    """Whether every system call is noted; slower, since the program then stops at each."""
    seccomp: bytes = b""
    """A filter to run it under; empty: the usual one."""
    interruptible: bool = False
    """Whether Ctrl-C ends the trace, and what was seen is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRun:
    """A run that was traced."""

    image: "Image"
    argv: tuple[str, ...]
    observation: "RunObservation"
    outcome: "TraceOutcome"
    mounts: tuple[str, ...]
    """Where something of this machine was mounted."""


def trace_run(
    session: Session,
    located: "Located",
    options: TraceOptions,
    *,
    platform: Platform | None = None,
    notice: Callable[[str], None] = lambda _: None,
    hear: "Callable[[TraceEvent], None]" = lambda _: None,
) -> TracedRun:
    """Run an image under the tracer.

    Args:
        session: where.
        located: the image.
        options: how.
        platform: of an image with several, the one to run; None: this machine's.
        notice: called with each limit of this machine that counts here.
        hear: called with each event, too.

    Raises:
        InvalidUsage: a probe is malformed.
        NotFound: there is no image for this platform.
        HostUnable: this machine can't run or trace it.
        NotStarted: the program is not in the image, or can't be executed.
    """
    from wherry.runtime.run import RunOptions, document
    from wherry.runtime.security import Security
    from wherry.runtime.trace.attend import TraceLimits, TraceUntil, trace_container
    from wherry.runtime.trace.observe import Observer
    from wherry.runtime.trace.probes import Probe

    probes = tuple(map(Probe.parse, options.probes))
    security = Security(network=options.network, seccomp=options.seccomp or "usual")
    wanted = RunOptions(
        arguments=options.arguments, environment=options.environment, volumes=options.volumes, security=security
    )
    heard = [hear]

    def both(event: "TraceEvent") -> None:
        for one in heard:
            one(event)

    with prepared(session, located, wanted, platform=platform, notice=notice) as made:
        if options.calls and made.place.emulator is not None:
            raise HostUnable(
                f"{located.name}: the system calls of an emulated {made.image.platform} image are the emulator's",
                hint=f"trace it on a {made.image.platform} machine",
            )
        observer = Observer(made.spec.argv[0] if made.place.emulator else "")
        heard.append(observer.hear)
        job = document(made.spec, made.place)
        job["trace"] = "calls" if options.calls else "files"
        limits = TraceLimits(
            seconds=options.seconds,
            until=TraceUntil(options.until),
            probes=probes,
            stop_signal=stop_signal(made.image),
            interruptible=options.interruptible,
        )
        outcome = trace_container(job, limits, both, notice=notice, why=made.why)
        return TracedRun(
            image=made.image,
            argv=made.spec.argv,
            observation=observer.observation(),
            outcome=outcome,
            mounts=tuple(volume.destination for volume in options.volumes),
        )


def trace_document(run: TracedRun, root: "ImageRoot", declared: "PlatformDeps") -> "TraceDocument":
    """Put a run next to what the image's programs declare."""
    from wherry.analysis.deps.compare_trace import TraceComparison
    from wherry.analysis.deps.trace_document import TraceDocument, TracedProbe
    from wherry.runtime.trace.names import call_names

    found = TraceComparison(root, declared, run.observation, run.mounts).compared()
    outcome, seen = run.outcome, run.observation
    return TraceDocument(
        argv=tuple(word.encode(errors="replace").decode() for word in run.argv),
        ended_by=outcome.ended_by,
        code=outcome.code,
        seconds=round(outcome.seconds, 3),
        killed=outcome.killed,
        whole=outcome.whole,
        processes=seen.processes,
        left=seen.left,
        probes=tuple(
            TracedProbe(probe=one.probe.text, answered=one.answered, answer=one.text, tries=one.tries)
            for one in outcome.answers
        ),
        executed=found.executed,
        opened=found.opened,
        made=found.made,
        missing=found.missing,
        refused=found.refused,
        libraries=found.libraries,
        sockets=found.sockets,
        signals=dict(seen.signals),
        calls=tuple(sorted(set(call_names(seen.calls)))) if seen.calls else (),
        unopened=found.unopened,
        undeclared=found.undeclared,
        unused=found.unused,
        dropped=seen.dropped,
        output=outcome.output.decode(errors="replace"),
        printed=outcome.printed,
    )


def last_lines(output: bytes, most: int = 10) -> tuple[str, ...]:
    """Give the last lines that a program printed."""
    return tuple(output.decode(errors="replace").rstrip().splitlines()[-most:])


def stop_signal(image: "Image") -> int:
    """Give the signal that asks an image's program to end, as its config says (STOPSIGNAL); else SIGTERM."""
    import signal

    named = image.config.runtime.stop_signal or "SIGTERM"
    if named.isdecimal():
        return int(named) if 0 < int(named) < signal.NSIG else signal.SIGTERM
    found = getattr(signal.Signals, named if named.startswith("SIG") else f"SIG{named}", signal.SIGTERM)
    return int(found)
