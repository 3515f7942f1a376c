"""The `wherry` program: help and replayed calls print at once, all else loads the commands."""

import os
import sys

from wherry.cli import ahead, ready, replay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the `wherry` program."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:  # closed: the next file that is opened would get its number
            os.open(os.devnull, os.O_RDWR)
    text = ready.help_for(sys.argv[1:])
    code = replay.main() if text is None else replay.put(text)
    if code is not None:
        os._exit(code)  # no open file needs closing
    compiler = ahead.start()
    try:
        from wherry.cli.main import main as loaded

        loaded(compiler)
    finally:
        if compiler is not None:
            compiler.stop()
