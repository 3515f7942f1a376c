"""Standard streams that are closed or full: what git makes of them, for every command.

A stream that is closed when the process starts is opened on /dev/null, so that no file of ours gets its number; a
result that can't be written ends with exit code 128, or 141 where the reader went away. Messages on stderr that can't
be written are dropped without an error. Source: git 2.43, setup.c "sanitize_stdfds" and write-or-die.c
"maybe_flush_or_die".
"""

import io
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from wherry.errors import WherryError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GONE = 141
"""Exit code where the reader of results went away: 128 and SIGPIPE."""


class CannotPrint(WherryError):
    """Results can't be written to standard output."""

    exit_code = 128

    def __init__(self, error: OSError) -> None:
        """Take what prevents it."""
        super().__init__(f"write failure on standard output: {error.strerror}")


class StandardOutput(io.FileIO):
    """Standard output: it keeps the first error, and drops what comes after it."""

    error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of it.

        Raises:
            OSError: it can't be written; said once.
        """
        if self.error is not None:
            return memoryview(data).nbytes
        try:
            return super().write(data) or 0
        except OSError as error:
            self.error = error
            raise


class StandardError(io.FileIO):
    """Standard error: its writes never fail, and what can't be written is lost."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of it, or lose it."""
        try:
            return super().write(data) or memoryview(data).nbytes
        except OSError:
            return memoryview(data).nbytes


def open_streams() -> tuple[IO[str], IO[str]]:
    """Open this process's stdout and stderr, and let all that prints use them."""
    out = io.BufferedWriter(StandardOutput(1, "w", closefd=False))
    notes = io.BufferedWriter(StandardError(2, "w", closefd=False))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    errors = getattr(sys.stdout, "errors", None) or "surrogateescape"
    sys.stdout = io.TextIOWrapper(out, encoding, errors, line_buffering=out.isatty())
    sys.stderr = io.TextIOWrapper(notes, encoding, "backslashreplace", line_buffering=True)
    return sys.stdout, sys.stderr


def close_results(stream: IO[str]) -> OSError | None:
    """Write out what stdout holds; give what prevented it, now or before."""
    with suppress(OSError, ValueError):  # it is kept; a stream that is closed has nothing left
        stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, StandardOutput) else None
