"""The proof between a build and its delivery: the very image starts and answers, or nothing is pushed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.result import BuiltImage
from wherry.app.progress import Progress
from wherry.app.session import Session
from wherry.counted import counted
from wherry.errors import HostUnable, WherryError
from wherry.settings.prove import TIMEOUT, ProveSettings

if TYPE_CHECKING:
    from wherry.analysis.deps.observed import ObservedFile
    from wherry.app.traces import TracedRun, TraceOptions
    from wherry.oci.image import Image
    from wherry.platform import Platform
    from wherry.runtime.trace.probes import ProbeAnswer

_MOST = 8
"""Failed opens that are named."""
_GIVEN = ("/proc/", "/sys/", "/dev/")
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """How one image is proven."""

    settings: ProveSettings
    folder: Path
    """Where relative mounts start."""
    tls_floor: bool = False
    """Whether it has to refuse TLS 1.0 and 1.1 on every port that it listens on."""


class NotProven(WherryError):
    """An image does not start, or does not answer; it is stored under its names, and was not delivered."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str, failed: "Sequence[ObservedFile]" = ()) -> None:
        """Take what is wrong, the remedy, and the failed opens, the last first."""
        super().__init__(message, hint=hint)
        self.failed = tuple(failed)


def trace_options(proof: Proof) -> "TraceOptions":
    """Read how an image is started; done before anything is built.

    Raises:
        InvalidUsage: a probe or a mount is malformed.
        NotFound: a mount's source is not there.
    """
    from wherry.app.traces import TraceOptions
    from wherry.runtime.run import parse_volume
    from wherry.runtime.trace.probes import Probe

    wanted = proof.settings
    probes = wanted.probes or ()
    for probe in probes:
        Probe.parse(probe)
    return TraceOptions(
        arguments=wanted.arguments or (),
        environment=wanted.environment,
        volumes=tuple(parse_volume(text, proof.folder) for text in wanted.mounts or ()),
        network=wanted.network or "none",
        seconds=wanted.seconds or TIMEOUT,
        until="probes" if probes else "listening",
        probes=probes,
    )


def prove(session: Session, proofs: Sequence[Proof], images: Sequence[BuiltImage], progress: Progress) -> float | None:
    """Start every image that this machine can run, on each of its platforms.

    Args:
        session: where.
        proofs: how, one for each image; none: nothing is proven.
        images: what was built.
        progress: where it is reported.

    Returns:
        Seconds until the slowest of them listened or answered; None where none was started.

    Raises:
        NotProven: one does not start or answer; the failed opens are named, the last first.
        HostUnable: this machine can run none of an image's platforms, or has no sandbox.
    """
    if not proofs:
        return None
    started: list[float] = []
    for image, proof in zip(images, proofs, strict=True):
        options = trace_options(proof)
        runnable = [one for one in image.images if _runs(session, one.platform)]
        for one in image.images:
            if one not in runnable:
                progress.line(f"{image.names[0]}: {one.platform} is not proven: this machine cannot run it")
        if not runnable:
            raise HostUnable(
                f"{image.names[0]}: cannot prove it: this machine runs none of its platforms",
                hint="install qemu-user-static, or build without --prove",
            )
        for one in runnable:
            run = _prove_one(session, image, one, options, progress)
            started.append(run.outcome.seconds)
            if proof.tls_floor:
                _prove_floor(session, image, one, options, run, progress)
    return max(started, default=None)


def _prove_floor(
    session: Session, image: BuiltImage, one: "Image", options: "TraceOptions", first: "TracedRun", progress: Progress
) -> None:
    from wherry.app.build.tls_proof import OldTls, prove_floor
    from wherry.app.traces import trace_run
    from wherry.store.find import Located

    name = f"{image.names[0]} ({one.platform})"
    located = Located(image.names[0], session.store, image.root)
    with progress.step(f"prove TLS of {name}") as step:
        try:
            found = prove_floor(first, options, lambda more: trace_run(session, located, more, platform=one.platform))
        except OldTls as error:
            raise NotProven(
                f"{name}: {error}",
                hint=_stored("set MinVersion of tls.Config to tls.VersionTLS12, and no tls10server=1 in GODEBUG"),
            ) from error
        step.done("; ".join(found))


def _prove_one(
    session: Session, image: BuiltImage, one: "Image", options: "TraceOptions", progress: Progress
) -> "TracedRun":
    from wherry.app.traces import trace_run
    from wherry.sandbox.start import NotStarted
    from wherry.store.find import Located

    name = f"{image.names[0]} ({one.platform})"
    located = Located(image.names[0], session.store, image.root)
    with progress.step(f"prove {name}") as step:
        try:
            run = trace_run(session, located, options, platform=one.platform, notice=progress.line)
        except NotStarted as error:
            raise NotProven(f"{name} does not start: {error.message}", hint=_stored(error.hint)) from error
        problem = _problem(run, options)
        if problem:
            raise _not_proven(name, problem, run)
        step.done(_started(run, options))
    for line in _notes(name, run):
        progress.line(line)
    return run


def _problem(run: "TracedRun", options: "TraceOptions") -> str:
    """Say why a start is not a good one; empty where it is."""
    outcome, seen = run.outcome, run.observation
    waiting = [answer for answer in outcome.answers if not answer.answered]
    if outcome.ended_by == "exit":
        if not options.probes:
            return f"it exited with {outcome.code}" if outcome.code else ""
        before = f"it exited with {outcome.code} before {waiting[0].probe.text} was answered" if waiting else ""
        if before and seen.left:
            return f"{before}: it went into the background, and a container ends when its first process does"
        return before
    if outcome.ended_by == "probes" and waiting:
        return f"{waiting[0].probe.text}: it {waiting[0].text}"
    if outcome.ended_by != "time":
        return ""
    limit = f"within {options.seconds:g} s"
    return _waited(waiting[0], seen.listening, limit) if options.probes else f"it neither listened nor exited {limit}"


def _waited(answer: "ProbeAnswer", listening: Sequence[str], limit: str) -> str:
    heard = f"; it listens on {', '.join(listening) or 'nothing'}" if not _listens(listening, answer.probe.port) else ""
    return f"{answer.probe.text} was not answered {limit}: {answer.text}{heard}"


def _listens(addresses: Sequence[str], port: int) -> bool:
    return any(address.rpartition(":")[2] == str(port) for address in addresses)


def _not_proven(name: str, problem: str, run: "TracedRun") -> NotProven:
    from wherry.app.traces import last_lines

    failed = [file for file in run.observation.failed() if not file.path.startswith(_GIVEN)]
    lines = [f"{name} does not start: {problem}"]
    if failed:
        lines.append("asked for in vain, the last first:")
        lines += [f"  {file.path}  {file.error}  by {file.program} ({file.call})" for file in failed[:_MOST]]
        if len(failed) > _MOST:
            lines.append(f"  {len(failed) - _MOST} more: `wherry deps --trace {name.partition(' ')[0]}` lists them")
    printed = last_lines(run.outcome.output)
    if printed:
        lines += ["it printed:", *(f"  {line}" for line in printed)]
    return NotProven("\n  ".join(lines), hint=_stored(_remedy(problem, failed, run)), failed=failed)


def _remedy(problem: str, failed: "Sequence[ObservedFile]", run: "TracedRun") -> str:
    if "it listens on" in problem and run.observation.listening:
        return "correct the port of probe in [prove] of wherry.toml, or that of the service"
    if "background" in problem:
        return "run the service in the foreground, by an option of its own"
    if failed and failed[0].error in ("EACCES", "EPERM", "EROFS"):
        return (
            f"let the container's user have {failed[0].path}: change its mode or owner, the user, or mount it in "
            "[prove] of wherry.toml"
        )
    if failed and (kind := _kind_of(failed[0].path)):
        return f"{failed[0].path} is missing: choose a base that has {kind}, such as static"
    if failed:
        return (
            f"if {failed[0].path} is needed: put it into the image (--add FILE:PATH, or COPY), or mount it in [prove] "
            "of wherry.toml"
        )
    return "set what it needs (args, environment, mounts, probe) in [prove] of wherry.toml"


def _kind_of(path: str) -> str:
    from wherry.analysis.deps.go_asks import ASKS

    return next(
        (ask.kind for ask in ASKS if ask.matters for one in ask.paths if path == one or path.startswith(f"{one}/")), ""
    )


def _stored(remedy: str) -> str:
    return f"{remedy}; the image is stored, but not pushed or exported"


def _started(run: "TracedRun", options: "TraceOptions") -> str:
    outcome = run.outcome
    if outcome.ended_by == "exit":
        return f"exited with 0 after {outcome.seconds:.2f} s"
    what = (
        f"answered {counted(len(options.probes), 'probe')}"
        if options.probes
        else f"listens on {run.observation.listening[0]}"
    )
    return f"{what} after {outcome.seconds:.2f} s"


def _notes(name: str, run: "TracedRun") -> Iterator[str]:
    missing = [file.path for file in run.observation.failed() if not file.path.startswith(_GIVEN)]
    if missing:
        shown = ", ".join(missing[:_LISTED])
        yield (
            f"{name}: {counted(len(missing), 'file')} that it asked for not there, and it started without: {shown}"
            + (", …" if len(missing) > _LISTED else "")
        )
    if run.outcome.ended_by == "exit" and run.observation.left:
        yield f"{name}: {counted(run.observation.left, 'process')} ended with the first one, as in any container"
    if run.outcome.killed:
        yield f"{name}: it did not end within 3 s of its stop signal, and was killed"


def _runs(session: Session, platform: "Platform") -> bool:
    from wherry.host.kernel import Kernel, emulation

    if platform.os != "linux":
        return False
    folders = [Path(folder) for folder in session.environment.get("PATH", "").split(":") if folder]
    return Kernel.of_host().runs(platform) or emulation(platform, folders) is not None
