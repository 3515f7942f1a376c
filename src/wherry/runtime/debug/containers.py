"""Running containers by the folders in which runtimes keep their state; no runtime is asked, and none is needed.

Sources: runc 1.1, libcontainer/factory_linux.go (`state.json`); crun 1.8, src/libcrun/status.c (`status`); containerd
1.7, runtime/v2/bundle.go and shim (`init.pid`, `config.json`); CRI's annotations in its config.json; nerdctl 1.7,
pkg/namestore; moby 24, container/container.go (`config.v2.json`). podman's are in `podman_state`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.runtime.debug.podman_state import podman_containers
from wherry.runtime.debug.process import printable
from wherry.runtime.debug.state_files import began, folders, globbed, number_of, table_of, text_of

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
    podman_roots: tuple[Path, ...] = ()
    """Podman's graph roots that its settings name."""

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
        child = text_of(self.user_run / name / "child_pid").strip()
        return (Path(f"/proc/{child}/root/run"),) if child.isdecimal() else ()


def folder_containers(places: RuntimePlaces) -> Iterator[FoundContainer]:
    """List containers that run, by what may be read; the most telling place of each comes first."""
    seen: set[int] = set()
    for find in (_podmans, _dockers, _containerds, _cruns, _runcs):
        for found in find(places):
            if found.pid not in seen and began(found.pid) >= 0:
                seen.add(found.pid)
                yield found


def _runcs(places: RuntimePlaces) -> Iterator[FoundContainer]:
    roots = [
        folder / name for folder in places.runs for name in ("runc", "docker/runtime-runc/moby", "runtime-runc/moby")
    ]
    roots += [part for folder in places.runs for part in folders(folder / "containerd/runc")]
    for root in roots:
        for folder in folders(root):
            state = table_of(folder / "state.json")
            pid = number_of(state.get("init_process_pid"))
            if pid and number_of(state.get("init_process_start")) in (0, began(pid)):
                yield FoundContainer("runc", folder.name, "", pid)


def _cruns(places: RuntimePlaces) -> Iterator[FoundContainer]:
    for run in places.runs:
        for folder in folders(run / "crun"):
            state = table_of(folder / "status")
            pid = number_of(state.get("pid"))
            if pid and number_of(state.get("process-start-time")) in (0, began(pid)):
                yield FoundContainer("crun", folder.name, "", pid)


def _podmans(places: RuntimePlaces) -> Iterator[FoundContainer]:
    roots = [*places.podman_roots, *(folder / "containers/storage" for folder in places.libraries)]
    runs = [places.run / "containers/storage"]
    if places.user_run is not None:
        runs.append(places.user_run / "containers")
    for identity, name, pid in podman_containers(roots, runs):
        yield FoundContainer("podman", identity, name, pid)


def _dockers(places: RuntimePlaces) -> Iterator[FoundContainer]:
    for library in places.libraries:
        for folder in folders(library / "docker/containers"):
            document = table_of(folder / "config.v2.json")
            state, name = document.get("State"), document.get("Name")
            pid = number_of(state.get("Pid")) if isinstance(state, dict) else 0
            if pid:
                yield FoundContainer("docker", folder.name, name.strip("/") if isinstance(name, str) else "", pid)


def _containerds(places: RuntimePlaces) -> Iterator[FoundContainer]:
    names = _nerdctl_names(places)
    for run in places.runs:
        for namespace in folders(run / "containerd/io.containerd.runtime.v2.task"):
            if namespace.name == "moby":
                continue  # Docker's own
            for folder in folders(namespace):
                pid = number_of(text_of(folder / "init.pid"))
                if pid:
                    name = names.get(folder.name) or _annotated(folder / "config.json")
                    yield FoundContainer("containerd", folder.name, name, pid)


def _annotated(config: Path) -> str:
    """Name a container of a pod as POD/CONTAINER; its sandbox, which has no name of its own, is the pod."""
    notes = table_of(config).get("annotations")
    if not isinstance(notes, dict):
        return ""
    words = [notes.get(f"io.kubernetes.cri.{name}") for name in ("sandbox-name", "container-name")]
    return "/".join(word for word in words if isinstance(word, str))


def _nerdctl_names(places: RuntimePlaces) -> dict[str, str]:
    found: dict[str, str] = {}
    for library in places.libraries:
        for file in globbed(library / "nerdctl", "*/names/*/*"):
            found[text_of(file).strip()] = file.name
    return found
