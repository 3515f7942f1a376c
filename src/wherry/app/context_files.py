"""What a build context ships, and what of it no instruction takes: for `wherry context`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from wherry.app.build.options import DockerfileBuild
from wherry.app.build.sources import Source, ignored_by
from wherry.app.lint import around_of
from wherry.app.session import Session
from wherry.dockerfile.advice.replay import CacheModel
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.ignore import BadPattern, Patterns, read_ignore_file
from wherry.dockerfile.parser import parse
from wherry.errors import NotFound

_NOT_TAKEN = "no instruction takes it"
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
    """Whether no instruction takes what it leaves out; else a step may read it."""


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
        model = CacheModel(Advised(source.name, parse(source.text), around, Checks.of(source.text, around.arguments)))
    ignored = ignored_by(source)
    own = {os.path.relpath(file, source.folder) for file in source.read}
    files = [
        _File(path, size, model.takes(path))
        for path, size in _walk(str(source.folder), Patterns(ignored))
        if path not in own
    ]
    taken = [file for file in files if file.taken]
    return ContextContent(
        bytes=sum(file.size for file in files),
        files=len(files),
        taken_bytes=sum(file.size for file in taken),
        taken_files=len(taken),
        entries=tuple(_entries(files)),
        suggested=tuple(sorted((*_unread(files), *_rarely_read(taken)), key=lambda line: -line.bytes)),
    )


def _walk(root: str, patterns: Patterns) -> Iterator[tuple[str, int]]:
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
    kept = {file.path[:end] for file in files if file.taken for end in _ends(file.path)}
    folds: dict[str, list[_File]] = {}
    for file in files:
        if not file.taken:
            fold = next((file.path[:end] for end in _ends(file.path) if file.path[:end] not in kept), file.path)
            folds.setdefault(fold, []).append(file)
    for fold, inside in folds.items():
        line = _escaped(fold)
        if _holds(line, inside):
            yield IgnoreLine(line, sum(file.size for file in inside), len(inside), _NOT_TAKEN, safe=True)


def _ends(path: str) -> list[int]:
    return [number for number, letter in enumerate(path) if letter == "/"]


def _escaped(path: str) -> str:
    return "".join(
        f"\\{letter}" if letter in "*?[\\" or (letter in "!#" and not at) else letter for at, letter in enumerate(path)
    )


def _holds(line: str, inside: list[_File]) -> bool:
    """Report whether an ignore file with a line leaves out what it is meant to, by the matcher of builds."""
    try:
        patterns = Patterns(read_ignore_file(f"{line}\n"))
    except BadPattern:
        return False
    return all(patterns.fit(file.path) for file in inside)


def _rarely_read(taken: Iterable[_File]) -> Iterator[IgnoreLine]:
    sizes, counts = Counter[str](), Counter[str]()
    for file in taken:
        for name in _RARELY_READ.keys() & set(file.path.split("/")):
            sizes[name] += file.size
            counts[name] += 1
    for name, size in sizes.items():
        yield IgnoreLine(f"**/{name}", size, counts[name], _RARELY_READ[name], safe=False)
