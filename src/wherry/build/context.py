"""A build's context: a folder under its ignore file, and what is in the files that a step takes from it.

Each file is hashed once and remembered with its stamp (size, times, inode), so that a build that finds nothing changed
looks at each file and opens none. A stamp that is too young to be trusted is not remembered (see `inputs.py`).

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
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import time_ns

import msgspec

from wherry.dockerfile.ignore import Patterns
from wherry.sandbox.select import CannotCopy as NotThere
from wherry.sandbox.select import Choice, Tops, join, walk
from wherry.sandbox.spec import Copy, Origin
from wherry.sandbox.start import CannotCopy
from wherry.store.files import replacing

_YOUNG = 2_000_000_000
_FEW = 64
_LISTS = frozenset(
    {
        "go.mod", "go.sum", "go.work", "go.work.sum", "package.json", "package-lock.json", "yarn.lock", "Cargo.toml",
        "Cargo.lock", "requirements.txt", "pyproject.toml", "poetry.lock", "uv.lock", "pom.xml", "build.gradle",
    }
)  # fmt: skip
_LONGEST_LIST = 1 << 18
_FORMAT = 1


class Known(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was: its stamp, and the hash of its bytes."""

    stamp: tuple[int, int, int, int]
    content: bytes


class Remembered(msgspec.Struct, frozen=True):
    """What is kept of a context between builds."""

    format: int
    files: dict[str, Known]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step takes from a context."""

    digest: str
    """Of names, kinds, modes, link targets and bytes."""
    files: dict[str, str]
    """What it is made of, by path."""
    texts: dict[str, bytes]
    """Files that list what a program depends on, whole and compressed, so that a miss can name the line."""


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
    """Files looked at so far."""
    read_from: tuple[Path, ...] = ()
    """Files that say what the patterns are, or would if they were there."""
    _seen: set[str] = field(default_factory=set)
    _fresh: dict[str, Known] = field(default_factory=dict)
    _taken: dict[str, Taken] = field(default_factory=dict)
    _turn: Lock = field(default_factory=Lock)

    @cached_property
    def left_out(self) -> list[str]:
        """Name what the ignore file leaves out: the topmost paths only."""
        return list(_left_out(self._root, Patterns(self.patterns))) if self.patterns else []

    @property
    def seen(self) -> set[str]:
        """Every path that was looked at, relative: what was taken hangs on nothing else."""
        return self._seen | self._root.seen

    @property
    def origin(self) -> Origin:
        """Say where copies take files from."""
        return Origin(kind="folder", folder=str(self.folder), layers=[], left_out=self.left_out)

    def take(self, copies: Sequence[Copy]) -> Taken:
        """Look at what copies would take.

        Raises:
            CannotCopy: something is not there.
        """
        name = repr([{key: value for key, value in copy.items() if key != "origin"} for copy in copies])
        with self._turn:
            if name not in self._taken:
                with self._found():
                    self._taken[name] = self._look(copies)
            return self._taken[name]

    def matching(self, copy: Copy) -> Iterator[tuple[str, os.stat_result]]:
        """Give the paths that a copy's path means, links followed, and what is there.

        Raises:
            CannotCopy: nothing is.
        """
        tops = Tops(self._root.root, frozenset(self.left_out))
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
            ignored = Tops(self._root.root).status(path.lstrip("/")) is not None
            hint = "the ignore file leaves it out; take its pattern out, or copy something else" if ignored else ""
            raise CannotCopy(
                f'"{path}": not found in the context' if error.errno == errno.ENOENT else f"{path}: {error.strerror}",
                hint=hint or "check the path; it starts at the context's folder",
            ) from error

    def remember(self) -> None:
        """Write down what was hashed, for the next build."""
        if self.memory is None or self._fresh.items() <= self._known.items():
            return
        now = time_ns()
        settled = {path: known for path, known in self._fresh.items() if known.stamp[2] < now - _YOUNG}
        files = {**self._known, **settled}
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.memory) as file:
            file.write(msgspec.msgpack.encode(Remembered(_FORMAT, files)))

    @cached_property
    def _root(self) -> Tops:
        return Tops(os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    @cached_property
    def _known(self) -> dict[str, Known]:
        if self.memory is None:
            return {}
        try:
            remembered = msgspec.msgpack.decode(self.memory.read_bytes(), type=Remembered)
        except (OSError, msgspec.DecodeError):
            return {}
        return remembered.files if remembered.format == _FORMAT else {}

    def _look(self, copies: Sequence[Copy]) -> Taken:
        tops = Tops(self._root.root, frozenset(self.left_out))
        found: list[tuple[str, str, os.stat_result]] = []
        marks: list[tuple[int, str]] = []
        for copy in copies:
            for path in copy["required"]:
                if tops.status(tops.real(path, last=copy["follow"])) is None:
                    raise NotThere(path, "is not there", errno.ENOENT)
            choice = Choice(copy["only"], copy["but"])
            for path in tops.matching(copy):
                marks.append((len(found), f"{copy['destination']} {path.rpartition('/')[2]}"))
                found += walk(tops, tops.real(path, last=copy["follow"]), choice)
        self.looked_at += len(found)
        self._seen |= tops.seen
        contents = self._contents(found)
        state = hashlib.sha256()
        files: dict[str, str] = {}
        begins = dict(marks)
        for number, (path, below, status) in enumerate(found):
            if number in begins:
                state.update(f"\0\0{begins[number]}\0".encode(errors="surrogateescape"))
            words = f"{status.st_mode:o} {contents.get(path, '')}"
            if stat.S_ISLNK(status.st_mode):
                words += os.readlink(path, dir_fd=tops.root)
            files[path] = words
            state.update(f"{below}\0{words}\0".encode(errors="surrogateescape"))
        state.update(repr([name for _, name in marks]).encode(errors="surrogateescape"))
        texts = {
            path: zlib.compress(self._read(path))
            for path, _, status in found
            if path.rpartition("/")[2] in _LISTS and stat.S_ISREG(status.st_mode) and status.st_size <= _LONGEST_LIST
        }
        return Taken(state.hexdigest(), files, texts)

    def _read(self, path: str) -> bytes:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._root.root)
        with os.fdopen(opened, "rb") as file:
            return file.read(_LONGEST_LIST)

    def _contents(self, found: Iterable[tuple[str, str, os.stat_result]]) -> dict[str, str]:
        contents: dict[str, str] = {}
        wanted: list[tuple[str, tuple[int, int, int, int]]] = []
        for path, _, status in found:
            if not stat.S_ISREG(status.st_mode):
                continue
            stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            known = self._fresh.get(path) or self._known.get(path)
            if known is not None and known.stamp == stamp:
                contents[path] = known.content.hex()
            else:
                wanted.append((path, stamp))
        if len(wanted) < _FEW:
            hashed = [self._hash(path) for path, _ in wanted]
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                shares = [wanted[start :: self.threads] for start in range(self.threads)]
                parts = list(pool.map(lambda share: [self._hash(path) for path, _ in share], shares))
            by_path = {
                path: content
                for share, part in zip(shares, parts, strict=True)
                for (path, _), content in zip(share, part, strict=True)
            }
            hashed = [by_path[path] for path, _ in wanted]
        for (path, stamp), content in zip(wanted, hashed, strict=True):
            self._fresh[path] = Known(stamp, content)
            contents[path] = content.hex()
        return contents

    def _hash(self, path: str) -> bytes:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._root.root)
        with os.fdopen(opened, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").digest()


def _left_out(tops: Tops, patterns: Patterns) -> Iterable[str]:
    waiting: list[tuple[str, list[bool]]] = [("", [])]
    while waiting:
        folder, above = waiting.pop()
        gone, inner = [], []
        for name in tops.names(folder):
            path = join(folder, name)
            out, own = patterns.judge(path, above)
            status = tops.status(path)
            is_folder = status is not None and stat.S_ISDIR(status.st_mode)
            if not out or (is_folder and patterns.has_exceptions and _holds(tops, path, patterns, own)):
                if is_folder:
                    inner.append((path, own))
            else:
                gone.append(path)
        yield from gone
        waiting += inner


def _holds(tops: Tops, folder: str, patterns: Patterns, above: list[bool]) -> bool:
    """Tell whether an exception brings back something in a folder that is left out itself."""
    for name in tops.names(folder):
        path = join(folder, name)
        out, own = patterns.judge(path, above)
        if not out:
            return True
        status = tops.status(path)
        if status is not None and stat.S_ISDIR(status.st_mode) and _holds(tops, path, patterns, own):
            return True
    return False
