"""What is known of the containers of `wherry run`: a folder each, below the store, with whole documents.

    STORE/containers/UID/ID/container.json   what never changes
                            state.json       what does; replaced whole
                            lock             held (flock) as long as the container's supervisor lives
                            control          a socket: the supervisor answers on it, see `runtime/control.py`
                            log, log.1       what the program printed, see `runtime/logs.py`

That a supervisor lives is asked of the kernel, which drops a lock when its process dies, however it dies; a document
that says `running` is therefore never believed alone. Nothing here sends a signal to a number read from a file.

Source: flock(2); random(4) for the boot id.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from wherry.errors import CannotWrite, InvalidDocument, InvalidUsage, NotFound, WherryError
from wherry.store.files import read_regular, replacing
from wherry.store.locks import Lock, acquire, alone
from wherry.typed import from_json

VERSION = 1
RECORD, STATE, LOCK, CONTROL = "container.json", "state.json", "lock", "control"
_LARGEST = 1 << 20
_ID = re.compile(r"[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_SHORTEST = 3
"""Letters of an ID that are enough to name a container."""
_TRIES, _PAUSE = 200, 0.05
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Status = Literal["starting", "running", "exited"]


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes of a container."""

    version: int = VERSION
    id: str
    name: str
    image: str
    """As the user named it."""
    digest: str
    platform: str
    argv: tuple[str, ...]
    created: float
    """Seconds since the epoch, as all times here."""
    boot: str
    """The machine's boot id."""
    supervisor: int
    """Its process id."""
    detached: bool
    removes: bool
    """Whether nothing of it is kept once it ended."""
    stop_signal: int = 15
    ports: tuple[str, ...] = ()
    """Published ones, as ADDRESS/PORT:PORT."""
    network: str = ""
    health: bool = False
    """Whether it is asked how it is."""


class RecordedState(msgspec.Struct, frozen=True, kw_only=True):
    """What changes of a container."""

    version: int = VERSION
    status: Status = "starting"
    pid: int = 0
    """The program's process id on this machine; 0: there is none."""
    started: float = 0.0
    finished: float = 0.0
    code: int | None = None
    """Exit code, once it ended; None: not known."""
    reason: str = ""
    """Why it ended, where the exit code does not say it."""
    health: str = ""
    """`starting`, `healthy` or `unhealthy`; empty: it is not asked."""
    failures: int = 0
    """Health checks that failed in a row."""
    answer: str = ""
    """What the last health check printed."""


Document = TypeVar("Document", ContainerRecord, RecordedState)


@dataclass(frozen=True, slots=True)
class KnownContainer:
    """A container as its documents and its lock tell."""

    folder: Path
    record: ContainerRecord
    state: RecordedState
    alive: bool
    """Whether its supervisor lives."""

    @property
    def running(self) -> bool:
        """Whether its program runs, as far as is known: `state.pid` is then the program's."""
        return self.alive and self.state.status == "running" and self.state.pid > 0

    @property
    def lost(self) -> str:
        """Say why its end was not recorded; empty: it was, or it has not ended."""
        if self.alive or self.state.status == "exited":
            return ""
        return "supervisor killed" if self.record.boot == boot_id() else "machine restarted"

    @property
    def gone(self) -> bool:
        """Whether it ended and nothing of it was to be kept."""
        return not self.alive and self.record.removes


@dataclass(slots=True)
class OwnContainer:
    """A container of this process: its folder is there, and locked."""

    folder: Path
    record: ContainerRecord
    state: RecordedState
    _lock: Lock | None

    def change(self, **fields: object) -> None:
        """Replace some of the state and write it; a full disk is no reason to end a container."""
        self.state = msgspec.structs.replace(self.state, **fields)
        with suppress(WherryError):
            _write(self.folder / STATE, self.state)

    def close(self) -> None:
        """Let go of it once it ended; delete it, if nothing is to be kept."""
        if self.record.removes:
            _delete(self.folder)
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Containers:
    """The containers of one user in one store."""

    def __init__(self, folder: Path, user: int | None = None) -> None:
        """Take the place.

        Args:
            folder: of the store; what is missing below it is made when a container is.
            user: None: the one of this process.
        """
        self.user = os.geteuid() if user is None else user
        self.folder = folder / "containers" / str(self.user)

    def all(self) -> tuple[KnownContainer, ...]:
        """Give those that are kept or run, the newest first; damaged ones are left out, see `damaged`."""
        found = [one for one in self._each() if isinstance(one, KnownContainer) and not one.gone]
        return tuple(sorted(found, key=lambda one: one.record.created, reverse=True))

    def damaged(self) -> tuple[WherryError, ...]:
        """Give what is wrong with documents that can't be read."""
        return tuple(one for one in self._each() if isinstance(one, WherryError))

    def find(self, name: str) -> KnownContainer:
        """Find one by its name, its ID, or the beginning of its ID.

        Raises:
            NotFound: there is none, or several begin like that.
        """
        every = self.all()
        if exact := next((one for one in every if name in (one.record.name, one.record.id)), None):
            return exact
        hint = "`wherry ps -a` lists the containers of this user and store"
        near = [one for one in every if len(name) >= _SHORTEST and one.record.id.startswith(name)]
        if len(near) > 1:
            raise NotFound(f"{name}: {len(near)} containers have an ID that starts like this", hint=hint)
        if not near:
            if _ID.fullmatch(name) and (self.folder / name).is_dir():
                raise NotFound(f"{name}: its documents are damaged", hint=_discard(name))
            raise NotFound(f"{_shown(name)}: no such container", hint=hint)
        return near[0]

    def discard(self, ident: str) -> bool:
        """End and delete a container whose documents are damaged; report whether there was one with this ID.

        Raises:
            HostUnable: its supervisor is not to be found.
        """
        from wherry.runtime.damaged import end_holders

        folder = self.folder / ident
        if not _ID.fullmatch(ident) or not folder.is_dir():
            return False
        with suppress(InvalidDocument):
            if _read(folder) is not None:
                return False
        end_holders(folder / LOCK)
        _delete(folder)
        return True

    def create(self, record: ContainerRecord, state: RecordedState | None = None) -> OwnContainer:
        """Make the folder of a container of this process, and lock it.

        Raises:
            InvalidUsage: the name is in use.
            CannotWrite: the store can't be written.
        """
        state = state or RecordedState()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.folder.stat().st_uid != self.user:
                raise PermissionError(errno.EPERM, "it belongs to another user")
            with alone(self.folder / ".names"):
                self._sweep()
                self._check_name(record.name)
                made = self.folder / f".new-{record.id}"
                made.mkdir(mode=0o700)
                lock = acquire(made / LOCK, alone=True)
                _write(made / RECORD, record)
                _write(made / STATE, state)
                made.rename(self.folder / record.id)
        except OSError as error:
            raise CannotWrite(
                f"{self.folder}: cannot keep the state of a container there: {error.strerror}",
                hint="use a store of your own: wherry --store DIR …",
            ) from error
        return OwnContainer(self.folder / record.id, record, state, lock)

    def remove(self, known: KnownContainer) -> None:
        """Delete what is kept of a container that ended.

        Raises:
            InvalidUsage: it runs.
        """
        for _ in range(_TRIES):
            lock = acquire(known.folder / LOCK, alone=False, wait=False)  # shared: `wherry ps` may be looking
            now = _read(known.folder)
            if lock is not None or now is None or now.state.status != "exited":
                break
            time.sleep(_PAUSE)  # it ended just now, and its supervisor is about to
        if now is None:
            return
        if lock is None:
            raise InvalidUsage(f"{known.record.name} runs", hint=f"stop it first: wherry stop --rm {known.record.name}")
        _delete(known.folder)
        lock.release()

    def _check_name(self, name: str) -> None:
        for one in self.all():
            if one.record.name == name:
                how = "is running" if one.alive else "has ended and is kept"
                raise InvalidUsage(
                    f"the name {name} is in use: container {one.record.id} {how}",
                    hint=f"give another --name, or remove that one: wherry stop --rm {name}",
                )

    def _sweep(self) -> None:
        """Delete what killed supervisors left of containers that were not to be kept, or were never whole."""
        for one in self._each():
            if isinstance(one, KnownContainer) and one.gone:
                _delete(one.folder)
        for left in self.folder.glob(".*-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _each(self) -> Iterator[KnownContainer | WherryError]:
        try:
            names = sorted(os.listdir(self.folder))  # noqa: PTH208 - names are what is wanted
            if self.folder.stat().st_uid != self.user:
                return  # another user's, put there to be believed
        except OSError:
            return
        for name in names:
            if _ID.fullmatch(name):
                try:
                    found = _read(self.folder / name)
                except WherryError as error:
                    yield error
                else:
                    if found is not None:
                        yield found
                    elif (self.folder / name).is_dir():  # deleted ones are renamed first
                        missing = next(
                            (one for one in (RECORD, STATE) if not (self.folder / name / one).exists()), STATE
                        )
                        yield InvalidDocument(str(self.folder / name / missing), "it is missing", hint=_discard(name))


def new_id() -> str:
    """Make an ID."""
    return secrets.token_hex(6)


def default_name(image: str, ident: str) -> str:
    """Make a name of an image's: `registry.example/team/api:v1` gives such as `api-3f2a`."""
    base = image.rstrip("/").rpartition("/")[2].partition("@")[0].partition(":")[0]
    kept = re.sub(r"[^A-Za-z0-9_.-]", "", base).lstrip("_.-")[:40]
    return f"{kept or 'container'}-{ident[:4]}"


def check_name(name: str) -> str:
    """Give a name that a user chose.

    Raises:
        InvalidUsage: it is invalid.
    """
    if not _NAME.fullmatch(name):
        raise InvalidUsage(
            f"--name {_shown(name)}: invalid name",
            hint="use letters, digits, `_`, `.` and `-`, 63 at most, and begin with a letter or a digit",
        )
    return name


def boot_id() -> str:
    """Give the machine's boot id; empty where it does not tell."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def status_text(known: KnownContainer, now: float | None = None) -> str:
    """Say how a container is, as `docker ps` does: `up 5 min (healthy)`, `exited (3) 2 h ago`."""
    now = time.time() if now is None else now
    state = known.state
    if known.lost:
        return f"exited (unknown: {known.lost})"
    if state.status == "exited":
        code = "unknown" if state.code is None else str(state.code)
        return f"exited ({code}{f', {state.reason}' if state.reason else ''}) {_ago(now - state.finished)} ago"
    if state.status == "starting":
        return "starting"
    return f"up {_ago(now - state.started)}" + (f" ({state.health})" if state.health else "")


def _ago(seconds: float) -> str:
    for limit, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds // unit))} {word}"
    return f"{int(seconds // 86400)} d"


def _read(folder: Path) -> KnownContainer | None:
    """Read a container's documents; None: it is deleted at this moment.

    Raises:
        InvalidDocument: they are not what this version writes.
    """
    lock = None
    if (folder / LOCK).exists():
        lock = acquire(folder / LOCK, alone=False, wait=False)
    alive = lock is None and (folder / LOCK).exists()
    if lock is not None:
        lock.release()
    record, state = (read_regular(folder / name, _LARGEST) for name in (RECORD, STATE))
    if record is None or state is None:
        return None
    known = KnownContainer(
        folder,
        _decoded(record, ContainerRecord, folder / RECORD),
        _decoded(state, RecordedState, folder / STATE),
        alive,
    )
    if known.record.id != folder.name or not _NAME.fullmatch(known.record.name):
        raise InvalidDocument(str(folder / RECORD), "this is not the container's record", hint=_discard(folder.name))
    return known


def _decoded(text: bytes, kind: type[Document], path: Path) -> Document:
    try:
        found = from_json(text, kind)
    except msgspec.DecodeError as error:
        raise InvalidDocument(str(path), str(error), hint=_discard(path.parent.name)) from error
    if found.version > VERSION:
        raise InvalidDocument(str(path), f"version {found.version} is of a newer wherry", hint="upgrade wherry")
    return found


def _discard(ident: str) -> str:
    return f"`wherry stop --rm {ident}` ends and deletes it"


def _write(path: Path, document: ContainerRecord | RecordedState) -> None:
    with replacing(path) as file:
        file.write(msgspec.json.encode(document))


def _delete(folder: Path) -> None:
    """Delete a container's folder: under another name first, so that no reader finds half of it."""
    gone = folder.with_name(f".gone-{folder.name}")
    with suppress(OSError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _shown(text: str) -> str:
    return text if text.isprintable() else ascii(text)
