"""The caller's side of the forkserver: jobs handed over, and what they say.

Nothing is started before the first job. When we end, however that is, the forkserver hears its line close, and the
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

from wherry.sandbox.channel import FAILED
from wherry.sandbox.frames import FrameBody, FrameEntry, write_frames
from wherry.sandbox.ids import Mapping
from wherry.sandbox.spec import ChangeFiles, Container, Delete, DiffTar, LauncherEvent, Measure, Serve, Unpack, Weigh
from wherry.sandbox.start import Launcher, raised

if TYPE_CHECKING:
    from wherry.layer.room import Room

JobSpec = Container | ChangeFiles | Measure | DiffTar | Delete | Unpack | Weigh
_LARGEST_EVENT = 1 << 16
_CHUNK = 1 << 20


class SandboxClient:
    """Runs a build's jobs as one user, with that user's IDs."""

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
        """What trees of this client differ by: the same text, the same owners on disk."""
        return self.mapping.identity

    def close(self) -> None:
        """Let the forkserver go; what is still at work ends."""
        if self._launcher is not None:
            self._launcher.end()
            self._launcher = None

    def kill(self) -> None:
        """End all that is at work now; a job that comes later gets a new forkserver."""
        with self._turn:
            launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.kill()
            launcher.end()

    @contextmanager
    def at_work(self, job: JobSpec, *, out: int = -1, err: int = -1) -> Iterator["Job"]:
        """Have a job done while this is open; leaving it early leaves the job alone.

        Args:
            job: what.
            out: descriptor of its standard output; -1: none.
            err: of its standard error; -1: the same.

        Raises:
            SandboxRefused: this machine gives no forkserver.
        """
        running = self._send_job(job, out, err)
        try:
            yield running
        finally:
            running.close()

    def unpack(
        self, entries: Iterable[tuple[FrameEntry, FrameBody]], into: Path, trash: Path, below: Sequence[Path]
    ) -> tuple[bool, int]:
        """Unpack a layer; see `SnapshotWriter.unpack`."""
        job = Unpack(
            task="unpack",
            ids=self.mapping.for_trees,
            into=str(into),
            trash=str(trash),
            below=[str(folder) for folder in below],
        )
        with self.at_work(job) as running:
            with suppress(BrokenPipeError):
                write_frames(self._bounded(entries), running.frames)
            event = running.wait()
        return event["depends"], event["bytes"]

    def delete(self, folders: Sequence[Path], trash: Path) -> None:
        """Delete folders whole; see `SnapshotWriter.delete`."""
        if not folders:
            return
        job = Delete(
            task="delete", ids=self.mapping.for_trees, folders=[str(folder) for folder in folders], trash=str(trash)
        )
        with self.at_work(job) as running:
            running.wait()

    def weigh(self, folders: Sequence[Path]) -> list[int]:
        """Give the bytes that each folder takes on the disk; see `SnapshotWriter.weigh`."""
        job = Weigh(task="weigh", ids=self.mapping.for_trees, folders=[str(folder) for folder in folders])
        with self.at_work(job) as running:
            return running.wait()["weights"]

    def change(self, job: ChangeFiles, archives: Sequence[Iterable[tuple[FrameEntry, FrameBody]]] = ()) -> None:
        """Put files into a rootfs.

        Args:
            job: how.
            archives: what its `extract` actions unpack, in order.

        Raises:
            CannotCopy: a source is missing, or the target cannot be written.
        """
        with self.at_work(job) as running:
            with suppress(BrokenPipeError):
                for archive in archives:
                    write_frames(self._bounded(archive), running.frames, close=False, plain=True)
            running.frames.close()
            running.wait()

    def measure(self, job: Measure) -> str:
        """Hash what copies would take."""
        with self.at_work(job) as running:
            return running.wait()["hash"]

    @contextmanager
    def tar(self, job: DiffTar) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a layer's tar; reading to the end proves that it is complete."""
        read, write = os.pipe()
        with os.fdopen(read, "rb", buffering=0) as stream:
            try:
                context = self.at_work(job, out=write)
                running = context.__enter__()
            finally:
                os.close(write)
            try:
                yield _until_done(stream, running)
            finally:
                context.__exit__(None, None, None)

    def _bounded(self, entries: Iterable[tuple[FrameEntry, FrameBody]]) -> Iterable[tuple[FrameEntry, FrameBody]]:
        return self._room.bounded(entries) if self._room else entries

    def _send_job(self, job: JobSpec, out: int, err: int) -> "Job":
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job_read, job_write = os.pipe()
        frames_read, frames_write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        handed = [job_read, theirs.fileno(), frames_read, null, out if out >= 0 else null]
        handed.append(err if err >= 0 else handed[-1])
        try:
            with self._turn:
                socket.send_fds(self._forkserver().line, [b"j"], handed)
        except OSError as error:
            os.close(frames_write)
            os.close(job_write)
            line.close()
            said = self._gone() or LauncherEvent(error="the forkserver is gone", stage="namespace")
            raise raised(said, self._why) from error
        finally:
            theirs.close()
            for descriptor in (job_read, frames_read, null):
                os.close(descriptor)
        with os.fdopen(job_write, "wb") as stream, suppress(BrokenPipeError):
            stream.write(marshal.dumps(job))  # type: ignore[arg-type] # a TypedDict is a dict
        return Job(line, os.fdopen(frames_write, "wb", buffering=_CHUNK), self._why, self._gone)

    def _forkserver(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher(Serve(task="serve", ids=self.mapping.for_trees, isolation=self._isolation))
        return self._launcher

    def _gone(self) -> LauncherEvent | None:
        """Hear what the forkserver itself said, if it failed."""
        if self._launcher is None:
            return None
        self._launcher.line.setblocking(False)  # noqa: FBT003 - it takes no keyword
        for _ in range(2):  # a line that was reset says so once before it gives what was said
            with suppress(OSError):
                heard = self._launcher.hear()
                return heard[0] if heard else None
        return None


class Job:
    """One job at work."""

    def __init__(
        self, line: socket.socket, frames: BinaryIO, why: Callable[[], str], gone: Callable[[], LauncherEvent | None]
    ) -> None:
        self.line = line
        self.frames = frames
        self._why = why
        self._gone = gone
        self._said: LauncherEvent = {}
        self.code: int | None = None
        """How it ended; None while it has not said."""

    def hear(self) -> LauncherEvent | None:
        """Wait for what it says next; None once it ended.

        Raises:
            WherryError: that it failed, and why.
        """
        message = self.line.recv(_LARGEST_EVENT)
        if not message:
            return None
        event: LauncherEvent = marshal.loads(message)  # noqa: S302 - our own process wrote it
        if "error" in event:
            raise raised(event, self._why)
        if "ended" in event:
            self.code = event["ended"]
        return event

    def wait(self) -> LauncherEvent:
        """Wait for its end; give what it found."""
        while (event := self.hear()) is not None:
            self._said = {**self._said, **event}
        if self.code is None or self.code == FAILED:
            raise raised(self._gone() or LauncherEvent(error="the forkserver was killed", stage="namespace"), self._why)
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


def _until_done(stream: IO[bytes], job: Job) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
    job.wait()
