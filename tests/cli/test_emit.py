"""`wherry deps --emit`: a file list that is enough, and policies that compile and that the image runs under."""

import json
import subprocess
from pathlib import Path

import pytest

from archives import file, folder
from built_images import put_layers
from cli_shell import Shell
from gobuild import USER, go_binary
from needs import need
from traced import put_actor
from wherry.analysis.confine.apparmor import apparmor_profile
from wherry.analysis.confine.evidence import PolicyEvidence, policy_name
from wherry.analysis.confine.seccomp import OF_RUNTIMES, seccomp_profile
from wherry.analysis.confine.selinux import port_type, selinux_policy
from wherry.analysis.deps.trace_document import TracedFile, TraceDocument, TracedSocket
from wherry.oci.config import RuntimeConfig

PROBED = ("--probe", "http://localhost:8080/ok", "actor:dev")
BASE_POLICY = """
(class process (transition)) (class file (getattr ioctl lock open read))
(class dir (getattr ioctl lock open read search))
(class tcp_socket (name_bind name_connect)) (class udp_socket (name_bind)) (class capability (net_bind_service))
(classorder (process file dir tcp_socket udp_socket capability)) (sid kernel) (sidorder (kernel))
(user u) (role r) (role object_r) (type kernel_t) (category c0) (categoryorder (c0)) (sensitivity s0)
(sensitivityorder (s0)) (sensitivitycategory s0 (c0)) (level low (s0)) (levelrange lowlow (low low))
(userrole u r) (userlevel u low) (userrange u lowlow) (roletype r kernel_t) (sidcontext kernel (u r kernel_t lowlow))
(type http_cache_port_t) (type http_port_t) (type unreserved_port_t) (type reserved_port_t) (type hi_reserved_port_t)
(type sysctl_net_t) (type sysctl_kernel_t) (type sysctl_vm_t) (type sysctl_fs_t) (type sysfs_t) (type cgroup_t)
(type proc_net_t) (block container (type process) (roletype r process))
(block restricted_net_container (optional o (allow process process (tcp_socket (name_bind)))))
"""
"""The least that a policy of a container is compiled with: the classes, types and templates that it names."""


@pytest.fixture(scope="module")
def wherry(tmp_path_factory) -> Shell:
    """A shell whose store has the actor's image."""
    shell = Shell(tmp_path_factory.mktemp("emitted") / "shell")
    put_actor(shell.store)
    return shell


def evidence(*, root: bool = False, **trace: object) -> PolicyEvidence:
    """Make what a policy is written from."""
    usual = {
        "argv": ("/a",),
        "ended_by": "time",
        "code": 0,
        "seconds": 1.0,
        "killed": False,
        "whole": True,
        "processes": 1,
        "left": 0,
    }
    return PolicyEvidence("wherry-a", "a@sha256:0", TraceDocument(**{**usual, **trace}), "amd64", root)


def compiled_apparmor(profile: str, folder: Path) -> int:
    """Compile a profile for a kernel that has all of AppArmor 3.0; give the exit code."""
    source, binary = folder / "profile", folder / "binary"
    source.write_text(profile)
    features = "/etc/apparmor.d/abi/3.0"
    words = [need("apparmor_parser"), "-QTK", "--features-file", features, "-o", str(binary), str(source)]
    return subprocess.run(words, check=False, capture_output=True).returncode


def compiled_selinux(policy: str, folder: Path) -> int:
    """Compile a policy with the least of a base policy; give the exit code."""
    base, source = folder / "base.cil", folder / "policy.cil"
    base.write_text(BASE_POLICY)
    source.write_text(policy)
    words = [need("secilc"), "-M", "1", "-o", str(folder / "policy"), "-f", "/dev/null", str(base), str(source)]
    return subprocess.run(words, check=False, capture_output=True).returncode


@pytest.mark.slow
def test_an_image_of_the_listed_files_starts(wherry):
    """`--emit files` is enough: an image that has nothing else answers the same probe."""
    listed = wherry("deps", "--emit", "files", *PROBED)

    assert listed == ["/app/actor", "/etc/late"]


@pytest.mark.slow
def test_the_seccomp_profile_is_tried(wherry):
    """It has the calls that were seen, what a runtime needs, and the image runs under it, here and by `wherry run`."""
    text = wherry("deps", "--emit", "seccomp", *PROBED)

    assert "tried: it runs under this profile (ended by probes)" in wherry.err
    profile = json.loads("\n".join(text))
    seen, unseen = (rule["names"] for rule in profile["syscalls"])
    assert {"listen", "accept4", "epoll_pwait"} <= set(seen)
    assert not {"ptrace", "mount", "bpf", "keyctl"} & {*seen, *unseen}
    assert {*seen, *unseen} >= OF_RUNTIMES
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"


@pytest.mark.slow
def test_a_profile_that_is_too_small_is_an_error(wherry, monkeypatch):
    """Without a call that the program needs, the trial fails, and no profile is printed."""
    from wherry.analysis.confine import seccomp

    whole = seccomp.seccomp_profile
    without = lambda found: whole(found).replace('"listen"', '"sync"')  # noqa: E731 - one use
    monkeypatch.setattr(seccomp, "seccomp_profile", without)

    wherry("deps", "--emit", "seccomp", "--for", "1s", *PROBED, code=1)

    assert wherry.out == ""
    assert "does not run under the profile" in wherry.err
    assert "operation not permitted" in wherry.err


@pytest.mark.slow
def test_policies_of_a_run_compile(wherry, tmp_path):
    """apparmor_parser and secilc take what a real run gives; what was never exercised is said."""
    profile = "\n".join(wherry("deps", "--emit", "apparmor", *PROBED))
    assert compiled_apparmor(profile, tmp_path) == 0
    assert '"/etc/late" r,' in profile

    policy = "\n".join(wherry("deps", "--emit", "selinux", *PROBED))
    assert compiled_selinux(policy, tmp_path) == 0
    assert "(allow process http_cache_port_t ( tcp_socket ( name_bind )))" in policy

    wherry("deps", "--emit", "apparmor", "actor:dev", "--", "child")
    assert "never exercised: every answer to a request" in wherry.err


@pytest.mark.parametrize(
    "path",
    [
        "/a b",
        '/quote"d',
        "/glob*[x]{y,z}?",
        "/back\\slash",
        "/at@{home}",
        "/hash#",
        "/caret^",
        "/new\nline",
        "/\N{SNOWMAN}",
    ],
)
def test_any_path_gives_a_profile_that_compiles(path, tmp_path):
    """What a hostile program opens is quoted, or left out where no profile can have it."""
    files = (TracedFile(path=path, program="/a", count=1),)

    assert compiled_apparmor(apparmor_profile(evidence(opened=files, made=files, executed=files)), tmp_path) == 0


def test_a_profile_follows_a_processs_own_folder():
    """/proc/self is another number each time."""
    files = tuple(TracedFile(path=path, program="/a", count=1) for path in ("/proc/self/maps", "/proc/7/task/9/stat"))

    profile = apparmor_profile(evidence(opened=files))

    assert '"/proc/[0-9]*/maps" r,' in profile
    assert '"/proc/[0-9]*/stat" r,' in profile


def test_ports_and_capabilities(tmp_path):
    """A port below 1024 takes a capability of root; each has the type that the reference policy gives it."""
    addresses = (("listen", "0.0.0.0:80"), ("bind", "[::]:999"), ("connect", "10.0.0.1:2379"), ("connect", "unix:/x"))
    sockets = tuple(TracedSocket(use=use, address=address, program="/a", count=1) for use, address in addresses)
    found = evidence(root=True, sockets=sockets)

    policy = selinux_policy(found)

    assert "(allow process process ( capability ( net_bind_service )))" in policy
    assert "(allow process hi_reserved_port_t ( udp_socket ( name_bind )))" in policy
    assert compiled_selinux(policy, tmp_path) == 0
    assert "capability net_bind_service," in apparmor_profile(found)
    assert [port_type(port) for port in (443, 500, 1024, 40000, 61000)] == [
        "http_port_t", "reserved_port_t", "unreserved_port_t", "ephemeral_port_t", "unreserved_port_t",
    ]  # fmt: skip


def test_names_of_policies():
    """A name has letters, digits and dashes only, whatever the image is called."""
    assert policy_name("registry.example:5000/team/api:v1.2@sha256:00") == "wherry-api-v1-2"
    assert policy_name("/tmp/;rm -rf") == "wherry-rm--rf"  # noqa: S108 - a name
    assert json.loads(seccomp_profile(evidence()))["architectures"][0] == "SCMP_ARCH_X86_64"


@pytest.mark.slow
def test_libraries_of_a_dynamic_program(wherry):
    """What the dynamic linker opened is the closure that was declared; a file that nothing declares is told apart."""
    need("gcc")
    binary = go_binary(USER, cgo=True)
    libraries = [path for path in _libraries(binary) if path.exists()]
    layer = [
        folder("etc"), file("etc/passwd", b"me:x:65532:65532::/:\n"), file("app", binary.read_bytes(), mode=0o755),
        file("usr/lib/unused.so", b"x" * 50),
        *(file(str(path)[1:], path.read_bytes(), mode=0o755) for path in libraries),
    ]  # fmt: skip
    config = RuntimeConfig(entrypoint=("/app",), user="65532")
    with wherry.store.writing():
        wherry.store.tag("cgo:dev", put_layers(wherry.store, [layer], config))

    wherry("deps", "--trace", "--json", "cgo:dev")

    (platform,) = json.loads(wherry.out)["platforms"]
    trace = platform["trace"]
    assert {Path(name).name for name in trace["libraries"]} == {path.name for path in libraries}
    assert trace["undeclared"] == []
    assert {one["declared"] for one in trace["opened"] if not one["given"]} <= {"library", "accounts"}
    assert trace["unused"]["bytes"] == 50
    assert "such as deb:base" in platform["advice"]["why"]


def _libraries(binary: Path) -> list[Path]:
    listed = subprocess.run(["ldd", str(binary)], check=True, capture_output=True, text=True).stdout
    return [Path(word) for word in listed.split() if word.startswith("/")]
