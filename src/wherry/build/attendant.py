"""A running step, watched: its output is passed on without secrets, and it is stopped where the disk is nearly full."""

import os
import selectors
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from wherry.errors import WherryError
from wherry.sandbox.client import Job

_TICK = 0.5
_LONGEST_LINE = 1 << 14
HINT_ROOM = (
    "free disk space (`wherry gc` deletes unused blobs), use another --cache, or set the bytes that must stay free: "
    "wherry --min-free 64MB …, or $WHERRY_MIN_FREE"
)


class DiskNearlyFull(WherryError):
    """The disk is nearly full."""

    exit_code = 74  # EX_IOERR


class Overseer(Protocol):
    """What an attendant is told, and whom it tells."""

    @property
    def secrets(self) -> Mapping[str, bytes]:
        """What is not shown."""

    @property
    def floor(self) -> int:
        """Bytes that have to stay free on the disk."""

    def said(self, step: str, text: str, /) -> None:
        """Hear a line that a step prints."""

    def notice(self, name: str, words: str) -> None:
        """Hear what a person should know."""


def has_room(folder: Path, floor: int) -> bool:
    """Report whether a disk has as many bytes left as have to stay free."""
    return shutil.disk_usage(folder).free >= floor


def require_room(folder: Path, floor: int) -> None:
    """See to it that the disk has the room that has to stay free, before a step begins.

    Raises:
        DiskNearlyFull: it has not.
    """
    if not has_room(folder, floor):
        free = shutil.disk_usage(folder).free
        raise DiskNearlyFull(
            f"{folder.parent}: {free >> 20} MB are free, and a step needs {floor >> 20} MB", hint=HINT_ROOM
        )


class Attendant:
    """Watches a running step."""

    def __init__(self, runs: Overseer, name: str, running: Job, output: IO[bytes], disk: Path) -> None:
        self._runs = runs
        self._name = name
        self._running = running
        self._output = output
        self._disk = disk
        self._line = b""
        self._masks = [secret for secret in (value.strip() for value in runs.secrets.values()) if secret]

    def attend(self) -> None:
        """Wait until it ended and all its output was relayed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._running.line, selectors.EVENT_READ)
            self._running.frames.close()
            looked = time.monotonic()
            running = True
            while running:
                ready = {key.fileobj for key, _ in selector.select(_TICK)}
                if self._output in ready and not self._hear():
                    selector.unregister(self._output)
                if self._running.line in ready:
                    running = self._listen()
                if running and time.monotonic() - looked > _TICK:
                    looked = time.monotonic()
                    self._check_disk()
        self._drain()
        self._running.wait()

    def _listen(self) -> bool:
        event = self._running.hear()
        if event is not None and "notice" in event:
            self._runs.notice(self._name, event["notice"])
        return event is not None

    def _drain(self) -> None:
        """Read what is left in the pipe after the writers ended."""
        os.set_blocking(self._output.fileno(), False)
        with suppress(BlockingIOError):
            while self._hear():
                pass
        self._tell(b"", whole=True)

    def _hear(self) -> bool:
        chunk = self._output.read(1 << 16)
        if chunk is None:
            raise BlockingIOError
        self._tell(chunk, whole=False)
        return bool(chunk)

    def _tell(self, chunk: bytes, *, whole: bool) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        if whole or len(self._line) > _LONGEST_LINE:
            lines, self._line = [*lines, *([self._line] if self._line else [])], b""
        for line in lines:
            for mask in self._masks:
                line = line.replace(mask, b"****")  # noqa: PLW2901 - masked one after the other
            shown = line.rstrip(b"\r").rpartition(b"\r")[2]  # of a line that was written over, what stood last
            self._runs.said(self._name, shown.decode(errors="replace"))

    def _check_disk(self) -> None:
        if has_room(self._disk, self._runs.floor):
            return
        self._running.close()
        raise DiskNearlyFull(
            f"{self._disk.parent}: less than {self._runs.floor >> 20} MB free; the step was stopped",
            hint=HINT_ROOM,
        )
