"""An import path to the folder of its package, in the module or the workspace at hand.

Source: go.dev/ref/mod, "Workspaces" and "Resolving a package to a module".
"""

import os
from collections.abc import Iterator
from pathlib import Path

from wherry.errors import NotFound
from wherry.golang.modfile import parse_go_mod, parse_go_work


def folder_of(import_path: str, start: Path) -> Path:
    """Find a package of ours.

    Args:
        import_path: such as `example.com/app/cmd/api`.
        start: a folder in a module or a workspace.

    Raises:
        NotFound: no module here has it; the hint has those there are.
        InvalidDocument: go.mod or go.work is broken.
    """
    modules = dict(_modules(Path(os.path.realpath(start))))
    for path, folder in sorted(modules.items(), key=lambda module: -len(module[0])):
        if import_path == path or import_path.startswith(f"{path}/"):
            return folder / import_path[len(path) :].lstrip("/")
    there = ", ".join(modules) or "none"
    raise NotFound(
        f"{import_path}: in no module here",
        hint=f"the modules here are: {there}; another's program is wherry://PACKAGE@VERSION",
    )


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
