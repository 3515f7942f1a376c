"""The rootfs of a sandbox: layers joined, and what a program expects to find beside them.

All mounts are made in a mount namespace of the sandbox's own, so they end with its last process.

Sources: Linux 6.18, Documentation/filesystems/overlayfs.rst and proc.rst; OCI runtime-spec v1.2.1,
config-linux.md "Default Filesystems" and "Default Devices"; the masked paths are those of Docker's default.
"""

import errno
import os
import stat

from wherry.sandbox import calls
from wherry.sandbox.flatten import flatten
from wherry.sandbox.places import Misplaced, make_file, make_folder, open_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.sandbox.spec import Container, Emulator, Volume

_NODES = ("null", "zero", "full", "random", "urandom", "tty")
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
_QUIET = calls.NO_SET_UID | calls.NO_DEVICES
_BINFMT = "/proc/sys/fs/binfmt_misc"
_MOST_LAYERS = 500  # OVL_MAX_STACK in Linux, fs/overlayfs/params.h


class MountRefused(OSError):
    """The kernel does not mount what the sandbox needs."""


class Rootfs:
    """A rootfs being put together; `enter` makes it the root of this process."""

    def __init__(self, job: "Container", say: "Callable[[str], None]") -> None:
        """Take the job, and whom to tell what a person should know."""
        self._job = job
        self._say = say
        self._root = -1
        self.emulated = False
        """Whether the kernel starts the emulator by itself, for children too."""

    def build(self) -> None:
        """Mount everything.

        Raises:
            MountRefused: the kernel does not.
            Misplaced: the image has something else where a mount belongs.
        """
        calls.unshare(calls.CLONE_NEWNS)
        calls.make_private()
        devices = [calls.clone_mount(f"/dev/{name}", recursive=False) for name in _NODES]
        volumes = [(volume, self._source(volume)) for volume in self._job["volumes"]]
        system = calls.clone_mount("/sys", recursive=True)
        self._join()
        self._kernel(system)
        self._devices(devices)
        if self._there("/tmp"):  # noqa: S108 - the image's own, covered by one that nobody else sees
            self._mount("tmpfs", [("mode", "1777")], "/tmp", _QUIET)  # noqa: S108 - as above
        for volume, mount in volumes:
            self._bind(volume, mount)
        os.close(make_folder(self._root, self._job["folder"]))
        self._protect()

    def terminal(self) -> "tuple[int, int]":
        """Open a new terminal of the sandbox: master and slave."""
        master = os.open("dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=self._root)
        calls.unlock_terminal(master)
        number = calls.terminal_number(master)
        slave = os.open(f"dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=self._root)
        return master, slave

    def enter(self) -> None:
        """Make it the root; nothing of the host's is left in sight."""
        os.fchdir(self._root)
        calls.pivot_here()
        os.close(self._root)

    def _join(self) -> None:
        stage, layers = self._job["stage"], self._job["layers"]
        self._attach_at(calls.new_filesystem("tmpfs", [("mode", "700")]), stage)
        os.chdir(stage)
        for name in ("upper", "work", "root"):
            os.mkdir(name, 0o755)
        if self._job["overlay"]:
            mount = overlay(layers)
        else:
            flatten(layers, "root")
            mount = calls.clone_mount("root", recursive=True)
        calls.restrict(mount, calls.NO_DEVICES, recursive=False)
        self._attach_at(mount, "root")
        self._root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _kernel(self, system: int) -> None:
        try:
            self._mount("proc", [], "/proc", _QUIET | calls.NO_EXEC)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                raise
            self._say(
                "/proc shows the host's processes: the kernel gives no fresh one where the host's is partly covered"
            )
            self._put(calls.clone_mount("/proc", recursive=True), "/proc")
        calls.restrict(system, calls.READ_ONLY | _QUIET | calls.NO_EXEC, recursive=True)
        self._put(system, "/sys")
        emulator = self._job["emulator"]
        if emulator is not None:
            self.emulated = self._register(emulator)

    def _devices(self, nodes: "list[int]") -> None:
        self._mount("tmpfs", [("mode", "755"), ("size", "65536k")], "/dev", calls.NO_SET_UID | calls.NO_EXEC)
        for name, mount in zip(_NODES, nodes, strict=True):
            place = make_file(self._root, f"/dev/{name}")
            calls.attach(mount, place)
            os.close(place)
        for name, target in _LINKS:
            os.symlink(target, f"dev/{name}", dir_fd=self._root)
        self._mount(
            "devpts",
            [("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620")],
            "/dev/pts",
            calls.NO_SET_UID | calls.NO_EXEC,
        )
        self._mount("tmpfs", [("mode", "1777")], "/dev/shm", _QUIET | calls.NO_EXEC)  # noqa: S108 - the sandbox's own

    def _source(self, volume: "Volume") -> int:
        mount = calls.clone_mount(volume["source"], recursive=True)
        calls.restrict(mount, _QUIET | (calls.READ_ONLY if volume["read_only"] else 0), recursive=True)
        return mount

    def _bind(self, volume: "Volume", mount: int) -> None:
        path = volume["destination"]
        make = make_folder if stat.S_ISDIR(os.fstat(mount).st_mode) else make_file
        try:
            place = make(self._root, path)
        except OSError:
            os.close(mount)
            if volume["provided"]:
                return
            raise
        calls.attach(mount, place)
        os.close(place)

    def _protect(self) -> None:
        for path in _MASKED:
            self._cover(path)
        for path in _FIXED:
            self._fix(path)
        if self._job["read_only"]:
            calls.restrict(self._root, calls.READ_ONLY, recursive=False)

    def _cover(self, path: str) -> None:
        if not self._there(path):
            return
        place = open_inside(self._root, path)
        if stat.S_ISDIR(os.fstat(place).st_mode):
            mount = calls.new_filesystem("tmpfs", [("size", "0"), ("mode", "555")], calls.READ_ONLY | _QUIET)
        else:
            mount = calls.clone_mount("/dev/null", recursive=False)
        calls.attach(mount, place)
        os.close(place)

    def _fix(self, path: str) -> None:
        if not self._there(path):
            return
        place = open_inside(self._root, path)
        mount = calls.clone_mount("", recursive=True, folder=place)
        calls.restrict(mount, calls.READ_ONLY, recursive=True)
        calls.attach(mount, place)
        os.close(place)

    def _register(self, emulator: "Emulator") -> bool:
        """Have the kernel of this user namespace start the emulator (Linux 6.7 and newer)."""
        try:
            self._mount("binfmt_misc", [], _BINFMT, _QUIET | calls.NO_EXEC)
            place = open_inside(self._root, f"{_BINFMT}/register")
            os.close(place)
            entry = b":wherry:M::%s:%s:%s:F" % (
                _hex(emulator["magic"]),
                _hex(emulator["mask"]),
                os.fsencode(emulator["path"]),
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
        calls.attach(mount, place)
        os.close(place)

    def _mount(self, kind: str, options: "list[tuple[str, str | None]]", path: str, attributes: int) -> None:
        self._put(calls.new_filesystem(kind, options, attributes), path)

    def _put(self, mount: int, path: str) -> None:
        """Attach a mount where the image has to have a real folder, or none."""
        try:
            place = make_folder(self._root, path, links=False)
        except Misplaced:
            os.close(mount)
            raise
        calls.attach(mount, place)
        os.close(place)

    def _there(self, path: str) -> bool:
        try:
            os.close(open_inside(self._root, path, links=False))
        except OSError:
            return False
        return True


def overlay(layers: "list[str]") -> int:
    """Join layers under an empty one that takes the writes; `upper` and `work` are in the working directory.

    Each layer is handed over by itself (`lowerdir+`, Linux 6.7), which has no limit on their names; older
    kernels get one line with short links in it.

    Raises:
        MountRefused: the kernel does not join them.
    """
    if len(layers) > _MOST_LAYERS:
        raise MountRefused(errno.E2BIG, f"the image has {len(layers)} layers, Linux joins at most {_MOST_LAYERS}")
    if not layers:
        os.mkdir("empty", 0o755)
    lowers = list(reversed(layers)) or ["empty"]
    try:
        return _overlay_by_layer(lowers)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise MountRefused(error.errno, f"the layers can't be joined: {error.strerror}") from error
    try:
        return _overlay_by_line(lowers)
    except OSError as error:
        raise MountRefused(error.errno, f"the layers can't be joined: {error.strerror}") from error


_OVERLAY: "list[tuple[str, str | None]]" = [
    ("upperdir", "upper"),
    ("workdir", "work"),
    ("userxattr", None),
    ("index", "off"),
    ("metacopy", "off"),
]


def _overlay_by_layer(lowers: "list[str]") -> int:
    places = [os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for lower in lowers]
    try:
        names: list[tuple[str, str | None]] = [("lowerdir+", f"/proc/self/fd/{place}") for place in places]
        return calls.new_filesystem("overlay", [*names, *_OVERLAY])
    finally:
        for place in places:
            os.close(place)


def _overlay_by_line(lowers: "list[str]") -> int:
    os.mkdir("lower")
    for number, lower in enumerate(lowers):
        os.symlink(lower if lower.startswith("/") else f"../{lower}", f"lower/{number}")
    os.chdir("lower")
    try:
        words = [f"lowerdir={':'.join(map(str, range(len(lowers))))}"]
        words += [key if value is None else f"{key}={value}" for key, value in _OVERLAY]
        line = ",".join(words).replace("dir=upper", "dir=../upper").replace("dir=work", "dir=../work")
        calls.mount_legacy("overlay", b"../root", line)
    finally:
        os.chdir("..")
    return calls.clone_mount("root", recursive=False)


def _hex(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)
