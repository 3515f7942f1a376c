"""Our terminal, lent to a sandbox that has one of its own: bytes both ways, its size, its mode given back.

Sources: termios(3), TIOCSWINSZ(2const), pty(7).
"""

import fcntl
import os
import select
import termios
import tty
from contextlib import suppress

_IN, _OUT = 0, 1
_CHUNK = 1 << 16


class BorrowedTerminal:
    """Standard input and output, joined to the master of a sandbox's terminal."""

    def __init__(self, master: int, *, reads: bool) -> None:
        """Take the master; it is closed when the terminal is taken back.

        Args:
            master: of the sandbox's terminal.
            reads: whether what is typed goes to the sandbox.
        """
        self._master = master
        self._reads = reads
        self._before = termios.tcgetattr(_IN) if reads and os.isatty(_IN) else None

    def lend(self, poll: select.poll) -> None:
        """Pass on every key unchanged, Ctrl-C too: the sandbox's terminal makes signals of them."""
        if self._before is not None:
            tty.setraw(_IN)
        self.resize()
        poll.register(self._master, select.POLLIN)
        if self._reads:
            poll.register(_IN, select.POLLIN)

    def move(self, ready: int, poll: select.poll) -> None:
        """Move what there is at one end to the other; an end that is no more is left alone."""
        source, target = (self._master, _OUT) if ready == self._master else (_IN, self._master)
        if not _move(source, target):
            poll.unregister(ready)

    def resize(self) -> None:
        """Give the sandbox's terminal the size of ours."""
        with suppress(OSError):
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, fcntl.ioctl(_OUT, termios.TIOCGWINSZ, bytes(8)))

    def take_back(self) -> None:
        """Show what is left, then give our terminal its mode again."""
        rest = select.poll()
        rest.register(self._master, select.POLLIN)
        while any(flags & select.POLLIN for _, flags in rest.poll(0)) and _move(self._master, _OUT):
            pass
        os.close(self._master)
        if self._before is not None:
            termios.tcsetattr(_IN, termios.TCSADRAIN, self._before)


def _move(source: int, target: int) -> bool:
    """Move a chunk; report whether there can be more. The master of a terminal ends with EIO once no process has it."""
    try:
        chunk = os.read(source, _CHUNK)
        rest = chunk
        while rest:
            rest = rest[os.write(target, rest) :]
    except OSError:
        return False
    return bool(chunk)
