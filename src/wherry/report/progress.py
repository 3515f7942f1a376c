"""How progress is shown: one live line a running step on a terminal, plain lines in a pipe, objects for a program.

A step's last line stays; what it did in between does not. How events look is in `views.py` and `live.py`.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import IO

from wherry.app.progress import Reporter
from wherry.errors import InvalidUsage

MODES = ("auto", "plain", "json", "quiet")
_NOT_CI = frozenset({"", "0", "false", "no"})
"""Values of CI that mean a person watches; GitHub, GitLab and most others set it to `true`."""


def progress_for(
    mode: str, stream: IO[str], environment: Mapping[str, str], clock: Callable[[], float] = time.time
) -> Reporter:
    """Choose how progress is shown; use it in a `with` statement, so that the terminal is left clean.

    Args:
        mode: one of `MODES`; `auto` is live on a terminal and plain elsewhere, and in CI, where a log keeps every line.
        stream: where it is shown: stderr.
        environment: NO_COLOR, TERM and CI are read.
        clock: seconds since the epoch, for `json`.

    Raises:
        InvalidUsage: there is no such mode.
    """
    from wherry.report.views import JsonView, PlainView, QuietView

    terminal = stream.isatty() and environment.get("TERM") != "dumb"
    colour = terminal and not environment.get("NO_COLOR")
    match mode:
        case "auto" if terminal and environment.get("CI", "").lower() in _NOT_CI:
            from wherry.report.live import LiveView

            return Reporter(LiveView(stream, colour=colour, size=lambda: _size_of(stream)))
        case "auto" | "plain":
            return Reporter(PlainView(stream, colour=colour))
        case "json":
            return Reporter(JsonView(stream, clock))
        case "quiet":
            return Reporter(QuietView(stream))
    raise InvalidUsage(f"--progress {mode}: unknown mode", hint="use " + ", ".join(MODES))


def _size_of(stream: IO[str]) -> os.terminal_size:
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return os.terminal_size((size.columns or 80, size.lines or 24))
