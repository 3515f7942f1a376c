"""Files that are our standard streams, kept from a container: it gets pipes, and we move the bytes.

A file behind `<` or `>` could be opened again by the program, through /proc/self/fd/N, for what it was not given for:
a log that is appended to could be read and cut, an input overwritten, either made set-uid. A pipe has nothing behind
it; so what already is a pipe, a socket or a terminal is handed over unchanged.

Source: proc_pid_fd(5), on what opening such a link means.
"""

import os
import select
import stat

_CHUNK = 1 << 16
_IN = 0
_AT_ONCE = 4096
"""Bytes that a pipe that is ready takes without waiting (PIPE_BUF, pipe(7))."""


class Relay:
    """The pipes in the place of standard streams that are files."""

    def __init__(self, *, stdin: bool) -> None:
        """Make the pipes that are needed; `stdin`: whether the container reads our input at all."""
        self.handed: dict[int, int] = {}
        """For each standard stream that is a file, the end of its pipe that the container gets."""
        self._ours: dict[int, int] = {}
        """For each of our ends, the stream that it belongs to."""
        self.failure: OSError | None = None
        """Why output could not be written, if it couldn't."""
        made: dict[tuple[int, int], int] = {}
        for stream in range(0 if stdin else 1, 3):
            status = _file(stream)
            if status is None:
                continue
            file = (status.st_dev, status.st_ino)
            if stream != _IN and file in made:
                self.handed[stream] = made[file]  # one file, one pipe: what goes to both stays in order
                continue
            read, write = os.pipe()
            ours, theirs = (write, read) if stream == _IN else (read, write)
            self._ours[ours] = stream
            self.handed[stream] = theirs
            if stream != _IN:
                made[file] = theirs

    def let_go(self) -> None:
        """Close the container's ends, which it has by now, so that we hear it close them."""
        for end in set(self.handed.values()):
            os.close(end)
        self.handed.clear()

    def watch(self, poll: "select.poll") -> None:
        """Have our ends watched."""
        for end, stream in self._ours.items():
            poll.register(end, select.POLLOUT if stream == _IN else select.POLLIN)

    def has(self, end: int) -> bool:
        """Report whether a descriptor is one of our ends."""
        return end in self._ours

    def move(self, end: int, poll: "select.poll | None") -> None:
        """Move what there is at one of our ends; close it where nothing more can come."""
        stream = self._ours[end]
        try:
            source, size = (_IN, _AT_ONCE) if stream == _IN else (end, _CHUNK)
            chunk = os.read(source, size)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(end if stream == _IN else stream, rest) :]
        except BrokenPipeError:
            chunk = b""  # the program reads no more
        except OSError as error:
            self.failure = self.failure or error
            chunk = b""
        if not chunk:
            if poll is not None:
                poll.unregister(end)
            del self._ours[end]
            os.close(end)

    def finish(self) -> None:
        """Move what is left once the container has ended."""
        for end, stream in list(self._ours.items()):
            if stream == _IN:
                del self._ours[end]
                os.close(end)
            while self.has(end):
                self.move(end, None)


def _file(stream: int) -> os.stat_result | None:
    """Describe a stream that has something behind it; None where it has not, or is closed."""
    try:
        status = os.fstat(stream)
    except OSError:
        return None
    kept = stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return status if kept else None
