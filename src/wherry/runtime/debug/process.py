"""What /proc says of a process: its user, its namespaces, what it may do.

Sources: proc_pid_status(5), proc_pid_ns(5), user_namespaces(7), "User and group ID mappings"; Linux 6.18,
fs/proc/base.c, task_dump_owner (a file of a process that is not dumpable belongs to root).
"""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from wherry.errors import NotFound
from wherry.sandbox.launcher import syscalls
from wherry.sandbox.launcher.namespaces import FLAGS, Way, started

_LARGEST = 1 << 20
_LONGEST_NAME = 64
IdMap = tuple[tuple[int, int, int], ...]
"""First id inside, first id outside as we number it, how many."""


@dataclass(frozen=True, slots=True)
class NamespaceLevel:
    """A user namespace on the way from ours to a process's, outermost first; the first is ours."""

    maker: int
    """The user who made it, as we number users; -1: it is ours."""
    kinds: tuple[str, ...]
    """Kinds of namespaces that it owns and the process does not share with us."""


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """Bit masks of capabilities."""

    effective: int
    permitted: int
    bounding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetProcess:
    """A process, as far as we may look."""

    pid: int
    started: int
    name: str
    """What it calls itself; printable."""
    uid: int
    """As we number users."""
    gid: int
    groups: tuple[int, ...]
    capabilities: CapabilitySets
    no_new_privileges: bool
    filtered: bool
    """Whether a seccomp filter is on it."""
    tracer: int
    """The process that traces it; 0: none."""
    inner_pid: int
    """What it is called in its own pid namespace."""
    dumpable: bool
    uid_map: IdMap = ()
    """Of its user namespace; empty where that is ours."""
    gid_map: IdMap = ()
    levels: tuple[NamespaceLevel, ...] = ()
    """Empty: we may not look."""
    beyond: tuple[str, ...] = ()
    """Kinds of namespaces that belong to a user namespace above ours."""
    refused: str = ""
    """Why we may not look at its namespaces."""
    root_shared: bool = False
    """Whether its root is ours."""
    label: str = ""
    """Its profile of AppArmor or context of SELinux."""
    has_proc: bool | None = None
    """Whether its /proc is one; None: we may not look."""

    @property
    def differing(self) -> tuple[str, ...]:
        """Name the kinds of namespaces that it does not share with us."""
        own = ("user",) if len(self.levels) > 1 else ()
        kinds = {kind for level in self.levels for kind in level.kinds} | set(self.beyond) | set(own)
        return tuple(kind for kind in FLAGS if kind in kinds)

    @property
    def inner_uid(self) -> int:
        """Its user, as its own user namespace numbers users; -1: not in it."""
        return inside(self.uid_map, self.uid)

    @property
    def inner_gid(self) -> int:
        """Its group, as `inner_uid`."""
        return inside(self.gid_map, self.gid)

    @property
    def inner_groups(self) -> tuple[int, ...]:
        """Its other groups, those that its user namespace knows."""
        return tuple(group for each in self.groups if (group := inside(self.gid_map, each)) >= 0)

    @property
    def maps_root(self) -> bool:
        """Whether its user namespace has a root."""
        return not self.uid_map or any(first <= 0 < first + count for first, _, count in self.uid_map)


def inside(table: IdMap, number: int) -> int:
    """Translate an id to what a namespace calls it; -1: it has none for it."""
    if not table:
        return number
    return next(
        (first + number - outside for first, outside, count in table if outside <= number < outside + count), -1
    )


def read_process(pid: int) -> TargetProcess:
    """Read what /proc says of a process.

    Raises:
        NotFound: it is not there, or ends meanwhile.
    """
    folder = Path(f"/proc/{pid}")
    try:
        began = started(pid)
        fields = _fields(folder)
        state = fields.get("State", "")
        found = TargetProcess(
            pid=pid,
            started=began,
            name=printable(_text(folder / "comm").strip()) or str(pid),
            uid=int(fields["Uid"].split()[1]),
            gid=int(fields["Gid"].split()[1]),
            groups=tuple(map(int, fields.get("Groups", "").split())),
            capabilities=CapabilitySets(*(int(fields.get(name, "0"), 16) for name in ("CapEff", "CapPrm", "CapBnd"))),
            no_new_privileges=fields.get("NoNewPrivs", "0") == "1",
            filtered=fields.get("Seccomp", "0") == "2",
            tracer=int(fields.get("TracerPid", "0")),
            inner_pid=int(fields.get("NSpid", str(pid)).split()[-1]),
            dumpable=(folder / "environ").stat().st_uid == int(fields["Uid"].split()[1]),
            **_seen(pid, folder),
        )
        again = started(pid)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise _gone(pid) from error
    if again != began or state.startswith(("Z", "X")):
        raise _gone(pid)
    return found


def _gone(pid: int) -> NotFound:
    return NotFound(f"process {pid}: it is not running", hint="`ps -e` lists the processes that run")


class _Seen(TypedDict, total=False):
    levels: tuple[NamespaceLevel, ...]
    beyond: tuple[str, ...]
    uid_map: IdMap
    gid_map: IdMap
    refused: str
    root_shared: bool
    label: str
    has_proc: bool | None


def _seen(pid: int, folder: Path) -> _Seen:
    """Read what only those who may trace it are shown."""
    try:
        with closing(Way(pid)) as way:
            levels = tuple(NamespaceLevel(level.maker, tuple(level.kinds)) for level in way.levels)
            nested = len(levels) > 1
            return _Seen(
                levels=levels,
                beyond=tuple(way.beyond),
                uid_map=_map(folder / "uid_map") if nested else (),
                gid_map=_map(folder / "gid_map") if nested else (),
                root_shared=_same(folder / "root", Path("/")) and not any("mnt" in one.kinds for one in levels),
                label=printable(_text(folder / "attr/current").strip("\0\n ")),
                has_proc=_has_proc(folder / "root"),
            )
    except PermissionError as error:
        return {"refused": error.strerror or "permission denied"}


def _has_proc(root: Path) -> bool | None:
    """Look without following a link that the target may have put there."""
    try:
        opened = os.open(root / "proc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        return None
    except OSError:
        return False
    try:
        return syscalls.is_on_proc(opened)
    finally:
        os.close(opened)


def _map(path: Path) -> IdMap:
    rows = (tuple(map(int, line.split())) for line in _text(path).splitlines())
    return tuple((row[0], row[1], row[2]) for row in rows)


def _same(one: Path, other: Path) -> bool:
    first, second = one.stat(), other.stat()
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def _fields(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text(errors="replace").splitlines()
    return {name: text.strip() for name, colon, text in (line.partition(":") for line in lines) if colon}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode(errors="replace")
    except (PermissionError, IsADirectoryError, NotADirectoryError):
        return ""
    except OSError as error:
        if isinstance(error, (FileNotFoundError, ProcessLookupError)) and path.name != "current":
            raise
        return ""


def printable(text: str) -> str:
    """Take out of a name what a terminal would obey; cut it where it is long."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"


def own_capabilities() -> int:
    """Give the capabilities that this process has, as a bit mask."""
    return int(_fields(Path("/proc/self"))["CapEff"], 16)


def own_filter() -> bool:
    """Report whether a seccomp filter is on this process."""
    return _fields(Path("/proc/self")).get("Seccomp", "0") == "2"
