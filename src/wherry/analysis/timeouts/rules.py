"""The rules between timeouts, as data, and their judgement.

A rule says that the sum of some timeouts must be below the sum of others. Terms: `a` has to be known; `a?` counts as 0
where it is not; `a|b` is the largest of those that are known; `a*b` is a product.

Sources: Kubernetes 1.34, "Pod Lifecycle" (termination), "Configure Liveness, Readiness and Startup Probes",
"Dynamic Admission Control" (timeouts); Go 1.26, net/http `Server` and `Transport`, net `KeepAliveConfig`; RFC 9110 and
RFC 9112, section 9.3 and 9.5 (persistent connections, closing them); tcp(7).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wherry.analysis.timeouts.figures import Timeout, TimeoutTable
from wherry.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class TimeoutRule:
    """One rule: `smaller` must be below `larger`, or equal where that is allowed."""

    name: str
    smaller: tuple[str, ...]
    larger: tuple[str, ...]
    strikes: str
    """What a user sees when it is broken."""
    change: str
    """The timeout to change."""
    source: str
    equal: bool = False
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True)
class TimeoutEdit:
    """A change of a timeout that mends a broken rule."""

    timeout: Timeout
    value: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of all workloads."""

    findings: tuple[Finding, ...]
    edits: tuple[TimeoutEdit, ...]
    unjudged: dict[str, tuple[str, ...]]
    """Rules for which a timeout is unknown, with the names of those that are."""


_PROBES = "Kubernetes 1.34, Configure Liveness, Readiness and Startup Probes"
_TERMINATION = "Kubernetes 1.34, Pod Lifecycle, Termination of Pods"
RULES: tuple[TimeoutRule, ...] = (
    TimeoutRule(
        "grace-covers-shutdown",
        ("prestop?", "drain.notice?", "drain.finish|request.slowest", "drain.deregister?", "drain.flush?"),
        ("grace",),
        "the kubelet kills the process while it still answers: clients see reset connections at every rollout",
        "grace", _TERMINATION, severity=Severity.ERROR,
    ),
    TimeoutRule(
        "hook-within-grace", ("prestop",), ("grace",),
        "the kubelet kills the container in the middle of its preStop hook, before it was asked to stop",
        "grace", _TERMINATION, severity=Severity.ERROR,
    ),
    TimeoutRule(
        "service-knows-grace", ("drain.grace", "prestop?"), ("grace",),
        "the service plans its shutdown for more time than it gets, and is killed before it has ended",
        "grace", _TERMINATION, equal=True, severity=Severity.ERROR,
    ),
    TimeoutRule(
        "finish-covers-slowest", ("request.slowest",), ("drain.finish",),
        "at a shutdown, the slowest requests are cut off before they are answered",
        "drain.finish", "Go 1.26, net/http Server.Shutdown", equal=True, severity=Severity.ERROR,
    ),
    TimeoutRule(
        "endpoints-before-close", ("endpoints.propagation",), ("prestop?", "drain.notice?"),
        "nodes still send new connections to a pod that no longer listens: connection refused at every rollout",
        "prestop", _TERMINATION, equal=True,
    ),
    TimeoutRule(
        "balancer-sees-drain", ("balancer.check_interval*balancer.check_failures",), ("prestop?", "drain.notice?"),
        "the balancer outside the cluster still sends requests to a service that has closed: 502 at every rollout",
        "prestop", "the balancer's own health check; a terminating pod is unready at once inside the cluster only",
    ),
    *(
        TimeoutRule(
            f"{probe}-probe-ends", (f"{probe}.timeout",), (f"{probe}.period",),
            "a slow answer is still awaited when the next probe is due, so failures are counted late",
            f"{probe}.timeout", _PROBES,
        )
        for probe in ("readiness", "liveness", "startup")
    ),
    TimeoutRule(
        "unready-before-restart", ("readiness.period*readiness.failures",), ("liveness.period*liveness.failures",),
        "under overload the pod is restarted before it is taken out of service, and its load moves to the others",
        "liveness.failures", _PROBES, equal=True,
    ),
    TimeoutRule(
        "server-outlives-balancer", ("balancer.idle",), ("server.idle",),
        "the balancer sends a request on a connection that the service just closed: sporadic 502",
        "balancer.idle", "RFC 9112, section 9.3 and 9.5",
    ),
    TimeoutRule(
        "balancer-outlives-client", ("client.idle",), ("balancer.idle",),
        "clients reuse a connection that the balancer just closed: sporadic resets, and POSTs that can't be repeated",
        "client.idle", "RFC 9112, section 9.3 and 9.5",
    ),
    TimeoutRule(
        "server-outlives-client", ("client.idle",), ("server.idle",),
        "clients reuse a connection that the service just closed: sporadic resets, and POSTs that can't be repeated",
        "client.idle", "RFC 9112, section 9.3 and 9.5",
    ),
    TimeoutRule(
        "balancer-awaits-slowest", ("request.slowest",), ("balancer.response",),
        "the balancer gives up on requests that the service would have answered: 504",
        "balancer.response", "the balancer's documentation of its response timeout",
    ),
    TimeoutRule(
        "keepalive-before-nat", ("keepalive.idle|kernel.keepalive_time",), ("nat.idle",),
        "idle connections are forgotten on the way and hang until a timeout, with no error before it",
        "keepalive.idle", "RFC 5382, REQ-5; Go 1.26, net KeepAliveConfig",
    ),
    TimeoutRule(
        "webhook-answers", ("webhook.timeout",), ("webhook.limit",),
        "the API server refuses a webhook with a longer timeout",
        "webhook.timeout", "Kubernetes 1.34, Dynamic Admission Control, Timeouts", equal=True, severity=Severity.ERROR,
    ),
)  # fmt: skip
_CONSTANTS = {"webhook.limit": 30.0}
_MARGIN = 1


def judge_timeouts(table: TimeoutTable) -> Judgement:
    """Hold every rule against every workload.

    A rule between things that no workload has, such as a balancer, is not judged; its missing names are given.
    """
    findings: list[Finding] = []
    edits: list[TimeoutEdit] = []
    judged: set[str] = set()
    unknown: dict[str, tuple[str, ...]] = {}
    for rule in RULES:
        for scope in table.scopes:
            missing = tuple(sorted({*_missing(rule.smaller, table, scope), *_missing(rule.larger, table, scope)}))
            if missing:
                unknown.setdefault(rule.name, missing)
                continue
            judged.add(rule.name)
            low, high = (_total(side, table, scope) for side in (rule.smaller, rule.larger))
            if low < high or (rule.equal and low == high):
                continue
            edit = _edit(rule, table, scope, low - high)
            findings.append(_finding(rule, table, scope, low, high, edit))
            if edit is not None and edit.timeout.spot is not None:
                edits.append(edit)
    findings += _without_header_timeout(table)
    left = {name: missing for name, missing in unknown.items() if name not in judged}
    return Judgement(tuple(dict.fromkeys(findings)), _largest(edits), left)


def _names(side: Iterable[str]) -> Iterator[str]:
    for term in side:
        yield from term.rstrip("?").replace("*", "|").split("|")


def _value(name: str, table: TimeoutTable, scope: str) -> float | None:
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    found = table.get(name, scope)
    return found.seconds if found is not None else None


def _missing(side: Iterable[str], table: TimeoutTable, scope: str) -> Iterator[str]:
    known_any = False
    for term in side:
        names = list(_names((term,)))
        unknown = [name for name in names if _value(name, table, scope) is None]
        known_any |= len(unknown) < len(names)
        if "*" in term:
            yield from unknown
        elif len(unknown) == len(names) and not term.endswith("?"):
            yield names[0]
    if not known_any:
        yield next(_names(side))


def _total(side: Iterable[str], table: TimeoutTable, scope: str) -> float:
    return sum(_term(term, table, scope) for term in side)


def _term(term: str, table: TimeoutTable, scope: str) -> float:
    values = [value for name in _names((term,)) if (value := _value(name, table, scope)) is not None]
    if "*" in term:
        return math.prod(values)
    return max(values, default=0.0)


def _edit(rule: TimeoutRule, table: TimeoutTable, scope: str, excess: float) -> TimeoutEdit | None:
    """Say what the timeout to change has to be, at least by a second better."""
    timeout = table.get(rule.change, scope)
    if timeout is None:
        return None
    if timeout.is_count:
        by = rule.change.rpartition(".")[0] + ".period"
        period = table.get(by, scope)
        return TimeoutEdit(timeout, math.ceil(timeout.seconds + excess / (period.seconds if period else 1.0)))
    margin = 0 if rule.equal else _MARGIN
    if rule.change in set(_names(rule.larger)):
        return TimeoutEdit(timeout, math.ceil(timeout.seconds + excess + margin))
    value = math.floor(timeout.seconds - excess - margin)
    return TimeoutEdit(timeout, value) if value > 0 else None


def _finding(
    rule: TimeoutRule, table: TimeoutTable, scope: str, low: float, high: float, edit: TimeoutEdit | None
) -> Finding:
    involved = [
        one for name in (*_names(rule.smaller), *_names(rule.larger)) if (one := table.get(name, scope)) is not None
    ]
    scope = scope if any(one.scope for one in involved) else ""
    place = edit.timeout.place if edit is not None else involved[-1].place
    relation = "at most" if rule.equal else "below"
    words = f"{_sum(rule.smaller, table, scope)} = {low:g} s must be {relation} {_sum(rule.larger, table, scope)}"
    message = f"{words} = {high:g} s" if high else f"{words}, which is 0"
    remedy = f"set {edit.timeout.name} ({edit.timeout.place}) to {edit.value}" if edit else f"change {rule.change}"
    return Finding(
        rule.name,
        rule.severity,
        place,
        f"{scope}: {message}" if scope else message,
        (*(_evidence(one) for one in involved), f"then {rule.strikes}", f"source: {rule.source}"),
        remedy,
    )


def _sum(side: Iterable[str], table: TimeoutTable, scope: str) -> str:
    """Write the terms of a sum that are known."""
    words = []
    for term in side:
        names = [name for name in _names((term,)) if _value(name, table, scope) is not None]
        if "*" in term:
            words.append(" * ".join(names))
        elif names:
            words.append(max(names, key=lambda name: _term(name, table, scope)))
    return " + ".join(words) or next(_names(side))


def _evidence(one: Timeout) -> str:
    unit = "" if one.is_count else " s"
    return f"{one.name} is {one.seconds:g}{unit}, {one.place}{'' if one.stated else ' (default)'}"


def _without_header_timeout(table: TimeoutTable) -> Iterator[Finding]:
    for scope in table.scopes:
        one = table.get("server.read_header", scope)
        if one is not None and not one.seconds:
            yield Finding(
                "no-read-header-timeout",
                Severity.ERROR,
                one.place,
                "server.read_header is 0: a client may take for ever to send a request's headers",
                (
                    _evidence(one),
                    "then a few slow clients hold every connection open",
                    "source: Go 1.26, net/http Server",
                ),
                "set http.Server.ReadHeaderTimeout, such as 5 s",
            )


def _largest(edits: Iterable[TimeoutEdit]) -> tuple[TimeoutEdit, ...]:
    """Keep one edit a place: the one that goes farthest mends the others too."""
    by_spot: dict[object, TimeoutEdit] = {}
    for edit in edits:
        before = by_spot.get(edit.timeout.spot)
        if before is None or abs(edit.value - edit.timeout.seconds) > abs(before.value - before.timeout.seconds):
            by_spot[edit.timeout.spot] = edit
    return tuple(by_spot.values())
