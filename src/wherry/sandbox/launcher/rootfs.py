"""The rootfs of a sandbox: layers joined, and what a program expects besides them.

All mounts are made in a mount namespace of the sandbox's own, so they end with its last process.

Sources: Linux 6.18, Documentation/filesystems/overlayfs.rst and proc.rst; OCI runtime-spec v1.2.1,
config-linux.md "Default Filesystems" and "Default Devices"; the masked paths are those of Docker's default.
"""

import errno
import os
import stat

from wherry.sandbox.launcher import binfmt, syscalls
from wherry.sandbox.launcher.devices import NODES, Devices, opened
from wherry.sandbox.launcher.flatten import flatten
from wherry.sandbox.launcher.overlays import overlay
from wherry.sandbox.launcher.paths import UnsuitablePath, make_file, make_folder, open_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.sandbox.launcher.paths import Made
    from wherry.sandbox.spec import Container, Emulator, HostMount, Mount

_LINKS = (
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
)  # fmt: skip
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_FIXED = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_QUIET = syscalls.NO_SET_UID | syscalls.NO_DEVICES
_FEW = ("null", "zero")
_BINFMT = "/proc/sys/fs/binfmt_misc"


_HELD = (
    "programs for other architectures use the host's emulators, which root in the container could change; "
    "Linux 6.7 and qemu-user-static give each container its own"
)


class Rootfs:
    """A rootfs being put together; `enter` makes it the root of this process."""

    def __init__(self, job: "Container", nodes: int, emulator: int, say: "Callable[[str], None]") -> None:
        """Take the job, and whom to tell what a person should know.

        Args:
            job: what the sandbox is for.
            nodes: the mount of `devices.own_nodes`; -1: there is none.
            emulator: a private copy of the job's, open; -1: there is none.
            say: called with notices.
        """
        self._job = job
        self._nodes = nodes
        self._emulator = emulator
        self._say = say
        self._opened_terminal = (-1, -1)
        self._few = job.get("few_devices", False)
        self.null = -1
        """The sandbox's null device, open."""
        self._root = -1
        self.made: Made = []
        """What was made to mount on."""
        self.emulated = False
        """Whether the kernel starts the emulator by itself, for children too."""

    def build(self) -> None:
        """Mount everything.

        Raises:
            MountRefused: the kernel does not.
            Misplaced: the image has something else where a mount belongs.
        """
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.make_private()
        volumes = [(volume, self._source(volume)) for volume in self._job["volumes"]]
        mounts = [(mount, self._shown(mount)) for mount in self._job["mounts"] if mount["kind"] == "folder"]
        system = syscalls.clone_mount("/sys", recursive=True)
        self._join()
        self._kernel(system)
        devices = Devices(self._nodes, self._job["stage"])
        self._devices(devices)
        if self._job["privileges"] != "all":
            self._protect(devices)  # before anything that others may change meanwhile is mounted
        if self._job["own_tmp"] and self._there("/tmp"):  # noqa: S108 - the image's own, covered by one that nobody else sees
            self._mount("tmpfs", [("mode", "1777")], "/tmp", _QUIET)  # noqa: S108 - as above
        for volume, mount in volumes:
            self._bind(volume["destination"], mount, provided=volume["provided"])
        self._mounts(mounts)
        os.close(make_folder(self._root, self._job["folder"]))
        if self._few:
            self._fix("/dev")
        if self._job["read_only"] and self._job["privileges"] != "all":
            syscalls.restrict(self._root, syscalls.READ_ONLY, recursive=False)

    def terminal(self) -> "tuple[int, int]":
        """Give the new terminal of the sandbox: master and slave."""
        return self._opened_terminal

    def enter(self) -> None:
        """Make it the root; nothing of the host's is left in sight."""
        os.fchdir(self._root)
        syscalls.pivot_here()
        os.close(self._root)

    def _join(self) -> None:
        stage, layers = self._job["stage"], self._job["layers"]
        self._attach_at(syscalls.new_filesystem("tmpfs", [("mode", "700")]), stage)
        os.chdir(stage)
        for name in ("tree", "work", "root", "full"):
            os.mkdir(name, 0o755)
        writable = self._job["writable"] or stage
        if self._job["overlay"]:
            mount = overlay(layers, writable)
        elif self._job["writable"]:
            flatten(layers, f"{writable}/full")
            mount = syscalls.clone_mount(f"{writable}/full", recursive=True)
        else:
            flatten(layers, "root")
            mount = syscalls.clone_mount("root", recursive=True)
        syscalls.restrict(mount, syscalls.NO_DEVICES, recursive=False)
        self._attach_at(mount, "root")
        self._root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _kernel(self, system: int) -> None:
        try:
            self._mount("proc", [], "/proc", _QUIET | syscalls.NO_EXEC)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                raise
            self._say(
                "/proc shows the host's processes: the kernel refuses a new one while the host's is partly masked"
            )
            self._put(syscalls.clone_mount("/proc", recursive=True), "/proc")
        syscalls.restrict(system, syscalls.READ_ONLY | _QUIET | syscalls.NO_EXEC, recursive=True)
        self._put(system, "/sys")
        emulator = self._job["emulator"]
        if emulator is not None and emulator["path"]:
            kept_away = self.emulated = self._register(emulator)
        else:
            kept_away = emulator is None and (not binfmt.held or binfmt.hide())
        if binfmt.held and not kept_away:
            self._say(_HELD)

    def _devices(self, devices: Devices) -> None:
        # The nodes are mounts of their own: of those that a program makes in /dev itself, none can be opened.
        self._mount("tmpfs", [("mode", "755"), ("size", "65536k")], "/dev", _QUIET | syscalls.NO_EXEC)
        for name in _FEW if self._few else NODES:
            mount = devices.node(name)
            if name == "null":
                self.null = opened(mount)
            place = make_file(self._root, f"/dev/{name}")
            syscalls.attach(mount, place)
            os.close(place)
        if self._few:
            return
        for name, target in _LINKS:
            os.symlink(target, f"dev/{name}", dir_fd=self._root)
        options: list[tuple[str, str | None]] = [("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620")]
        terminals = syscalls.new_filesystem("devpts", options, syscalls.NO_SET_UID | syscalls.NO_EXEC)
        if self._job["terminal"]:
            self._opened_terminal = open_terminal(terminals)
        self._put(terminals, "/dev/pts")
        most: list[tuple[str, str | None]] = [("size", str(self._job["shm"]))] if self._job["shm"] else []
        self._mount("tmpfs", [("mode", "1777"), *most], "/dev/shm", _QUIET | syscalls.NO_EXEC)  # noqa: S108 - the sandbox's own

    def _source(self, volume: "HostMount") -> int:
        mount = syscalls.clone_mount(volume["source"], recursive=True)
        syscalls.restrict(mount, _QUIET | (syscalls.READ_ONLY if volume["read_only"] else 0), recursive=True)
        return mount

    def _bind(self, path: str, mount: int, *, provided: bool = False) -> None:
        make = make_folder if stat.S_ISDIR(os.fstat(mount).st_mode) else make_file
        try:
            place = make(self._root, path, made=self.made)
        except OSError:
            os.close(mount)
            if provided:
                return
            raise
        syscalls.attach(mount, place)
        os.close(place)

    def _shown(self, mount: "Mount") -> int:
        """Give what a mount of a folder of the host shows."""
        top = os.open(mount["source"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if mount["mode"] and not os.listdir(top):
            if self._job["ids"] is None or not self._job["ids"]["single"]:
                os.fchown(top, mount["uid"], mount["gid"])
            os.fchmod(top, mount["mode"])
        return self._part(top, mount)

    def _part(self, top: int, mount: "Mount") -> int:
        place = open_inside(top, mount["inner"])
        os.close(top)
        if stat.S_ISSOCK(os.fstat(place).st_mode):  # of an agent: each mount has one of its own
            shown_as(f"/proc/self/fd/{place}", mount, owned=not (self._job["ids"] and self._job["ids"]["single"]))
        shown = syscalls.clone_mount("", recursive=False, folder=place)
        os.close(place)
        syscalls.restrict(
            shown, syscalls.NO_DEVICES | (syscalls.READ_ONLY if mount["read_only"] else 0), recursive=False
        )
        return shown

    def _mounts(self, folders: "list[tuple[Mount, int]]") -> None:
        """Mount what a step of a build asks for, in the order in which it does."""
        shown = [mount for _, mount in folders]
        for number, mount in enumerate(self._job["mounts"]):
            match mount["kind"]:
                case "folder":
                    made = shown.pop(0)
                case "content":
                    made = self._content(number, mount)
                case "tmpfs":
                    size: list[tuple[str, str | None]] = [("size", str(mount["size"]))] if mount["size"] else []
                    made = syscalls.new_filesystem("tmpfs", [("mode", f"{mount['mode']:o}"), *size], _QUIET)
                case _:
                    made = self._stack(number, mount)
            self._bind(mount["destination"], made, provided=mount["provided"])

    def _content(self, number: int, mount: "Mount") -> int:
        name = f"content-{number}"
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        left = memoryview(mount["content"])
        while left:
            left = left[os.write(file, left) :]
        if self._job["ids"] is None or not self._job["ids"]["single"]:
            os.fchown(file, mount["uid"], mount["gid"])
        os.fchmod(file, mount["mode"])
        os.close(file)
        made = syscalls.clone_mount(name, recursive=False)
        syscalls.restrict(made, _QUIET | (syscalls.READ_ONLY if mount["read_only"] else 0), recursive=False)
        return made

    def _stack(self, number: int, mount: "Mount") -> int:
        own = f"{self._job['stage']}/stack-{number}"
        for name in (own, f"{own}/tree", f"{own}/work", f"{own}/root"):
            os.mkdir(name, 0o755)
        if self._job["overlay"]:
            self._attach_at(overlay(mount["layers"], own), f"{own}/root")
        else:
            flatten(mount["layers"], f"{own}/root")
        return self._part(os.open(f"{own}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), mount)

    def _protect(self, devices: Devices) -> None:
        for path in _MASKED:
            self._cover(path, devices)
        for path in _FIXED:
            self._fix(path)

    def _cover(self, path: str, devices: Devices) -> None:
        if not self._there(path):
            return
        place = open_inside(self._root, path)
        if stat.S_ISDIR(os.fstat(place).st_mode):
            mount = syscalls.new_filesystem("tmpfs", [("size", "0"), ("mode", "555")], syscalls.READ_ONLY | _QUIET)
        else:
            mount = devices.mask()
        syscalls.attach(mount, place)
        os.close(place)

    def _fix(self, path: str) -> None:
        if not self._there(path):
            return
        place = open_inside(self._root, path)
        mount = syscalls.clone_mount("", recursive=True, folder=place)
        syscalls.restrict(mount, syscalls.READ_ONLY, recursive=True)
        syscalls.attach(mount, place)
        os.close(place)

    def _register(self, emulator: "Emulator") -> bool:
        """Have the kernel of this user namespace start the emulator (Linux 6.7 and newer)."""
        try:
            self._mount("binfmt_misc", [], _BINFMT, _QUIET | syscalls.NO_EXEC)
            place = open_inside(self._root, f"{_BINFMT}/register")
            os.close(place)
            entry = b":wherry:M::%s:%s:%s:F" % (
                _hex(emulator["magic"]),
                _hex(emulator["mask"]),
                b"/proc/self/fd/%d" % self._emulator,
            )
            register = os.open(f"root{_BINFMT}/register", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(register, entry)
            finally:
                os.close(register)
        except OSError:
            return False
        return True

    def _attach_at(self, mount: int, path: str) -> None:
        place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        syscalls.attach(mount, place)
        os.close(place)

    def _mount(self, kind: str, options: "list[tuple[str, str | None]]", path: str, attributes: int) -> None:
        self._put(syscalls.new_filesystem(kind, options, attributes), path)

    def _put(self, mount: int, path: str) -> None:
        """Attach a mount where the image has to have a real folder, or none."""
        try:
            place = make_folder(self._root, path, links=False, made=self.made)
        except UnsuitablePath:
            os.close(mount)
            raise
        syscalls.attach(mount, place)
        os.close(place)

    def _there(self, path: str) -> bool:
        try:
            os.close(open_inside(self._root, path, links=False))
        except OSError:
            return False
        return True


def shown_as(path: str, mount: "Mount", *, owned: bool) -> None:
    """Give a socket the mode and, where there are other ids than one, the owner that a mount asks for."""
    if owned:
        os.chown(path, mount["uid"], mount["gid"])
    os.chmod(path, mount["mode"])


def open_terminal(terminals: int) -> "tuple[int, int]":
    """Open a new terminal through its file system alone: names in the sandbox may lead elsewhere (CVE-2025-52565)."""
    master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=terminals)
    syscalls.unlock_terminal(master)
    number = syscalls.terminal_number(master)
    slave = os.open(str(number), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=terminals)
    return master, slave


def _hex(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)
