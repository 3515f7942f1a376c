"""Where a rebuild has its source from: a folder, or the repository that the image names, at the image's commit.

An image can say anything, so it decides nothing by itself: a URL is only fetched when the user says so, git runs
without anybody's configuration, and a commit is a commit's hash.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from wherry.app.session import Session
from wherry.build.git import CannotFetch, Credentials, Git, log_in_for
from wherry.errors import WherryError
from wherry.host.process import Command
from wherry.source.git_address import GitAddress

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MODULE = re.compile(r'^\s*module\s+"?([^\s"]+)', re.MULTILINE)
_MOST_FOLDERS = 20_000
_SKIPPED = frozenset({".git", "vendor", "testdata", "node_modules"})


class CannotRebuild(WherryError):
    """The image can't be built again, which was found before anything was built."""

    exit_code = 3


def source_at(session: Session, source: str, revision: str, module: str, folder: Path) -> Path:
    """Put a folder's source, at a commit, into another folder.

    Args:
        session: where.
        source: the user's folder: the module, or the top of its repository.
        revision: the commit; empty: the folder as it is.
        module: the module's path.
        folder: where to; it does not exist yet.

    Returns:
        The module's folder in the copy.

    Raises:
        CannotRebuild: the commit or the module is not in it.
    """
    given = (session.cwd / source).absolute()
    if not given.is_dir():
        raise CannotRebuild(f"{source}: no such directory", hint="give the module's directory with --source")
    top = _top(session, given)
    if not revision:
        shutil.copytree(given, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        return _module_in(folder, module, source)
    if top is None:
        raise CannotRebuild(
            f"{source} is not a git checkout, and the image was built from commit {revision[:12]}",
            hint="give a clone with --source",
        )
    _clone(session, str(top), revision, folder, source)
    inside = folder / given.relative_to(top)
    return _module_in(inside if inside.is_dir() else folder, module, source)


def fetched_source(session: Session, url: str, revision: str, module: str, folder: Path) -> Path:
    """Clone the repository that an image names, as nobody in particular; see `source_at`.

    Raises:
        CannotRebuild: the address is none that is fetched, nothing is there, or not the commit.
    """
    try:
        address = GitAddress.parse(url)
        git = Git(session.runner, session.environment)
        log_in = log_in_for(address, Credentials())
        git.ask("clone", "--quiet", "--no-checkout", "--", address.remote, str(folder), log_in=log_in)
    except WherryError as error:
        raise CannotRebuild(f"{url}: {error.message}", hint="clone it yourself, and give --source DIR") from error
    _check_out(session, revision, folder, url)
    return _module_in(folder, module, url)


def _top(session: Session, folder: Path) -> Path | None:
    done = session.runner.run(_git(session, folder, "rev-parse", "--show-toplevel"))
    return Path(os.fsdecode(done.stdout.strip())) if done.returncode == 0 else None


def _clone(session: Session, top: str, revision: str, folder: Path, name: str) -> None:
    remote = session.runner.run(_git(session, Path(top), "config", "--get", "remote.origin.url"))
    done = session.runner.run(
        _git(session, Path("/"), "clone", "--quiet", "--no-checkout", "--no-hardlinks", "--", top, str(folder))
    )
    if done.returncode:
        raise CannotRebuild(f"{name}: git clone: {done.words}", hint="check that the repository is whole: git fsck")
    url = os.fsdecode(remote.stdout.strip())
    words = ("remote", "set-url", "origin", "--", url) if url else ("remote", "remove", "origin")
    session.runner.run(_git(session, folder, *words))
    _check_out(session, revision, folder, name)


def _check_out(session: Session, revision: str, folder: Path, name: str) -> None:
    if not _COMMIT.fullmatch(revision):
        raise CannotRebuild(f"{revision!r} is not a commit's hash", hint="the image's recipe is damaged")
    try:
        Git(session.runner, session.environment).ask("checkout", "--quiet", "--detach", revision, "--", folder=folder)
    except CannotFetch as error:
        raise CannotRebuild(
            f"{name} has no commit {revision[:12]}", hint="fetch it: a shallow clone or a rewritten branch lacks it"
        ) from error


def _git(session: Session, folder: Path, *words: str) -> Command:
    """Make a git command for a repository of the user's own, without hooks, helpers and filters."""
    hermetic = Git(session.runner, session.environment).hermetic_environment()
    return Command(("git", "-C", str(folder), *words), Path("/"), {**hermetic, "GIT_ALLOW_PROTOCOL": "file"})


def _module_in(start: Path, module: str, name: str) -> Path:
    """Find the folder of a module: the one given, one above it, or one below."""
    found = next((folder for folder in _folders(start) if module_of(folder) == module), None)
    if found is None:
        raise CannotRebuild(f"{name} does not contain module {module}", hint="give its directory with --source")
    return found


def _folders(start: Path) -> Iterator[Path]:
    yield start
    for number, (folder, names, _) in enumerate(os.walk(start)):
        if number > _MOST_FOLDERS:
            return
        names[:] = sorted(set(names) - _SKIPPED)
        yield Path(folder)


def module_of(folder: Path) -> str:
    """Read the path of the module in a folder; empty where there is none."""
    file = folder / "go.mod"
    if not file.is_file() or file.is_symlink():
        return ""
    found = _MODULE.search(file.read_text(errors="replace"))
    return found[1] if found else ""
