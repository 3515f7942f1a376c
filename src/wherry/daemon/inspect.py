"""One running container of a daemon: its first process.

Source: moby, docs/api (Engine API v1.41: `GET /containers/{id}/json`); podman's socket speaks it too.
"""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import quote

from wherry.daemon.docker import DockerEngine, connected, silent

_LARGEST = 4 << 20
_OK = 200


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """What a daemon says of a container."""

    id: str
    name: str
    pid: int
    """On the daemon's machine, in its pid namespace."""


def container_at(engine: DockerEngine, name: str) -> RunningContainer | None:
    """Ask for a container by name or id; None where there is none, or it does not run.

    Raises:
        NoDaemon: the daemon does not answer.
    """
    with closing(connected(engine.endpoint)) as connection:
        try:
            connection.request("GET", f"/containers/{quote(name, safe='')}/json")
            answer = connection.getresponse()
            document = json.loads(answer.read(_LARGEST)) if answer.status == _OK else None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise silent(engine.endpoint.host, error) from error
    state = document.get("State") if isinstance(document, dict) else None
    pid = state.get("Pid") if isinstance(state, dict) else None
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0 or not isinstance(document, dict):
        return None
    return RunningContainer(str(document.get("Id", name)), str(document.get("Name", name)).strip("/"), pid)
