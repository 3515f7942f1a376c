"""Which control groups limit a container: the caller's side.

Sources: Linux 6.18, Documentation/admin-guide/cgroup-v2.rst (`cpu.max`, `memory.max`) and cgroup-v1/memory.rst;
docker run's reference for `--memory` (as much swap again, 6 MB at least) and `--cpus`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.errors import InvalidUsage
from wherry.sandbox.spec import Group

_PERIOD = 100_000
"""Microseconds in which a container may use its share of the processors."""
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_STEPS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_LEAST = 6 << 20
_FEWEST_PROCESSORS, _MOST_PROCESSORS = 0.01, 8192


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may take; 0: not limited."""

    processes: int = 0
    memory: int = 0
    """Bytes."""
    processors: float = 0.0


@dataclass(frozen=True, slots=True)
class ControlFolders:
    """Where control groups can be made: by controller, folders, best first."""

    unified: bool = False
    """Whether one folder has all controllers: version 2."""
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def control_groups(limits: Limits, where: ControlFolders) -> list[Group]:
    """Give the groups that hold limits: one where a folder has all controllers, else one a controller."""
    wanted = list(_files(limits, unified=where.unified))
    if where.unified and wanted:
        names = [name for name, *_ in wanted]
        wanted = [
            (
                names[0],
                " and ".join(what for _, what, _, _ in wanted),
                [file for *_, files, _ in wanted for file in files],
                [file for *_, optional in wanted for file in optional],
            )
        ]
    else:
        names = []
    return [
        Group(
            what=what,
            parents=list(where.folders.get(name, ())),
            controllers=names or [name],
            unified=where.unified,
            files=files,
            optional=optional,
            required=True,
        )
        for name, what, files, optional in wanted
    ]


def processes_group(parents: tuple[str, ...], most: int, *, required: bool) -> Group:
    """Give the group that limits the number of processes."""
    return Group(
        what="the number of processes",
        parents=list(parents),
        controllers=["pids"],
        unified=False,
        files=[("pids.max", b"%d" % most)],
        optional=[],
        required=required,
    )


_Limit = tuple[str, str, list[tuple[str, bytes]], list[tuple[str, bytes]]]
"""Controller, what is limited, files, and those that some kernels lack."""


def _files(limits: Limits, *, unified: bool) -> list[_Limit]:
    found: list[_Limit] = []
    if limits.processes:
        found.append(("pids", "the number of processes", [("pids.max", b"%d" % limits.processes)], []))
    if most := limits.memory:
        name, swap = ("memory.max", "memory.swap.max") if unified else (
            "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
        )  # fmt: skip
        found.append(("memory", "memory", [(name, b"%d" % most)], [(swap, b"%d" % (most if unified else 2 * most))]))
    if limits.processors:
        quota = max(1000, round(limits.processors * _PERIOD))
        files = (
            [("cpu.max", b"%d %d" % (quota, _PERIOD))]
            if unified
            else [("cpu.cfs_period_us", b"%d" % _PERIOD), ("cpu.cfs_quota_us", b"%d" % quota)]
        )
        found.append(("cpu", "processors", files, []))
    return found


def parse_memory(text: str) -> int:
    """Read `512m`, `1.5g` or bytes, as docker's --memory has them: units are of 1024.

    Raises:
        InvalidUsage: it is invalid, or so little that nothing starts.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidUsage(f"--memory {text}: not a size", hint="write it as 512m, 1.5g or bytes")
    size = int(float(match[1]) * (1 << _STEPS[match[2].lower()]))
    if size < _LEAST:
        raise InvalidUsage(f"--memory {text}: too little for a program to start", hint="give 6m at least")
    return min(size, 1 << 60)


def parse_processors(text: str) -> float:
    """Read a number of processors, such as `1.5`.

    Raises:
        InvalidUsage: it is invalid.
    """
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not _FEWEST_PROCESSORS <= found <= _MOST_PROCESSORS:
        raise InvalidUsage(f"--cpus {text}: not a number of processors", hint="write it as 2, 0.5 or 1.25")
    return found
