"""Running containers of podman, root's or one user's, by the folders of its storage.

Sources: containers/storage 1.43, containers.go (`containers.json`, `volatile-containers.json`); podman 4.3,
libpod/container_internal.go (bind mounts from the run root) and libpod/oci_conmon_common.go (`pidfile`, `conmon.pid`).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wherry.runtime.debug.state_files import began, globbed, list_of, number_of, table_of, text_of

_CLOCKS = 2.0
"""Seconds between two ways to tell a time of the past."""
_MADE = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"})
"""What podman mounts from a container's folder in the run root."""


def podman_containers(roots: Sequence[Path], runs: Sequence[Path]) -> Iterator[tuple[str, str, int]]:
    """List containers that run: id, name, process.

    Args:
        roots: graph roots, which outlive a start of the machine.
        runs: run roots to look in. A container's own configuration names the one that it was started with, which may
            be another: podman's database remembers the first.
    """
    for root in roots:
        for names in globbed(root, "*-containers/*containers.json"):
            for one in list_of(names):
                identity = one.get("id")
                if isinstance(identity, str) and identity and "/" not in identity and identity not in (".", ".."):
                    yield from _running(identity, _name(one), names.parent, runs)


def _running(identity: str, name: str, folder: Path, runs: Sequence[Path]) -> Iterator[tuple[str, str, int]]:
    own = folder / identity / "userdata"
    for state in (*_mounted(own / "config.json"), *(run / folder.name / identity / "userdata" for run in runs)):
        pid = number_of(text_of(state / "pidfile"))
        if pid and _is_its(pid, state):
            yield identity, name, pid
            return


def _name(one: dict[str, Any]) -> str:
    known = one.get("names")
    return known[0] if isinstance(known, list) and known and isinstance(known[0], str) else ""


def _mounted(config: Path) -> Iterator[Path]:
    """Find a container's folder in the run root by what is mounted from it."""
    mounts = table_of(config).get("mounts")
    for one in mounts if isinstance(mounts, list) else ():
        source = one.get("source") if isinstance(one, dict) and one.get("destination") in _MADE else None
        if isinstance(source, str) and source.startswith("/") and "\0" not in source:
            yield Path(source).parent


def _is_its(pid: int, state: Path) -> bool:
    """Report whether a process is the one of the file: podman leaves the file when the container ends.

    It is conmon's child, or was there before the file was; conmon may have been killed, and clocks may be set.
    """
    start = began(pid)
    if start < 0:
        return False
    conmon = number_of(text_of(state / "conmon.pid"))
    if conmon and conmon == _parent(pid):
        return True
    try:
        written = (state / "pidfile").stat().st_mtime
    except OSError:
        return False
    return _booted() + start / os.sysconf("SC_CLK_TCK") <= written + _CLOCKS


def _parent(pid: int) -> int:
    found = text_of(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return number_of(found[1]) if len(found) > 1 else 0


def _booted() -> float:
    """Give when the machine was started."""
    for line in text_of(Path("/proc/stat")).splitlines():
        if line.startswith("btime "):
            return float(number_of(line.removeprefix("btime ").strip()))
    return float("inf")
