"""The `wherry` program: replay a remembered result, or load and run the command."""

import os

from wherry.cli import again

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
    code = again.main()
    if code is not None:
        os._exit(code)  # no open file needs closing
    from wherry.cli.main import main as loaded

    loaded()
