"""The `wherry` program: what was answered before is answered at once, else the commands are loaded."""

import os

from wherry.cli import again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Be the `wherry` program."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:  # closed: the next file that is opened would be taken for it
            os.open(os.devnull, os.O_RDWR)
    code = again.main()
    if code is not None:
        os._exit(code)  # nothing was opened that would have to be closed
    from wherry.cli.main import main as loaded

    loaded()
