"""One line more in the journal. Loads nothing, so that a replayed call can write its line too.

A line is one `write` to a file that is open for appending, so lines of several processes never mix. It begins with a
line break of its own: what a crash tore off spoils no other line.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

JOURNAL: "Final" = "journal.jsonl"
MOST: "Final" = 64 << 20
"""Bytes after which nothing is added until someone reads the history."""
_FLAGS = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def append(path: str, line: bytes) -> int:
    """Add a line; give the size that the journal has then.

    Raises:
        OSError: the disk refuses.
    """
    file = os.open(path, _FLAGS, 0o600)
    try:
        size = os.fstat(file).st_size
        if size < MOST:
            size += os.write(file, b"\n" + line + b"\n")
    finally:
        os.close(file)
    return size


def line_of(rest: str, at: float, seconds: float) -> bytes:
    """Write the line of a call of which `entry.replayed` gave the rest."""
    return f'{{"id":"{os.urandom(8).hex()}","at":{at:.3f},"seconds":{seconds:.4f},{rest}'.encode()
