"""What a build context ships, and what of it no instruction takes: for `wherry context`."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

from wherry.app.build.options import DockerfileBuild
from wherry.app.build.sources import Source, ignored_by
from wherry.app.lint import around_of
from wherry.app.lint_fix import context_file
from wherry.app.session import Session
from wherry.app.step_records import RecordedReads, recorded_reads
from wherry.dockerfile.advice.compiled import compiled_only
from wherry.dockerfile.advice.replay import CacheModel
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.fixes.unread_lines import folded, is_legal, leaves_out
from wherry.dockerfile.ignore import Patterns, read_ignore_file
from wherry.dockerfile.parser import parse
from wherry.errors import NotFound, WherryError
from wherry.source.inputs import GO_SUFFIXES

_NOT_TAKEN = "no instruction takes it"
_NOT_COMPILED = "the Go compiler did not read it"
_MODULE_FILES = frozenset({"go.mod", "go.sum", "go.work", "go.work.sum"})
_COMMITS = 200
_LARGEST = 4 << 20
"""Bytes of a Go file that is searched for go:embed."""
_RARELY_READ = {
    ".git": "the git history: keep it if a step reads it, as `go build` does to record the commit",
    ".venv": "a Python environment of this machine",
    "__pycache__": "compiled Python files of this machine",
    ".pytest_cache": "a cache of this machine",
    ".mypy_cache": "a cache of this machine",
    "node_modules": "packages of this machine: keep it if no step installs them",
    ".idea": "settings of an editor",
    ".vscode": "settings of an editor",
    ".DS_Store": "a file of macOS's Finder",
}
"""Names that steps rarely read, though a COPY of everything takes them."""


@dataclass(frozen=True, slots=True)
class IgnoreLine:
    """A line for the ignore file."""

    pattern: str
    bytes: int
    files: int
    reason: str
    safe: bool
    """Whether nothing reads what it leaves out, as far as the Dockerfile and recorded builds tell; else a step may."""
    misses: int | None = None
    """Builds of the last commits that run fewer steps again with it; None: the history is not known."""


@dataclass(frozen=True, slots=True)
class ContextEntry:
    """A topmost file or folder of the context."""

    name: str
    bytes: int
    files: int
    taken_bytes: int
    """Bytes that an instruction takes."""


@dataclass(frozen=True, slots=True)
class ContextContent:
    """A build context, without what its ignore file leaves out."""

    bytes: int
    files: int
    taken_bytes: int
    taken_files: int
    entries: tuple[ContextEntry, ...]
    """Largest first."""
    suggested: tuple[IgnoreLine, ...]
    """Largest first; together they leave out nothing that an instruction names outside of a COPY of everything."""
    recorded_steps: int = 0
    """Steps of recorded builds of the Dockerfile that took files of the context."""
    compiled_files: int = 0
    """Files of the context that the Go compiler read in recorded builds."""
    commits: int = 0
    """Commits that misses are counted over."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    taken: bool


def read_context(session: Session, source: Source, wanted: DockerfileBuild) -> ContextContent:
    """Weigh a context, and say what its ignore file could leave out.

    Raises:
        NotFound: the context is no folder of this machine, or a folder of it can't be read.
        DockerfileError: the Dockerfile can't be understood.
    """
    if not source.local:
        raise NotFound(f"{source.name}: the context is not a local directory", hint="give a directory of this machine")
    with ExitStack() as stack:
        around = around_of(session, source, wanted, stack)
    file = Advised(source.name, parse(source.text), around, Checks.of(source.text, around.arguments))
    model = CacheModel(file)
    reads = recorded_reads(session, source)
    copied = reads.copied if reads else frozenset()
    own = {os.path.relpath(one, source.folder) for one in source.read}
    files = [
        _File(path, size, model.takes(path) or path in copied)
        for path, size in walk_context(str(source.folder), Patterns(ignored_by(source)))
        if path not in own
    ]
    taken = [one for one in files if one.taken]
    lines = [*_unread(files), *_rarely_read(taken), *_uncompiled(source, file, model, reads, taken)]
    commits, lines = _with_misses(session, source, model, lines)
    return ContextContent(
        bytes=sum(one.size for one in files),
        files=len(files),
        taken_bytes=sum(one.size for one in taken),
        taken_files=len(taken),
        entries=tuple(_entries(files)),
        suggested=tuple(sorted(lines, key=lambda line: -line.bytes)),
        recorded_steps=reads.steps if reads else 0,
        compiled_files=len(reads.compiled) if reads else 0,
        commits=commits,
    )


def walk_context(root: str, patterns: Patterns) -> Iterator[tuple[str, int]]:
    """Give files and links with their sizes in bytes; folders that are left out whole are not opened."""
    todo: list[tuple[str, list[bool]]] = [("", [])]
    while todo:
        folder, above = todo.pop()
        try:
            with os.scandir(f"{root}/{folder}") as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise NotFound(
                f"{folder or root}: {error.strerror}", hint="make it readable, or put it into .dockerignore"
            ) from error
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            meant, fitting = patterns.judge(path, above)
            if entry.is_dir(follow_symlinks=False):
                if not meant or patterns.has_exceptions:
                    todo.append((path, fitting))
            elif not meant:
                yield path, entry.stat(follow_symlinks=False).st_size


def _entries(files: Iterable[_File]) -> list[ContextEntry]:
    sizes, counts, taken = Counter[str](), Counter[str](), Counter[str]()
    for file in files:
        top = file.path.partition("/")[0]
        sizes[top] += file.size
        counts[top] += 1
        taken[top] += file.size * file.taken
    return [ContextEntry(name, size, counts[name], taken[name]) for name, size in sizes.most_common()]


def _unread(files: list[_File]) -> Iterator[IgnoreLine]:
    """Fold what no instruction takes to the topmost folders that hold nothing else."""
    sizes = {file.path: file.size for file in files}
    kept = [file.path for file in files if file.taken]
    for line, inside in folded((file.path for file in files if not file.taken), kept, ends=False):
        if leaves_out(line, inside):
            yield IgnoreLine(line, sum(map(sizes.__getitem__, inside)), len(inside), _NOT_TAKEN, safe=True)


def _uncompiled(
    source: Source, file: Advised, model: CacheModel, reads: RecordedReads | None, taken: list[_File]
) -> Iterator[IgnoreLine]:
    """Fold what a COPY of everything takes for the Go compiler, and the compiler did not read when it ran last."""
    lines = compiled_only(file)
    if reads is None or not reads.knows_compiled or not lines:
        return
    unread = [one for one in taken if model.takers(one.path) <= lines and _is_unread(one.path, reads)]
    rare = {one.path for one in unread if _RARELY_READ.keys() & set(one.path.split("/"))}
    sizes = {one.path: one.size for one in unread if one.path not in rare}
    kept = [one.path for one in taken if one.path not in sizes and one.path not in rare]
    sure = not _embeds_elsewhere(source, reads, taken)
    for line, inside in folded(sizes, kept):
        if leaves_out(line, inside) and not any(map(_pattern_of(line), kept)):
            tests = any(_is_test(path) for path in inside)
            reason = "only tests read it" if tests else _NOT_COMPILED
            size = sum(map(sizes.__getitem__, inside))
            yield IgnoreLine(line, size, len(inside), reason, safe=sure and not tests)


def _pattern_of(line: str) -> Callable[[str], bool]:
    return Patterns(read_ignore_file(f"{line}\n")).fit


def _is_unread(path: str, reads: RecordedReads) -> bool:
    """Report whether the compiler reads nothing of a file; sources of programs that were not built are kept."""
    name = path.rpartition("/")[2]
    if name in _MODULE_FILES or path.startswith("vendor/") or "/vendor/" in path or is_legal(path):
        return False
    return not reads.compiles(path) and (_is_test(path) or not name.endswith(GO_SUFFIXES))


def _is_test(path: str) -> bool:
    return path.endswith("_test.go") or "testdata" in path.split("/")


def _embeds_elsewhere(source: Source, reads: RecordedReads, taken: list[_File]) -> bool:
    """Report whether a Go file that was not compiled embeds files: a program that was not built may need them."""
    for one in taken:
        if not one.path.endswith(".go") or one.path.endswith("_test.go") or one.path in reads.compiled:
            continue
        if one.size > _LARGEST or b"//go:embed" in (context_file(source, one.path) or b"//go:embed"):
            return True
    return False


def _with_misses(
    session: Session, source: Source, model: CacheModel, lines: list[IgnoreLine]
) -> tuple[int, list[IgnoreLine]]:
    """Count for each line the commits of which the build runs fewer steps again with it."""
    from wherry.app.history_replay import changes_of

    try:
        changes = changes_of(session, source, _COMMITS) if lines else None
    except WherryError:
        changes = None  # no git here, or it can't read the checkout: bytes are known all the same
    if changes is None:
        return 0, lines
    found = []
    for line in lines:
        patterns = Patterns(read_ignore_file(f"{line.pattern}\n"))
        fits = cache(patterns.fit)
        misses = 0
        for change in changes:
            kept = [path for path in change if not fits(path)]
            misses += len(kept) < len(change) and len(model.rebuilt(kept)) < len(model.rebuilt(change))
        found.append(replace(line, misses=misses))
    return len(changes), found


def _rarely_read(taken: Iterable[_File]) -> Iterator[IgnoreLine]:
    sizes, counts = Counter[str](), Counter[str]()
    for file in taken:
        for name in _RARELY_READ.keys() & set(file.path.split("/")):
            sizes[name] += file.size
            counts[name] += 1
    for name, size in sizes.items():
        yield IgnoreLine(f"**/{name}", size, counts[name], _RARELY_READ[name], safe=False)
