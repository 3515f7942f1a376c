"""What the control groups that we run in leave us: processors and memory.

Sources: Linux 6.18, Documentation/admin-guide/cgroup-v2.rst (`memory.max`, `cpu.max`) and cgroup-v1/memory.rst and
scheduler/sched-bwc.rst (`memory.limit_in_bytes`, `cpu.cfs_quota_us`); cgroups(7) for /proc/self/cgroup.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_UNLIMITED = 1 << 60
"""Bytes from which on a limit means none: version 1 writes the largest number of pages where nothing is set."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The tightest limits, of our own group and all above it that can be seen."""

    version: int
    """Of the hierarchy that limits memory: 1 or 2; 0 where there is none."""
    memory: int | None
    """Bytes; None where nothing limits them."""
    processors: float | None
    """Seconds of processor time a second; None where nothing limits them."""


def own_cgroup(root: Path = Path("/")) -> Cgroup:
    """Read the limits on this process.

    Args:
        root: where /proc and /sys are.
    """
    of_memory, of_processors = _place(root, "memory"), _place(root, "cpu")
    memory = [
        int(text)
        for place in of_memory.folders()
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _text(place / name)).isdecimal() and int(text) < _UNLIMITED
    ]
    shares = [share for place in of_processors.folders() if (share := _share(place)) is not None]
    return Cgroup(of_memory.version, min(memory, default=None), min(shares, default=None))


def memory_kills(root: Path = Path("/")) -> int:
    """Count the processes of our control group that the kernel ended for want of memory; 0 where it does not tell."""
    place = _place(root, "memory")
    folder = place.mount / place.group.relative_to("/")
    for name in (folder / "memory.events", folder / "memory.oom_control", place.mount / "memory.oom_control"):
        for line in _text(name).splitlines():
            key, _, number = line.partition(" ")
            if key == "oom_kill" and number.strip().isdecimal():
                return int(number)
    return 0


@dataclass(frozen=True, slots=True)
class _Place:
    version: int
    mount: Path
    group: PurePosixPath

    def folders(self) -> Iterator[Path]:
        """Yield our group's folder and those above it; a container sees few of them."""
        for group in (self.group, *self.group.parents):
            yield self.mount / group.relative_to("/")


def _place(root: Path, controller: str) -> _Place:
    """Find the hierarchy of a controller: version 1 names it; version 2 has all others."""
    mount = root / "sys/fs/cgroup"
    unified = "/"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controller in controllers.split(","):
            return _Place(1, mount / controller, PurePosixPath("/", group))
        if (number, controllers) == ("0", ""):
            unified = group
    version = 2 if (mount / "cgroup.controllers").exists() else 0
    return _Place(version, mount, PurePosixPath("/", unified))


def pids_folders(root: Path = Path("/")) -> tuple[str, ...]:
    """Name the folders in which a control group that limits processes may be made: our own group, and those above it.

    In version 2 a group with processes in it hands no limits down, so one above it may be the first that does.
    """
    place = _place(root, "pids")
    return tuple(str(folder) for folder in place.folders() if place.version and folder.is_dir())


def control_folders(root: Path = Path("/")) -> tuple[bool, dict[str, tuple[str, ...]]]:
    """Name the folders in which control groups may be made, by controller; and whether they are of version 2.

    In version 2 every controller has the same folders.
    """
    places = {name: _place(root, name) for name in ("pids", "memory", "cpu")}
    found = {
        name: tuple(str(folder) for folder in place.folders() if place.version and folder.is_dir())
        for name, place in places.items()
    }
    return all(place.version == 2 for place in places.values()), found  # noqa: PLR2004 - version 2


def _share(place: Path) -> float | None:
    quota, _, period = _text(place / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(place / "cpu.cfs_quota_us"), _text(place / "cpu.cfs_period_us")
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None  # `max`, and -1 in version 1, are no limit
    return int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
