"""Namespaces, overlays, binfmt, qemu: what works on this machine, and why not.

Nothing here changes anything: files are read, programs are looked for. So an answer is what the machine
says about itself; only trying can report whether a filter (seccomp, AppArmor) refuses after all.

Sources: Linux 6.18, Documentation/admin-guide/sysctl/user.rst and binfmt-misc.rst; Ubuntu's and Debian's
sysctls kernel.apparmor_restrict_unprivileged_userns and kernel.unprivileged_userns_clone; subuid(5);
QEMU 9.2, scripts/qemu-binfmt-conf.sh (which names its user emulators have); ELF gABI, e_machine.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.platform import Platform

_OLDEST = (5, 12)
"""mount_setattr(2), which makes mounts read-only with all below them."""
_ANSWERED_CALLS = (5, 5)
"""SECCOMP_USER_NOTIF_FLAG_CONTINUE (seccomp_unotify(2))."""
_OVERLAY_FOR_USERS = (5, 11)
_BINFMT_FOR_USERS = (6, 7)


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether something works here, by what evidence, and what could be done where it doesn't."""

    works: bool
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Emulation:
    """How another processor's programs are recognised and started."""

    path: str
    """Of the statically linked emulator."""
    magic: bytes
    """How such a program starts; compared where `mask` has ones."""
    mask: bytes


_MACHINES = {
    "386": ("i386", 1, "little", 3), "amd64": ("x86_64", 2, "little", 62), "arm": ("arm", 1, "little", 40),
    "arm64": ("aarch64", 2, "little", 183), "loong64": ("loongarch64", 2, "little", 258),
    "mips": ("mips", 1, "big", 8), "mipsle": ("mipsel", 1, "little", 8), "mips64": ("mips64", 2, "big", 8),
    "mips64le": ("mips64el", 2, "little", 8), "ppc64": ("ppc64", 2, "big", 21),
    "ppc64le": ("ppc64le", 2, "little", 21), "riscv64": ("riscv64", 2, "little", 243), "s390x": ("s390x", 2, "big", 22),
}  # fmt: skip
"""Go's name for a processor: qemu's name, ELF class (1: 32 bits), byte order, e_machine."""

_FIRST = {"user": 4026531837, "pid": 4026531836, "cgroup": 4026531835}
"""The numbers of a machine's first namespaces."""

_ALSO_NATIVE = {"amd64": {"386"}, "arm64": {"arm"}}
_MASK = bytes.fromhex("ffffffffffffff00fffffffffffffffffeffffff")
"""All but the ABI byte; and of e_type the bit that tells executables (2) from position-independent ones (3)."""
_MASK_BIG = bytes.fromhex("ffffffffffffff00fffffffffffffffffffeffff")


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel we run on."""

    release: str
    """As `uname -r` says, such as 6.1.0-18-amd64."""
    machine: str
    """As `uname -m` says, such as x86_64."""
    root: Path = Path("/")
    """Where /proc, /etc and /sys are."""

    @classmethod
    def of_host(cls) -> "Kernel":
        """Describe the kernel of this machine."""
        names = os.uname()
        return cls(names.release, names.machine)

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor number; 0.0 where the release has none."""
        found = re.match(r"(\d+)\.(\d+)", self.release)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def platform(self) -> Platform:
        """What its own programs are built for."""
        return Platform.of(
            "linux", {"aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}.get(self.machine, self.machine)
        )

    def sandbox(self) -> Ability:
        """Report whether the kernel is new enough for sandboxes."""
        return self._since(_OLDEST, "sandboxes", "run it on a newer kernel")

    def user_namespaces(self, *, root: bool) -> Ability:
        """Report whether this user may make user namespaces.

        Args:
            root: whether the user is root.
        """
        if not (self.root / "proc/self/ns/user").exists():
            return Ability(
                works=False, reason="the kernel has no user namespaces", remedy="use a kernel built with CONFIG_USER_NS"
            )
        for name, refusing, for_root in (
            ("user/max_user_namespaces", "0", True),
            ("kernel/unprivileged_userns_clone", "0", False),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", False),
        ):
            if (for_root or not root) and self._sysctl(name) == refusing:
                key = name.replace("/", ".")
                other = "15000" if refusing == "0" and for_root else "1" if refusing == "0" else "0"
                return Ability(works=False, reason=f"{key} is {refusing}", remedy=f"as root: sysctl -w {key}={other}")
        if self._filtered():
            return Ability(
                works=True,
                reason="available, but a seccomp filter (of a container?) may refuse them",
                remedy="in Docker, start the outer container with --security-opt seccomp=unconfined",
            )
        return Ability(works=True, reason="available")

    def overlay(self, *, root: bool) -> Ability:
        """Report whether layers can be joined by an overlay.

        Args:
            root: whether the user is root, who may on any kernel.
        """
        if not root and self.version < _OVERLAY_FOR_USERS:
            return self._since(_OVERLAY_FOR_USERS, "overlays for users", "layers are copied instead")
        if "overlay" not in self._filesystems() and not self._has_module("overlay"):
            return Ability(
                works=False, reason="the kernel has no overlay file system", remedy="as root: modprobe overlay"
            )
        return Ability(works=True, reason="available")

    def answers_calls(self) -> Ability:
        """Tell whether calls of a program can be answered by another, which owners without sub-ids need."""
        if self.platform.architecture not in ("amd64", "arm64"):
            return Ability(works=False, reason=f"not for {self.platform.architecture}")
        return self._since(_ANSWERED_CALLS, "answered system calls", "chown in steps fails without sub-ids")

    def own_binfmt(self) -> Ability:
        """Report whether a user namespace can have emulators of its own."""
        if "binfmt_misc" not in self._filesystems():
            return Ability(works=False, reason="the kernel has no binfmt_misc", remedy="as root: modprobe binfmt_misc")
        return self._since(
            _BINFMT_FOR_USERS, "per-user emulators", "the program is emulated, but not the programs it starts"
        )

    def runs(self, platform: Platform) -> bool:
        """Report whether the processor runs a platform's programs by itself; its levels (v2, v3…) are not checked."""
        own = self.platform.architecture
        return platform.os == "linux" and (
            platform.architecture == own or platform.architecture in _ALSO_NATIVE.get(own, ())
        )

    def in_container(self) -> bool:
        """Report whether we are in a container or pod: what can be reached from here is not the whole of a machine.

        A virtual machine is not one. Container managers leave a file, a variable of process 1, or a namespace other
        than the first, which has a fixed number (Linux 6.18, include/uapi/linux/nsfs.h `enum init_ns_ino`).
        """
        marks = (".dockerenv", "run/.containerenv", "run/systemd/container", "var/run/secrets/kubernetes.io")
        if any((self.root / mark).exists() for mark in marks):
            return True
        variables = _text(self.root / "proc/1/environ").split("\0")
        if any(variable.startswith("container=") for variable in variables):
            return True
        return any(self._namespace(kind) not in ("", f"{kind}:[{number}]") for kind, number in _FIRST.items())

    def _namespace(self, kind: str) -> str:
        try:
            return str((self.root / "proc/self/ns" / kind).readlink())
        except OSError:
            return ""

    def _since(self, version: tuple[int, int], what: str, remedy: str) -> Ability:
        works = self.version >= version
        needed = f"{what} need Linux {version[0]}.{version[1]}, this is {self.release}"
        return Ability(
            works=works, reason=f"supported (Linux {self.release})" if works else needed, remedy="" if works else remedy
        )

    def _sysctl(self, name: str) -> str:
        return _text(self.root / "proc/sys" / name).strip()

    def _filesystems(self) -> set[str]:
        return {line.split()[-1] for line in _text(self.root / "proc/filesystems").splitlines() if line.strip()}

    def _has_module(self, name: str) -> bool:
        modules = self.root / "lib/modules" / self.release
        return f"/{name}.ko" in _text(modules / "modules.dep") or f"/{name}.ko" in _text(modules / "modules.builtin")

    def _filtered(self) -> bool:
        return re.search(r"^Seccomp:\s*2", _text(self.root / "proc/self/status"), re.MULTILINE) is not None


def emulation(platform: Platform, which: Sequence[Path]) -> Emulation | None:
    """Find the emulator of a platform.

    Args:
        platform: the platform of the programs to run.
        which: the folders to look in, in order.

    Returns:
        None where there is none, or none that is named as a static one: another could not start in an image.
    """
    machine = _MACHINES.get(platform.architecture)
    if machine is None:
        return None
    name, bits, order, number = machine
    for folder in which:
        path = folder / f"qemu-{name}-static"
        if os.access(path, os.X_OK):
            big = order == "big"
            head = b"\x7fELF" + bytes((bits, 2 if big else 1, 1)) + bytes(9)
            magic = head + (2).to_bytes(2, "big" if big else "little") + number.to_bytes(2, "big" if big else "little")
            return Emulation(str(path), magic, _MASK_BIG if big else _MASK)
    return None


def sub_ids(table: str, user: str, uid: int) -> tuple[tuple[int, int], ...]:
    """Read which extra ids a user has.

    Args:
        table: the text of /etc/subuid or /etc/subgid.
        user: the user's name.
        uid: the user's number, which a line may have instead.

    Returns:
        First id and how many, of each line; invalid lines are skipped, as newuidmap does.
    """
    found = []
    for line in table.splitlines():
        name, *numbers = line.strip().split(":")
        if name in (user, str(uid)) and len(numbers) == 2 and all(number.isdecimal() for number in numbers):  # noqa: PLR2004 - first and count
            found.append((int(numbers[0]), int(numbers[1])))
    return tuple((first, count) for first, count in found if count)


def id_map(table: str) -> tuple[tuple[int, int, int], ...]:
    """Read a /proc/PID/uid_map: first id inside, first id outside, how many."""
    rows = (tuple(map(int, line.split())) for line in table.splitlines() if line.strip())
    return tuple((row[0], row[1], row[2]) for row in rows)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
