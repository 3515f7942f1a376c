"""The caller's side of the workshop: jobs handed over, and what they say.

Nothing is started before the first job. When we end, however that is, the workshop hears its line close, and the
kernel ends whatever is at work.
"""

import marshal
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from wherry.sandbox.frames import Body, Entry, write_frames
from wherry.sandbox.ids import Mapping
from wherry.sandbox.line import FAILED
from wherry.sandbox.spec import Change, Container, Delete, Event, Measure, Serve, Tar, Unpack, Weigh
from wherry.sandbox.start import Launcher, raised

if TYPE_CHECKING:
    from wherry.layer.room import Room

Job = Container | Change | Measure | Tar | Delete | Unpack | Weigh
_LARGEST_EVENT = 1 << 16
_CHUNK = 1 << 20


class Crew:
    """Whoever does a build's jobs, as one user with the ids that user has."""

    def __init__(
        self, mapping: Mapping, why: Callable[[], str], isolation: str = "auto", room: "Room | None" = None
    ) -> None:
        """Take the ids, why namespaces may be refused here, how steps are kept apart, and what unpacking may take."""
        self.mapping = mapping
        self._room = room
        self._isolation = isolation
        self._why = why
        self._launcher: Launcher | None = None
        self._turn = threading.Lock()

    @property
    def identity(self) -> str:
        """What trees of this crew differ by: the same text, the same owners on disk."""
        return self.mapping.identity

    def close(self) -> None:
        """Let the workshop go; what is still at work ends."""
        if self._launcher is not None:
            self._launcher.end()
            self._launcher = None

    def kill(self) -> None:
        """End all that is at work now; a job that comes later gets a new workshop."""
        with self._turn:
            launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.kill()
            launcher.end()

    @contextmanager
    def at_work(self, job: Job, *, out: int = -1, err: int = -1) -> Iterator["Hand"]:
        """Have a job done while this is open; leaving it early leaves the job alone.

        Args:
            job: what.
            out: descriptor of its standard output; -1: none.
            err: of its standard error; -1: the same.

        Raises:
            SandboxRefused: this machine gives no workshop.
        """
        hand = self._hand_over(job, out, err)
        try:
            yield hand
        finally:
            hand.close()

    def unpack(
        self, entries: Iterable[tuple[Entry, Body]], into: Path, trash: Path, below: Sequence[Path]
    ) -> tuple[bool, int]:
        """Unpack a layer; see `Keeper.unpack`."""
        job = Unpack(
            task="unpack",
            ids=self.mapping.for_trees,
            into=str(into),
            trash=str(trash),
            below=[str(folder) for folder in below],
        )
        with self.at_work(job) as hand:
            with suppress(BrokenPipeError):
                write_frames(self._bounded(entries), hand.frames)
            event = hand.wait()
        return event["depends"], event["bytes"]

    def delete(self, folders: Sequence[Path], trash: Path) -> None:
        """Delete folders whole; see `Keeper.delete`."""
        if not folders:
            return
        job = Delete(
            task="delete", ids=self.mapping.for_trees, folders=[str(folder) for folder in folders], trash=str(trash)
        )
        with self.at_work(job) as hand:
            hand.wait()

    def weigh(self, folders: Sequence[Path]) -> list[int]:
        """Give the bytes that each folder takes on the disk; see `Keeper.weigh`."""
        job = Weigh(task="weigh", ids=self.mapping.for_trees, folders=[str(folder) for folder in folders])
        with self.at_work(job) as hand:
            return hand.wait()["weights"]

    def change(self, job: Change, archives: Sequence[Iterable[tuple[Entry, Body]]] = ()) -> None:
        """Put files into a rootfs.

        Args:
            job: how.
            archives: what its `extract` actions unpack, in order.

        Raises:
            CannotCopy: something is not there, or can't go where it shall.
        """
        with self.at_work(job) as hand:
            with suppress(BrokenPipeError):
                for archive in archives:
                    write_frames(self._bounded(archive), hand.frames, close=False, plain=True)
            hand.frames.close()
            hand.wait()

    def measure(self, job: Measure) -> str:
        """Hash what copies would take."""
        with self.at_work(job) as hand:
            return hand.wait()["hash"]

    @contextmanager
    def tar(self, job: Tar) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a layer's tar; whoever reads them all knows that it is whole."""
        read, write = os.pipe()
        with os.fdopen(read, "rb", buffering=0) as stream:
            try:
                context = self.at_work(job, out=write)
                hand = context.__enter__()
            finally:
                os.close(write)
            try:
                yield _until_done(stream, hand)
            finally:
                context.__exit__(None, None, None)

    def _bounded(self, entries: Iterable[tuple[Entry, Body]]) -> Iterable[tuple[Entry, Body]]:
        return self._room.bounded(entries) if self._room else entries

    def _hand_over(self, job: Job, out: int, err: int) -> "Hand":
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job_read, job_write = os.pipe()
        frames_read, frames_write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        handed = [job_read, theirs.fileno(), frames_read, null, out if out >= 0 else null]
        handed.append(err if err >= 0 else handed[-1])
        try:
            with self._turn:
                socket.send_fds(self._workshop().line, [b"j"], handed)
        except OSError as error:
            os.close(frames_write)
            os.close(job_write)
            line.close()
            said = self._gone() or Event(error="the workshop is gone", stage="namespace")
            raise raised(said, self._why) from error
        finally:
            theirs.close()
            for descriptor in (job_read, frames_read, null):
                os.close(descriptor)
        with os.fdopen(job_write, "wb") as stream, suppress(BrokenPipeError):
            stream.write(marshal.dumps(job))  # type: ignore[arg-type] # a TypedDict is a dict
        return Hand(line, os.fdopen(frames_write, "wb", buffering=_CHUNK), self._why, self._gone)

    def _workshop(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher(Serve(task="serve", ids=self.mapping.for_trees, isolation=self._isolation))
        return self._launcher

    def _gone(self) -> Event | None:
        """Hear what the workshop itself said, if it failed."""
        if self._launcher is None:
            return None
        self._launcher.line.setblocking(False)  # noqa: FBT003 - it takes no keyword
        for _ in range(2):  # a line that was reset says so once before it gives what was said
            with suppress(OSError):
                heard = self._launcher.hear()
                return heard[0] if heard else None
        return None


class Hand:
    """One job at work."""

    def __init__(
        self, line: socket.socket, frames: BinaryIO, why: Callable[[], str], gone: Callable[[], Event | None]
    ) -> None:
        self.line = line
        self.frames = frames
        self._why = why
        self._gone = gone
        self._said: Event = {}
        self.code: int | None = None
        """How it ended; None while it has not said."""

    def hear(self) -> Event | None:
        """Wait for what it says next; None once it ended.

        Raises:
            WherryError: that it failed, and why.
        """
        message = self.line.recv(_LARGEST_EVENT)
        if not message:
            return None
        event: Event = marshal.loads(message)  # noqa: S302 - our own process wrote it
        if "error" in event:
            raise raised(event, self._why)
        if "ended" in event:
            self.code = event["ended"]
        return event

    def wait(self) -> Event:
        """Wait for its end; give what it found."""
        while (event := self.hear()) is not None:
            self._said = {**self._said, **event}
        if self.code is None or self.code == FAILED:
            raise raised(self._gone() or Event(error="the workshop was killed", stage="namespace"), self._why)
        return self._said

    def send(self, number: int) -> None:
        """Send the program a signal."""
        with suppress(OSError):
            self.line.send(bytes((number,)))

    def close(self) -> None:
        """Let go of it."""
        with suppress(BrokenPipeError):
            self.frames.close()
        self.line.close()


def _until_done(stream: IO[bytes], hand: Hand) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
    hand.wait()
