"""Our terminal, raw for as long as another machine's is shown on it."""

import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_IN, _OUT = 0, 1


@contextmanager
def raw_terminal(resized: Callable[[int, int], None]) -> Iterator[None]:
    """Pass on every key unchanged; the terminal's mode is given back at the end.

    Args:
        resized: called with columns and lines, now and whenever they change.
    """
    before = termios.tcgetattr(_IN)

    def tell(*_: object) -> None:
        with suppress(OSError):
            size = os.get_terminal_size(_OUT)
            resized(size.columns, size.lines)

    handler = signal.signal(signal.SIGWINCH, tell)
    tty.setraw(_IN)
    try:
        tell()
        yield
    finally:
        termios.tcsetattr(_IN, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
