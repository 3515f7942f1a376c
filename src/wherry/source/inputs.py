"""What a build reads, remembered so that "nothing changed" is a fact and not a hope.

An input is a file, a folder (the names in it that Go looks at), a tree (all names in it, for go:embed) or a
path that has to stay absent. Each has a content hash and a stamp (size, mtime, ctime, inode). Where the stamp
still holds, the content does; where it does not, the content is hashed again. Two races are closed:

- An entry whose ctime is so near to the moment it was stamped that a later write could leave the same stamp
  ("young") gets no stamp, so it is hashed again next time (git calls such an entry racily clean).
- An entry whose ctime is not older than the start of the compiler may be another than the compiler read: it gets
  a hash that nothing has, so the next build runs the compiler again.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from wherry.source.stamps import settled

TICK = 20_000_000
"""Nanoseconds that a file system's clock may lag behind ours (the kernel stamps with its tick, 1 to 10 ms)."""
_YOUNG = 2_000_000_000
"""Nanoseconds within which two writes can carry the same time on the coarsest file systems (FAT: 2 s)."""
GO_SUFFIXES = (
    ".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90",
    ".s", ".S", ".sx", ".swig", ".swigcxx", ".syso", ".pgo",
)  # fmt: skip
"""Source: Go 1.26, go/build, `Context.matchFile` and `ImportDir`."""

Stamp = tuple[int, int, int, int]
NO_STAMP: Stamp = (0, 0, 0, 0)
CHANGED_WHILE_BUILDING = b"changed while building"
ABSENT = b"absent"
"""The content of what is not there."""


class InputKind(IntEnum):
    """What is checked."""

    FILE = 0
    FOLDER = 1
    TREE = 2
    ABSENT = 3


class Input(msgspec.Struct, frozen=True, array_like=True):
    """One path, its kind, the hash of what was there, and the stamp it had."""

    path: str
    kind: InputKind
    content: bytes
    stamp: Stamp = NO_STAMP


@dataclass(frozen=True, slots=True)
class Observation:
    """What looking at the inputs again gave."""

    looked_at: int
    changed: tuple[Input, ...]
    """Inputs whose content is another now, with that content."""
    current: tuple[Input, ...]
    """The current inputs, with fresh stamps."""
    restamped: bool
    """Whether a stamp in `current` is worth writing down."""


@dataclass
class InputReader:
    """Looks at paths, each once: the platforms of a build share most of what they read."""

    now: int = field(default_factory=time.time_ns)
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _contents: dict[tuple[str, InputKind], bytes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many paths were checked."""
        return len(self._stamps)

    def stamp(self, path: str) -> Stamp:
        """Stat a path; `NO_STAMP` where there is nothing."""
        known = self._stamps.get(path)
        if known is None:
            known = self._stamps[path] = stamp_of(path)
        return known

    def content(self, path: str, kind: InputKind) -> bytes:
        """Hash what is at a path."""
        known = self._contents.get((path, kind))
        if known is None:
            known = self._contents[path, kind] = content_of(path, kind)
        return known

    def observe(self, inputs: Sequence[Input]) -> Observation:
        """Compare inputs with what is there now."""
        stamp = self.stamp
        suspects = [
            place for place, entry in enumerate(inputs) if entry.stamp == NO_STAMP or stamp(entry.path) != entry.stamp
        ]
        current = list(inputs)
        changed: list[Input] = []
        restamped = False
        for place in suspects:
            entry = inputs[place]
            content = self.content(entry.path, entry.kind)
            fresh = self._settled(entry.path)
            current[place] = Input(entry.path, entry.kind, content, fresh)
            restamped |= fresh != entry.stamp
            if content != entry.content:
                changed.append(current[place])
        return Observation(len(inputs), tuple(changed), tuple(current), restamped)

    def _settled(self, path: str) -> Stamp:
        before, after = self.stamp(path), stamp_of(path)
        return after if before == after and settled(after) < self.now else NO_STAMP


def stamp_of(path: str) -> Stamp:
    """Give (size, mtime ns, ctime ns, inode), links followed; `NO_STAMP` where there is nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for thousands of paths; Path costs more than the call
    except OSError:
        return NO_STAMP
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def content_of(path: str, kind: InputKind) -> bytes:
    """Hash a file's bytes, or the names in a folder; what is absent has a content of its own."""
    try:
        if kind is InputKind.FILE:
            with open(path, "rb") as file:  # noqa: PTH123 - as `stamp_of`
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return b"special"
                return hashlib.file_digest(file, "sha256").digest()
        if kind is InputKind.ABSENT:
            return b"present" if os.path.lexists(path) else ABSENT
        return _names(path, everything=kind is InputKind.TREE)
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        return f"unreadable: {error.strerror}".encode()


def _names(path: str, *, everything: bool) -> bytes:
    names = hashlib.sha256()
    with os.scandir(path) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        if everything or _counts(name):
            names.update(f"{'d' if is_folder else 'f'}{name}\0".encode(errors="surrogateescape"))
    return names.digest()


def _counts(name: str) -> bool:
    if name == "go.mod":
        return True
    return name.endswith(GO_SUFFIXES) and name[0] not in "._" and not name.endswith("_test.go")


def record(
    paths: Iterable[tuple[str, InputKind]],
    known: Iterable[Input],
    *,
    started: int,
    ended: int | None = None,
    threads: int = 2,
) -> tuple[Input, ...]:
    """Hash and stamp what a compiler that started at `started` has read.

    Args:
        paths: what it read.
        known: inputs recorded earlier; where a stamp still holds, its hash is taken over.
        started: `time.time_ns()` before the compiler started.
        ended: the same once it ended; earlier than `started` where the clock jumped back.
        threads: readers at a time; hashing releases the GIL.
    """
    before = {(entry.path, entry.kind): entry for entry in known if entry.stamp != NO_STAMP}
    now = time.time_ns()
    jumped = ended is not None and ended < started  # times of files say nothing of what came first

    def one(path: str, kind: InputKind) -> Input:
        content = content_of(path, kind)
        stamp = stamp_of(path)
        if jumped or _not_older(stamp, started):
            return Input(path, kind, CHANGED_WHILE_BUILDING)
        return Input(path, kind, content, stamp if settled(stamp) < now else NO_STAMP)

    kept: list[Input] = []
    fresh: list[tuple[str, InputKind]] = []
    for wanted in sorted(set(paths)):
        old = before.get(wanted)
        if old is not None and old.stamp == stamp_of(old.path):
            kept.append(old)
        else:
            fresh.append(wanted)
    with ThreadPoolExecutor(threads) as pool:
        shares = pool.map(lambda share: [one(*wanted) for wanted in share], (fresh[n::threads] for n in range(threads)))
        kept.extend(entry for share in shares for entry in share)
    return tuple(sorted(kept, key=lambda entry: (entry.path, entry.kind)))


def _not_older(stamp: Stamp, started: int) -> bool:
    coarse = stamp[2] and stamp[2] % 1_000_000_000 == 0
    return stamp[2] >= started - (_YOUNG if coarse else TICK)


def key_of_inputs(inputs: Iterable[Input], *further: str) -> str:
    """Hash paths, kinds and contents, and further facts, to a content key; stamps don't count."""
    state = hashlib.sha256()
    for entry in inputs:
        path = entry.path.encode(errors="surrogateescape")
        state.update(b"%d %d %s %d %s" % (entry.kind, len(path), path, len(entry.content), entry.content))
    for fact in further:
        state.update(f" {len(fact)} {fact}".encode(errors="surrogateescape"))
    return state.hexdigest()
