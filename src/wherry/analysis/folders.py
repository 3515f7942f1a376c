"""Packages by the folder that has their source, as a program names it."""

import re
from dataclasses import dataclass

from wherry.analysis.owners import Owners

_VERSION = re.compile(r"@[^/]+")
_DEEPEST = 64
_LONGEST = 4096
"""Linux' PATH_MAX."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Finds packages of a program by folder."""

    owners: Owners
    main: str
    """The main package's import path; empty where build info is gone."""

    def package(self, folder: str) -> int | None:
        """Find the package of a source folder: an import path with -trimpath, a path of the build machine without."""
        path = _VERSION.sub("", folder[:_LONGEST])
        found = self.number(path) if path == self.main else self.owners.known(path)
        for _ in range(_DEEPEST):
            if found is not None or "/" not in path:
                break
            path = path.partition("/")[2]
            found = self.owners.known(path) if path else None
        return found

    def number(self, path: str) -> int:
        """Number a package by its import path; the main package has another name in symbols."""
        return self.owners.number("main" if path and path == self.main else path)
