"""The filters of system calls, run by a machine of a screenful: what each call comes to.

Sources: Linux 6.18, Documentation/userspace-api/seccomp_filter.rst, include/uapi/linux/{filter,sched}.h; the numbers
are those of each architecture's system call table, written down here a second time on purpose.
"""

import errno
import os
import struct

import pytest

from wherry.sandbox.launcher import seccomp

ALLOWED, REFUSED = 0x7FFF0000, 0x00050000 | errno.EPERM
NOT_THERE = 0x00050000 | errno.ENOSYS
X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
CLONE = {X86_64: 56, I386: 120, AARCH64: 220, ARM: 120}
SOCKET = {X86_64: 41, I386: 359, AARCH64: 198, ARM: 281}
NEWUSER, NEWNS, VFORK = 0x10000000, 0x00020000, 0x00004000
SYS_ADMIN, SYSLOG = 21, 34
FAMILIES = pytest.mark.parametrize(
    "architecture", [X86_64, I386, AARCH64, ARM], ids=["x86_64", "i386", "aarch64", "arm"]
)


@pytest.fixture
def as_on(monkeypatch: pytest.MonkeyPatch):
    """Write filters as on the processor that runs an architecture."""

    def choose(architecture: int) -> None:
        name = "x86_64" if architecture in (X86_64, I386) else "aarch64"
        monkeypatch.setitem(seccomp._TABLES, os.uname().machine, seccomp._TABLES[name])

    return choose


def outcome(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Run a filter on a call, as the kernel would; give what it returns."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    lines = [struct.unpack_from("HBBI", code, at) for at in range(0, len(code), 8)]
    at, register = 0, 0
    while True:
        operation, true, false, value = lines[at]
        at += 1
        match operation:
            case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                (register,) = struct.unpack_from("<I", data, value)
            case 0x54:  # BPF_ALU | BPF_AND
                register &= value
            case 0x15:  # BPF_JMP | BPF_JEQ
                at += true if register == value else false
            case 0x35:  # BPF_JMP | BPF_JGE
                at += true if register >= value else false
            case 0x45:  # BPF_JMP | BPF_JSET
                at += true if register & value else false
            case 0x06:  # BPF_RET
                return value
            case _:
                pytest.fail(f"operation {operation:#x}")


def usual(*capabilities: int, socketcall: bool = False) -> bytes:
    """Write the filter of a container with these capabilities."""
    return seccomp.usual(list(capabilities), socketcall=socketcall)


@pytest.mark.parametrize(
    ("architecture", "numbers"),
    [(X86_64, (0, 1, 59, 57, 231)), (I386, (3, 4, 11, 1)), (AARCH64, (63, 64, 221, 93)), (ARM, (3, 4, 11, 1))],
)
def test_what_programs_need_is_allowed(as_on, architecture, numbers):
    """Read, write, execve, exit; by both filters."""
    as_on(architecture)

    assert {outcome(usual(), architecture, number) for number in numbers} == {ALLOWED}
    assert {outcome(seccomp.closed_network(), architecture, number) for number in numbers} == {ALLOWED}


CALLS = {
    "syslog": (103, 103, 116, 103),
    "add_key": (248, 286, 217, 309),
    "request_key": (249, 287, 218, 310),
    "keyctl": (250, 288, 219, 311),
    "unshare": (272, 310, 97, 337),
    "perf_event_open": (298, 336, 241, 364),
    "setns": (308, 346, 268, 375),
    "bpf": (321, 357, 280, 386),
    "userfaultfd": (323, 374, 282, 388),
    "io_uring_setup": (425,) * 4,
    "io_uring_enter": (426,) * 4,
    "io_uring_register": (427,) * 4,
}


@pytest.mark.parametrize("name", CALLS)
def test_what_containers_may_not_do(as_on, name):
    """On each architecture that the processor runs, its 32-bit one too."""
    for architecture, number in zip((X86_64, I386, AARCH64, ARM), CALLS[name], strict=True):
        as_on(architecture)
        assert outcome(usual(), architecture, number) == REFUSED


@FAMILIES
def test_capabilities_bring_calls_with_them(as_on, architecture):
    """CAP_SYS_ADMIN has unshare, setns and clone with all flags, CAP_SYSLOG syslog; neither has keyrings."""
    as_on(architecture)
    place = (X86_64, I386, AARCH64, ARM).index(architecture)
    admin, logger = usual(SYS_ADMIN), usual(SYSLOG)
    wanted = {name: CALLS[name][place] for name in ("unshare", "setns", "syslog", "keyctl")}

    assert {name: outcome(admin, architecture, number) for name, number in wanted.items()} == {
        "unshare": ALLOWED, "setns": ALLOWED, "syslog": ALLOWED, "keyctl": REFUSED,
    }  # fmt: skip
    assert {name: outcome(logger, architecture, number) for name, number in wanted.items()} == {
        "unshare": REFUSED, "setns": REFUSED, "syslog": ALLOWED, "keyctl": REFUSED,
    }  # fmt: skip
    assert outcome(admin, architecture, CLONE[architecture], NEWUSER) == ALLOWED
    assert outcome(logger, architecture, CLONE[architecture], NEWUSER) == REFUSED


@FAMILIES
class TestClone:
    """New processes, but no new namespaces."""

    def test_a_process_is_allowed(self, as_on, architecture):
        """As fork(2) and vfork(2) of a library ask."""
        as_on(architecture)

        assert outcome(usual(), architecture, CLONE[architecture], VFORK | 17) == ALLOWED

    @pytest.mark.parametrize("flag", [NEWUSER, NEWNS, 0x02000000, 0x04000000, 0x08000000, 0x20000000, 0x40000000])
    def test_a_namespace_is_refused(self, as_on, architecture, flag):
        """Of any kind, among other flags too."""
        as_on(architecture)

        assert outcome(usual(), architecture, CLONE[architecture], flag | VFORK | 17) == REFUSED

    def test_clone3_is_not_there(self, as_on, architecture):
        """Its flags can't be looked at; libraries then use clone."""
        as_on(architecture)

        assert outcome(usual(), architecture, 435) == NOT_THERE


STREAM, DATAGRAM, RAW, PACKET_TYPE, CLOSE_ON_EXEC, NONBLOCK = 1, 2, 3, 10, 0o2000000, 0o4000


@FAMILIES
class TestSockets:
    """What no network namespace parts, and what a shared one must not have."""

    @pytest.mark.parametrize(
        "arguments", [(1, STREAM), (2, STREAM | CLOSE_ON_EXEC), (10, DATAGRAM, 17), (16, RAW, 0), (16, DATAGRAM, 15)]
    )
    def test_the_usual_ones_are_allowed(self, as_on, architecture, arguments):
        """Unix, TCP, UDP, netlink for routes: netlink's raw is no raw socket."""
        as_on(architecture)

        assert outcome(usual(), architecture, SOCKET[architecture], *arguments) == ALLOWED
        assert outcome(seccomp.closed_network(), architecture, SOCKET[architecture], *arguments) == ALLOWED

    def test_the_hypervisor_is_not_reached(self, as_on, architecture):
        """AF_VSOCK, by both filters, and with all capabilities."""
        as_on(architecture)
        codes = (usual(), usual(*range(41)), seccomp.closed_network())

        assert [outcome(code, architecture, SOCKET[architecture], 40, STREAM) for code in codes] == [REFUSED] * 3

    @pytest.mark.parametrize(
        "arguments",
        [
            (17, RAW, 3),
            (17, DATAGRAM, 3),
            (44, RAW),
            (2, RAW, 1),
            (2, RAW | CLOSE_ON_EXEC | NONBLOCK, 1),
            (10, RAW, 58),
            (2, PACKET_TYPE, 3),
        ],
    )
    def test_the_hosts_network_is_not_listened_to(self, as_on, architecture, arguments):
        """Packet, XDP and raw sockets; a container with a network of its own may have them."""
        as_on(architecture)

        assert outcome(seccomp.closed_network(), architecture, SOCKET[architecture], *arguments) == REFUSED
        assert outcome(usual(), architecture, SOCKET[architecture], *arguments) == ALLOWED

    def test_the_hosts_audit_is_not_there(self, as_on, architecture):
        """As if the kernel had none, which programs such as useradd are made for."""
        as_on(architecture)

        refused = REFUSED & ~0xFFFF | errno.EPROTONOSUPPORT
        assert outcome(seccomp.closed_network(), architecture, SOCKET[architecture], 16, RAW, 9) == refused


def test_the_call_of_many_calls_is_not_there_on_386(as_on):
    """Its arguments can't be read; Go's programs for 386 know no other, so it can be left alone."""
    as_on(I386)

    assert outcome(usual(), I386, 102, 1) == NOT_THERE
    assert outcome(usual(socketcall=True), I386, 102, 1) == ALLOWED
    assert outcome(seccomp.closed_network(), I386, 102, 1) == NOT_THERE


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 + 272, 0xFFFFFFFF])
def test_x32_is_refused(as_on, number):
    """Else unshare could be called under a second number."""
    as_on(X86_64)

    assert outcome(usual(), X86_64, number) == REFUSED
    assert outcome(seccomp.closed_network(), X86_64, number) == REFUSED


@pytest.mark.parametrize(("here", "other"), [(X86_64, AARCH64), (AARCH64, X86_64), (X86_64, 0)])
def test_another_architecture_is_refused(as_on, here, other):
    """Its numbers mean other calls."""
    as_on(here)

    assert outcome(usual(), other, 0) == REFUSED


@pytest.mark.parametrize("architecture", [X86_64, AARCH64])
def test_the_kernel_takes_them(as_on, architecture):
    """Whole instructions, fewer than BPF_MAXINSNS, and each jump ends within."""
    as_on(architecture)
    for code in (usual(), usual(SYS_ADMIN, socketcall=True), seccomp.closed_network()):
        lines = [struct.unpack_from("HBBI", code, at) for at in range(0, len(code), 8)]

        assert len(code) % 8 == 0
        assert 0 < len(lines) < 4096
        assert all(place + 1 + max(true, false) < len(lines) for place, (_, true, false, _) in enumerate(lines[:-1]))
        assert lines[-1][0] == 0x06


def test_a_processor_without_a_table_has_no_filter(monkeypatch):
    """It is said by `known`, and no half filter is made."""
    monkeypatch.delitem(seccomp._TABLES, os.uname().machine, raising=False)

    assert not seccomp.known()
    assert (usual(), seccomp.closed_network()) == (b"", b"")
