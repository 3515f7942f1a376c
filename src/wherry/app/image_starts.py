"""How long a container of an image takes to start: until a socket listens, or until it ends."""

import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.errors import WherryError
from wherry.lab.listening import tabled

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.sandbox.spec import Container

_PAUSE = 0.0005
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class ImageDidNotStart(WherryError):
    """A container ended with an error, or neither listened nor ended in time."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True)
class ImageStart:
    """One start of a container."""

    seconds: float
    """From the launcher's start."""
    listened: bool
    """Else it ended."""


@contextmanager
def starter_of(session: Session, name: str) -> "Iterator[Callable[[float], ImageStart]]":
    """Unpack an image, and give what starts a container of it once and ends it; it has no network but its loopback.

    Args:
        session: where; the image is in its store.
        name: of the image.

    Raises:
        HostUnable: this machine can't run it.
    """
    from wherry.app.containers import prepared
    from wherry.app.places import find
    from wherry.runtime.run import RunOptions, document
    from wherry.runtime.security import Security

    options = RunOptions(security=Security(network="none"))
    with prepared(session, find(session, name), options) as made:
        job = document(made.spec, made.place)
        yield lambda patience: _start(job, name, patience)


def _start(job: "Container", name: str, patience: float) -> ImageStart:
    from wherry.sandbox.start import Launcher

    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    began = time.perf_counter()
    try:
        launcher = Launcher(job, streams={1: nothing, 2: nothing})
    finally:
        os.close(nothing)
    listened, failure, taken = False, "", 0.0
    try:
        while not taken:
            if time.perf_counter() - began > patience:
                raise ImageDidNotStart(
                    f"{name}: neither listened nor exited within {patience:.0f} s",
                    hint="measure starts of an image that needs no arguments, or leave them out with --starts 0",
                )
            if select.select([launcher.line], [], [], _PAUSE)[0]:
                heard = launcher.hear()
                if heard is None:
                    taken = time.perf_counter() - began
                else:
                    failure = failure or heard[0].get("error", "")
            elif _listens(launcher.process):
                taken, listened = time.perf_counter() - began, True
    finally:
        if not taken or listened:
            launcher.kill()
        code = launcher.end()
    if failure or (not listened and code):
        raise ImageDidNotStart(
            f"{name}: {failure or f'exited with code {code}'}",
            hint="measure starts of an image that needs no arguments, or leave them out with --starts 0",
        )
    return ImageStart(taken, listened)


def _listens(launcher: int) -> bool:
    """Report whether a process below the launcher listens by TCP, in the network that it has."""
    for pid in _below(launcher):
        own = _sockets(pid)
        if own and not own.isdisjoint(tabled(pid)):
            return True
    return False


def _below(pid: int) -> Iterator[int]:
    todo = [pid]
    while todo:
        try:
            threads = list(Path(f"/proc/{todo.pop()}/task").iterdir())
            children = [int(word) for task in threads for word in (task / "children").read_text().split()]
        except OSError:
            continue
        yield from children
        todo += children


def _sockets(pid: int) -> set[int]:
    found = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if match := _SOCKET.fullmatch(str(descriptor.readlink())):
                found.add(int(match[1]))
    except OSError:
        pass
    return found
