"""An import path to the folder of its package, in the current module or workspace.

Source: go.dev/ref/mod, "Workspaces" and "Resolving a package to a module".
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from wherry.errors import NotFound
from wherry.golang.modfile import parse_go_mod, parse_go_work
from wherry.host.process import Runner
from wherry.source.dependency import find_dependency
from wherry.source.module import MainPackage, NoMainPackage, find_main

_IMPORT_PATH = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._~+-]*(/[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*)*")


def is_import_path(text: str) -> bool:
    """Report whether a text can be an import path; whether it also names a folder isn't asked."""
    return _IMPORT_PATH.fullmatch(text) is not None


def find_by_import_path(import_path: str, start: Path, runner: Runner, environment: Mapping[str, str]) -> MainPackage:
    """Find a program by its import path: of the module or workspace at hand, or of a module that it requires.

    Args:
        import_path: such as `example.com/app/cmd/api`.
        start: a folder in a module or a workspace.
        runner: starts `go list`, where the package is of another module.
        environment: the user's, whole.

    Raises:
        NotFound: no module provides it; the hint has the modules there are.
        NoMainPackage: it is a library.
        InvalidDocument: go.mod or go.work is broken.
        HostUnable: there is no Go, or none as new as the module asks.
    """
    start = Path(os.path.realpath(start))
    folder = folder_of(import_path, start)
    if folder is not None and folder.is_dir():
        return find_main(folder)
    place = _place(start)
    if place is None:
        raise NotFound(
            f"{import_path}: no such directory, and not in a Go module (no go.mod in it or its parents)",
            hint=f"build a published program with {import_path}@latest, or run `go mod init` first",
        )
    if folder is not None and "." not in import_path.partition("/")[0]:
        return find_main(folder)  # the module's own path has no dot, so nothing that is required can be meant
    try:
        return find_dependency(runner, environment, import_path, place)
    except NoMainPackage:
        raise
    except NotFound as error:
        there = ", ".join(path for path, _ in _modules(start)) or "none"
        error.hint += f"; modules here: {there}"
        raise


def folder_of(import_path: str, start: Path) -> Path | None:
    """Give the folder that a package of a module or workspace at hand would have; None where it is of none.

    Raises:
        InvalidDocument: go.mod or go.work is broken.
    """
    modules = dict(_modules(Path(os.path.realpath(start))))
    for path, folder in sorted(modules.items(), key=lambda module: -len(module[0])):
        if import_path == path or import_path.startswith(f"{path}/"):
            return folder / import_path[len(path) :].lstrip("/")
    return None


def workspace_modules(start: Path) -> tuple[Path, ...]:
    """List the folders of the modules that a go.work in this folder uses; none where it has no go.work.

    Raises:
        InvalidDocument: go.work is broken.
    """
    file = start / "go.work"
    if not file.is_file():
        return ()
    used = parse_go_work(file.read_text(errors="replace"), str(file)).use
    return tuple(Path(os.path.normpath(start / folder)) for folder in used)


def _place(start: Path) -> Path | None:
    """Give the folder where `go build` decides versions: the module's, else the workspace's."""
    for name in ("go.mod", "go.work"):
        for folder in (start, *start.parents):
            if (folder / name).is_file():
                return folder
    return None


def _modules(start: Path) -> Iterator[tuple[str, Path]]:
    for folder in (start, *start.parents):
        if (file := folder / "go.work").is_file():
            for used in parse_go_work(file.read_text(errors="replace"), str(file)).use:
                yield from _module(folder / used)
            break
    for folder in (start, *start.parents):
        if (folder / "go.mod").is_file():
            yield from _module(folder)
            return


def _module(folder: Path) -> Iterator[tuple[str, Path]]:
    file = folder / "go.mod"
    if file.is_file():
        yield parse_go_mod(file.read_text(errors="replace"), str(file)).module, folder
