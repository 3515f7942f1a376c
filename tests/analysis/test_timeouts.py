"""Rules between timeouts: each holds, is broken by what it is about, and stays silent without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.timeouts.figures import TIMEOUT_NAMES, Timeout, TimeoutTable
from wherry.analysis.timeouts.rules import RULES, judge_timeouts
from wherry.analysis.timeouts.service import go_seconds, printed_timeouts
from wherry.errors import InvalidUsage


def judged(scope: str = "", **values: float):
    """Judge timeouts; a double underscore stands for the dot of a name."""
    known = [Timeout(name.replace("__", "."), value, f"{name}:1", scope) for name, value in values.items()]
    return judge_timeouts(TimeoutTable(known))


def broken(**values: float) -> list[str]:
    """Name the broken rules."""
    return [finding.rule for finding in judged(**values).findings]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            "grace-covers-shutdown",
            {"grace": 24, "prestop": 5, "drain__finish": 18},
            {"grace": 23, "prestop": 5, "drain__finish": 18},
        ),
        ("grace-covers-shutdown", {"grace": 13, "request__slowest": 12}, {"grace": 12, "request__slowest": 12}),
        ("service-knows-grace", {"grace": 30, "drain__grace": 30}, {"grace": 30, "drain__grace": 30, "prestop": 1}),
        (
            "finish-covers-slowest",
            {"drain__finish": 5, "request__slowest": 5},
            {"drain__finish": 4, "request__slowest": 5},
        ),
        (
            "endpoints-before-close",
            {"endpoints__propagation": 2, "drain__notice": 2},
            {"endpoints__propagation": 2, "prestop": 1},
        ),
        ("hook-within-grace", {"grace": 6, "prestop": 5}, {"grace": 5, "prestop": 5}),
        (
            "balancer-sees-drain",
            {"balancer__check_interval": 5, "balancer__check_failures": 2, "prestop": 6, "drain__notice": 5},
            {"balancer__check_interval": 5, "balancer__check_failures": 2, "prestop": 5, "drain__notice": 5},
        ),
        (
            "readiness-probe-ends",
            {"readiness__timeout": 1, "readiness__period": 10},
            {"readiness__timeout": 10, "readiness__period": 10},
        ),
        (
            "unready-before-restart",
            {"readiness__period": 5, "readiness__failures": 3, "liveness__period": 5, "liveness__failures": 3},
            {"readiness__period": 5, "readiness__failures": 3, "liveness__period": 5, "liveness__failures": 2},
        ),
        (
            "server-outlives-balancer",
            {"server__idle": 90, "balancer__idle": 60},
            {"server__idle": 60, "balancer__idle": 60},
        ),
        (
            "balancer-outlives-client",
            {"balancer__idle": 60, "client__idle": 30},
            {"balancer__idle": 30, "client__idle": 60},
        ),
        ("server-outlives-client", {"server__idle": 90, "client__idle": 60}, {"server__idle": 30, "client__idle": 60}),
        (
            "balancer-awaits-slowest",
            {"balancer__response": 60, "request__slowest": 5},
            {"balancer__response": 5, "request__slowest": 9},
        ),
        (
            "keepalive-before-nat",
            {"keepalive__idle": 15, "nat__idle": 350},
            {"kernel__keepalive_time": 7200, "nat__idle": 350},
        ),
        ("no-read-header-timeout", {"server__read_header": 5}, {"server__read_header": 0}),
        ("webhook-answers", {"webhook__timeout": 30}, {"webhook__timeout": 31}),
    ],
)
def test_a_rule(rule, good, bad):
    """It holds at its border, and is broken beyond it."""
    assert broken(**good) == []
    assert broken(**bad) == [rule]


def test_every_rule_is_broken_by_a_test():
    """The table above leaves none out; probes share one."""
    (mark,) = (one for one in test_a_rule.pytestmark if one.name == "parametrize")
    names = {case[0] for case in mark.args[1]}

    assert {
        rule.name.replace("liveness-probe", "readiness-probe").replace("startup-probe", "readiness-probe")
        for rule in RULES
    } < names


def test_a_finding_names_both_numbers_and_the_change():
    """What is so, where each is written, what it costs, and what to write."""
    (finding,) = judged("Deployment/api", grace=20, prestop=5, drain__finish=18).findings

    assert finding.place == "grace:1"
    assert "= 23 s must be below grace = 20 s" in finding.message
    assert finding.evidence[:3] == (
        "prestop is 5 s, prestop:1",
        "drain.finish is 18 s, drain__finish:1",
        "grace is 20 s, grace:1",
    )
    assert finding.remedy == "set grace (grace:1) to 24"


def test_what_nothing_states_is_named():
    """A rule about a balancer is not judged without one, and says what it would need."""
    judgement = judged(server__idle=90)

    assert judgement.findings == ()
    assert judgement.unjudged["server-outlives-balancer"] == ("balancer.idle",)
    assert judgement.unjudged["balancer-sees-drain"] == (
        "balancer.check_failures",
        "balancer.check_interval",
        "prestop",
    )


def test_its_own_and_stated_go_first():
    """A container's timeout goes before its pod's, that before one for all, and a default comes last."""
    table = TimeoutTable([
        Timeout("grace", 30, "default", "Pod/a", stated=False), Timeout("grace", 40, "values"),
        Timeout("prestop", 1, "pod", "Pod/a"), Timeout("prestop", 2, "container", "Pod/a/one"),
    ])  # fmt: skip

    assert table.scopes == ("Pod/a/one",)
    assert [table.get(name, "Pod/a/one").place for name in ("grace", "prestop")] == ["values", "container"]


@given(st.dictionaries(st.sampled_from(sorted(TIMEOUT_NAMES)), st.floats(0, 1e6), max_size=12))
def test_a_change_mends_its_rule(values):
    """Whatever is stated, what a finding advises leaves that rule unbroken."""
    known = [Timeout(name, value, "f:1") for name, value in values.items()]
    for finding in judge_timeouts(TimeoutTable(known)).findings:
        if not finding.remedy.startswith("set ") or "(f:1)" not in finding.remedy:
            continue
        name, value = finding.remedy.split()[1], float(finding.remedy.rpartition(" ")[2])
        after = [Timeout(one.name, value if one.name == name else one.seconds, "f:1") for one in known]

        assert finding.rule not in [one.rule for one in judge_timeouts(TimeoutTable(after)).findings]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1h", 3600),
        ("1.5s", 1.5),
        ("", None),
        ("s", None),
        ("90 s", None),
        ("-1s", None),
        ("1d", None),
        ("9" * 40, None),
    ],
)
def test_durations(text, seconds):
    """As Go writes them, and bare seconds."""
    assert go_seconds(text) == seconds


def test_a_services_log():
    """Names as Go has them, values as text or nanoseconds; other lines and fields are passed over."""
    log = [
        "starting",
        "{broken",
        '{"limits": {"other": "1s"}}',
        '{"msg":"c","timeouts":{"ReadHeaderTimeout":5000000000,"IdleConnTimeout":"1m"}}',
    ]

    assert [(one.name, one.seconds, one.place) for one in printed_timeouts(log, "log")] == [
        ("server.read_header", 5.0, "log:4"), ("client.idle", 60.0, "log:4"),
    ]  # fmt: skip
    with pytest.raises(InvalidUsage):
        printed_timeouts(["hello", "[" * 5000], "log")


def test_many_workloads_take_linear_time():
    """A timeout is looked up by its name and scope: work grows with the workloads, not with their square."""

    class Counted(str):
        __slots__ = ()
        asked = 0

        def __eq__(self, other):
            Counted.asked += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    def asked(workloads: int) -> int:
        Counted.asked = 0
        known = [
            Timeout(name, 20.0 + number, "f:1", Counted(f"Deployment/api-{number}"))
            for number in range(workloads)
            for name in ("grace", "prestop", "readiness.period", "readiness.timeout")
        ]
        judge_timeouts(TimeoutTable(known))
        return Counted.asked

    assert asked(400) < 15 * asked(40)
