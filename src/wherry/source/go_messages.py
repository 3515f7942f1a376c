"""What Go says of sources: paths as `go build` prints them in the user's folder, and the places that it names.

Go is started in the package's folder, and so names files from there. Source: Go 1.26, cmd/go/internal/base/path.go
(`ShortPath`) and cmd/go/internal/work/shell.go (`reportCmd`): a path is relative where that is shorter.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from wherry.errors import SourceLine

_NAMED = re.compile(
    r"^(?P<lead>[ \t]*)(?P<path>\S(?:[^\n:]*[^\s:])?\.(?:go|s|S|c|cc|cpp|cxx|m|f|h|hh|hpp|mod|work|sum|syso))"
    r":(?P<line>\d+)(?::(?P<column>\d+))?(?P<rest>:|\s|$)(?P<message>[^\n]*)",
    re.MULTILINE,
)


def seen_from(said: str, ran_in: Path, folder: Path) -> str:
    """Write the paths in what Go said as Go would have written them in another folder.

    Args:
        said: what it printed.
        ran_in: where it ran.
        folder: where the user is.
    """
    start, here = os.path.realpath(ran_in), os.path.realpath(folder)
    return _NAMED.sub(lambda found: _renamed(found, start, here), said)


def places_in(said: str) -> Iterator[SourceLine]:
    """Give the places that Go names, each with what is wrong there; lines that only explain one are left out."""
    for found in _NAMED.finditer(said):
        message = found["message"].strip()
        if message and "\t" not in found["lead"] and not message.startswith("other declaration of"):
            column = int(found["column"]) if found["column"] else 0
            yield SourceLine(found["path"].removeprefix("./"), int(found["line"]), column, message)


def _renamed(found: re.Match[str], start: str, here: str) -> str:
    path = found["path"]
    target = os.path.normpath(os.path.join(start, path))  # noqa: PTH118 - a text, which may be absolute
    if start == here or not os.path.isfile(target):  # noqa: PTH113 - as above
        return found[0]
    relative = os.path.relpath(target, here)
    if len(relative) >= len(target):
        relative = target
    elif path.startswith(("./", "../")) and "/" not in relative:
        relative = f"./{relative}"
    return f"{found['lead']}{relative}{found[0][len(found['lead']) + len(path) :]}"
