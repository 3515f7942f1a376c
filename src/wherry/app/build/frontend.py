"""Which front end a build means, a Go module or a Dockerfile, and why."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.addresses import REMOTE
from wherry.app.build.options import FrontEnd
from wherry.errors import InvalidUsage

_SAYS = frozenset(
    {
        "target",
        "build_args",
        "build_contexts",
        "secrets",
        "agents",
        "no_cache_filter",
        "check",
        "debug_shell",
        "ignore_chown_errors",
    }
)
"""Options that ask for the Dockerfile where a folder has both."""


@dataclass(frozen=True, slots=True)
class FrontEndChoice:
    """A front end, and the reason for it as an error message gives it."""

    front_end: FrontEnd
    why: str


def choose(cwd: Path, paths: Sequence[str], given: Collection[str], *, file: str, go: bool) -> FrontEndChoice:
    """Choose the front end: a Dockerfile where one is named, or is in a folder without a main package.

    Args:
        cwd: where relative paths start.
        paths: what is to be built.
        given: names of all options that were given.
        file: the Dockerfile's name, where one is given.
        go: whether a Go module was asked for.

    Raises:
        InvalidUsage: both were asked for.
    """
    if file and go:
        raise InvalidUsage("-f names a Dockerfile, and --go asks for the Go module", hint="remove one of them")
    if file:
        return FrontEndChoice(FrontEnd.DOCKERFILE, f"-f {file} names a Dockerfile")
    if go:
        return FrontEndChoice(FrontEnd.GO, "--go asks for the Go module")
    if len(paths) > 1:
        return FrontEndChoice(FrontEnd.GO, "several paths are given, and only Go modules are built several at a time")
    path = paths[0] if paths else "."
    if path == "-" or path.startswith(REMOTE):
        return FrontEndChoice(FrontEnd.DOCKERFILE, f"{path} is the context of a Dockerfile")
    return _in_folder(cwd, cwd / path, given)


def _in_folder(cwd: Path, folder: Path, given: Collection[str]) -> FrontEndChoice:
    from_dockerfile = "this folder is built from its Dockerfile"
    if not any((folder / name).is_file() for name in ("Dockerfile", "dockerfile")):
        return FrontEndChoice(FrontEnd.GO, "this folder has no Dockerfile, and is built as a Go module")
    said = _said(cwd, folder)
    if said is FrontEnd.DOCKERFILE:
        return FrontEndChoice(FrontEnd.DOCKERFILE, f"{from_dockerfile}, as wherry.toml says")
    if said is FrontEnd.GO and not _SAYS & set(given):
        return FrontEndChoice(FrontEnd.GO, "this folder is built as a Go module, as wherry.toml says")
    if not any(folder.glob("*.go")) or _SAYS & set(given):
        return FrontEndChoice(FrontEnd.DOCKERFILE, from_dockerfile)
    return FrontEndChoice(FrontEnd.GO, "this folder has a main package, and is built as a Go module")


def _said(cwd: Path, folder: Path) -> FrontEnd | None:
    """Give the `front-end` that the wherry.toml of a folder names."""
    file = folder / "wherry.toml"
    if not file.is_file():
        return None
    from wherry.settings.wherry_toml import Settings

    said = Settings.parse(file.read_text(errors="replace"), os.path.relpath(file, cwd)).build.front_door
    return FrontEnd(said) if said else None
