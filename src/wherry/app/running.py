"""Containers that run, or did: listed, read, entered, stopped."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wherry.app.container_listing import ListedContainer, listed_container
from wherry.app.session import Session
from wherry.errors import HostUnable, InvalidUsage, WherryError

if TYPE_CHECKING:
    from wherry.runtime.logs import LogLine
    from wherry.runtime.records import KnownContainer

GRACE = 10.0
"""Seconds between the signal that asks a container to end and the one that ends it."""


@dataclass(frozen=True, slots=True)
class ListedContainers:
    """The containers of this user and store."""

    containers: tuple[ListedContainer, ...]
    """The newest first."""
    damaged: tuple[WherryError, ...]
    """What is wrong with documents that can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterOptions:
    """What a program in a container has, other than the container's own."""

    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    user: str | None = None
    stdin: bool = False
    terminal: bool = False


def list_containers(session: Session, *, ended: bool = False) -> ListedContainers:
    """List containers; those that ended only where they are asked for."""
    from wherry.runtime.records import Containers

    place = Containers(session.store_folder)
    found = [one for one in place.all() if ended or (one.alive and one.state.status != "exited")]
    now = session.clock()
    return ListedContainers(tuple(listed_container(one, now) for one in found), place.damaged())


def find_container(session: Session, name: str) -> "KnownContainer":
    """Find one by its name, its ID, or the beginning of its ID.

    Raises:
        NotFound: there is none, or several begin like that.
    """
    from wherry.runtime.records import Containers

    return Containers(session.store_folder).find(name)


def log_lines(
    session: Session, name: str, *, tail: int | None = None, follow: bool = False, since: float = 0.0
) -> "Iterator[LogLine]":
    """Give the lines that a container in the background printed.

    Args:
        session: where it is.
        name: as of `find_container`.
        tail: the last so many; None: all.
        follow: go on until it ends.
        since: leave out what is older, in seconds since the epoch.

    Raises:
        NotFound: there is no such container.
        InvalidUsage: it runs in the foreground: it prints where it was started.
    """
    from wherry.runtime.logs import read_log

    known = find_container(session, name)
    if not known.record.detached:
        raise InvalidUsage(
            f"{name} runs in the foreground, and prints where it was started", hint="start it with -d to keep its log"
        )

    def more() -> bool:
        try:
            now = find_container(session, known.record.id)
        except WherryError:
            return False  # removed
        return now.alive and now.state.status != "exited"

    return read_log(known.folder, tail=tail, follow=more if follow else None, since=since)


def enter_container(
    session: Session,
    name: str,
    argv: tuple[str, ...],
    options: EnterOptions,
    *,
    notice: Callable[[str], None] = lambda _: None,
) -> int:
    """Run one more program in a container, with our standard streams; give its exit code.

    It has the container's namespaces, limits, capabilities and filter, and ends with this call.

    Raises:
        NotFound: there is no such container, or it has ended.
        NotStarted: the program is not in the container, or can't be executed.
        HostUnable: the container can't be entered.
    """
    from wherry.runtime.control import ControlRequest, ask
    from wherry.runtime.inside import ContainerHandles, attach_inside

    known = find_container(session, name)
    answer = ask(known, ControlRequest(ask="enter", user=options.user))
    try:
        if error := answer.document.get("error"):
            raise InvalidUsage(error, hint=answer.document.get("hint", ""))
        names = answer.document["handles"]
        if len(names) != len(answer.descriptors):
            raise HostUnable(f"{name}: the container can't be entered", hint="raise the limit: ulimit -n 1024")
        job = answer.document["job"]
        handles = ContainerHandles(
            job, dict(zip(names, answer.descriptors, strict=True)), tuple(answer.document["groups"])
        )
        environment = {**job["environment"], **({"TERM": "xterm"} if options.terminal else {}), **options.environment}
        fields: dict[str, object] = {"environment": environment, "terminal": options.terminal}
        if options.folder is not None:
            fields["folder"] = options.folder
        enter = handles.enter(argv, **fields)
        return attach_inside(enter, handles, stdin=options.stdin, notice=_only_other(notice), why=lambda: _why(name))
    finally:
        for descriptor in answer.descriptors:
            os.close(descriptor)


def stop_container(known: "KnownContainer", *, signal: int = 0, seconds: float = GRACE) -> int | None:
    """Ask a container to end, kill it if it does not, and wait; give its exit code, if that is known.

    Args:
        known: the container; one that has ended already is left alone.
        signal: what it is asked by; 0: what its image says, else SIGTERM.
        seconds: how long it may take.
    """
    from wherry.errors import NotFound
    from wherry.runtime.control import ControlRequest, ask

    if not known.alive:
        return known.state.code
    try:
        request = ControlRequest(ask="stop", signal=signal or known.record.stop_signal, seconds=seconds)
        code = ask(known, request).document.get("code")
    except NotFound:
        return known.state.code  # it ended meanwhile
    return int(code) if code is not None else None


def signal_container(known: "KnownContainer", number: int) -> None:
    """Send a container's program a signal.

    Raises:
        NotFound: the container has ended.
    """
    from wherry.runtime.control import ControlRequest, ask

    ask(known, ControlRequest(ask="signal", signal=number))


def forget_container(session: Session, known: "KnownContainer") -> None:
    """Delete what is kept of a container that ended: its state and its log.

    Raises:
        InvalidUsage: it runs.
    """
    from wherry.runtime.records import Containers

    Containers(session.store_folder).remove(known)


def discard_container(session: Session, ident: str) -> bool:
    """End and delete a container whose documents are damaged; report whether there was one with this ID.

    Raises:
        HostUnable: it runs, and what runs it is not to be found.
    """
    from wherry.runtime.records import Containers

    return Containers(session.store_folder).discard(ident)


def _only_other(notice: Callable[[str], None]) -> Callable[[str], None]:
    """Leave out what was said when the container was started."""

    def said(line: str) -> None:
        if not line.startswith("network: "):
            notice(line)

    return said


def _why(name: str) -> str:
    return f"`wherry ps -a` shows how {name} is"
