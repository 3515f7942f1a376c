"""What may be done to a process is worked out from what /proc says, for all that this machine can't show."""

from dataclasses import replace

import pytest

from wherry.errors import HostUnable
from wherry.runtime.debug.access import AccessState, CallerRights, TargetAccess
from wherry.runtime.debug.process import CapabilitySets, NamespaceLevel, TargetProcess, inside, printable
from wherry.runtime.debug.shell import DebugTools, ShellOptions, enter_job

ALL = (1 << 41) - 1
NONE = CapabilitySets(0, 0, 0)
USER, ROOT = CallerRights(1000, 0), CallerRights(0, ALL)
OURS = NamespaceLevel(-1, ())
KINDS = ("pid", "mnt", "net")
OWN = TargetProcess(
    pid=7, started=1, name="api", uid=166531, gid=166531, groups=(166532, 5), capabilities=NONE, no_new_privileges=True,
    filtered=True, tracer=0, inner_pid=1, dumpable=True, uid_map=((0, 1000, 1), (1, 101000, 65536)),
    gid_map=((0, 1000, 1), (1, 101000, 65536)), levels=(OURS, NamespaceLevel(1000, KINDS)), has_proc=False,
)  # fmt: skip
"""In a user namespace that user 1000 made."""
DAEMONS = replace(OWN, uid=1000, gid=1000, uid_map=(), gid_map=(), levels=(NamespaceLevel(-1, KINDS),))
"""Of root's daemon, as the same user."""
TOOLS = DebugTools(words="busybox", names=("sh", "ls"))


def states(access: TargetAccess) -> dict[str, str]:
    """Give the answers by name."""
    checks = (access.shell, access.root, access.files, *access.trace(), *access.context())
    return {one.name: one.state.value for one in checks}


def test_a_namespace_of_ours():
    """Its maker has all rights in it, whoever the target is there."""
    access = TargetAccess(OWN, USER)

    assert states(access) == {
        "shell": "yes", "--root": "yes", "files": "yes", "trace": "yes", "trace inside": "yes", "processes": "info",
        "/proc": "info", "confinement": "info",
    }  # fmt: skip
    assert (OWN.inner_uid, OWN.inner_gid, OWN.inner_groups) == (65532, 65532, (65533,))


def test_a_container_of_roots_daemon():
    """The same user reads files and traces, and gets no shell; root gets one, bounded by the target's capabilities."""
    access = TargetAccess(DAEMONS, USER)
    as_root = TargetAccess(replace(DAEMONS, capabilities=CapabilitySets(0, 0, 0b1010)), ROOT)

    assert access.missing == KINDS
    assert states(access)["shell"] == "no"
    assert states(access)["files"] == states(access)["trace"] == "yes"
    with pytest.raises(HostUnable) as refused:
        enter_job(access, TOOLS, ShellOptions())
    assert "CAP_SYS_ADMIN" in refused.value.message
    job = enter_job(as_root, TOOLS, ShellOptions(root=True))
    assert (job["uid"], job["capabilities"], job["filtered"]) == (0, [1, 3], True)


@pytest.mark.parametrize(
    ("scope", "caller", "outside", "within"),
    [
        (0, USER, "yes", "yes"), (1, USER, "yes", "limited"), (2, USER, "no", "limited"), (3, ROOT, "no", "limited"),
        (2, ROOT, "yes", "yes"),
    ],
)  # fmt: skip
def test_yama(scope, caller, outside, within):
    """1 spares who has CAP_SYS_PTRACE in the target's user namespace, 2 who has it on the machine, 3 nobody."""
    found = {one.name: one for one in TargetAccess(OWN, caller, scope).trace()}

    assert (found["trace"].state, found.get("trace inside", found["trace"]).state) == (outside, within)


def test_yama_1_without_a_namespace():
    """A plain process of the same user: the sysctl is the one line that changes it."""
    plain = replace(DAEMONS, levels=(OURS,), root_shared=True)

    (check, *_) = TargetAccess(plain, USER, 1).trace()

    assert check.state is AccessState.NO
    assert "sysctl kernel.yama.ptrace_scope=0" in check.remedy


def test_others():
    """Who it belongs to, that it is not dumpable, who traces it, and what is above our own namespace."""
    foreign = replace(OWN, levels=(), refused="Permission denied")

    assert "belongs to user 166531" in TargetAccess(foreign, USER).shell.found
    assert "not dumpable" in TargetAccess(replace(foreign, uid=1000, dumpable=False), USER).shell.found
    assert "process 9 traces it" in next(iter(TargetAccess(replace(OWN, tracer=9), USER).trace())).found
    assert TargetAccess(replace(OWN, beyond=("net",)), USER).missing == ("net",)
    assert TargetAccess(replace(OWN, beyond=("cgroup",)), USER).shell.state is AccessState.YES
    assert TargetAccess(replace(OWN, uid=5), USER).shell.state is AccessState.NO
    assert TargetAccess(replace(OWN, uid_map=((65532, 1000, 1),), uid=1000), USER).root.state is AccessState.NO


def test_a_filter_on_ourselves():
    """It is said, since what it refuses can't be asked."""
    found = {one.name: one for one in TargetAccess(OWN, replace(USER, filtered=True)).context()}

    assert "seccomp filter" in found["wherry itself"].found


def test_the_job():
    """The target's user and groups, no capability, and a command that may be a tool's or the target's."""
    job = enter_job(TargetAccess(OWN, USER), TOOLS, ShellOptions(command=("ls", "-l")))

    assert (job["uid"], job["gid"], job["groups"], job["capabilities"]) == (65532, 65532, [65533], [])
    assert job["argv"] == ["busybox", "sh", "-c", 'exec "$@"', "sh", "ls", "-l"]
    assert job["no_new_privileges"]


def test_small_parts():
    """Ids are translated, names are made harmless."""
    assert [inside(((0, 1000, 1), (1, 5000, 10)), number) for number in (1000, 5000, 5009, 5010, 0)] == [
        0,
        1,
        10,
        -1,
        -1,
    ]
    assert printable("a\x1b[31m\n" + "x" * 100).startswith("a\N{REPLACEMENT CHARACTER}[31m")
    assert len(printable("x" * 100)) == 64
