"""Containers with a supervisor: in the foreground, where it is this process, or in the background."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wherry.app.containers import PreparedContainer, prepared
from wherry.app.places import find
from wherry.app.required import require_signed
from wherry.app.running import stop_container
from wherry.app.session import Session
from wherry.app.traces import stop_signal
from wherry.errors import CannotWrite, HostUnable, InvalidUsage, NotFound, WherryError
from wherry.platform import Platform
from wherry.store.find import Located

if TYPE_CHECKING:
    from wherry.runtime.health import HealthCheck, HealthOptions
    from wherry.runtime.records import Containers, KnownContainer, OwnContainer
    from wherry.runtime.run import RunOptions

_PAUSE = 0.05
"""Seconds between two looks at a container that is waited for."""


class ContainerNotStarted(WherryError):
    """A container in the background did not come to run; the message and the code are those of what stopped it."""

    def __init__(self, message: str, *, hint: str, code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code


class Unhealthy(WherryError):
    """A container that was waited for is not healthy."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepOptions:
    """What a container is known by, and what is kept of it."""

    name: str = ""
    """Empty: one is made of the image's."""
    removes: bool = True
    """Whether nothing of it is kept once it ended; a container in the foreground never is."""
    health: "HealthOptions | None" = None
    """Other than the image says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachOptions:
    """What a container in the background is, besides what any is."""

    platform: Platform | None = None
    keep: KeepOptions = KeepOptions(removes=False)
    healthy: bool = False
    """Whether to wait until its health check says that it is healthy."""


def run(
    session: Session,
    name: str,
    options: "RunOptions",
    *,
    platform: Platform | None = None,
    notice: Callable[[str], None] = lambda _: None,
    keep: KeepOptions | None = None,
) -> int:
    """Run a container and give its exit code; its standard streams are this process's.

    Args:
        session: where the image and the unpacked layers are.
        name: an image as `find` takes it.
        options: what is to be other than the image says.
        platform: of an image with several, the one to run; None: this machine's.
        notice: called with each limit of this machine that counts here.
        keep: its name, and how it is asked for its health.

    Raises:
        InvalidUsage: its name is in use, or a health check that is wanted is not there.
        NotFound: there is no such image.
        HostUnable: this machine can't run it.
        NotVerified: wherry.toml requires a signature that it has not.
    """
    located = find(session, name)
    require_signed(session, located)
    with prepared(session, located, options, platform=platform, notice=notice) as made:
        return _foreground(session, made, located, keep or KeepOptions(), notice=notice)


def _foreground(
    session: Session, made: PreparedContainer, located: Located, keep: KeepOptions, *, notice: Callable[[str], None]
) -> int:
    """Run a prepared container with our standard streams; give its exit code.

    It is listed by `wherry ps` while it runs, where the store can be written.
    """
    from wherry.runtime.run import document, run
    from wherry.runtime.supervise import Supervision, supervise

    health = _health(made, keep, located.name)
    _check_ports(made.spec.security.ports)
    try:
        own = _own(session, made, located, keep, detached=False, health=health)
    except CannotWrite:
        if keep.name or (keep.health is not None and keep.health.required):
            raise
        return run(made.spec, made.place, notice=notice, why=made.why)
    how = Supervision(
        accounts=made.accounts,
        health=health,
        stdin=made.spec.stdin,
        streams=None,
        notice=notice,
        why=made.why,
        executed=lambda: None,
    )
    return supervise(document(made.spec, made.place), own, how)


def run_detached(
    session: Session,
    name: str,
    options: "RunOptions",
    how: DetachOptions,
    *,
    notice: Callable[[str], None] = lambda _: None,
) -> "KnownContainer":
    """Start a container in the background, and come back once its program runs.

    Its supervisor is a copy of this process in a session of its own: call this where no other thread runs.

    Args:
        session: where the image and the unpacked layers are.
        name: an image as `find` takes it.
        options: what is to be other than the image says.
        how: its name, what is kept of it, and what is waited for.
        notice: called with each limit of this machine that counts here.

    Raises:
        NotFound: there is no such image.
        ContainerNotStarted: it did not come to run.
        Unhealthy: it was to be healthy, and is not; it was stopped.
    """
    from wherry.host.beside import detached
    from wherry.runtime.records import Containers

    def work(said: int) -> None:
        _be_supervisor(session, name, options, how, _Said(said))

    try:
        heard = detached(work)
    except OSError as error:
        raise HostUnable(f"cannot start another process: {error.strerror}", hint="end other processes") from error
    ident = _await(heard, notice)
    containers = Containers(session.store_folder)
    if how.healthy:
        _await_health(containers, ident)
    return containers.find(ident)


def _await(heard: int, notice: Callable[[str], None]) -> str:
    """Hear the supervisor until the program runs; give the container's ID."""
    with os.fdopen(heard, "rb") as stream:
        for line in stream:
            said = json.loads(line)
            if "notice" in said:
                notice(said["notice"])
            if "error" in said:
                raise ContainerNotStarted(said["error"], hint=said["hint"], code=said["code"])
            if "started" in said:
                return str(said["started"])
    raise HostUnable("the container's supervisor was killed before the program ran", hint="run it again")


def _await_health(containers: "Containers", ident: str) -> None:
    while True:
        try:
            known = containers.find(ident)
        except NotFound:
            raise Unhealthy("the container ended before it was healthy", hint="run it without -d to see why") from None
        health, name = known.state.health, known.record.name
        if health == "healthy":
            return
        if not known.alive or known.state.status == "exited":
            raise Unhealthy(f"{name} ended before it was healthy", hint=f"see what it printed: wherry logs {name}")
        if health == "unhealthy":
            answer = (known.state.answer.strip().splitlines() or ["nothing"])[-1]
            stop_container(known)
            raise Unhealthy(
                f"{name} is not healthy and was stopped: its check printed {answer!r}",
                hint=f"see what it printed: wherry logs {name}",
            )
        time.sleep(_PAUSE)


class _Said:
    """What a supervisor says to who started it, until the program runs."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    @property
    def open(self) -> bool:
        """Whether somebody listens."""
        return self._pipe >= 0

    def say(self, **words: object) -> None:
        """Say something."""
        if self._pipe >= 0:
            with suppress(OSError):  # who started it is gone
                os.write(self._pipe, json.dumps(words).encode() + b"\n")

    def close(self) -> None:
        """Say no more."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _be_supervisor(session: Session, name: str, options: "RunOptions", how: DetachOptions, said: _Said) -> None:
    """Run the container to its end; who started it hears of it until its program runs."""
    try:
        _supervise(session, name, options, how, said)
    except WherryError as error:
        said.say(error=str(error), hint=error.hint, code=error.exit_code)
    except BaseException as error:  # noqa: BLE001 - nobody else hears of it
        said.say(error=f"internal error: {type(error).__name__}: {error}", hint="this is a bug: report it", code=70)
    finally:
        said.close()


def _supervise(session: Session, name: str, options: "RunOptions", how: DetachOptions, said: _Said) -> None:
    from wherry.runtime.logs import LogWriter
    from wherry.runtime.run import document
    from wherry.runtime.supervise import LogStreams, Supervision, supervise

    located = find(session, name)
    require_signed(session, located)

    def say(line: str) -> None:
        said.say(notice=line)

    with prepared(session, located, options, platform=how.platform, notice=say) as made:
        health = _health(made, how.keep, located.name)
        _check_ports(made.spec.security.ports)
        own = _own(session, made, located, how.keep, detached=True, health=health)
        log = LogWriter(own.folder)

        def notice(line: str) -> None:
            if said.open:
                say(line)
            else:
                log.write("stderr", f"wherry: {line}\n".encode())

        def executed() -> None:
            said.say(started=own.record.id)
            said.close()

        supervision = Supervision(
            accounts=made.accounts, health=health, stdin=False, streams=LogStreams(log), notice=notice,
            why=made.why, executed=executed,
        )  # fmt: skip
        try:
            supervise(document(made.spec, made.place), own, supervision)
        finally:
            if said.open:  # the program never ran
                _forget(session, own)


def _forget(session: Session, own: "OwnContainer") -> None:
    """Keep nothing of a container whose program never ran."""
    from wherry.runtime.records import Containers

    containers = Containers(session.store_folder)
    with suppress(WherryError):
        containers.remove(containers.find(own.record.id))


def _own(
    session: Session,
    made: PreparedContainer,
    located: Located,
    keep: KeepOptions,
    *,
    detached: bool,
    health: "HealthCheck | None",
) -> "OwnContainer":
    from wherry.runtime.records import ContainerRecord, Containers, boot_id, default_name, new_id

    ident = new_id()
    record = ContainerRecord(
        id=ident,
        name=keep.name or default_name(located.name, ident),
        image=located.name,
        digest=str(made.image.descriptor.digest),
        platform=str(made.image.platform),
        argv=tuple(word.encode(errors="replace").decode() for word in made.spec.argv),
        created=session.clock(),
        boot=boot_id(),
        supervisor=os.getpid(),
        detached=detached,
        removes=keep.removes or not detached,
        stop_signal=stop_signal(made.image),
        ports=made.spec.security.ports,
        network=made.place.network.mode(made.spec.security.network),
        health=health is not None,
    )
    return Containers(session.store_folder).create(record)


def _health(made: PreparedContainer, keep: KeepOptions, name: str) -> "HealthCheck | None":
    from wherry.runtime.health import HealthOptions, health_check

    config = made.image.config.runtime
    return health_check(config.healthcheck, config.shell, keep.health or HealthOptions(), name)


def _check_ports(ports: tuple[str, ...]) -> None:
    """Find out early whether published ports are free: the program that connects the network says less about it.

    Raises:
        InvalidUsage: one is not.
    """
    for address, port in _addresses(ports):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise InvalidUsage(
                    f"-p {address}:{port}: {error.strerror or error}",
                    hint=f"publish another port, or see what has it: ss -ltnp 'sport = :{port}'",
                ) from error


def _addresses(ports: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for port in ports:
        address, _, rest = port.rpartition("/")
        yield address, int(rest.partition(":")[0])
