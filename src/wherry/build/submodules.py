"""Submodules of a repository that a stranger may have written, checked out one level at a time.

`git submodule update --recursive` reads each `.gitmodules` and acts on it at once. Here each is read first, and refused
are names and paths with control characters (CVE-2025-48384: a path that ends with a carriage return is read back
without it, and a link of that name leads the checkout into the hooks of .git), paths out of the tree, and addresses of
other protocols. Hooks are off in any case.

Source: git 2.39, gitmodules(5), git-submodule(1).
"""

import re
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath

from wherry.build.git import CannotFetch, Git, LogIn
from wherry.errors import InvalidUsage
from wherry.source.git_address import GitAddress, without_credentials

_DEEPEST = 16
_MOST = 1000
_LARGEST = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]")
_NAME = re.compile(r"(?!-)(?!.*(?:^|/)\.\.(?:/|$)).+")


def check_out_submodules(git: Git, folder: Path, log_in: LogIn, *, depth: int = 0) -> None:
    """Fetch and check out all submodules of a checkout.

    Raises:
        InvalidUsage: one is named as no honest repository names it.
        CannotFetch: one cannot be fetched.
    """
    file = folder / ".gitmodules"
    status = file.lstat() if file.is_symlink() or file.exists() else None
    if status is None:
        return
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST or depth >= _DEEPEST:
        raise InvalidUsage(
            ".gitmodules is not a regular file, or submodules are nested too deep", hint="use another commit"
        )
    paths = _paths(git, folder)
    git.ask("submodule", "-q", "init", folder=folder)
    for path in paths:
        if not _is_submodule(git, folder, path):
            continue
        git.ask("submodule", "-q", "update", "--depth=1", "--", path, log_in=log_in, folder=folder)
        inner = folder / path
        if not inner.resolve().is_relative_to(folder.resolve()) or _has_link(folder, path):
            raise InvalidUsage(f"submodule {path!r}: its path has a symbolic link", hint="use another commit")
        check_out_submodules(git, inner, log_in, depth=depth + 1)


def _paths(git: Git, folder: Path) -> list[str]:
    try:
        said = git.ask("config", "--file", ".gitmodules", "--no-includes", "-z", "--list", folder=folder)
    except CannotFetch as error:
        raise InvalidUsage(f".gitmodules: {error.message}", hint="use another commit") from error
    paths = []
    for entry in filter(None, said.split("\0")):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, what = rest.rpartition(".")
        if section != "submodule":
            continue
        if _CONTROL.search(name) or _CONTROL.search(value) or not _NAME.fullmatch(name):
            raise InvalidUsage(f"submodule {name!r}: {what} {value!r}", hint="the value is unsafe; use another commit")
        if what == "path":
            _check_path(value)
            paths.append(value)
        elif what == "url" and not value.startswith(("./", "../")):
            _check_url(value)
    if len(paths) > _MOST:
        raise InvalidUsage(f"{len(paths)} submodules; the limit is {_MOST}", hint="use another commit")
    return paths


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith(("/", "-")) or any(part == ".." or part.lower() == ".git" for part in parts):
        raise InvalidUsage(f"submodule path {path!r}: outside the repository", hint="use another commit")


def _check_url(url: str) -> None:
    try:
        GitAddress.parse(url)
    except InvalidUsage as error:
        shown = without_credentials(url)
        raise InvalidUsage(
            f"submodule: {error.message}", hint=f"{shown} cannot be fetched; use another commit"
        ) from error


def _is_submodule(git: Git, folder: Path, path: str) -> bool:
    """Report whether the commit has a submodule at a path: .gitmodules may name what is not one."""
    said = ""
    with suppress(CannotFetch):
        said = git.ask("ls-files", "-s", "-z", "--", f":(literal){path}", folder=folder)
    return said.startswith("160000 ") and said.rstrip("\0").partition("\t")[2] == path


def _has_link(folder: Path, path: str) -> bool:
    here = folder
    for part in PurePosixPath(path).parts:
        here = here / part
        if here.is_symlink():
            return True
    return False
