"""Timeouts that Kubernetes manifests and Helm values state, each with its line and where to edit it.

Sources: Kubernetes 1.34 API, `PodSpec`, `Probe`, `Lifecycle`, `ValidatingWebhook`, `Sysctl`; "Using sysctls in a
Kubernetes Cluster"; the annotations of ingress-nginx 1.13, the AWS load balancer controller 2.13 and the in-tree AWS
provider.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from wherry.analysis.timeouts.figures import Spot, Timeout
from wherry.cluster.placed_yaml import PlacedNode
from wherry.finding import Finding, Severity

_PROBES = {"readinessProbe": "readiness", "livenessProbe": "liveness", "startupProbe": "startup"}
_PROBE_FIELDS = {
    "periodSeconds": ("period", 10.0),
    "timeoutSeconds": ("timeout", 1.0),
    "failureThreshold": ("failures", 3.0),
}
_HOOKS = "Kubernetes 1.34, Container Lifecycle Hooks, and Sidecar Containers"
_GRACE = 30.0
_WEBHOOK = 10.0
_TEMPLATES = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"),
        ("spec", "template", "spec"),
    ),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_KINDS = frozenset(
    {*_TEMPLATES, "Ingress", "Service", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
)
_NUMBERS = frozenset({"terminationGracePeriodSeconds", "timeoutSeconds", *_PROBE_FIELDS})
_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}")
_KERNEL = {
    "net.ipv4.tcp_fin_timeout": "kernel.fin_timeout",
    "net.ipv4.tcp_keepalive_time": "kernel.keepalive_time",
    "net.ipv4.tcp_keepalive_intvl": "kernel.keepalive_interval",
    "net.ipv4.tcp_keepalive_probes": "kernel.keepalive_probes",
}
SAFE_SYSCTLS = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
})  # fmt: skip
"""What a pod may set without a flag of its kubelet: pkg/kubelet/sysctl/safe_sysctls.go of Kubernetes 1.34."""
_ANNOTATIONS = {
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "balancer.response",
    "service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout": "balancer.idle",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval": "balancer.check_interval",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-unhealthy-threshold": "balancer.check_failures",
    "alb.ingress.kubernetes.io/healthcheck-interval-seconds": "balancer.check_interval",
    "alb.ingress.kubernetes.io/unhealthy-threshold-count": "balancer.check_failures",
}
_ATTRIBUTES = "alb.ingress.kubernetes.io/load-balancer-attributes"
_IDLE = re.compile(r"(?:^|,)\s*idle_timeout\.timeout_seconds=(\d{1,6})")
_SLEEP = re.compile(r"\bsleep\s+(\d{1,6}(?:\.\d+)?)(s?)\b")
_KUBE_PROXY = re.compile(r"NET_IPV4_|TCP_FIN|KEEPALIVE", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ManifestTimeouts:
    """What manifests say of timeouts."""

    timeouts: tuple[Timeout, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Document:
    root: PlacedNode
    kind: str
    name: str
    labels: dict[str, str]

    @property
    def scope(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind


def manifest_timeouts(documents: Iterable[PlacedNode]) -> ManifestTimeouts:
    """Read all that manifests, lists of them, and Helm values say.

    What an Ingress or a Service says holds for the workloads that it leads to; where none of the documents is one of
    them, it holds for all.
    """
    read = [_document(one) for root in documents for one in _unlisted(root)]
    reach = _Reach(read)
    timeouts: list[Timeout] = []
    findings: list[Finding] = []
    for one in read:
        if one.kind in _TEMPLATES:
            spec = one.root.get(*_TEMPLATES[one.kind])
            if spec is not None and spec.is_mapping:
                timeouts += _pod(spec, one.scope)
                findings += _pod_findings(spec, one)
                findings += _hook_findings(spec, one)
        elif one.kind in {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}:
            timeouts += _webhooks(one)
        elif one.kind in {"Ingress", "Service"}:
            for scope in reach.workloads(one) or ("",):
                timeouts += _annotations(one.root.get("metadata", "annotations"), scope)
        elif not one.kind:
            timeouts += _values(one.root)
        if one.kind in _KINDS:
            findings += _wrong_numbers(one)
    return ManifestTimeouts(tuple(timeouts), tuple(findings))


def _wrong_numbers(document: _Document) -> Iterator[Finding]:
    """Name numbers that are none to the API server, or not what they look like: a default would count in silence."""
    for key, value in document.root.named(_NUMBERS):
        text = value.text
        if text and text not in {"null", "~"} and (not _INTEGER.fullmatch(text) or value.node.style):
            yield Finding(
                "no-number",
                Severity.ERROR,
                value.place,
                f"{document.scope}: {key} is {text[:40]!r}, which is no whole number of seconds",
                ("the API server refuses it, or YAML reads it as another number",),
                "write digits, without quotes, a sign, or a zero in front",
            )


def _unlisted(root: PlacedNode) -> Iterator[PlacedNode]:
    kind = root.get("kind")
    items = root.get("items")
    if kind is not None and (kind.text or "").endswith("List") and items is not None:
        yield from items.each()
    else:
        yield root


def _document(root: PlacedNode) -> _Document:
    kind, name = (root.get(*path) for path in (("kind",), ("metadata", "name")))
    api = root.get("apiVersion")
    labels = root.get("spec", "template", "metadata", "labels") or root.get("metadata", "labels")
    return _Document(
        root,
        (kind.text or "") if kind is not None and (api is not None or kind.text in _KINDS) else "",
        (name.text or "") if name is not None else "",
        _texts(labels),
    )


def _texts(node: PlacedNode | None) -> dict[str, str]:
    return {key: value.text for key, value in node.pairs() if value.text is not None} if node is not None else {}


def _pod(spec: PlacedNode, scope: str) -> Iterator[Timeout]:
    yield _stated(spec, "terminationGracePeriodSeconds", "grace", scope, default=_GRACE)
    own, sidecars = _containers(spec, "containers"), _sidecars(spec)
    ends = (policy := spec.get("restartPolicy")) is not None and policy.text in {"Never", "OnFailure"}
    for number, container in enumerate((*own, *sidecars)):
        name = container.get("name")
        inner = f"{scope}/{(name.text if name is not None else '') or number}"
        wide = len(own) + len(sidecars) > 1
        yield from _container(container, inner if wide else scope, waits=not ends and number < len(own))
    yield from _sysctls(spec.get("securityContext", "sysctls"), scope)


def _containers(spec: PlacedNode, key: str) -> list[PlacedNode]:
    listed = spec.get(key)
    return [one for one in listed.each() if one.is_mapping] if listed is not None else []


def _sidecars(spec: PlacedNode) -> list[PlacedNode]:
    """Give the init containers that run on next to the others, which `restartPolicy: Always` says."""
    return [one for one in _containers(spec, "initContainers") if _is_sidecar(one)]


def _is_sidecar(container: PlacedNode) -> bool:
    policy = container.get("restartPolicy")
    return policy is not None and policy.text == "Always"


def _container(container: PlacedNode, scope: str, *, waits: bool) -> Iterator[Timeout]:
    """Read a container; one that waits needs a hook. A sidecar ends after the others, and a test's pod by itself."""
    if waits or container.get("lifecycle", "preStop") is not None:
        yield from _prestop(container, scope)
    for key, probe in _PROBES.items():
        found = container.get(key)
        if found is not None and found.is_mapping:
            for field, (name, default) in _PROBE_FIELDS.items():
                yield _stated(found, field, f"{probe}.{name}", scope, default=default)


def _stated(mapping: PlacedNode, key: str, name: str, scope: str, *, default: float) -> Timeout:
    found = mapping.get(key)
    number = found.number() if found is not None else None
    if found is None or number is None or number < 0:
        return Timeout(name, default, mapping.place, scope, stated=False, spot=_insertion(mapping, key + ": {}"))
    return Timeout(name, number, found.place, scope, spot=Spot(found.file, found.start, found.end))


def _insertion(mapping: PlacedNode, words: str) -> Spot | None:
    """Give the place before a mapping's first key, where a key is inserted with the same indentation."""
    if not mapping.node.value:
        return None
    first = PlacedNode(mapping.file, mapping.node.value[0][0], mapping.shift)
    form = f"{words}, " if mapping.in_flow else f"{words}\n{' ' * first.column}"
    return Spot(mapping.file, first.start, first.start, form)


def _prestop(container: PlacedNode, scope: str) -> Iterator[Timeout]:
    hook = container.get("lifecycle", "preStop")
    if hook is None:
        lifecycle = container.get("lifecycle")
        wanted = "preStop: {sleep: {seconds: {}}}"
        at = lifecycle if lifecycle is not None and lifecycle.is_mapping else container
        words = wanted if at is lifecycle else f"lifecycle: {{{wanted}}}"
        yield Timeout("prestop", 0.0, container.place, scope, stated=False, spot=_insertion(at, words))
        return
    seconds = hook.get("sleep", "seconds")
    if seconds is not None and (number := seconds.number()) is not None:
        yield Timeout("prestop", number, seconds.place, scope, spot=Spot(seconds.file, seconds.start, seconds.end))
        return
    command = hook.get("exec", "command")
    argv = list(command.each()) if command is not None else []
    for called, amount in pairwise(argv):
        if (called.text or "").rpartition("/")[2] == "sleep" and (number := amount.number()) is not None:
            form = '"{}"' if amount.node.style else "{}"
            spot = Spot(amount.file, amount.start, amount.end, form)
            yield Timeout("prestop", number, amount.place, scope, spot=spot)
            return
    if match := _SLEEP.search(" ".join(word.text or "" for word in argv)):
        yield Timeout("prestop", float(match[1]), argv[0].place, scope)
        return
    # A hook of another kind takes an unknown time: nothing is stated, see `_hook_findings`.


def _hook_findings(spec: PlacedNode, document: _Document) -> Iterator[Finding]:
    """Name hooks that take as long as an answer, hooks that never work, and what an init container may not have."""
    for container in _containers(spec, "initContainers"):
        if not _is_sidecar(container):
            yield from _init_findings(container, document)
    for container in (*_containers(spec, "containers"), *_sidecars(spec)):
        for event in ("postStart", "preStop"):
            if (tcp := container.get("lifecycle", event, "tcpSocket")) is not None:
                yield Finding(
                    "tcp-hook",
                    Severity.ERROR,
                    tcp.place,
                    f"{document.scope}: {event} has tcpSocket, which Kubernetes accepts and does not carry out",
                    ("the hook fails each time: nothing waits at a stop, and a failed postStart ends the container",),
                    "use sleep, exec or httpGet",
                )
        if (request := container.get("lifecycle", "preStop", "httpGet")) is not None:
            yield Finding(
                "hook-without-time",
                Severity.NOTE,
                request.place,
                f"{document.scope}: preStop is an HTTP request: it takes as long as its answer, and only grace ends it",
                (
                    "the kubelet sends SIGTERM when the answer has come; if none comes, the process is killed unasked",
                    f"source: {_HOOKS}",
                ),
                "state how long it takes by --values (prestop: 5s), and see that the handler answers in that time",
            )


def _init_findings(container: PlacedNode, document: _Document) -> Iterator[Finding]:
    for key in ("lifecycle", *_PROBES):
        if (found := container.get(key)) is not None:
            yield Finding(
                "init-container",
                Severity.ERROR,
                found.place,
                f"{document.scope}: an init container has {key}, which only a sidecar may have",
                ("the API server refuses the pod", f"source: {_HOOKS}"),
                "set restartPolicy: Always if it is to run next to the others, else remove it",
            )


def _sysctls(listed: PlacedNode | None, scope: str) -> Iterator[Timeout]:
    for one in listed.each() if listed is not None else ():
        name, value = one.get("name"), one.get("value")
        known = _KERNEL.get(name.text or "") if name is not None else None
        if known and value is not None and (number := value.number()) is not None:
            yield Timeout(known, number, value.place, scope, spot=Spot(value.file, value.start, value.end, '"{}"'))


def _pod_findings(spec: PlacedNode, document: _Document) -> Iterator[Finding]:
    listed = spec.get("securityContext", "sysctls")
    for one in listed.each() if listed is not None else ():
        name = one.get("name")
        if name is not None and name.text and name.text not in SAFE_SYSCTLS:
            yield Finding(
                "unsafe-sysctl",
                Severity.WARNING,
                name.place,
                f"{document.scope}: {name.text} is not one of the sysctls that every kubelet allows",
                ("the pod is refused with SysctlForbidden on a node without --allowed-unsafe-sysctls",),
                "allow it on the nodes, or take it out",
            )
    if document.name == "kube-proxy":
        yield from _kube_proxy(spec, document)


def _kube_proxy(spec: PlacedNode, document: _Document) -> Iterator[Finding]:
    containers = spec.get("containers")
    for container in containers.each() if containers is not None else ():
        variables = container.get("env")
        for one in variables.each() if variables is not None else ():
            name = one.get("name")
            if name is not None and name.text and _KUBE_PROXY.search(name.text):
                yield Finding(
                    "kube-proxy-variable",
                    Severity.WARNING,
                    name.place,
                    f"{document.scope}: kube-proxy does not read the variable {name.text}",
                    ("kube-proxy 1.34 reads GOGC, GOMAXPROCS, GOTRACEBACK and KUBE_PROXY_* only; nothing changes",),
                    "set the pod's own sysctl: wherry timeouts --sysctl net.ipv4.tcp_fin_timeout=30",
                )


def _webhooks(document: _Document) -> Iterator[Timeout]:
    listed = document.root.get("webhooks")
    for number, one in enumerate(listed.each() if listed is not None else ()):
        if one.is_mapping:
            name = one.get("name")
            scope = f"{document.scope}/{(name.text if name is not None else '') or number}"
            yield _stated(one, "timeoutSeconds", "webhook.timeout", scope, default=_WEBHOOK)


def _annotations(annotations: PlacedNode | None, scope: str) -> Iterator[Timeout]:
    for key, value in annotations.pairs() if annotations is not None else ():
        if key == _ATTRIBUTES and (match := _IDLE.search(value.text or "")):
            yield Timeout("balancer.idle", float(match[1]), value.place, scope)
        name = _ANNOTATIONS.get(key)
        if name and (number := value.number()) is not None:
            spot = Spot(value.file, value.start, value.end, '"{}"')
            yield Timeout(name, number, value.place, scope, spot=spot)


class _Reach:
    """Which workloads a Service selects, or an Ingress leads to through Services."""

    def __init__(self, every: Iterable[_Document]) -> None:
        self._by_label: dict[tuple[str, str], list[_Document]] = {}
        self._services: dict[str, list[_Document]] = {}
        for one in every:
            if one.kind == "Service":
                self._services.setdefault(one.name, []).append(one)
            elif one.kind in _TEMPLATES:
                for label in one.labels.items():
                    self._by_label.setdefault(label, []).append(one)

    def workloads(self, document: _Document) -> tuple[str, ...]:
        """Name them."""
        if document.kind == "Service":
            return self._selected(document)
        names = {
            name.text or "": None
            for path, node in document.root.mappings()
            if path[-1:] == ("service",) and (name := node.get("name")) is not None
        }
        services = [one for name in names for one in self._services.get(name, ())]
        return tuple(dict.fromkeys(scope for one in services for scope in self._selected(one)))

    def _selected(self, service: _Document) -> tuple[str, ...]:
        wanted = _texts(service.root.get("spec", "selector"))
        if not wanted:
            return ()
        fewest = min((self._by_label.get(label, []) for label in wanted.items()), key=len)
        return tuple(one.scope for one in fewest if wanted.items() <= one.labels.items())


def _values(root: PlacedNode) -> Iterator[Timeout]:
    """Read Helm values: the keys that charts have by convention, wherever they are."""
    keys = {"terminationGracePeriodSeconds", "lifecycle", *_PROBES}
    for path, found in root.mappings():
        own = {key for key, _ in found.pairs()}
        scope = ".".join(path)
        if own & keys:
            if "terminationGracePeriodSeconds" in own:
                yield _stated(found, "terminationGracePeriodSeconds", "grace", scope, default=_GRACE)
            if found.get("lifecycle", "preStop") is not None:
                yield from _prestop(found, scope)
            for key, probe in _PROBES.items():
                inner = found.get(key)
                if inner is not None and inner.is_mapping and inner.node.value:
                    for field, (name, default) in _PROBE_FIELDS.items():
                        yield _stated(inner, field, f"{probe}.{name}", scope, default=default)
        if path[-1:] == ("annotations",):
            yield from _annotations(found, "")
        if "sysctls" in own:
            yield from _sysctls(found.get("sysctls"), ".".join(path[:-1]))
