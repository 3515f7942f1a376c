"""Each platform of an image, run once where this machine can: natively or by qemu-user, without a network."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from wherry.app.session import Session
from wherry.errors import HostUnable
from wherry.finding import Finding, Severity

if TYPE_CHECKING:
    from wherry.app.images import OpenImage
    from wherry.oci.image import Image

SECONDS = 5.0
"""A program that neither listens nor ends by then counts as one that runs."""


class PlatformRun(msgspec.Struct, frozen=True, kw_only=True):
    """What came of running one platform."""

    outcome: str
    """`listened`, `exited`, `running` (until it was ended), `not-started`, or `not-run` where this machine cannot."""
    code: int = 0
    """Exit code, of one that exited; 128 and the signal where one killed it."""
    seconds: float = 0.0
    reason: str = ""
    """Of one that was not run or did not start; else the last line that it printed."""

    @property
    def text(self) -> str:
        """Say it in a few words."""
        match self.outcome:
            case "exited":
                return f"run: exited with {self.code}" + (f" ({self.reason})" if self.code and self.reason else "")
            case "listened":
                return "run: it listened"
            case "running":
                return f"run: still running after {SECONDS:g} s"
            case "not-started":
                return f"run: it does not start: {self.reason}"
            case _:
                return f"not run: {self.reason}"


def run_platforms(
    session: Session, found: "OpenImage", images: "Sequence[Image]", notice: Callable[[str], None]
) -> Iterator[PlatformRun]:
    """Run images, one after the other, with their own command."""
    from wherry.app.traces import TraceOptions, last_lines, trace_run
    from wherry.sandbox.start import NotStarted
    from wherry.store.find import Located

    options = TraceOptions(seconds=SECONDS, until="listening")
    names = {"exit": "exited", "listening": "listened"}
    for image in images:
        runtime = image.config.runtime
        if not runtime.entrypoint and not runtime.cmd:
            yield PlatformRun(outcome="not-run", reason="it has no entry point or command")
            continue
        located = Located(f"{found.name} ({image.platform})", found.source, image.descriptor)
        try:
            outcome = trace_run(session, located, options, platform=image.platform, notice=notice).outcome
        except HostUnable as error:
            yield PlatformRun(outcome="not-run", reason=error.message.partition(": ")[2] or error.message)
        except NotStarted as error:
            yield PlatformRun(outcome="not-started", reason=error.message)
        else:
            last = last_lines(outcome.output, 1)
            yield PlatformRun(
                outcome=names.get(outcome.ended_by, "running"),
                code=outcome.code if outcome.ended_by == "exit" else 0,
                seconds=round(outcome.seconds, 3),
                reason=last[0] if last else "",
            )


def judge_runs(images: "Sequence[Image]", runs: Sequence[PlatformRun]) -> Iterator[Finding]:
    """Report platforms that do not start, and those that end otherwise than the first that was run."""
    first: tuple[Image, PlatformRun] | None = None
    for image, run in zip(images, runs, strict=True):
        place = str(image.platform)
        if run.outcome == "not-run":
            continue
        if run.outcome == "not-started":
            yield Finding("does-not-start", Severity.ERROR, place, f"it does not start: {run.reason}", (), "")
            continue
        if first is None:
            first = image, run
        elif (run.outcome, run.code) != (first[1].outcome, first[1].code):
            yield Finding(
                "runs-differ", Severity.ERROR, place, f"it does not run as {first[0].platform} does",
                (f"{first[0].platform}: {first[1].text}", f"{place}: {run.text}"),
                f"run it: wherry run --platform {place}",
            )  # fmt: skip
