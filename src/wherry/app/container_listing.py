"""What `wherry ps --json` prints of a container."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from wherry.runtime.records import KnownContainer


class ListedContainer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A container; times in seconds since the epoch, 0 where there is none."""

    id: str
    name: str
    image: str
    digest: str
    platform: str
    command: tuple[str, ...]
    status: str
    """`starting`, `running` or `exited`."""
    text: str
    """The same for people: `up 5 min (healthy)`."""
    reason: str
    """Why it ended, where the exit code does not say it."""
    code: int | None
    """Exit code; null while it runs, and where it is not known."""
    pid: int
    """The program's on this machine; 0: it does not run."""
    health: str
    health_answer: str
    """What the last health check printed."""
    ports: tuple[str, ...]
    network: str
    detached: bool
    created: float
    started: float
    finished: float
    folder: str


class ContainerList(msgspec.Struct, frozen=True, kw_only=True):
    """The document."""

    version: int = 1
    containers: tuple[ListedContainer, ...]


def listed_container(one: "KnownContainer", now: float) -> ListedContainer:
    """Give a container as it is at a time."""
    from wherry.runtime.records import status_text

    record, state = one.record, one.state
    return ListedContainer(
        id=record.id,
        name=record.name,
        image=record.image,
        digest=record.digest,
        platform=record.platform,
        command=record.argv,
        status="exited" if one.lost else state.status,
        text=status_text(one, now),
        reason=one.lost or state.reason,
        code=state.code,
        pid=state.pid if one.running else 0,
        health=state.health if one.running else "",
        health_answer=state.answer if one.running else "",
        ports=record.ports,
        network=record.network,
        detached=record.detached,
        created=record.created,
        started=state.started,
        finished=state.finished,
        folder=str(one.folder),
    )
