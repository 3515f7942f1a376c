"""Which timeout it is: how long connections were idle before they were closed, held against the usual timeouts.

Sources: RFC 9112, sections 9.3 and 9.5; tcp(7), tcp_fin_timeout; Go 1.26, net/http `DefaultTransport` (90 s); nginx,
`keepalive_timeout` (75 s) and of upstreams (60 s); AWS, Application Load Balancers (60 s) and Network Load Balancers
(350 s); Azure Load Balancer (4 min); Google Cloud load balancers (600 s); Node.js 18, server.keepAliveTimeout (5 s).
"""

from collections.abc import Iterable
from dataclasses import dataclass

_NEAR, _PART = 1.0, 0.03
"""A time is a timeout's if it is at most so many seconds, or so large a part, longer or shorter."""
_SHORT = 0.05
"""Seconds of silence below which no timeout is to blame: the peer closed in the middle."""


@dataclass(frozen=True, slots=True)
class UsualTimeout:
    """A timeout that closes idle connections."""

    seconds: float
    owner: str
    """What has it."""


USUAL = (
    UsualTimeout(5, "Node.js servers (keepAliveTimeout)"),
    UsualTimeout(30, "a connection pool with 30 s (IdleConnTimeout, or a client's own request timeout)"),
    UsualTimeout(60, "AWS Application Load Balancers, and nginx's upstreams"),
    UsualTimeout(75, "nginx (keepalive_timeout)"),
    UsualTimeout(90, "Go's http.DefaultTransport (IdleConnTimeout)"),
    UsualTimeout(240, "Azure Load Balancer"),
    UsualTimeout(350, "AWS Network Load Balancers and NAT gateways"),
    UsualTimeout(600, "Google Cloud load balancers"),
)


def equals(seconds: float, known: Iterable[UsualTimeout]) -> tuple[str, ...]:
    """Name the timeouts that a time without data equals, the nearest first."""
    near = [one for one in known if abs(one.seconds - seconds) <= max(_NEAR, _PART * one.seconds)]
    near.sort(key=lambda one: abs(one.seconds - seconds))
    return tuple(f"{one.seconds:g} s: {one.owner}" for one in near)


def remedy(  # noqa: PLR0911 - one return a cause
    descriptor: str, closed_by: str, idle: float, late: float, matches: tuple[str, ...]
) -> str:
    """Say what to do.

    Args:
        descriptor: `socket`, `pipe`, `stdout`, `stderr`.
        closed_by: see `BreakKey`.
        idle: seconds without data before the close; below 0: not known.
        late: seconds between the close and the write; below 0: not known.
        matches: the timeouts that it equals.
    """
    if descriptor in ("stdout", "stderr"):
        return (
            f"what reads {descriptor} went away: keep it running, or write logs where a reader's end does not matter; "
            "Go ends the process at a broken stdout or stderr unless it calls signal.Ignore(syscall.SIGPIPE)"
        )
    if descriptor == "pipe":
        return "the program at the other end of the pipe ended: look at its exit code and its log"
    if closed_by == "the process itself":
        return "the program writes after it closed its own sending side: fix the program"
    if closed_by == "not seen":
        return "watch from the connection's beginning to see who closes: it was broken before the watch began"
    if idle < _SHORT:
        return "the peer closed in the middle of an answer: a cancelled request; stop when r.Context() is done"
    if matches and late > _SHORT:
        return (
            "the peer stops waiting before this service answers: answer sooner or raise the peer's timeout, stop when "
            "r.Context() is done; `wherry timeouts` checks that timeouts agree"
        )
    if matches:
        return (
            "the peer closes idle connections sooner than this service: make this service's idle timeout the shorter "
            "one where it is the client, the longer one where it is the server; `wherry timeouts` checks that"
        )
    return "no usual timeout is as long as this: look in the peer's configuration for one of that length"
