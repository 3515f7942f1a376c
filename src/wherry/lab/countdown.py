"""Trials of known number, reported as "3 of 12: building with x; about 40 s left"."""

import time
from collections.abc import Callable

_MINUTE = 60


class Countdown:
    """Reports which of a number of trials is at work, and how long the others may take."""

    def __init__(self, say: Callable[[str], None], total: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count.

        Args:
            say: receives each message.
            total: how many trials there will be; raise it where more turn up.
            clock: seconds.
        """
        self.total = total
        self._say, self._clock, self._number, self._began = say, clock, 0, clock()

    def __call__(self, what: str) -> None:
        """Report that the next trial begins."""
        done, self._number = self._number, self._number + 1
        self.total = max(self.total, self._number)
        self._say(f"{self._number} of {self.total}: {what}{self._left(done)}")

    def _left(self, done: int) -> str:
        """Estimate what is left by the mean of what is done; nothing where there is no trial to tell from."""
        if not done:
            return ""
        seconds = round((self._clock() - self._began) / done * (self.total - done))
        text = f"{seconds} s" if seconds < _MINUTE else f"{-(-seconds // _MINUTE)} min"
        return f"; about {text} left"
