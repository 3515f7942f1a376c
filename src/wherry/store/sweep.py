"""What a store holds and what it could do without: collecting, checking, measuring.

A blob is needed if a name points to it. Unneeded blobs go parents first, so that a kill never leaves
a document with missing children: writers trust that children went in before it.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wherry.digest import Digest
from wherry.errors import WherryError
from wherry.finding import Finding, Severity
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.layout import BLOBS, INDEX
from wherry.store.contract import CHUNK, children, walk
from wherry.store.files import cannot_write, open_regular, read_regular
from wherry.store.layout import LayoutFolder, media_type_of
from wherry.store.stale import leftovers

_NAMES = {"sha256": re.compile(r"[a-f0-9]{64}"), "sha512": re.compile(r"[a-f0-9]{128}")}


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the place of a blob."""

    digest: Digest
    size: int
    """Bytes, as the file system says."""
    modified: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a collection deleted, or would."""

    blobs: tuple[Stored, ...]
    spared: tuple[Stored, ...]
    """Nameless blobs that are too young to go."""
    temporary: int
    """Bytes of files that killed writers left."""

    @property
    def bytes(self) -> int:
        """Bytes freed."""
        return sum(blob.size for blob in self.blobs) + self.temporary


NOTHING_SWEPT = Swept((), (), 0)


@dataclass(frozen=True, slots=True)
class Share:
    """The bytes a name points to."""

    bytes: int
    alone: int
    """Of them, bytes that no other image points to."""
    blobs: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Where a store's bytes are."""

    bytes: int
    """Of all blobs."""
    blobs: int
    names: dict[str, Share] = field(default_factory=dict)
    nameless: int = 0
    """Bytes of blobs that no name points to."""
    nameless_blobs: int = 0
    temporary: int = 0
    """Bytes on their way in, or left by killed writers."""


def stored(store: LayoutFolder) -> Iterator[Stored]:
    """Yield the files at blobs' paths, ordered by digest; other files are ignored."""
    for algorithm, grammar in _NAMES.items():
        folder = store.folder / BLOBS / algorithm
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if grammar.fullmatch(entry.name))
        except FileNotFoundError:
            continue
        for name in names:
            with suppress(FileNotFoundError):  # a concurrent gc
                found = os.lstat(folder / name)
                yield Stored(Digest(f"{algorithm}:{name}"), found.st_size, found.st_mtime)


def sweep(store: LayoutFolder, own: Path, *, older_than: float, dry_run: bool) -> Swept:
    """Delete what no name points to; the caller keeps writers out.

    Args:
        store: to be collected.
        own: the folder of temporary files.
        older_than: seconds since the epoch; younger blobs stay, with all they point to.
        dry_run: delete nothing.
    """
    needed = reachable(store.index().manifests, store)
    nameless = [blob for blob in stored(store) if blob.digest not in needed]
    young = [blob for blob in nameless if blob.modified > older_than]
    needed |= reachable((entry for blob in young if (entry := document_of(store, blob))), store)
    needed |= {blob.digest for blob in young}
    doomed = _parents_first([blob for blob in nameless if blob.digest not in needed], store)
    leftovers = list(_temporary(own))
    if not dry_run:
        for path in (*(Path(store.path_of(blob.digest)) for blob in doomed), *(path for path, _ in leftovers)):
            _delete(path)
    return Swept(
        tuple(doomed),
        tuple(blob for blob in nameless if blob.digest in needed),
        sum(size for _, size in leftovers),
    )


def reachable(roots: Iterable[Descriptor], store: LayoutFolder) -> set[Digest]:
    """Name all that roots point to; the children of a missing document are unknown."""
    return {blob.digest for blob in walk(roots, store, sparse=True)}


def document_of(store: LayoutFolder, blob: Stored) -> Descriptor | None:
    """Describe a blob if it is a manifest or an index, whatever anyone calls it."""
    if blob.size > LARGEST:
        return None
    try:
        document = read_regular(store.path_of(blob.digest), LARGEST)
    except WherryError:
        return None
    if document is None or (media_type := media_type_of(document)) is None:
        return None
    state = blob.digest.hasher()
    state.update(document)
    if Digest.from_hash(state) != blob.digest:
        return None
    return Descriptor(media_type=media_type, digest=blob.digest, size=blob.size)


def check(store: LayoutFolder, elsewhere: Callable[[Digest], tuple[str, ...]]) -> Iterator[Finding]:
    """Read every name and every blob; yield what is wrong, names first.

    Args:
        store: to be checked.
        elsewhere: names where a blob lives that is not here on purpose.
    """
    try:
        tags = store.tags()
    except WherryError as error:
        yield Finding("broken-index", Severity.ERROR, str(store.folder / INDEX), error.message, remedy=error.hint)
        return
    needed_by: dict[Digest, list[str]] = {}
    for name, root in tags.items():
        yield from _check_image(name, root, store, needed_by, elsewhere)
    for blob in stored(store):
        if finding := _check_blob(blob, store, needed_by.get(blob.digest, [])):
            yield finding


def measure(store: LayoutFolder, own: Path) -> Usage:
    """Count bytes by name."""
    sizes = {blob.digest: blob.size for blob in stored(store)}
    reached = {name: frozenset(reachable([root], store) & sizes.keys()) for name, root in store.tags().items()}
    owners = Counter(digest for blobs in set(reached.values()) for digest in blobs)
    names = {
        name: Share(
            bytes=sum(sizes[digest] for digest in blobs),
            alone=sum(sizes[digest] for digest in blobs if owners[digest] == 1),
            blobs=len(blobs),
        )
        for name, blobs in reached.items()
    }
    nameless = sizes.keys() - owners.keys()
    return Usage(
        bytes=sum(sizes.values()),
        blobs=len(sizes),
        names=names,
        nameless=sum(sizes[digest] for digest in nameless),
        nameless_blobs=len(nameless),
        temporary=sum(size for _, size in _temporary(own)),
    )


def _parents_first(blobs: list[Stored], store: LayoutFolder) -> list[Stored]:
    depths: dict[Digest, int] = {}
    below: dict[Digest, tuple[Descriptor, ...]] = {}
    for blob in blobs:
        if document := document_of(store, blob):
            below[blob.digest] = children(document, store)

    def depth(digest: Digest) -> int:
        if digest not in depths:
            depths[digest] = 1 + max((depth(child.digest) for child in below.get(digest, ())), default=0)
        return depths[digest]

    return sorted(blobs, key=lambda blob: -depth(blob.digest))


def _temporary(own: Path) -> Iterator[tuple[Path, int]]:
    for path, size, _ in leftovers(own):
        yield path, size


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _check_image(
    name: str,
    root: Descriptor,
    store: LayoutFolder,
    needed_by: dict[Digest, list[str]],
    elsewhere: Callable[[Digest], tuple[str, ...]],
) -> Iterator[Finding]:
    remedy = f"build or load {name} again"
    try:
        for blob in walk([root], store, sparse=True):
            needed_by.setdefault(blob.digest, []).append(name)
            if store.has(blob):
                continue
            if places := elsewhere(blob.digest):
                yield Finding(
                    "lives-elsewhere",
                    Severity.NOTE,
                    name,
                    f"{blob.digest} ({blob.size}bytes) is in {', '.join(places)}, and is fetched when needed",
                )
            else:
                message = f"{blob.digest} is missing, or does not have {blob.size} bytes"
                yield Finding("missing-blob", Severity.ERROR, name, message, remedy=remedy)
    except WherryError as error:
        yield Finding("broken-document", Severity.ERROR, name, error.message, remedy=remedy)


def _check_blob(blob: Stored, store: LayoutFolder, needed_by: list[str]) -> Finding | None:
    path = store.path_of(blob.digest)
    try:
        actual = _hash_of(path, blob.digest)
    except WherryError as error:
        return Finding("no-file", Severity.ERROR, path, error.message, remedy=f"rm {path}")
    if actual in {None, blob.digest}:
        return None
    return Finding(
        "wrong-digest",
        Severity.ERROR,
        path,
        f"its bytes hash to {actual}",
        evidence=tuple(f"needed by {name}" for name in needed_by),
        remedy=f"rm {path}, then build or load the image again",
    )


def _hash_of(path: str, digest: Digest) -> Digest | None:
    file = open_regular(path)
    if file is None:
        return None
    state = digest.hasher()
    with os.fdopen(file, "rb", buffering=0) as reader:
        while chunk := reader.read(CHUNK):
            state.update(chunk)
    return Digest.from_hash(state)
