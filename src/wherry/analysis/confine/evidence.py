"""What a policy is written from."""

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.analysis.deps.trace_document import TraceDocument


@dataclass(frozen=True, slots=True)
class PolicyEvidence:
    """A traced run of an image."""

    name: str
    """Of the policy: letters, digits and dashes."""
    image: str
    """As the user names it, with its digest."""
    trace: TraceDocument
    architecture: str
    """As GOARCH says it."""
    root: bool
    """Whether the image's program runs as user 0."""

    def described(self) -> tuple[str, ...]:
        """Say how it was seen."""
        probes = ", ".join(one.probe for one in self.trace.probes) or "no probe"
        return (
            f"written by wherry from a traced run of {self.image}",
            f"seen for {self.trace.seconds:.1f} s with {probes}; it ended by: {self.trace.ended_by}",
        )

    def unexercised(self) -> Sequence[str]:
        """Name what the run never did, as far as the program shows it: what is linked and was not asked for."""
        found = [f"{one.declared} ({one.path}, by {one.program})" for one in self.trace.unopened]
        if not self.trace.probes:
            found.append("every answer to a request: no probe was asked")
        if self.trace.ended_by in ("exit", "interrupt") or not self.trace.whole or self.trace.killed:
            found.append("its own shutdown after SIGTERM")
        return found


def policy_name(image: str) -> str:
    """Make a policy's name of an image's."""
    last = image.partition("@")[0].rpartition("/")[2].replace(":", "-")
    return "wherry-" + (
        "".join(char if char.isalnum() and char.isascii() else "-" for char in last).strip("-") or "app"
    )
