"""A git history against the cache model: how many commits would have run each instruction of a Dockerfile again."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.options import DockerfileBuild
from wherry.app.build.sources import Source
from wherry.app.lint import around_of
from wherry.app.session import Session
from wherry.dockerfile.advice.replay import CacheModel
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.ignore import Patterns, read_ignore_file
from wherry.dockerfile.parser import parse
from wherry.errors import HostUnable, NotFound
from wherry.host.process import Command
from wherry.source.git_status import git_environment
from wherry.source.vcs import find_root

_LOG = (
    "git", "-c", "core.quotePath=false", "log", "--first-parent", "-m", "--no-renames", "--name-only", "-z",
    "--no-show-signature", "--no-decorate", "--no-color", "--no-ext-diff", "--format=%x01%H",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InstructionRebuilds:
    """One instruction, and how many of the commits run it again."""

    line: int
    stage: str
    text: str
    rebuilds: int


@dataclass(frozen=True, slots=True)
class HistoryReplay:
    """What a history does to a Dockerfile's cache."""

    asked: int
    """Commits that were asked for."""
    commits: int
    """Commits that there were, merges as one each."""
    without: int
    """Commits that run nothing again."""
    shallow: bool
    """Whether the clone lacks older commits."""
    instructions: tuple[InstructionRebuilds, ...]


@dataclass(frozen=True, slots=True)
class _Commit:
    digest: str
    paths: tuple[str, ...]


def replay_history(session: Session, source: Source, wanted: DockerfileBuild, count: int) -> HistoryReplay:
    """Replay the last commits of a context's checkout against today's Dockerfile.

    Each commit counts by the files that differ from its first parent, as far as the ignore file of that commit lets
    them into the context. An instruction runs again when a file that it takes changes, or an instruction before it
    runs again; that a step may make the same files again is not known here, so counts are upper bounds.

    Args:
        session: where.
        source: the Dockerfile and its context.
        wanted: how it is built: arguments, target, platform.
        count: how many commits.

    Raises:
        NotFound: the context is in no git checkout, or has no commits.
        HostUnable: git can't read it.
        DockerfileError: the Dockerfile can't be understood.
    """
    with ExitStack() as stack:
        around = around_of(session, source, wanted, stack)
        file = Advised(source.name, parse(source.text), around, Checks.of(source.text, around.arguments))
        model = CacheModel(file)
    folder = Path(os.path.realpath(source.folder))
    root = find_root(folder) if source.local else None
    if root is None:
        raise NotFound(f"{source.folder}: not a git checkout", hint="--history reads the git log of the build context")
    git = _Git(session, root)
    commits = list(git.commits(count))
    if not commits:
        raise NotFound(f"{root}: git has no commits", hint="commit first, or leave out --history")
    counted = dict.fromkeys((one.lines.first for _, one in model.instructions), 0)
    without = 0
    for changed in _changes(git, commits, os.path.relpath(folder, root), _ignore_names(source, root)):
        lines = model.rebuilt(changed)
        without += not lines
        for line in lines & counted.keys():
            counted[line] += 1
    rows = tuple(
        InstructionRebuilds(one.lines.first, stage.name, one.text, counted[one.lines.first])
        for stage, one in model.instructions
    )
    return HistoryReplay(count, len(commits), without, git.shallow(), rows)


def _ignore_names(source: Source, root: Path) -> tuple[str, ...]:
    """Name the ignore files of a build by their paths in the checkout, the strongest first."""
    files = [Path(os.path.realpath(file)) for file in source.read if file.name.endswith(".dockerignore")]
    return tuple(str(file.relative_to(root)) for file in files if file.is_relative_to(root))


def _changes(git: "_Git", commits: list[_Commit], folder: str, ignores: tuple[str, ...]) -> Iterator[list[str]]:
    """Give what each commit changes in the context, the oldest first, by the ignore file as of that commit."""
    prefix = "" if folder == "." else f"{folder}/"
    patterns: Patterns | None = None
    for commit in reversed(commits):
        if patterns is None or not set(ignores).isdisjoint(commit.paths):
            patterns = Patterns(git.ignored(commit.digest, ignores))
        inside = [path.removeprefix(prefix) for path in commit.paths if path.startswith(prefix)]
        yield [path for path in inside if not patterns.fit(path)]


class _Git:
    """A checkout, asked by the git program."""

    def __init__(self, session: Session, root: Path) -> None:
        self._session = session
        self._root = root

    def _run(self, *argv: str) -> bytes | None:
        environment = git_environment(self._session.environment, self._root)
        outcome = self._session.runner.run(Command(argv, self._root, environment))
        return outcome.stdout if outcome.returncode == 0 else None

    def commits(self, count: int) -> Iterator[_Commit]:
        """Give the last commits of the first parents' line, the newest first."""
        out = self._run(*_LOG, "-n", str(count), "HEAD")
        if out is None:
            if self._run("git", "rev-parse", "--git-dir") is None:
                raise HostUnable(f"{self._root}: git cannot read the checkout", hint="see what `git log` says there")
            return
        digest, paths = "", list[str]()
        for word in out.decode("utf-8", "surrogateescape").split("\0"):
            text = word.removeprefix("\n")
            if text.startswith("\x01"):
                if digest:
                    yield _Commit(digest, tuple(paths))
                digest, paths = text[1:], []
            elif text:
                paths.append(text)
        if digest:
            yield _Commit(digest, tuple(paths))

    def ignored(self, commit: str, names: tuple[str, ...]) -> list[str]:
        """Read the patterns of the first ignore file that a commit has."""
        for name in names:
            content = self._run("git", "show", f"{commit}:{name}")
            if content is not None:
                return read_ignore_file(content.decode("utf-8", "surrogateescape"))
        return []

    def shallow(self) -> bool:
        """Report whether older commits were not cloned."""
        return (self._run("git", "rev-parse", "--is-shallow-repository") or b"").strip() == b"true"
