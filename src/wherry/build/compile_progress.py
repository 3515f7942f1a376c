"""What `go build -v` prints while it compiles, as "120 of 340 packages, net/http".

Source: Go 1.26, cmd/go/internal/work/exec.go, `(*Builder).build`: with -v it prints a package's import path when it
starts to compile it, and nothing of packages that are in its cache; `go: downloading` is from modfetch.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence

from wherry.counted import counted

_PACKAGE = re.compile(r"[\w.~+/-]+")
_DOWNLOADING = "go: downloading "

Imports = Mapping[str, Sequence[str]]
"""What each package of a program imports."""


class CompileProgress:
    """Counts the packages of one `go build`; its lines come from one thread."""

    def __init__(self, main: str, tell: Callable[[str], None], imports: Callable[[], Imports | None]) -> None:
        """Start counting.

        Args:
            main: import path of the program.
            tell: receives what is done at the moment.
            imports: gives what packages import, once that is known; None until then.
        """
        self._main, self._tell, self._imports = main, tell, imports
        self._lock = threading.Lock()
        self._started: list[str] = []
        self._done: set[str] = set()
        self._counted = 0
        self._downloads = 0

    def line(self, line: str) -> None:
        """Take a line that Go printed on stderr."""
        with self._lock:
            if line.startswith(_DOWNLOADING):
                self._downloads += 1
                self._tell(f"downloading {line.removeprefix(_DOWNLOADING)} ({self._downloads})")
            elif self._is_package(line):
                self._started.append(line)
                self._tell(self._words(line))

    def others(self, printed: str) -> str:
        """Leave out of what Go printed the lines that were progress."""
        kept = [line for line in printed.splitlines() if not (line.startswith(_DOWNLOADING) or self._is_package(line))]
        return "\n".join(kept).strip()

    def _is_package(self, line: str) -> bool:
        imports = self._imports()
        if imports is None:
            return _PACKAGE.fullmatch(line) is not None
        return line in imports or line == "command-line-arguments"

    def _words(self, package: str) -> str:
        imports = self._imports()
        if imports is None:
            return f"package {len(self._started)}, {package}"
        for started in self._started[self._counted :]:
            self._finish(imports.get(started, ()), imports)
        self._counted = len(self._started)
        then = ", then linking" if package in {self._main, "command-line-arguments"} else ""
        return f"{len(self._done)} of {counted(len(imports), 'package')}, {package}{then}"

    def _finish(self, packages: Sequence[str], imports: Imports) -> None:
        """Count packages as done, and all they import: one that is being compiled has everything it needs."""
        waiting = [one for one in packages if one in imports and one not in self._done]
        while waiting:
            package = waiting.pop()
            if package not in self._done:
                self._done.add(package)
                waiting += [one for one in imports[package] if one in imports and one not in self._done]
