"""Containers that run on this machine, found by name: what daemons say, and the folders of runtimes."""

import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import InvalidUsage, NotFound, WherryError

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.runtime.debug.containers import FoundContainer, RuntimePlaces

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
"""What a container of Docker or podman may be called."""
_LARGEST_SETTINGS = 1 << 20
_LISTS = {
    "run": "`wherry ps` lists those that run",
    "docker": "`docker ps` lists those that run",
    "podman": "`podman ps` lists those that run",
    "containerd": "`ctr -n NAMESPACE tasks ls` lists those that run",
    "runc": "`runc list` lists those that run",
    "crun": "`crun list` lists those that run",
}


def running_containers(session: "Session", name: str, kind: str = "") -> "list[FoundContainer]":
    """Find the containers that a user may mean by a name.

    Args:
        session: its environment says where rootless runtimes keep their state.
        name: a name, an id, or its first letters.
        kind: of one runtime only; empty: of any.
    """
    from wherry.runtime.debug.containers import folder_containers

    known = chain(_own(session), folder_containers(_places(session)))
    found = [one for one in known if kind in ("", one.runtime) and one.is_called(name)]
    exact = [one for one in found if name in (one.id, one.name)] or found
    if exact or kind not in ("", "docker", "podman") or not _NAME.fullmatch(name):
        return exact
    return list(_asked(session, name, kind))


def one_container(session: "Session", name: str, kind: str = "") -> "FoundContainer | None":
    """Find the container that a user means; None where no kind is named and none has the name.

    Raises:
        InvalidUsage: several have it.
        NotFound: a kind is named, and none of it has the name.
    """
    found = running_containers(session, name, kind)
    shown = f"{kind}/{name}" if kind else name
    if len(found) > 1:
        names = ", ".join(f"{one.runtime}/{one.id}" for one in found)
        raise InvalidUsage(f"{shown}: several containers have this name", hint=f"choose one of {names}")
    if kind and not found:
        raise NotFound(f"{shown}: no such container is running", hint=_LISTS[kind])
    return found[0] if found else None


def container_process(session: "Session", target: str) -> int:
    """Give the process of a container, `KIND/NAME`; 0: that is not what the target is.

    Raises:
        InvalidUsage, NotFound: as `one_container`.
    """
    kind, _, name = target.partition("/")
    if kind not in _LISTS or not name or (session.cwd / target).exists():
        return 0
    found = one_container(session, name, kind)
    return found.pid if found else 0


def _own(session: "Session") -> "Iterator[FoundContainer]":
    """List the containers of `wherry run`."""
    from wherry.runtime.debug.containers import FoundContainer
    from wherry.runtime.records import Containers

    for one in Containers(session.store_folder).all():
        if one.running:
            yield FoundContainer("run", one.record.id, one.record.name, one.state.pid)


def _places(session: "Session") -> "RuntimePlaces":
    from wherry.runtime.debug.containers import RuntimePlaces

    environment = session.environment
    run = environment.get("XDG_RUNTIME_DIR")
    data = environment.get("XDG_DATA_HOME") or (session.home / ".local/share" if session.home else None)
    return RuntimePlaces(
        user_run=Path(run) if run else None,
        user_data=Path(data) if data else None,
        podman_roots=tuple(_podman_roots(session)),
    )


def _podman_roots(session: "Session") -> "Iterator[Path]":
    """Read where podman keeps containers, if its settings say so; a file that is not TOML is podman's to report."""
    from wherry.settings.storage_conf import graph_roots
    from wherry.store.files import read_regular

    for file in _storage_files(session):
        try:
            text = read_regular(file, _LARGEST_SETTINGS)
        except WherryError:
            continue
        for root in graph_roots(text or b""):
            yield Path(root.replace("$HOME", str(session.home or "")).replace("$UID", str(os.geteuid())))


def _storage_files(session: "Session") -> list[Path]:
    if named := session.environment.get("CONTAINERS_STORAGE_CONF"):
        return [Path(named)]
    config = session.environment.get("XDG_CONFIG_HOME") or (session.home / ".config" if session.home else None)
    own = [Path(config) / "containers/storage.conf"] if config else []
    return [*own, Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf")]


def _asked(session: "Session", name: str, kind: str) -> "Iterator[FoundContainer]":
    """Ask the daemons of this machine with Docker's API, and podman's, which may know what we may not read."""
    from wherry.app.network import docker_config
    from wherry.daemon.errors import NoDaemon
    from wherry.daemon.find import local_engines
    from wherry.daemon.inspect import container_at
    from wherry.runtime.debug.containers import FoundContainer

    try:
        folder = docker_config(session).parent
    except NotFound:
        return
    for engine in local_engines(session.environment, folder):
        runtime = "podman" if engine.name.startswith("Podman") else "docker"
        if kind not in ("", runtime):
            continue
        try:
            found = container_at(engine, name)
        except NoDaemon:
            continue
        if found is not None:
            yield FoundContainer(runtime, found.id, found.name, found.pid)
            return
