"""Timeouts in manifests and values: found with their lines, and edited with nothing else changed."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wherry.app.session import Session
from wherry.app.timeouts import sysctl_advice, timeouts, write_manifests
from wherry.cluster.placed_yaml import placed_documents
from wherry.cluster.timeout_values import stated_timeouts
from wherry.cluster.timeouts import manifest_timeouts
from wherry.errors import InvalidDocument, InvalidUsage, WherryError

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    metadata: {labels: {app: api}}
    spec:
      terminationGracePeriodSeconds: 20  # short
      containers:
        - name: api   # le café ☕, the service
          lifecycle: {preStop: {exec: {command: [/bin/sleep, '25']}}}
          readinessProbe:
            periodSeconds: 5
            timeoutSeconds: "5"
---
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "annotations":
  {"service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout": "120"}},
  "spec": {"selector": {"app": "api"}}}
"""


def read(text: str):
    """Read a manifest as `f`."""
    return manifest_timeouts(placed_documents(text, "f"))


def stated(text: str) -> set[tuple[str, float, str, str]]:
    """Give what it states."""
    return {(one.name, one.seconds, one.place, one.scope) for one in read(text).timeouts if one.stated}


def test_a_deployment_and_its_service():
    """Each has its line; the balancer's timeout is the workload's that the service selects."""
    assert stated(DEPLOYMENT) == {
        ("grace", 20, "f:8", "Deployment/api"), ("prestop", 25, "f:11", "Deployment/api"),
        ("readiness.period", 5, "f:13", "Deployment/api"), ("readiness.timeout", 5, "f:14", "Deployment/api"),
        ("balancer.idle", 120, "f:17", "Deployment/api"),
    }  # fmt: skip
    defaults = {one.name: one.seconds for one in read(DEPLOYMENT).timeouts if not one.stated}
    assert defaults == {"readiness.failures": 3}


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ("sleep: {seconds: 7}", 7),
        ("exec: {command: [sleep, 7s]}", 7),
        ("exec: {command: [sh, -c, 'sleep 7 && x']}", 7),
        ("httpGet: {path: /, port: 1}", None),
        ("exec: {command: [/drain]}", None),
    ],
)
def test_hooks(hook, seconds):
    """A sleep of any spelling is known; another hook takes an unknown time, so nothing is said of it."""
    found = read(f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - lifecycle: {{preStop: {{{hook}}}}}\n")

    assert [one.seconds for one in found.timeouts if one.name == "prestop"] == ([] if seconds is None else [seconds])


def test_other_kinds():
    """Lists, cron jobs, webhooks, merged keys, several containers, an ingress through its service."""
    assert stated(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: CronJob, metadata: {name: c},"
        " spec: {jobTemplate: {spec: {template: {spec: {terminationGracePeriodSeconds: 3}}}}}}\n"
    ) == {("grace", 3, "f:4", "CronJob/c")}
    webhook = "kind: MutatingWebhookConfiguration\nmetadata: {name: m}\nwebhooks:\n- name: w\n  timeoutSeconds: 31\n"
    assert stated("apiVersion: a/v1\n" + webhook) == {
        ("webhook.timeout", 31, "f:6", "MutatingWebhookConfiguration/m/w")
    }
    merged = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nx: &x {periodSeconds: 4}\nspec:\n  containers:\n"
        "  - {name: a, livenessProbe: {<<: *x}}\n  - {name: b}\n"
    )
    assert stated(merged) == {("liveness.period", 4, "f:4", "Pod/p/a")}
    ingress = (
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, annotations:"
        " {nginx.ingress.kubernetes.io/proxy-read-timeout: '60'}}\n"
        "spec: {rules: [{http: {paths: [{backend: {service: {name: api}}}]}}]}\n"
    )
    assert ("balancer.response", 60, "f:22", "Deployment/api") in stated(DEPLOYMENT + ingress)


def test_values_of_a_chart():
    """Conventional keys are found wherever they are; a key with null is none."""
    text = (
        "api:\n  terminationGracePeriodSeconds: 45\n  livenessProbe: {periodSeconds: 3}\n  startupProbe:\n"
        "podSecurityContext:\n  sysctls: [{name: net.ipv4.tcp_fin_timeout, value: '30'}]\n"
    )

    assert stated(text) == {
        ("grace", 45, "f:2", "api"),
        ("liveness.period", 3, "f:3", "api"),
        ("kernel.fin_timeout", 30, "f:6", ""),
    }


def test_what_changes_nothing_is_said():
    """kube-proxy's variable and a sysctl that kubelets refuse."""
    found = read(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: kube-proxy}\nspec:\n  template:\n    spec:\n"
        "      securityContext: {sysctls: [{name: net.core.somaxconn, value: '1'}]}\n"
        "      containers: [{name: k, env: [{name: NET_IPV4_TCP_FIN_TIMEOUT, value: '30'}]}]\n"
    )

    assert [(one.rule, one.place) for one in found.findings] == [
        ("unsafe-sysctl", "f:7"),
        ("kube-proxy-variable", "f:8"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_written_in_place(tmp_path, end):
    """Only numbers change; a field that was not there is added in its mapping's style; a second look finds nothing."""
    session = Session.of({"HOME": str(tmp_path)}, cwd=tmp_path)
    before = DEPLOYMENT.replace("          lifecycle: {preStop: {exec: {command: [/bin/sleep, '25']}}}\n", "").replace(
        "\n", end
    )
    (tmp_path / "d.yaml").write_bytes(before.encode())
    (tmp_path / "v.yaml").write_text("drain.finish: 25s\nserver: {idle: 1m}\n")

    found = timeouts(session, ["d.yaml"], values=["v.yaml"])
    write_manifests(found.edited)

    rules = [one.rule for one in found.document.findings]
    assert rules == [
        "grace-covers-shutdown",
        "endpoints-before-close",
        "readiness-probe-ends",
        "server-outlives-balancer",
        "no-number",
    ]
    after = (tmp_path / "d.yaml").read_bytes().decode()
    changed = set(after.split(end)) - set(before.split(end))
    assert changed == {
        "      terminationGracePeriodSeconds: 26  # short",
        "        - lifecycle: {preStop: {sleep: {seconds: 2}}}",
        "          name: api   # le café ☕, the service",
        "            timeoutSeconds: 4",
        '  {"service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout": "59"}},',
    }  # fmt: skip
    assert [one["kind"] for one in yaml.safe_load_all(after)] == ["Deployment", "Service"]
    assert "\n" not in after.replace(end, "") if end == "\r\n" else "\r" not in after


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {{ .Values.x }}\n", "a Helm template"),
        ("a: [\n", "line 2"),
        ("a: b: c\n", "line 1"),
        ("[" * 3000, "nest"),
        ("a: 1\nb: \x00", "line 2: a control character"),
        ("a: &a [*a]\n- b", "line 2"),
    ],
)
def test_what_is_no_manifest(text, words):
    """The line is named, and a template is called one."""
    with pytest.raises(InvalidDocument) as caught:
        placed_documents(text, "f")

    assert words in str(caught.value.message)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server.idl: 1s\n", "line 1: unknown timeout server.idl"),
        ("server: {idle: soon}", "line 1: server.idle: not a duration"),
        ("- 1\n", "line 1"),
    ],
)
def test_values_that_are_none(text, words):
    """A misspelt name gets the right one as a hint."""
    with pytest.raises(InvalidDocument) as caught:
        stated_timeouts(placed_documents(text, "f"))

    assert words in caught.value.message


_KEYS = [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "template",
    "containers",
    "lifecycle",
    "preStop",
    "exec",
    "command",
    "sleep",
    "items",
    "seconds",
    "readinessProbe",
    "periodSeconds",
    "annotations",
    "securityContext",
    "sysctls",
    "name",
    "value",
    "webhooks",
    "env",
]
_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_KINDS = st.sampled_from(["v1", "Pod", "List", "Service", "Ingress", "kube-proxy"])


def _deeper(inner):
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner | _KINDS, max_size=5)


@given(st.recursive(_LEAVES, _deeper, max_leaves=25))
def test_any_document_is_read(document):
    """Whatever stands where: values, or nothing, and no traceback."""
    found = read(yaml.safe_dump(document))

    assert all(one.place.startswith("f:") for one in found.timeouts)


@pytest.mark.parametrize("text", ["-5", "1e400", "abc", "'30'", "0777", "0x1E", "5.0", "9" * 35])
def test_numbers_that_are_none(text):
    """What the API server refuses, or reads as another number, is a finding and no default in silence."""
    found = read(f"kind: Pod\nmetadata: {{name: p}}\nspec:\n  terminationGracePeriodSeconds: {text}\n")

    assert [(one.rule, one.place) for one in found.findings] == [("no-number", "f:4")]


@pytest.mark.parametrize("text", ["0", "45", "null", ""])
def test_numbers_that_are_right(text):
    """A whole number, or none at all."""
    assert not read(f"kind: Pod\nspec:\n  terminationGracePeriodSeconds: {text}\n").findings


def test_aliases_do_not_multiply():
    """A document whose aliases unfold to a billion nodes is read at once."""
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]

    assert read("\n".join(lines)).timeouts == ()


@pytest.mark.parametrize(
    ("form", "path"),
    [("pod", ("spec", "securityContext")), ("helm", ("podSecurityContext",))],
)
def test_sysctls_as_yaml(form, path):
    """What is written is what a pod takes."""
    value = yaml.safe_load(sysctl_advice(["net.ipv4.tcp_fin_timeout=30", "net.ipv4.tcp_rmem=1 2 3"], form=form))
    for key in path:
        value = value[key]

    assert value["sysctls"][1] == {"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}


@pytest.mark.parametrize(
    ("sysctls", "form", "workload"),
    [
        (["x"], "pod", ""),
        (["net.core.somaxconn=1"], "pod", ""),
        (["net.ipv4.tcp_fin_timeout=30'; rm"], "patch", "d/a"),
        (["net.ipv4.tcp_fin_timeout=30"], "patch", ""),
        (["net.ipv4.tcp_fin_timeout=1e400"], "pod", ""),
        (["net.ipv4.tcp_fin_timeout=30"], "patch", "deployment/a; rm -rf x"),
        (["net.ipv4.tcp_fin_timeout=30"], "patch", "deployment/a\nb"),
    ],
)
def test_sysctls_that_are_refused(sysctls, form, workload):
    """What no kubelet takes, what a shell would take apart, and a patch of nothing."""
    with pytest.raises(WherryError) as caught:
        sysctl_advice(sysctls, form=form, workload=workload)

    assert isinstance(caught.value, InvalidUsage)


SIDECAR = """\
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  terminationGracePeriodSeconds: 20
  initContainers:
  - {name: migrate, image: m}
  - name: proxy
    restartPolicy: Always
    readinessProbe: {periodSeconds: 2, timeoutSeconds: 3}
  - name: logs
    restartPolicy: Always
    lifecycle: {preStop: {sleep: {seconds: 25}}}
  containers:
  - name: api
    lifecycle:
      preStop:
        httpGet: {path: /drain, port: 8080}
"""


def test_sidecars():
    """Init containers that run on are judged; those that end are not; one without a hook has none that is too short."""
    assert {one for one in stated(SIDECAR) if one[3] != "Pod/api"} == {
        ("readiness.period", 2, "f:10", "Pod/api/proxy"), ("readiness.timeout", 3, "f:10", "Pod/api/proxy"),
        ("prestop", 25, "f:13", "Pod/api/logs"),
    }  # fmt: skip
    names = {(one.name, one.scope) for one in read(SIDECAR).timeouts}
    assert ("prestop", "Pod/api/proxy") not in names
    assert not any("migrate" in scope for _, scope in names)


def test_hooks_that_are_requests():
    """An HTTP hook has no time of its own; TCP hooks never work; an init container that ends has neither."""
    found = read(SIDECAR).findings
    assert [(one.rule, one.place) for one in found] == [("hook-without-time", "f:18")]

    wrong = SIDECAR.replace("httpGet: {path: /drain, port: 8080}", "tcpSocket: {port: 1}").replace(
        "image: m}", "livenessProbe: {periodSeconds: 1}}"
    )
    assert {(one.rule, one.place) for one in read(wrong).findings} == {("tcp-hook", "f:18"), ("init-container", "f:7")}


@pytest.mark.parametrize(("policy", "asked"), [("Never", False), ("OnFailure", False), ("Always", True)])
def test_pods_that_end(policy, asked):
    """A pod that runs to its end, such as a chart's test, serves nobody: it needs no hook. Others do."""
    text = f"apiVersion: v1\nkind: Pod\nspec:\n  restartPolicy: {policy}\n  containers: [{{name: a}}]\n"

    assert ("prestop" in {one.name for one in read(text).timeouts}) is asked
