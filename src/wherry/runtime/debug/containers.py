"""Running containers by the folders in which runtimes keep their state; no runtime is asked, and none is needed.

Sources: runc 1.1, libcontainer/factory_linux.go (`state.json`); crun 1.8, src/libcrun/status.c (`status`); containerd
1.7, runtime/v2/bundle.go and shim (`init.pid`, `config.json`); CRI's annotations in its config.json; nerdctl 1.7,
pkg/namestore; moby 24, container/container.go (`config.v2.json`); containers/storage 1.53, containers.go
(`containers.json`) and podman 4.9, libpod/oci_conmon (`pidfile`).
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.runtime.debug.process import printable
from wherry.sandbox.launcher.namespaces import started

_LARGEST = 16 << 20
"""Bytes of a state file; runc's has a container's whole configuration."""
_MOST = 10_000
"""Containers that are looked at in one place."""
_SHORTEST = 3
"""Letters of an id that may stand for it."""


@dataclass(frozen=True, slots=True)
class FoundContainer:
    """A container that runs."""

    runtime: str
    id: str
    name: str
    """Empty: it has no other name than its id."""
    pid: int
    """Of its first process, on this machine."""

    @property
    def words(self) -> str:
        """Say what it is."""
        name = self.name or self.id
        return printable(f"{self.runtime} container {name}") + f" (process {self.pid})"

    def is_called(self, name: str) -> bool:
        """Report whether a user may mean it by a name."""
        return name in (self.id, self.name) or (len(name) >= _SHORTEST and self.id.startswith(name))


@dataclass(frozen=True, slots=True)
class RuntimePlaces:
    """Where runtimes keep their state: those of root, and those of one user."""

    run: Path = Path("/run")
    library: Path = Path("/var/lib")
    user_run: Path | None = None
    """XDG_RUNTIME_DIR."""
    user_data: Path | None = None
    """XDG_DATA_HOME, or ~/.local/share."""

    @property
    def runs(self) -> tuple[Path, ...]:
        """Folders that are like /run, also those behind a rootless containerd."""
        rootless = self._behind("containerd-rootless")
        return tuple(folder for folder in (self.run, self.user_run, *rootless) if folder is not None)

    @property
    def libraries(self) -> tuple[Path, ...]:
        """Folders that are like /var/lib."""
        return tuple(folder for folder in (self.library, self.user_data) if folder is not None)

    def _behind(self, name: str) -> tuple[Path, ...]:
        """Find the /run of a rootless daemon, which is in a mount namespace of its own."""
        if self.user_run is None:
            return ()
        child = _text(self.user_run / name / "child_pid").strip()
        return (Path(f"/proc/{child}/root/run"),) if child.isdecimal() else ()


def folder_containers(places: RuntimePlaces) -> Iterator[FoundContainer]:
    """List containers that run, by what may be read; the most telling place of each comes first."""
    seen: set[int] = set()
    for find in (_podmans, _dockers, _containerds, _cruns, _runcs):
        for found in find(places):
            if found.pid not in seen and _runs(found.pid):
                seen.add(found.pid)
                yield found


def _runcs(places: RuntimePlaces) -> Iterator[FoundContainer]:
    roots = [
        folder / name for folder in places.runs for name in ("runc", "docker/runtime-runc/moby", "runtime-runc/moby")
    ]
    roots += [part for folder in places.runs for part in _folders(folder / "containerd/runc")]
    for root in roots:
        for folder in _folders(root):
            state = _json(folder / "state.json")
            pid = _number(state.get("init_process_pid"))
            if pid and _number(state.get("init_process_start")) in (0, _began(pid)):
                yield FoundContainer("runc", folder.name, "", pid)


def _cruns(places: RuntimePlaces) -> Iterator[FoundContainer]:
    for run in places.runs:
        for folder in _folders(run / "crun"):
            state = _json(folder / "status")
            pid = _number(state.get("pid"))
            if pid and _number(state.get("process-start-time")) in (0, _began(pid)):
                yield FoundContainer("crun", folder.name, "", pid)


def _podmans(places: RuntimePlaces) -> Iterator[FoundContainer]:
    for library, run in ((places.library, places.run / "containers/storage"), (places.user_data, _below(places))):
        if library is None or run is None:
            continue
        for names in _globbed(library / "containers/storage", "*-containers/containers.json"):
            for one in _list(names):
                identity = one.get("id")
                if not isinstance(identity, str) or "/" in identity:
                    continue
                known = one.get("names")
                name = known[0] if isinstance(known, list) and known and isinstance(known[0], str) else ""
                pid = _number(_text(run / names.parent.name / identity / "userdata/pidfile"))
                if pid:
                    yield FoundContainer("podman", identity, name, pid)


def _below(places: RuntimePlaces) -> Path | None:
    return places.user_run / "containers" if places.user_run else None


def _dockers(places: RuntimePlaces) -> Iterator[FoundContainer]:
    for library in places.libraries:
        for folder in _folders(library / "docker/containers"):
            document = _json(folder / "config.v2.json")
            state, name = document.get("State"), document.get("Name")
            pid = _number(state.get("Pid")) if isinstance(state, dict) else 0
            if pid:
                yield FoundContainer("docker", folder.name, name.strip("/") if isinstance(name, str) else "", pid)


def _containerds(places: RuntimePlaces) -> Iterator[FoundContainer]:
    names = _nerdctl_names(places)
    for run in places.runs:
        for namespace in _folders(run / "containerd/io.containerd.runtime.v2.task"):
            if namespace.name == "moby":
                continue  # Docker's own
            for folder in _folders(namespace):
                pid = _number(_text(folder / "init.pid"))
                if pid:
                    name = names.get(folder.name) or _annotated(folder / "config.json")
                    yield FoundContainer("containerd", folder.name, name, pid)


def _annotated(config: Path) -> str:
    """Name a container of a pod as POD/CONTAINER; its sandbox, which has no name of its own, is the pod."""
    notes = _json(config).get("annotations")
    if not isinstance(notes, dict):
        return ""
    words = [notes.get(f"io.kubernetes.cri.{name}") for name in ("sandbox-name", "container-name")]
    return "/".join(word for word in words if isinstance(word, str))


def _nerdctl_names(places: RuntimePlaces) -> dict[str, str]:
    found: dict[str, str] = {}
    for library in places.libraries:
        for file in _globbed(library / "nerdctl", "*/names/*/*"):
            found[_text(file).strip()] = file.name
    return found


def _began(pid: int) -> int:
    try:
        return started(pid)
    except OSError:
        return -1


def _runs(pid: int) -> bool:
    return _began(pid) >= 0


def _folders(root: Path) -> Iterator[Path]:
    yield from _found(lambda: sorted(path for path in root.iterdir() if path.is_dir()))


def _globbed(root: Path, pattern: str) -> Iterator[Path]:
    yield from _found(lambda: sorted(root.glob(pattern)))


def _found(look: Callable[[], list[Path]]) -> list[Path]:
    try:
        return look()[:_MOST]
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(opened, "rb") as file:  # noqa: PTH123 - a descriptor is no path
            return file.read(_LARGEST).decode(errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    document = _parsed(path)
    return document if isinstance(document, dict) else {}


def _list(path: Path) -> list[dict[str, Any]]:
    document = _parsed(path)
    return [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []


def _parsed(path: Path) -> object:
    try:
        return json.loads(_text(path) or "null")
    except (ValueError, RecursionError):
        return None


def _number(value: object) -> int:
    """Read a process id or a time; 0: it is none."""
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() and len(value) < 20 else 0  # noqa: PLR2004 - digits of 64 bits
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63 else 0
