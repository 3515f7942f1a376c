"""A timeout, where it is written, and all that are known of a workload."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

TIMEOUT_NAMES: Mapping[str, str] = {
    "grace": "from SIGTERM to SIGKILL: terminationGracePeriodSeconds",
    "prestop": "the preStop hook's sleep; SIGTERM comes after it, and grace includes it",
    "drain.notice": "how long the service still takes requests after SIGTERM, unready",
    "drain.finish": "how long it then waits for requests in flight, as the context of http.Server.Shutdown",
    "drain.deregister": "how long it takes to leave a registry of services, such as etcd",
    "drain.flush": "how long the last logs and metrics may take",
    "drain.grace": "the grace period that the service counts on",
    "request.slowest": "the slowest request that should still be answered",
    "endpoints.propagation": "until no node sends new connections to a terminating pod",
    "readiness.period": "readinessProbe.periodSeconds",
    "readiness.timeout": "readinessProbe.timeoutSeconds",
    "readiness.failures": "readinessProbe.failureThreshold, a count",
    "liveness.period": "livenessProbe.periodSeconds",
    "liveness.timeout": "livenessProbe.timeoutSeconds",
    "liveness.failures": "livenessProbe.failureThreshold, a count",
    "startup.period": "startupProbe.periodSeconds",
    "startup.timeout": "startupProbe.timeoutSeconds",
    "startup.failures": "startupProbe.failureThreshold, a count",
    "server.read_header": "http.Server.ReadHeaderTimeout; 0 means no limit",
    "server.read": "http.Server.ReadTimeout",
    "server.write": "http.Server.WriteTimeout",
    "server.idle": "http.Server.IdleTimeout: how long a connection without a request stays open",
    "client.idle": "http.Transport.IdleConnTimeout of the clients' connection pool",
    "balancer.idle": "how long the balancer keeps an idle connection to the service",
    "balancer.response": "how long the balancer waits for the service's answer",
    "balancer.check_interval": "the external balancer's health check, its period",
    "balancer.check_failures": "failed checks after which it stops sending requests, a count",
    "keepalive.idle": "idle time before the first TCP keepalive probe; Go sets 15 s",
    "nat.idle": "how long a NAT or firewall on the way remembers an idle connection",
    "webhook.timeout": "timeoutSeconds of an admission webhook",
    "kernel.fin_timeout": "net.ipv4.tcp_fin_timeout",
    "kernel.keepalive_time": "net.ipv4.tcp_keepalive_time",
    "kernel.keepalive_interval": "net.ipv4.tcp_keepalive_intvl",
    "kernel.keepalive_probes": "net.ipv4.tcp_keepalive_probes, a count",
}
"""Every name that a rule or a file of values may use, with its meaning."""


@dataclass(frozen=True, slots=True)
class Spot:
    """The characters of a manifest that state a timeout, or the place where it can be inserted."""

    file: str
    start: int
    """Characters from the file's beginning."""
    end: int
    form: str = "{}"
    """What is written there; `{}` stands for the number."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """One timeout of one workload, or of all."""

    name: str
    seconds: float
    """Or a count, where its meaning says so."""
    place: str
    """Where it is written, such as `deploy.yaml:31` or `/proc/sys/net/ipv4/tcp_fin_timeout`."""
    scope: str = ""
    """The workload or document that it belongs to, such as `Deployment/api`; empty: all."""
    stated: bool = True
    """False for a default, which applies because nothing else is written."""
    spot: Spot | None = None
    """Where a manifest can be edited to change it."""

    @property
    def is_count(self) -> bool:
        """Whether it counts something."""
        return TIMEOUT_NAMES[self.name].endswith("a count")


class TimeoutTable:
    """All that is known, by workload."""

    def __init__(self, known: Iterable[Timeout]) -> None:
        self._known: dict[str, dict[str, Timeout]] = {}
        """By name and scope: the one that counts."""
        owners: dict[str, None] = {}
        for one in known:
            of_name = self._known.setdefault(one.name, {})
            before = of_name.get(one.scope)
            if before is None or (one.stated and not before.stated):
                of_name[one.scope] = one
            if one.scope:
                owners[one.scope] = None
        outer = {wide for one in owners for wide in _wider(one)}
        self.scopes: tuple[str, ...] = tuple(one for one in owners if one not in outer) or ("",)
        """Those that are judged: a pod with several containers is judged by container."""

    def get(self, name: str, scope: str) -> Timeout | None:
        """Give a timeout of a workload: what is stated goes before a default, its own before what is for all."""
        of_name = self._known.get(name)
        if not of_name:
            return None
        found = [one for wide in (scope, *_wider(scope), "") if (one := of_name.get(wide)) is not None]
        return next((one for one in found if one.stated), found[0] if found else None)


def _wider(scope: str) -> Iterator[str]:
    """Give the scopes that a scope is in, the nearest first."""
    while scope:
        scope = scope.rpartition("/")[0]
        if scope:
            yield scope
