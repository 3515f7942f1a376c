"""The floor of TLS, proven: a running image is asked for TLS 1.0 and 1.1 on every port that it listens on."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherry.app.traces import TracedRun, TraceOptions
    from wherry.runtime.trace.probes import ProbeAnswer

_SCHEME = "tls+plain"
_ROUNDS = 3
"""Starts at most: a port that is opened late is seen in one and asked in the next."""
_LONGEST = 5.0
"""Seconds that a port may take to answer; the image has shown before that it starts."""


class OldTls(Exception):
    """An image accepts TLS 1.0 or 1.1, or does not let itself be asked."""


def prove_floor(first: "TracedRun", options: "TraceOptions", again: "Callable[[TraceOptions], TracedRun]") -> list[str]:
    """Start an image again, and try TLS of every version on each port that it listened on.

    Args:
        first: a run that was a good one.
        options: of that run.
        again: starts it once more.

    Returns:
        What was found, a line a port.

    Raises:
        OldTls: it accepts what nothing should, or a port did not answer.
    """
    asked: dict[str, ProbeAnswer] = {}
    ports = _ports(first.observation.listening)
    for _ in range(_ROUNDS):
        new = [port for port in ports if port not in asked]
        if not new:
            break
        probes = (*options.probes, *new)
        run = again(replace(options, until="probes", probes=probes, seconds=min(options.seconds or _LONGEST, _LONGEST)))
        for answer in run.outcome.answers[len(options.probes) :]:
            asked[answer.probe.text] = answer
            if not answer.answered:
                raise OldTls(f"{_shown(answer)}: {answer.text}")
        ports = _ports((*first.observation.listening, *run.observation.listening))
    if not asked:
        return ["it listens on no port: no TLS to prove"]
    spoken = [f"{_shown(one)} {one.text}" for one in asked.values() if one.text.startswith("accepts")]
    return spoken or [f"no TLS on {', '.join(map(_shown, asked.values()))}"]


def _ports(addresses: Iterable[str]) -> list[str]:
    """Give the probes for TCP addresses that are listened on; sockets of files have none."""
    found: dict[str, None] = {}
    for address in addresses:
        host, _, port = address.rpartition(":")
        if port.isdecimal() and not address.startswith("/"):
            found[f"{_SCHEME}://{'[::1]' if host == '[::1]' else 'localhost'}:{port}"] = None
    return list(found)


def _shown(answer: "ProbeAnswer") -> str:
    return answer.probe.text.removeprefix(f"{_SCHEME}://")
