"""The text of `wherry --help`, made beforehand (`make docs`), so that showing it loads nothing.

There is one file for each of the two widths that nearly all calls have: 80 columns where nothing says otherwise, and
100 on wider terminals, since that is the widest that help is written. For any other width click makes it.
"""

import os

WIDTHS = (80, 100)
"""Columns that help was made for; the last one serves wider terminals too."""


def help_for(words: list[str]) -> bytes | None:
    """Give what a command line that asks for help prints; None where it asks for something else, or click must make it.

    Args:
        words: the command line, without the program.
    """
    if words not in (["--help"], ["-h"]) or "COLUMNS" in os.environ:
        return None
    try:
        columns = os.get_terminal_size(1).columns or WIDTHS[0]
    except OSError:  # no terminal: what `shutil.get_terminal_size` gives by default
        columns = WIDTHS[0]
    columns = min(columns, WIDTHS[-1])
    if columns not in WIDTHS:
        return None
    try:
        with open(file_of(columns), "rb") as file:  # noqa: PTH123 - pathlib takes longer to load than all this
            return file.read()
    except OSError:
        return None


def file_of(columns: int) -> str:
    """Name the file for a width."""
    return f"{os.path.dirname(__file__)}/help/{columns}.txt"  # noqa: PTH120 - as above
