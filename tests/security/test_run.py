"""What confines a container of `wherry run`: system calls, capabilities, hidden paths; as Docker has them."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import PROBE, Person, file, folder, make_image
from gobuild import go_binary
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

DOCKERS, NONE = "00000000a80425fb", "0000000000000000"
NEW_USER, NEW_MOUNTS = "0x10000000", "0x00020000"


@pytest.fixture(scope="module")
def images() -> Iterator[DiskStore]:
    """A store with one image: the probe, once set-uid root."""
    with tempfile.TemporaryDirectory() as where:
        Path(where).chmod(0o755)
        store = DiskStore(Path(where, "store"))
        program = go_binary(PROBE.read_text(), "-ldflags=-s")
        layer = [
            folder("tmp", 0o1777), file("app/probe", program, mode=0o755), file("app/sudo", program, mode=0o4755),
            file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nweb:x:1234:1234::/:/bin/sh\n"),
        ]  # fmt: skip
        config = RuntimeConfig(user="web", env=("PATH=/app",), entrypoint=("probe",), cmd=("facts",))
        store.tag("probe:dev", make_image(store, [layer], config))
        yield store


@pytest.fixture
def run(person: Person, images: DiskStore):
    """Run wherry; give what it printed, or what it said where it failed."""

    def run_with(*words: str) -> str:
        done = person.run("--store", str(images.folder), "run", "-q", *words)
        return done.stdout.strip() or done.stderr

    return run_with


def status(said: str) -> dict[str, str]:
    """Give /proc/self/status out of the probe's facts."""
    found: dict[str, str] = json.loads(said)["Status"]
    return found


def test_system_calls(person, run):
    """New namespaces, keys and the hypervisor's sockets are refused to root inside; unconfined they are not."""
    assert status(run("probe:dev"))["Seccomp"] == "2"
    open_all = ("--network", "none", "--security-opt", "seccomp=unconfined")
    assert status(run(*open_all, "probe:dev"))["Seccomp"] == "0"
    for flags in (NEW_USER, NEW_MOUNTS):
        assert run("-u", "0", "probe:dev", "unshare", flags) == "operation not permitted"
    assert run("-u", "0", "probe:dev", "socket", "40", "1", "0") == "operation not permitted"
    assert (
        run("-u", "0", *open_all, "probe:dev", "unshare", NEW_USER) == "invalid argument"
    )  # of a program with threads
    assert run("-u", "0", "--cap-add", "SYS_ADMIN", "probe:dev", "unshare", NEW_MOUNTS) == "ok"


def test_a_profile_of_ones_own(person, run):
    """A profile in Docker's form is what counts, with its conditions; what is none is refused with its place."""
    rules = [
        {"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {
            "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
            "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}],
        },
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    ]  # fmt: skip
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": rules}
    if platform.machine() != "x86_64":
        del profile["architectures"]
    (person.home / "profile.json").write_text(json.dumps(profile))
    (person.home / "broken.json").write_text('{"defaultAction": 3}')
    for name in ("profile", "broken"):
        (person.home / f"{name}.json").chmod(0o644)
    own = ("--security-opt", "seccomp=profile.json")

    assert run(*own, "probe:dev", "try", "mkdir:/tmp/x") == "no space left on device"
    assert run(*own, "probe:dev", "socket", "16", "3", "0") == "permission denied"
    assert run(*own, "probe:dev", "socket", "2", "1", "0") == "ok"
    assert run(*own, "-u", "0", "probe:dev", "unshare", NEW_MOUNTS) == "operation not permitted"
    assert run(*own, "-u", "0", "--cap-add", "SYS_ADMIN", "probe:dev", "unshare", NEW_MOUNTS) == "ok"
    assert "$.defaultAction" in run("--security-opt", "seccomp=broken.json", "probe:dev")
    assert "absent.json" in run("--security-opt", "seccomp=absent.json", "probe:dev")
    assert "unsupported option" in run("--security-opt", "apparmor=mine", "probe:dev")


def test_set_uid_programs(person, run):
    """Set-uid programs work as in Docker, with Docker's capabilities at most; not with no-new-privileges."""
    seen = json.loads(run("--entrypoint", "/app/sudo", "probe:dev"))
    kept = json.loads(run("--security-opt", "no-new-privileges", "--entrypoint", "/app/sudo", "probe:dev"))

    if person.name.endswith("one"):  # there is one id only, and it is the user's
        assert seen["EUID"] == 1234
    else:
        assert (seen["UID"], seen["EUID"], seen["Status"]["CapEff"]) == (1234, 0, DOCKERS)
    assert (seen["Status"]["NoNewPrivs"], kept["Status"]["NoNewPrivs"]) == ("0", "1")
    assert (kept["EUID"], kept["Status"]["CapEff"]) == (1234, NONE)


@pytest.mark.parametrize(
    ("words", "bounding"),
    [
        ((), DOCKERS),
        (("--cap-drop", "ALL"), NONE),
        (("--cap-drop", "all", "--cap-add", "CAP_NET_BIND_SERVICE"), "0000000000000400"),
        (("--cap-drop", "MKNOD", "--cap-drop", "cap_chown"), "00000000a00425fa"),
        (("--cap-add", "SYS_PTRACE"), "00000000a80c25fb"),
        (("--cap-add", "ALL", "--cap-drop", "NET_RAW"), "000001ffffffdfff"),
    ],
)
def test_capabilities(person, run, words, bounding):
    """--cap-add and --cap-drop give root of the container that, and other users that as the most."""
    root, web = status(run(*words, "-u", "0", "probe:dev")), status(run(*words, "probe:dev"))

    host = int(status(run("--cap-add", "ALL", "probe:dev"))["CapBnd"], 16)
    expected = f"{int(bounding, 16) & host:016x}"
    assert (root["CapBnd"], root["CapEff"], root["CapPrm"]) == (expected,) * 3
    assert (web["CapBnd"], web["CapEff"]) == (expected, NONE)
    assert "unknown capability" in run("--cap-add", "EVERYTHING", "probe:dev")


def test_hidden_paths(person, run):
    """What Docker hides of /proc and /sys is hidden, and what it makes read-only is, from root inside too."""
    hidden = ["/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
              "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"]  # fmt: skip
    there = [path for path in hidden if os.path.lexists(path)]
    verbs = [f"{'list' if Path(path).is_dir() else 'read'}:{path}" for path in there]
    fixed = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/proc/irq/new"]

    seen = run("-u", "0", "probe:dev", "try", "stat:/", *verbs)
    refused = run("-u", "0", "probe:dev", "try", *(f"write:{path}" for path in fixed)).splitlines()

    assert set(seen.splitlines()[1:]) <= {"", '""'}
    assert "ok" not in refused
    assert len(refused) == len(fixed)
