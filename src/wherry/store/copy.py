"""The one copy: images from one store to another. Push, pull, copy, save, load and bases are this with other ends.

Blobs move side by side, children before what points at them, so a reader of the sink never finds a pointer to
nothing. A sink may also be a `Mounter` (it can take a blob from elsewhere, and sends one again where it was cut), a
`Tagger` (a root is stored under its tags), a `SoundSink` (a blob that its disk damaged counts as missing), or
a `Resumer` (it goes on where a killed copy was).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Lock, Thread
from typing import Generic, Protocol, TypeVar, runtime_checkable

from wherry.errors import InvalidDocument, NotFound
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import DEEPEST, BlobSink, BlobSource, children, read_whole

THREADS = 8
"""Blobs on their way at a time."""
_FIRST = 2
"""Threads that begin."""
_MOMENT = 0.01
"""Seconds without an end of anything after which another joins."""
_DOCUMENTS = media.INDEXES | media.MANIFESTS
T = TypeVar("T")
_FOREIGN = ("foreign", "nondistributable")


@dataclass(frozen=True, slots=True)
class Opener:
    """Gives a blob's bytes from an offset on, any number of times."""

    open: Callable[[int], Iterator[bytes]]
    file: str = ""
    """Path of a file that was verified to have the bytes; empty where there is none."""
    sent: Callable[[int], object] = field(default=lambda _: None)
    """Is told of bytes of the file that went out without being read by us."""

    @classmethod
    def once(cls, chunks: Iterable[bytes]) -> "Opener":
        """Make one of chunks that can be taken once."""
        return cls(lambda _: iter(chunks))


class BlobMove(StrEnum):
    """How a blob came to be where it is."""

    SENT = "sent"
    MOUNTED = "mounted"
    THERE = "there"


@runtime_checkable
class Mounter(Protocol):
    """A sink that can have a blob without its bytes, and refuses a document whose children it does not have."""

    def upload(self, blob: Descriptor, opener: Opener, *, mount_from: str = "") -> BlobMove:
        """Store a blob that can be read again from any offset, unless it is there; tell how.

        Args:
            blob: no manifest or index.
            opener: gives its bytes from an offset on.
            mount_from: a place of the same kind that may have it; empty: none is known.
        """


@runtime_checkable
class SoundSink(Protocol):
    """A sink whose disk may have damaged blobs since they were written."""

    def sound(self, blob: Descriptor) -> bool:
        """Report whether the blob is here and is what its name says; one that is not is deleted."""


@runtime_checkable
class Resumer(Protocol):
    """A sink that keeps what came of a blob whose copy was cut, and asks for the rest the next time."""

    def fetch(self, blob: Descriptor, opened: Callable[[int], Iterator[bytes]]) -> None:
        """Store the blob whole or not at all, from the offset on that is missing.

        Raises:
            DigestMismatch, SizeMismatch: the bytes are not the blob; nothing was stored.
        """


@runtime_checkable
class Tagger(Protocol):
    """A sink that stores documents under tags."""

    def put(self, blob: Descriptor, document: bytes, tag: str = "") -> None:
        """Store a manifest or an index, under a tag or under its digest."""

    def resolve(self, reference: str) -> Descriptor:
        """Find what a tag or a digest stands for now.

        Raises:
            NotFound: nothing.
        """


@dataclass
class Tally:
    """What was moved; called for each change, from any thread."""

    changed: Callable[["Tally"], object] = field(default=lambda _: None)
    sent: int = 0
    """Bytes."""
    blobs: int = 0
    """Blobs that were sent; documents count."""
    there: int = 0
    """Blobs that were there already."""
    mounted: int = 0
    """Blobs that the registry took from another of its repositories."""
    left: int = 0
    """Foreign layers, which their makers do not let others pass on."""
    wanted: int = 0
    """Bytes that are sent once all is done: blobs leave it when they turn out to be there."""
    _turn: Lock = field(default_factory=Lock, repr=False)

    def add(self, **amounts: int) -> None:
        """Count."""
        with self._turn:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)
        self.changed(self)

    def watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Count bytes as they pass."""
        for chunk in chunks:
            self.add(sent=len(chunk))
            yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Moves images between two stores."""

    source: BlobSource
    sink: BlobSink
    tally: Tally = field(default_factory=Tally)
    threads: int = THREADS
    thorough: bool = False
    """Whether children are looked for below a document that a `Mounter` has too: it mends one that lost some."""
    mount_from: Callable[[Descriptor], str] = field(default=lambda _: "")
    """Names a repository of the sink's registry that may have a blob; empty where none is known."""

    def move(self, root: Descriptor, tags: Iterable[str] = ()) -> None:
        """Move a root and all it points to, children before parents; then point tags at it.

        A blob that is there is not moved again, so a second run goes on where a first one was cut.

        Args:
            root: a manifest or an index, or a blob.
            tags: for a `Tagger`; the root comes last and under them, so no tag points to a missing blob.
        """
        leaves, documents = self._missing(root)
        self.tally.add(wanted=sum(blob.size for blob in (*leaves, *documents)))
        self._side_by_side(self._leaf, leaves)
        below, top = [blob for blob in documents if blob != root], [blob for blob in documents if blob == root]
        for level in _levels(below, self.source):
            self._side_by_side(self._document, level)
        names = tuple(tags)
        if isinstance(self.sink, Tagger) and names:
            self._tag(self.sink, root, names, new=bool(top))
            return
        for blob in top:
            self._document(blob)

    def _tag(self, sink: Tagger, root: Descriptor, tags: tuple[str, ...], *, new: bool) -> None:
        document = read_whole(self.source, root)
        for tag in tags:
            if new or not _leads(sink, tag, root):
                sink.put(root, document, tag)
        self.tally.add(**({"blobs": 1, "sent": len(document)} if new else {}))

    def _missing(self, root: Descriptor) -> tuple[list[Descriptor], list[Descriptor]]:
        """List the blobs to ask for, and the documents that are missing, parents first.

        A registry checks what a document points at, so one that is there is whole; on a disk, children are looked for.
        """
        trusting = isinstance(self.sink, Mounter) and not self.thorough
        leaves: dict[str, Descriptor] = {}
        documents: dict[str, Descriptor] = {}
        waiting = [(root, 0)]
        seen: set[str] = set()
        while waiting:
            blob, depth = waiting.pop()
            if blob.digest in seen:
                continue
            seen.add(blob.digest)
            if depth > DEEPEST:
                raise InvalidDocument(str(blob.digest), f"nested more than {DEEPEST} documents deep")
            if blob.media_type not in _DOCUMENTS:
                leaves[blob.digest] = blob
                continue
            here = self._has(blob)
            if here:
                self.tally.add(there=1)
            else:
                documents[blob.digest] = blob
            if not (here and trusting):
                waiting.extend((child, depth + 1) for child in children(blob, self.source))
        return list(leaves.values()), list(documents.values())

    def _leaf(self, blob: Descriptor) -> None:
        if blob.urls and any(word in blob.media_type for word in _FOREIGN):
            self.tally.add(left=1, wanted=-blob.size)
            return
        match self._how(blob):
            case BlobMove.SENT:
                self.tally.add(blobs=1)
            case BlobMove.MOUNTED:
                self.tally.add(mounted=1, wanted=-blob.size)
            case BlobMove.THERE:
                self.tally.add(there=1, wanted=-blob.size)

    def _how(self, blob: Descriptor) -> BlobMove:
        if isinstance(self.sink, Mounter):
            opener = Opener(self._opened(blob), self._file(blob), lambda size: self.tally.add(sent=size))
            return self.sink.upload(blob, opener, mount_from=self.mount_from(blob))
        if self._has(blob):
            return BlobMove.THERE
        if isinstance(self.sink, Resumer):
            self.sink.fetch(blob, self._opened(blob))
        else:
            self.sink.write(blob, self._opened(blob)(0))
        return BlobMove.SENT

    def _has(self, blob: Descriptor) -> bool:
        return self.sink.sound(blob) if isinstance(self.sink, SoundSink) else self.sink.has(blob)

    def _opened(self, blob: Descriptor) -> Callable[[int], Iterator[bytes]]:
        # Every sink hashes what it takes; a source that can leave it out need not do it once more.
        read = getattr(self.source, "chunks", self.source.read)
        return lambda offset: self.tally.watched(read(blob, offset))

    def _file(self, blob: Descriptor) -> str:
        verified_file = getattr(self.source, "verified_file", None)
        return str(verified_file(blob)) if verified_file else ""

    def _document(self, blob: Descriptor) -> None:
        document = read_whole(self.source, blob)
        if isinstance(self.sink, Tagger):
            self.sink.put(blob, document)
        else:
            self.sink.write(blob, [document])
        self.tally.add(blobs=1, sent=blob.size)

    def _side_by_side(self, do: Callable[[Descriptor], None], blobs: list[Descriptor]) -> None:
        if len(blobs) <= 1 or self.threads <= 1:
            for blob in blobs:
                do(blob)
            return
        # The largest first, so that none starts late and delays the end.
        side_by_side(do, sorted(blobs, key=lambda blob: -blob.size), self.threads)


def copy(root: Descriptor, source: BlobSource, sink: BlobSink, *, threads: int = 1) -> int:
    """Copy a blob and all it points at; return the bytes moved.

    Args:
        root: what to copy; where the sink has it, its children are looked for all the same, which mends a sink that
            lost some.
        source: where it is.
        sink: where it is to be.
        threads: how many blobs move at a time.

    Raises:
        InvalidDocument: documents are invalid, or point at each other too deep.
        BlobMissing, DigestMismatch, SizeMismatch: as `BlobSource.read`.
    """
    tally = Tally()
    Transfer(source=source, sink=sink, tally=tally, threads=threads, thorough=True).move(root)
    return tally.sent


def _levels(documents: list[Descriptor], source: BlobSource) -> Iterator[list[Descriptor]]:
    """Group documents so that each comes after what it points at."""
    depths: dict[str, int] = {}
    among = {blob.digest: blob for blob in documents}

    def depth(blob: Descriptor) -> int:
        if blob.digest not in depths:
            below = [child for child in children(blob, source) if child.digest in among]
            depths[blob.digest] = 1 + max(map(depth, below), default=0)
        return depths[blob.digest]

    for level in sorted(set(map(depth, documents))):
        yield [blob for blob in documents if depth(blob) == level]


def _leads(sink: Tagger, tag: str, root: Descriptor) -> bool:
    try:
        return sink.resolve(tag).digest == root.digest
    except NotFound:
        return False


def side_by_side(do: Callable[[T], None], things: list[T], threads: int) -> None:
    """Do something with each thing, several at a time, in their order; the first failure stops what has not begun.

    Two threads begin, and another joins whenever none of them ends anything for a moment: where the other end answers
    at once, more would only wait for each other (for the interpreter), and where it is far away, all are there soon.
    `concurrent.futures` would take longer to load than most copies take.
    """
    work = _Work(do, things)
    workers: list[Thread] = []
    try:
        ended = -1
        while len(workers) < min(threads, len(things)) and not work.over.is_set():
            if len(workers) < _FIRST or work.ended == ended:
                workers.append(Thread(target=work.go_on, daemon=True))
                workers[-1].start()
            if len(workers) >= _FIRST:
                ended = work.ended
                work.over.wait(_MOMENT)
        for worker in workers:
            worker.join()
    except BaseException as error:  # such as Ctrl-C: nothing may still write once this has ended
        work.failures.append(error)
        for worker in workers:
            worker.join()
        raise
    if work.failures:
        raise work.failures[0]


class _Work(Generic[T]):
    """What the threads of a copy share."""

    def __init__(self, do: Callable[[T], None], things: list[T]) -> None:
        self._do = do
        self._waiting = iter(things)
        self._turn = Lock()
        self.ended = 0
        self.failures: list[BaseException] = []
        self.over = Event()
        """Set once nothing is left to begin."""

    def go_on(self) -> None:
        """Do one thing after the other, until there is none or one failed."""
        while True:
            with self._turn:
                thing = None if self.failures else next(self._waiting, None)
            if thing is None:
                self.over.set()
                return
            try:
                self._do(thing)
            except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
                self.failures.append(error)
            self.ended += 1
