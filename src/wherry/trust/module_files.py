"""Which files a module may have: the rules of module zips, with the limits of Go's own reader.

Source: golang.org/x/mod v0.30, zip/zip.go (`checkFiles`, `checkZip`, `listFilesInDir`); Go modules reference (go1.26),
"Module zip files".
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from wherry.golang.modpath import file_path_problem

LARGEST = 500 << 20
"""Bytes of all files of a module together."""
LARGEST_GO_MOD = LARGEST_LICENSE = 16 << 20
_VENDORED = "file is in vendor directory"
_GO = re.compile(r"^go\s+1\.(\d+)", re.MULTILINE)
_KEEPS_NESTED = 24
"""From go 1.24 in go.mod on, files of packages called vendor stay, and vendor/modules.txt goes."""
VCS = frozenset({".bzr", ".git", ".hg", ".svn"})


class FileKind(StrEnum):
    """What a path of a module is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A file that a module could have."""

    path: str
    size: int
    kind: FileKind = FileKind.FILE


@dataclass
class CheckedFiles:
    """Which files are taken, which are passed over, and which no module may have."""

    valid: list[str] = field(default_factory=list)
    omitted: dict[str, str] = field(default_factory=dict)
    """Why, by path."""
    invalid: dict[str, str] = field(default_factory=dict)
    size_problem: str = ""

    @property
    def problem(self) -> str:
        """The first thing that is wrong, or nothing."""
        for path, why in self.invalid.items():
            return f"{path}: {why}"
        return self.size_problem

    def refuse(self, path: str, why: str) -> None:
        """Note that a path may not be; the first reason stays."""
        if path not in self.omitted:
            self.invalid.setdefault(path, why)

    def omit(self, path: str, why: str) -> None:
        """Note that a path is passed over."""
        if path not in self.invalid:
            self.omitted.setdefault(path, why)


def is_vendored(path: str, go_minor: int) -> bool:
    """Report whether a file is of a vendored package, by the rule of its module's Go version."""
    keeps = go_minor >= _KEEPS_NESTED
    if keeps and path == "vendor/modules.txt":
        return True
    if path.startswith("vendor/"):
        start = len("vendor/")
    elif (at := path.find("/vendor/")) >= 0:
        # Before 1.24, Go counted from the wrong place, and checksums hold it to that.
        start = at + len("/vendor/") if keeps else len("/vendor/")
    else:
        return False
    return "/" in path[start:]


def go_minor_of(go_mod: str) -> int:
    """Read the minor version of the `go` line of a go.mod file; 0 where there is none."""
    found = _GO.search(go_mod)
    return int(found[1]) if found else 0


def check_files(files: Iterable[ModuleFile], go_minor: int = 0) -> CheckedFiles:
    """Sort the files of a folder into those of its module and others.

    Args:
        files: by path relative to the module's root.
        go_minor: of the `go` line of its go.mod.
    """
    files = tuple(files)
    checked, collisions, left = CheckedFiles(), Collisions(), LARGEST
    nested = {
        posixpath.dirname(file.path)
        for file in files
        if posixpath.basename(file.path).lower() == "go.mod" and file.kind is FileKind.FILE
    } - {""}
    for file in files:
        path = file.path
        problem = _problem(path)
        if not problem and (why := _why_omitted(path, nested, go_minor)):
            checked.omit(path, why)
            continue
        problem = problem or file_path_problem(path)
        if not problem and path.lower() == "go.mod" and path != "go.mod":
            problem = "go.mod files must have lowercase names"
        problem = problem or collisions.problem(path)
        if problem:
            checked.refuse(path, problem)
        elif file.kind is not FileKind.FILE:
            checked.omit(path, "file is a symbolic link" if file.kind is FileKind.SYMLINK else "not a regular file")
        else:
            left -= file.size
            if left < 0:
                checked.size_problem = f"module source tree too large (max size is {LARGEST} bytes)"
            _take(checked, path, path, file.size)
    return checked


def check_zip_names(entries: Iterable[ModuleFile], prefix: str) -> CheckedFiles:
    """Judge the entries of a module zip.

    Args:
        entries: names as they are stored, with their sizes.
        prefix: what each has to start with, `MODULE@VERSION/`.
    """
    checked, collisions, total = CheckedFiles(), Collisions(), 0
    for entry in entries:
        if not entry.path.startswith(prefix):
            checked.refuse(entry.path, f'path does not have prefix "{prefix}"')
            continue
        inside = entry.path[len(prefix) :]
        if not inside:
            continue
        folder, name = inside.endswith("/"), inside.removesuffix("/")
        problem = "file path is not clean" if posixpath.normpath(name) != name else file_path_problem(name)
        problem = problem or collisions.problem(name, folder=folder)
        if not problem and not folder and posixpath.basename(name).lower() == "go.mod":
            if "/" in name:
                problem = "go.mod file not in module root directory"
            elif name != "go.mod":
                problem = "go.mod files must have lowercase names"
        if problem:
            checked.refuse(entry.path, problem)
        elif not folder:
            total += entry.size
            if total > LARGEST:
                checked.size_problem = (
                    f"total uncompressed size of module contents too large (max size is {LARGEST} bytes)"
                )
            _take(checked, entry.path, name, entry.size)
    return checked


def _problem(path: str) -> str:
    if posixpath.normpath(path) != path:
        return "file path is not clean"
    return "file path is not relative" if path.startswith("/") else ""


def _why_omitted(path: str, nested: set[str], go_minor: int) -> str:
    if is_vendored(path, go_minor):
        return _VENDORED
    up = path
    while up := posixpath.dirname(up):
        if up in nested:
            return "file is in another module"
    return "file is inserted by 'hg archive' and is always omitted" if path == ".hg_archival.txt" else ""


def _take(checked: CheckedFiles, path: str, name: str, size: int) -> None:
    largest = {"go.mod": LARGEST_GO_MOD, "LICENSE": LARGEST_LICENSE}.get(name, size)
    if size > largest:
        checked.refuse(path, f"{name} file too large (max size is {largest} bytes)")
    else:
        checked.valid.append(path)


class Collisions:
    """Finds names that are one on file systems that do not tell capitals from small letters."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, bool]] = {}

    def problem(self, path: str, *, folder: bool = False) -> str:
        """Take a path; say what it collides with."""
        while True:
            folded = path.lower()
            other = self._seen.get(folded)
            if other is None:
                self._seen[folded] = path, folder
            elif other[0] != path:
                return f'case-insensitive file name collision: "{other[0]}" and "{path}"'
            elif other[1] != folder:
                return f'entry "{path}" is both a file and a directory'
            elif not folder:
                return f'multiple entries for file "{path}"'
            else:
                return ""
            path, folder = posixpath.dirname(path), True
            if not path:
                return ""
