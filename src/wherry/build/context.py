"""A build's context: a folder under its ignore file, and what is in the files that a step takes from it.

Each file is hashed once and remembered with its stamp (size, times, inode), so that a build that finds nothing changed
looks at each file and opens none. A stamp that is too young to be trusted is not remembered (see `stamps.py`).

Source: Dockerfile reference, "COPY"; times don't count.
"""

import errno
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from wherry.build.file_hashes import FileHashes, PathLog
from wherry.dockerfile.ignore import Patterns
from wherry.sandbox.launcher.select_files import Choice, SourceRoot, check_required, join, split_wildcards, walk
from wherry.sandbox.launcher.select_files import NotCopyable as NotThere
from wherry.sandbox.spec import CopySpec, SourceTree
from wherry.sandbox.start import CopyFailed

if TYPE_CHECKING:
    from wherry.sandbox.launcher.select_files import Selected

_AT_ONCE = 256
"""Files that are held at a time."""
_LARGE = 1 << 18
"""Bytes from which on a file is hashed on a thread of its own: below, starting it costs more."""
_FEW = 4000
"""Files that are remembered by name, so that a miss can name them."""
_LISTS = frozenset(
    {
        "go.mod", "go.sum", "go.work", "go.work.sum", "package.json", "package-lock.json", "yarn.lock", "Cargo.toml",
        "Cargo.lock", "requirements.txt", "pyproject.toml", "poetry.lock", "uv.lock", "pom.xml", "build.gradle",
    }
)  # fmt: skip
_LONGEST_LIST = 1 << 18


@dataclass(frozen=True, slots=True)
class ContextSelection:
    """What a step takes from a context."""

    digest: str
    """Of names, kinds, modes, link targets and bytes."""
    files: dict[str, str]
    """What it is made of, by path; empty where that is more than a person would read."""
    texts: dict[str, bytes]
    """Files that list what a program depends on, whole and compressed, so that a miss can name the line."""
    nothing: bool = False
    """Whether no path was found: wildcards may match none."""


@dataclass
class LocalContext:
    """A folder of this machine."""

    folder: Path
    patterns: tuple[str, ...] = ()
    """Of the ignore file."""
    memory: Path | None = None
    """The file that remembers hashes between builds; None: nothing is remembered."""
    threads: int = 2
    looked_at: int = 0
    """Files checked so far."""
    _taken: dict[str, ContextSelection] = field(default_factory=dict)
    _turn: Lock = field(default_factory=Lock)

    @cached_property
    def left_out(self) -> list[str]:
        """Name what the ignore file leaves out: the topmost paths only."""
        return list(_left_out(self._root, Patterns(self.patterns))) if self.patterns else []

    @cached_property
    def looked(self) -> PathLog:
        """Every path that was checked: what was taken hangs on nothing else."""
        return PathLog(self.folder)

    @property
    def origin(self) -> SourceTree:
        """Say where copies take files from."""
        return SourceTree(kind="folder", folder=str(self.folder), layers=[], left_out=self.left_out)

    def take(self, copies: Sequence[CopySpec], named: tuple[str, ...] | None = None) -> ContextSelection:
        """Look at what copies would take.

        Args:
            copies: what they are.
            named: what docker build would have sent of it, wildcards among the paths; None: that is not known.

        Raises:
            CannotCopy: something is not there, or would not have been sent.
        """
        name = repr([named, *({key: value for key, value in copy.items() if key != "origin"} for copy in copies)])
        with self._turn:
            if name not in self._taken:
                with self._found():
                    self._taken[name] = self._look(copies, named)
            return self._taken[name]

    def matching(self, copy: CopySpec) -> Iterator[tuple[str, os.stat_result]]:
        """Give the paths that a copy's path means, links followed, and what is there.

        Raises:
            CannotCopy: nothing is.
        """
        tops = self._tops()
        with self._found():
            paths = tops.matching(copy)
        for path in paths:
            status = tops.status(tops.real(path, last=copy["follow"]))
            if status is not None:
                yield path, status

    @contextmanager
    def _found(self) -> Iterator[None]:
        """Say what is missing as a user knows it."""
        try:
            yield
        except NotThere as error:
            path = str(error.filename)
            ignored = SourceRoot(self._root.root).status(path.lstrip("/")) is not None
            hint = "the ignore file excludes it; remove the pattern, or copy another path" if ignored else ""
            raise CopyFailed(
                f'"{path}": not found in the context' if error.errno == errno.ENOENT else f"{path}: {error.strerror}",
                hint=hint or "check the path; it is relative to the build context",
            ) from error

    def check_sent(self, tops: SourceRoot, copy: CopySpec, named: tuple[str, ...] | None) -> None:
        """Refuse a wildcard that matches nothing, in a folder of which no step names anything that is there.

        docker build sends only what steps name, so that it does not find the folder: a wildcard at the top may match
        nothing, one in a folder only where another step takes something of that folder.

        Raises:
            CannotCopy: there is no such folder, or docker build would not have it.

        Source: BuildKit 0.34, dockerfile2llb (`filterPaths`); fsutil, followlinks.go and filter.go.
        """
        plain, patterns = split_wildcards(copy["path"])
        if named is None or not copy["wildcards"] or not plain or not (patterns or copy["only"]):
            return
        folder = tops.real("/".join(plain), last=True)
        if any(_sends(tops, name, folder) for name in named):
            return
        raise CopyFailed(
            f'"/{"/".join([*plain, *patterns, *copy["only"]])}": no file of the context matches, and no step copies '
            f"another of /{'/'.join(plain)}",
            hint="correct the pattern, or remove the source; docker build fails for it too",
        )

    def remember(self) -> None:
        """Write down what was hashed, for the next build."""
        self._hashes.close()

    @cached_property
    def _hashes(self) -> FileHashes:
        return FileHashes(self.memory)

    @cached_property
    def _root(self) -> SourceRoot:
        opened = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return SourceRoot(opened, note=self.looked.note)

    def _tops(self) -> SourceRoot:
        return SourceRoot(self._root.root, frozenset(self.left_out), self.looked.note)

    def _look(self, copies: Sequence[CopySpec], named: tuple[str, ...] | None) -> ContextSelection:
        looking = _Looking(self, self._tops(), named)
        for copy in copies:
            looking.copy(copy)
        self.looked_at += looking.count
        return looking.taken()

    def contents(self, found: "Sequence[Selected]") -> Iterator[str]:
        """Hash regular files; large ones on several threads."""
        large = [
            number
            for number, (_, _, status) in enumerate(found)
            if stat.S_ISREG(status.st_mode) and status.st_size >= _LARGE
        ]
        if len(large) > 1:
            with ThreadPoolExecutor(self.threads) as pool:
                known = dict(zip(large, pool.map(lambda number: self._content(found[number]), large), strict=True))
        else:
            known = {}
        for number, one in enumerate(found):
            yield known[number] if number in known else self._content(one)

    def _content(self, one: "Selected") -> str:
        path, _, status = one
        if not stat.S_ISREG(status.st_mode):
            return ""
        folder, _, name = path.rpartition("/")
        return self._hashes.content(folder, name, status, partial(self._hash, path, status.st_size)).hex()

    def read(self, path: str, limit: int) -> bytes:
        """Read a file's first bytes."""
        opened = self._open(path)
        with os.fdopen(opened, "rb") as file:
            return file.read(limit)

    def _hash(self, path: str, size: int) -> bytes:
        opened = self._open(path)
        try:
            if size < _LARGE:
                content = os.read(opened, size + 1)
                if len(content) <= size:
                    return hashlib.sha256(content).digest()
                os.lseek(opened, 0, os.SEEK_SET)  # it has grown
            with os.fdopen(opened, "rb", buffering=0, closefd=False) as file:
                return hashlib.file_digest(file, "sha256").digest()
        finally:
            os.close(opened)

    def _open(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(path, flags, dir_fd=self._root.root)


class _Looking:
    """What copies would take, hashed when found."""

    def __init__(self, context: LocalContext, tops: SourceRoot, named: tuple[str, ...] | None) -> None:
        self._context = context
        self._named = named
        self._tops = tops
        self._state = hashlib.sha256()
        self._files: dict[str, str] = {}
        self._texts: dict[str, bytes] = {}
        self._marks: list[str] = []
        self.count = 0

    def copy(self, copy: CopySpec) -> None:
        """Look at what one takes."""
        tops = self._tops
        check_required(tops, copy)
        choice = Choice(copy["only"], copy["but"])
        paths = tops.matching(copy)
        before = self.count + len(paths)
        for path in paths:
            mark = f"{copy['destination']} {path.rpartition('/')[2]}"
            self._marks.append(mark)
            begun = f"\0\0{mark}\0"
            chosen = walk(tops, tops.real(path, last=copy["follow"]), choice)
            while found := list(islice(chosen, _AT_ONCE)):
                for one, content in zip(found, self._context.contents(found), strict=True):
                    self._take(one, begun, content)
                    begun = ""
        if not paths or (copy["only"] and not copy["required"] and self.count <= before):
            self._context.check_sent(tops, copy, self._named)

    def taken(self) -> ContextSelection:
        """Give the whole of it."""
        self._state.update(repr(self._marks).encode(errors="surrogateescape"))
        files = self._files if self.count <= _FEW else {}
        return ContextSelection(self._state.hexdigest(), files, self._texts, nothing=not self._marks)

    def _take(self, one: "Selected", begun: str, content: str) -> None:
        path, below, status = one
        words = f"{status.st_mode:o} {content}"
        if stat.S_ISLNK(status.st_mode):
            words += os.readlink(path, dir_fd=self._tops.root)
        self._state.update(f"{begun}{below}\0{words}\0".encode(errors="surrogateescape"))
        self.count += 1
        if self.count <= _FEW:
            self._files[_shown(path)] = _shown(words)
        if path.rpartition("/")[2] in _LISTS and stat.S_ISREG(status.st_mode) and status.st_size <= _LONGEST_LIST:
            self._texts[_shown(path)] = zlib.compress(self._context.read(path, _LONGEST_LIST))


def _sends(tops: SourceRoot, name: str, folder: str) -> bool:
    """Report whether a step that names a path has a folder sent: the folder, what it is in, or something in it."""
    from wherry.dockerfile.ignore import fits

    plain, patterns = split_wildcards(name)
    parts, parents = [*plain, *patterns], folder.split("/")
    if len(parts) <= len(parents) and all(map(fits, parts, parents)):
        return True
    try:
        found = tops.expand("/".join(plain), patterns) if patterns else [tops.real("/".join(plain), last=True)]
    except NotThere:
        return False
    return any(path == folder or (path.startswith(f"{folder}/") and tops.status(path) is not None) for path in found)


def _shown(name: str) -> str:
    """Write bytes that are no UTF-8 in hexadecimal: a name is any bytes, what is remembered and printed is text."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _left_out(tops: SourceRoot, patterns: Patterns) -> Iterable[str]:
    waiting: list[tuple[str, list[bool]]] = [("", [])]
    while waiting:
        folder, above = waiting.pop()
        gone, inner = [], []
        for name, status in tops.inside(folder):
            path = join(folder, name)
            out, own = patterns.judge(path, above)
            is_folder = stat.S_ISDIR(status.st_mode)
            if not out or (is_folder and patterns.has_exceptions and _holds(tops, path, patterns, own)):
                if is_folder:
                    inner.append((path, own))
            else:
                gone.append(path)
        yield from gone
        waiting += inner


def _holds(tops: SourceRoot, folder: str, patterns: Patterns, above: list[bool]) -> bool:
    """Report whether an exception brings back something in a folder that is left out itself."""
    for name, status in tops.inside(folder):
        path = join(folder, name)
        out, own = patterns.judge(path, above)
        if not out:
            return True
        if stat.S_ISDIR(status.st_mode) and _holds(tops, path, patterns, own):
            return True
    return False
