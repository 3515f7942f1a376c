"""A git history against the cache model: what its commits cost with a Dockerfile's order, and with a better one."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.sources import Source
from wherry.app.lint import around_of
from wherry.app.lint_fix import context_file, unified_diff
from wherry.app.lint_options import LintWanted
from wherry.app.session import Session
from wherry.app.step_records import RecordedTimes, recorded_times
from wherry.counted import counted
from wherry.dockerfile.advice.replay import CacheModel
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.fixes.order import proposed_order
from wherry.dockerfile.fixes.unread_lines import DOCUMENTS, TESTS, runs_tests
from wherry.dockerfile.ignore import BadPattern, Patterns, read_ignore_file
from wherry.dockerfile.instructions import Add, Copy, Run
from wherry.dockerfile.parser import parse
from wherry.errors import NotFound
from wherry.finding import Finding, Severity
from wherry.source.git_log import GitCommit, GitLog
from wherry.source.vcs import find_root

_WORTH = 0.1
"""Share of the cost that a proposal has to save to be a finding."""
Change = tuple[str, ...]
"""Paths of the context that a commit changes, as far as its ignore file lets them in."""


@dataclass(frozen=True, slots=True)
class InstructionRebuilds:
    """One instruction, and how many of the commits run it again."""

    line: int
    stage: str
    text: str
    rebuilds: int
    seconds: float | None
    """What it took when it ran last; None where no build of it is recorded."""


@dataclass(frozen=True, slots=True)
class OrderReplay:
    """What a history costs with one order of instructions."""

    without: int
    """Commits that run nothing again."""
    seconds: float | None
    """A build on average; None where the time of no instruction is recorded."""
    instructions: tuple[InstructionRebuilds, ...]


@dataclass(frozen=True, slots=True)
class ProposedOrder:
    """Another order, or other ignore lines, and what the history costs with them."""

    name: str
    """`order`, `ignore`, or `order and ignore`."""
    diff: str
    """Of the Dockerfile; empty where it stays."""
    ignore: tuple[str, ...]
    """Lines for the ignore file."""
    line: int
    """The first line of the Dockerfile that it concerns."""
    replay: OrderReplay


@dataclass(frozen=True, slots=True)
class HistoryReplay:
    """What a history does to a Dockerfile's cache."""

    asked: int
    """Commits that were asked for."""
    commits: int
    """Commits that there were, merges as one each."""
    shallow: bool
    """Whether the clone lacks older commits."""
    now: OrderReplay
    proposals: tuple[ProposedOrder, ...]
    """Only those that save something."""
    findings: tuple[Finding, ...] = ()
    """What of it a Dockerfile's author should change."""


def replay_history(session: Session, source: Source, wanted: LintWanted, count: int) -> HistoryReplay:
    """Replay the last commits of a context's checkout against today's Dockerfile, and against a better order.

    Each commit counts by the files that differ from its first parent, as far as the ignore file of that commit lets
    them into the context. An instruction runs again when a file that it takes changes, or an instruction before it
    runs again; that a step may make the same files again is not known here, so counts are upper bounds.

    Args:
        session: where; its cache has what steps took.
        source: the Dockerfile and its context.
        wanted: how it is built: arguments, target, platform.
        count: how many commits.

    Raises:
        NotFound: the context is in no git checkout, or has no commits.
        HostUnable: git is not installed, or can't read it.
        DockerfileError: the Dockerfile can't be understood.
    """
    with ExitStack() as stack:
        around = around_of(session, source, wanted, stack)
    file = Advised(source.name, parse(source.text), around, Checks.of(source.text, around.arguments))
    opened = _checkout(session, source)
    if opened is None:
        raise NotFound(f"{source.folder}: not a git checkout", hint="--history reads the git log of the build context")
    git, root, folder = opened
    commits = git.commits(count)
    if not commits:
        raise NotFound(f"{root}: git has no commits", hint="commit first, or leave out --history")
    changes = context_changes(git, commits, folder, _ignore_names(source, root))
    times = recorded_times(session, source)
    now = _replayed(file, changes, times)
    text = proposed_order(file, source.text, around, lambda path: context_file(source, path))
    other = Advised(source.name, parse(text), around, Checks()) if text != source.text else None
    lines = _ignorable(git, file, changes)
    kept = _without(changes, lines) if lines else changes
    diff = unified_diff(source.name, source.text, text) if other else ""
    at = _first_moved(source.text, text)
    taker = next((one.lines.first for _, one in CacheModel(file).instructions if isinstance(one, Copy | Add)), 1)
    proposals = []
    if other:
        proposals.append(ProposedOrder("order", diff, (), at, _replayed(other, changes, times)))
    if lines:
        proposals.append(ProposedOrder("ignore", "", lines, taker, _replayed(file, kept, times)))
    if other and lines:
        proposals.append(ProposedOrder("order and ignore", diff, lines, at, _replayed(other, kept, times)))
    better = tuple(one for one in proposals if cost(one.replay) < cost(now))
    found = tuple(_findings(source.name, now, better, len(commits)))
    return HistoryReplay(count, len(commits), git.shallow(), now, better, found)


def changes_of(session: Session, source: Source, count: int) -> list[Change] | None:
    """Give what the last commits change in a context, the oldest first; None where it is in no checkout.

    Raises:
        HostUnable: git is not installed, or can't read it.
    """
    opened = _checkout(session, source)
    if opened is None:
        return None
    git, root, folder = opened
    return context_changes(git, git.commits(count), folder, _ignore_names(source, root))


def _checkout(session: Session, source: Source) -> tuple[GitLog, Path, str] | None:
    """Open the checkout that a context is in, and give the context's path in it."""
    folder = Path(os.path.realpath(source.folder))
    root = find_root(folder) if source.local else None
    if root is None:
        return None
    return GitLog(session.runner, session.environment, root), root, os.path.relpath(folder, root)


def _first_moved(before: str, after: str) -> int:
    pairs = zip(before.split("\n"), after.split("\n"), strict=False)
    return next((number for number, (old, new) in enumerate(pairs, 1) if old != new), 1)


def _findings(name: str, now: OrderReplay, proposals: Iterable[ProposedOrder], commits: int) -> Iterator[Finding]:
    """Judge an order by what another one saves of it: a tenth is worth a warning."""
    for one in proposals:
        saved = 1 - cost(one.replay) / cost(now)
        if saved < _WORTH or one.name == "order and ignore":
            continue
        per = "seconds of its builds" if now.seconds is not None else "runs of its RUN steps"
        place = f"{name}:{one.line}"
        since = counted(commits, "commit")
        if one.name == "order":
            message = f"{saved:.0%} of the {per} over the last {since} come from the order of its instructions"
            remedy = "move the lines as the diff of `wherry lint --history 200` shows"
            yield Finding("order-against-history", Severity.WARNING, place, message, (), remedy)
        else:
            message = f"{saved:.0%} of the {per} over the last {since} come from files that steps rarely read"
            remedy = "add lines to .dockerignore, if no step reads what they leave out"
            yield Finding("unread-context-files", Severity.NOTE, place, message, one.ignore, remedy)


def cost(replay: OrderReplay) -> float:
    """Give what orders are compared by: seconds where they are known, else how often steps run."""
    if replay.seconds is not None:
        return replay.seconds
    return float(sum(row.rebuilds for row in replay.instructions if row.text[:3].upper() == "RUN"))


def context_changes(git: GitLog, commits: list[GitCommit], folder: str, ignores: tuple[str, ...]) -> list[Change]:
    """Give what each commit changes in the context, the oldest first, by the ignore file as of that commit.

    Args:
        git: the checkout.
        commits: the newest first.
        folder: the context, from the top of the checkout.
        ignores: ignore files by their paths in the checkout, the strongest first.
    """
    prefix = "" if folder == "." else f"{folder}/"
    ordered = commits[::-1]
    asked = [
        commit.digest
        for number, commit in enumerate(ordered)
        if not number or not set(ignores).isdisjoint(commit.paths)
    ]
    contents = git.files([(digest, name) for digest in asked for name in ignores])
    patterns, fits = Patterns(()), dict[str, bool]()
    starts = set(asked)
    found: list[Change] = []
    for commit in ordered:
        if commit.digest in starts:
            patterns, fits = _patterns_of(contents, commit.digest, ignores), {}
        inside = [path.removeprefix(prefix) for path in commit.paths if path.startswith(prefix)]
        for path in inside:
            if path not in fits:
                fits[path] = patterns.fit(path)
        found.append(tuple(path for path in inside if not fits[path]))
    return found


def _patterns_of(contents: Mapping[tuple[str, str], bytes], digest: str, names: tuple[str, ...]) -> Patterns:
    for name in names:
        content = contents.get((digest, name))
        if content is not None:
            try:
                return Patterns(read_ignore_file(content.decode("utf-8", "surrogateescape")))
            except BadPattern:
                return Patterns(())  # no build of that commit went on
    return Patterns(())


def _replayed(file: Advised, changes: Iterable[Change], times: RecordedTimes) -> OrderReplay:
    model = CacheModel(file)
    counts: Counter[frozenset[int]] = Counter(map(model.rebuilt, changes))
    rows = tuple(
        InstructionRebuilds(
            one.lines.first,
            stage.name,
            one.text,
            sum(number for lines, number in counts.items() if one.lines.first in lines),
            times.of(stage.stage.base.name, stage.number, one.text),
        )
        for stage, one in model.instructions
    )
    commits = sum(counts.values())
    known = any(row.seconds is not None for row in rows)
    seconds = sum(row.rebuilds * (row.seconds or 0.0) for row in rows) / commits if known and commits else None
    return OrderReplay(counts[frozenset()], seconds, rows)


def _ignore_names(source: Source, root: Path) -> tuple[str, ...]:
    """Name the ignore files of a build by their paths in the checkout, the strongest first."""
    files = [Path(os.path.realpath(file)) for file in source.read if file.name.endswith(".dockerignore")]
    return tuple(str(file.relative_to(root)) for file in files if file.is_relative_to(root))


def _ignorable(git: GitLog, file: Advised, changes: Iterable[Change]) -> tuple[str, ...]:
    """Give lines for what commits change and steps rarely read: documents, CI's files, tests that no step runs."""
    if not any(isinstance(one, Copy | Run) for stage in file.stages for one in stage.stage.instructions):
        return ()
    paths = {path for change in changes for path in change}
    embeds = git.has_line("//go:embed", "*.go")
    lines = [*(() if embeds else DOCUMENTS), *(() if runs_tests(file) else TESTS)]
    model = CacheModel(file)
    taken = [path for path in paths if model.takers(path)]
    return tuple(line for line in lines if any(map(Patterns([line]).fit, taken)))


def _without(changes: Iterable[Change], lines: tuple[str, ...]) -> list[Change]:
    patterns = Patterns(lines)
    return [tuple(path for path in change if not patterns.fit(path)) for change in changes]
