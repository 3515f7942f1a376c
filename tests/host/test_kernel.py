"""What a machine offers to sandboxes, read from trees made up for it, and from this one."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needs import need
from wherry.app.build.machine import isolation_of
from wherry.host.kernel import Kernel, emulation, id_map, sub_ids
from wherry.platform import ALL, Platform


def machine(root: Path, release: str = "6.8.0", **files: str) -> Kernel:
    """Make up a machine; `proc__filesystems` is /proc/filesystems."""
    usual = {"proc__self__ns__user": "", "proc__filesystems": "nodev\tproc\n\text4\nnodev\toverlay\n"}
    for name, text in (usual | files).items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Kernel(release, "x86_64", root)


def test_a_machine_that_can(tmp_path):
    """Nothing forbids anything."""
    kernel = machine(tmp_path)

    assert kernel.sandbox().works
    assert kernel.user_namespaces(root=False).works
    assert kernel.overlay(root=False).works


@pytest.mark.parametrize(
    ("name", "value", "root", "works"),
    [
        ("user__max_user_namespaces", "0", True, False),
        ("user__max_user_namespaces", "100", False, True),
        ("kernel__unprivileged_userns_clone", "0", False, False),
        ("kernel__unprivileged_userns_clone", "0", True, True),
        ("kernel__apparmor_restrict_unprivileged_userns", "1", False, False),
        ("kernel__apparmor_restrict_unprivileged_userns", "1", True, True),
        ("kernel__apparmor_restrict_unprivileged_userns", "0", False, True),
    ],
)
def test_settings_that_forbid_namespaces(tmp_path, name, value, root, works):
    """Each is named, with the command that changes it."""
    ability = machine(tmp_path, **{f"proc__sys__{name}": f"{value}\n"}).user_namespaces(root=root)

    assert ability.works is works
    assert works or (name.replace("__", ".") in ability.reason and "sysctl -w" in ability.remedy)


def test_a_filter_is_told_of(tmp_path):
    """A seccomp filter may refuse; only trying tells."""
    ability = machine(tmp_path, proc__self__status="Name:\tx\nSeccomp:\t2\n").user_namespaces(root=True)

    assert ability.works
    assert "seccomp" in ability.remedy


def test_kernels_without(tmp_path):
    """No namespaces, no overlay, too old."""
    kernel = machine(tmp_path, "5.4.0-42-generic", proc__filesystems="nodev\tproc\n")
    (tmp_path / "proc/self/ns/user").unlink()

    assert not kernel.user_namespaces(root=True).works
    assert not kernel.overlay(root=True).works
    assert not kernel.overlay(root=False).works
    assert not kernel.sandbox().works
    assert not kernel.own_binfmt().works
    assert kernel.version == (5, 4)


def test_an_overlay_that_is_a_module(tmp_path):
    """A module that is not loaded yet counts: mounting loads it."""
    dep = {"lib__modules__6.8.0__modules.dep": "kernel/fs/overlayfs/overlay.ko.xz:\n"}

    assert machine(tmp_path, proc__filesystems="", **dep).overlay(root=False).works


def test_this_machine():
    """The kernel that runs this test describes itself."""
    kernel = Kernel.of_host()

    assert kernel.version > (2, 6)
    assert kernel.runs(kernel.platform)
    assert not kernel.runs(Platform("windows", "amd64"))


def test_processors():
    """Which platforms run by themselves."""
    amd64, arm64 = Kernel("6.1", "x86_64"), Kernel("6.1", "aarch64")

    assert (amd64.platform, arm64.platform) == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert amd64.runs(Platform.parse("386"))
    assert amd64.runs(Platform.parse("linux/amd64/v3"))
    assert not amd64.runs(Platform.parse("arm64"))
    assert arm64.runs(Platform.parse("linux/arm/v7"))


@pytest.mark.parametrize("platform", ALL)
def test_finds_emulators(tmp_path, platform):
    """A file of the right name that may be executed, in the first folder that has one."""
    names = {"386": "i386", "amd64": "x86_64", "arm64": "aarch64", "loong64": "loongarch64"}
    program = tmp_path / f"qemu-{names.get(platform.architecture, platform.architecture)}-static"
    assert emulation(platform, [tmp_path]) is None
    program.touch(mode=0o755)
    found = emulation(platform, [tmp_path / "none", tmp_path])

    assert found is not None
    assert found.path == str(program)
    assert len(found.magic) == len(found.mask) == 20


@pytest.mark.parametrize(("qemu", "arch"), [("qemu-aarch64-static", "arm64"), ("qemu-s390x-static", "s390x")])
def test_recognises_real_programs(qemu, arch, tmp_path):
    """Magic and mask fit a program that Go builds for the processor, and not one of another."""
    from gobuild import go_binary

    folder = Path(need(qemu)).parent
    found = emulation(Platform.parse(arch), [folder])
    assert found is not None
    for built, fits in ((arch, True), ("amd64", False)):
        head = go_binary(arch=built).read_bytes()[:20]
        assert (bytes(a & b for a, b in zip(head, found.mask, strict=True)) == bytes(
            a & b for a, b in zip(found.magic, found.mask, strict=True))) is fits  # fmt: skip


def test_sub_ids():
    """Lines by name and by number; what is no line is passed over."""
    table = "# x\nme:100000:65536\nother:1:2\n1000:300000:10\nme:x:1\nme:5\nme:7:0\n"

    assert sub_ids(table, "me", 1000) == ((100000, 65536), (300000, 10))
    assert sub_ids(table, "nobody", 5) == ()


@given(st.text())
def test_sub_ids_of_any_text(table):
    """Whatever stands in /etc/subuid."""
    assert all(count > 0 for _, count in sub_ids(table, "me", 1))


def test_id_maps():
    """A /proc/PID/uid_map."""
    assert id_map("         0          0 4294967295\n") == ((0, 0, 4294967295),)
    assert id_map(Path("/proc/self/uid_map").read_text())[0][2] > 0
    assert os.geteuid() >= 0


@pytest.mark.parametrize(
    ("name", "text", "inside"),
    [
        ("etc__hostname", "host", False),
        (".dockerenv", "", True),
        ("run__.containerenv", "", True),
        ("run__systemd__container", "podman", True),
        ("proc__1__environ", "PATH=/bin\0container=lxc\0", True),
        ("proc__1__environ", "PATH=/bin\0uncontainer=x\0", False),
    ],
)
def test_tells_a_container_from_a_host(tmp_path, name, text, inside):
    """What container managers leave says that this is one."""
    assert machine(tmp_path, **{name: text}).in_container() is inside


@pytest.mark.parametrize(("number", "inside"), [(4026531836, False), (4026532201, True)])
def test_a_process_namespace_of_its_own_is_a_containers(tmp_path, number, inside):
    """The first namespace of processes has a fixed number."""
    kernel = machine(tmp_path)
    (tmp_path / "proc/self/ns/pid").symlink_to(f"pid:[{number}]")

    assert kernel.in_container() is inside


def test_a_chroot_is_never_chosen_on_a_host(tmp_path):
    """`auto` means namespaces or nothing there, and the remedy names the choice; a container's `auto` stays."""
    host, pod = machine(tmp_path / "host"), machine(tmp_path / "pod", **{".dockerenv": ""})

    assert isolation_of("auto", host, lambda: "remedy")[0] == "userns"
    assert "--isolation chroot" in isolation_of("auto", host, lambda: "remedy")[1]()
    assert isolation_of("chroot", host, lambda: "remedy")[0] == "chroot"
    assert isolation_of("auto", pod, lambda: "remedy")[0] == "auto"
