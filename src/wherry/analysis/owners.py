"""Owners of bytes: packages by number, and those that are no package; which module each package is of.

Source: Go's rules for import paths (cmd/go, "Import path syntax"): the module with the longest matching path.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from wherry.golang.buildinfo import BuildInfo
from wherry.golang.names import is_standard

SHARED: Final = 0
LINKER: Final = 1
FILE: Final = 2
SYMBOLS: Final = 3
DEBUG: Final = 4
C: Final = 5
UNKNOWN: Final = 6

NOT_PACKAGES: Final = ("(shared)", "(linker)", "(file)", "(symbols)", "(debug)", "(c)", "(unknown)")
"""What stands where no package is the owner: bytes that several packages use, tables of linker and runtime, headers
and padding, symbol tables, DWARF, code of C, and what nothing tells."""
STANDARD: Final = "std"
"""The module of Go's own packages."""


@dataclass(slots=True)
class Owners:
    """Packages, numbered as they are met."""

    names: list[str] = field(default_factory=lambda: list(NOT_PACKAGES))
    _numbers: dict[str, int] = field(default_factory=lambda: {name: at for at, name in enumerate(NOT_PACKAGES)})

    def number(self, package: str) -> int:
        """Give a package's number; a new one where it was not met before."""
        found = self._numbers.get(package)
        if found is None:
            found = self._numbers[package] = len(self.names)
            self.names.append(package)
        return found

    def known(self, package: str) -> int | None:
        """Give a package's number, if it was met."""
        return self._numbers.get(package)


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules a binary names, to find a package's by the longest path."""

    versions: dict[str, str]
    """Version by path, the replacing one's where a module was replaced; empty for Go's own."""
    main: str
    """The path of the module that has the main package; empty where build info is gone."""
    sums: dict[str, str] = field(default_factory=dict)
    """The h1 hash of what was built, by path; of modules that have one."""

    @classmethod
    def of(cls, info: BuildInfo | None) -> "Modules":
        """Read them from build info."""
        if info is None:
            return cls({STANDARD: ""}, "")
        found = [*([info.main] if info.main else []), *info.modules]
        versions = {one.path: (one.replace or one).version or one.version for one in found}
        sums = {one.path: (one.replace or one).sum for one in info.modules}
        return cls({**versions, STANDARD: info.go_version}, info.main.path if info.main else "", sums)

    def module_of(self, package: str) -> str:
        """Name the module of a package; empty for no owner, and for a package of no known module."""
        if package.startswith("("):
            return ""
        if package == "main" or package.startswith("main_test"):
            return self.main
        path = package.removesuffix("_test")
        while path:
            if path in self.versions and path != STANDARD:
                return path
            path = path.rpartition("/")[0]
        return STANDARD if is_standard(package) else ""


def ordered(sizes: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Put the largest first, and equals by name."""
    return sorted(sizes, key=lambda pair: (-pair[1], pair[0]))
