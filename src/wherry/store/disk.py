"""The local store: an OCI layout folder that many processes read, write and collect at once.

Besides the layout's own files it has a folder `.wherry`, which other tools pass over: two lock files, and blobs on
their way in. The promises, and how each is kept:

- *A kill at any moment leaves a valid layout*: every file is written elsewhere and renamed into its place.
- *Verified at write*: a blob is hashed on its way in, and gets its name only if it is the one that was promised.
- *gc never takes what a build just wrote*: writers share a lock from their first blob to their tag; gc holds it alone.
- *No tag is lost*: `index.json` is read, changed and renamed under a lock of its own, held for a moment.
- *A tag survives a loss of power*: blobs are written unsynced; before a tag is written all it points to is synced, side
  by side, and then the index. The disk is asked for 32 MB at a time while more is fetched, so that this wait is short.
- *A tag of what can be fetched again does not wait* (`unsettled`, for pulls): its documents and the index are synced,
  its layers are written when the system writes any file. Until then a crash may take them: see the next line.
- *What a crash lost is never believed*: a blob that no sync was waited for may be empty or torn after a crash; every
  blob is hashed once in each run of the machine before it is used (`soundness.py`), and one that is not whole is
  deleted and made or fetched again.
- *Reading takes no lock.*

Names stand in `org.opencontainers.image.ref.name` in their familiar form, so that `skopeo inspect oci:DIR:api:dev` and
`umoci ls --layout DIR` know them.
Sources: OCI image-spec v1.1.1, image-layout.md; `docs/explanation/store.md`.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.digest import Digest
from wherry.errors import (
    CannotWrite,
    DigestMismatch,
    InvalidDocument,
    InvalidUsage,
    SizeMismatch,
    WherryError,
)
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.layout import INDEX, named
from wherry.oci.reference import Reference
from wherry.store.contract import walk
from wherry.store.elsewhere import Elsewhere
from wherry.store.files import Incoming, Writeback, incoming, resumable, sync_all
from wherry.store.layout import LayoutFolder
from wherry.store.locks import SharedLock, acquire
from wherry.store.names import Names
from wherry.store.prepare import OWN, make_folder, prepare
from wherry.store.soundness import DamagedImage, Soundness, hurt
from wherry.store.stale import clear_stale, partial_name

if TYPE_CHECKING:
    import hashlib

    from wherry.finding import Finding
    from wherry.store.sweep import Swept, Usage

Fetch = Callable[[Descriptor, tuple[str, ...]], Iterable[bytes]]
_RESUMED = 1 << 20
"""Bytes from which on a blob that was fetched in part is gone on with."""
FOREIGN_GRACE = 600.0
"""Seconds a blob without a name is kept: skopeo or umoci may be writing an image, and they know nothing of our lock."""


class DiskStore(LayoutFolder):
    """Keeps every promise of `store/contract.py`, in a folder that is made at the first write."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time, fetch: "Fetch | None" = None) -> None:
        """Open a folder.

        Args:
            folder: made at the first write.
            clock: seconds since the epoch.
            fetch: reads, from the places given, a blob that is known to be stored elsewhere; None: not possible.
        """
        super().__init__(folder)
        self._clock = clock
        self._fetch = fetch
        self._own = folder / OWN
        self.elsewhere = Elsewhere(self._own / "elsewhere", self._own)
        self._soundness = Soundness(self._own / "verified")
        self.warned: Callable[[str], None] = lambda _: None
        """Is given the line that says which images a damaged blob belonged to."""
        self._writeback = Writeback()
        self._settles = True
        self._writers = SharedLock(self._own / "lock")
        self._names = Names(self)
        self._prepared = False

    def unsettled(self) -> "DiskStore":
        """Give the same store with tags that do not wait until layers would survive a loss of power.

        It is for what can be fetched again: what a crash took is found damaged or missing before it is used.
        """
        made = DiskStore(self.folder, clock=self._clock, fetch=self._fetch)
        made.warned = self.warned
        made._settles = False
        return made

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep gc out: hold this from the first blob to the tag that points to it.

        Re-entrant, and shared by the threads of a process. Waits while a gc runs.

        Raises:
            CannotWrite: the folder can't be made or locked.
        """
        with self._writers.held(before=self._prepare):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep gc out while much is read, where we may: a store that can't be written is read without."""
        with ExitStack() as stack:
            with suppress(CannotWrite):
                if lock := acquire(self._own / "lock", alone=False):
                    stack.callback(lock.release)
            yield

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks; one that lives elsewhere is fetched first, and stays.

        Raises:
            BlobMissing: it is not here, and cannot be fetched from its registry.
            SizeMismatch, DigestMismatch, InvalidDocument: as `LayoutFolder.read`.
        """
        self._have(blob)
        return super().read(blob, offset)

    def chunks(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `LayoutFolder.chunks`; a blob that lives elsewhere is fetched first, and stays."""
        self._have(blob)
        return super().chunks(blob, offset)

    def verified_file(self, blob: Descriptor) -> str:
        """Name a blob's file where it was hashed since the machine started and is unchanged; else nothing."""
        path = self.path_of(blob.digest)
        try:
            found = os.lstat(path)
        except OSError:
            return ""
        return path if found.st_size == blob.size and self._soundness.verified(blob.digest, found) else ""

    def sound(self, blob: Descriptor) -> bool:
        """Report whether the blob is here and is what its name says: hashed once a boot, then known by its stamp.

        One that is not is deleted, so that it is built or fetched again, and `warned` is given the images it hurt.
        """
        if not self.has(blob):
            return False
        path = Path(self.path_of(blob.digest))
        try:
            before = path.lstat()
            if self._soundness.verified(blob.digest, before):
                return True
            for _ in super().read(blob):
                pass
        except (DigestMismatch, SizeMismatch, InvalidDocument, OSError):
            self._discard(blob, path)
            return False
        self._soundness.note(blob.digest, before)
        return True

    def sound_image(self, root: Descriptor) -> bool:
        """Report whether all that a root points to is sound, or is known to be stored elsewhere."""
        try:
            found = [self.sound(blob) or bool(self.elsewhere.places(blob.digest)) for blob in walk([root], self)]
        except WherryError:
            return False
        return all(found)

    def require_sound(self, root: Descriptor, name: str) -> None:
        """Make sure that an image is whole before it leaves.

        Raises:
            DamagedImage: part of it is damaged or missing; what was damaged is deleted, and all images it hurt named.
        """
        said: list[str] = []
        before, self.warned = self.warned, said.append
        try:
            sound = self.sound_image(root)
        finally:
            self.warned = before
        if not sound:
            raise DamagedImage(name, said)

    def write(self, blob: Descriptor, chunks: Iterable[bytes]) -> None:
        """Store the blob whole or not at all.

        Raises:
            DigestMismatch, SizeMismatch: the chunks are not the blob; nothing was stored.
            CannotWrite: no space, or not allowed.
        """
        with self.writing():
            if self.sound(blob):
                return
            with incoming(self._own, self.folder, flush=self._settles) as file:
                self._fill(file, blob, chunks, blob.digest.hasher(), 0)

    def fetch(self, blob: Descriptor, opened: "Callable[[int], Iterable[bytes]]") -> None:
        """Store a blob that can be read from any offset; what a killed or cut fetch left of it is not read again.

        Args:
            blob: what it is.
            opened: gives its bytes from an offset on.

        Raises:
            DigestMismatch, SizeMismatch: the bytes are not the blob; nothing was stored.
            CannotWrite: no space, or not allowed.
        """
        with self.writing():
            if self.sound(blob):
                return
            if blob.size < _RESUMED:
                self.write(blob, opened(0))
                return
            try:
                self._resume(blob, opened)
            except _Stale:  # what was left was of something else, or torn by a crash
                self._resume(blob, opened)

    def _resume(self, blob: Descriptor, opened: "Callable[[int], Iterable[bytes]]") -> None:
        with resumable(self._own, self.folder, partial_name(blob.digest), flush=self._settles) as file:
            state, size = blob.digest.hasher(), 0
            for chunk in file.written():
                state.update(chunk)
                size += len(chunk)
            if size > blob.size:
                state, size = blob.digest.hasher(), 0
                file.empty()
            try:
                self._fill(file, blob, opened(size), state, size)
            except (DigestMismatch, SizeMismatch) as error:
                if size:
                    file.empty()
                    raise _Stale from error
                raise

    def _fill(
        self, file: Incoming, blob: Descriptor, chunks: Iterable[bytes], state: "hashlib._Hash", size: int
    ) -> None:
        """Write what is missing of a blob behind the bytes that were hashed, and give it its place."""
        for chunk in chunks:
            size += len(chunk)
            if size > blob.size:
                break
            state.update(chunk)
            file.write(chunk)
        if size != blob.size:
            raise SizeMismatch(str(blob.digest), expected=blob.size, actual=size)
        if (actual := Digest.from_hash(state)) != blob.digest:
            raise DigestMismatch(str(blob.digest), expected=blob.digest, actual=actual)
        self._place(file, blob.digest)
        if self._settles:
            self._writeback.add(Path(self.path_of(blob.digest)), blob.size)

    @contextmanager
    def draft(self) -> "Iterator[DiskBlobWriter]":
        """Open a blob that is still being made; leaving without `commit` forgets it."""
        with self.writing(), incoming(self._own, self.folder) as file:
            yield DiskBlobWriter(self, file)

    def tag(self, name: str, root: Descriptor) -> None:
        """Point a name at a root and sync both; the root it pointed to before loses the name.

        Raises:
            BlobMissing: the root, or something it points to, is not here.
            InvalidReference: the name is invalid.
        """
        reference = Reference.parse(name)
        if reference.digest:
            raise InvalidUsage(f"{name}: a digest cannot be used as a name", hint=f"use {reference.name}:TAG")
        with self.writing():
            self._settle(root)
            self._names.put(named(root, str(reference)))

    def untag(self, name: str) -> Descriptor:
        """Take a name away; give the root it led to. Its bytes stay until `gc`.

        Raises:
            NotFound: no image has that name; the hint has the nearest.
        """
        if not (self.folder / INDEX).exists():
            raise self._names.unknown(name)
        with self.writing():
            return self._names.take(name)

    def gc(
        self,
        *,
        keep_younger_than: float = FOREIGN_GRACE,
        dry_run: bool = False,
        waits: Callable[[], None] = lambda: None,
    ) -> "Swept":
        """Delete blobs that no name points to, and what killed writers left.

        Args:
            keep_younger_than: seconds since a nameless blob was written; younger ones stay, with all they point to.
            dry_run: delete nothing, only count.
            waits: called if a build is writing, before waiting for its end.

        Raises:
            DigestMismatch, SizeMismatch, InvalidDocument: a document that a name points to is broken, so that it is
            unknown
                knows what it still needs; nothing was deleted.
        """
        from wherry.store.sweep import NOTHING_SWEPT, reachable, sweep

        if not (self.folder / INDEX).exists():
            return NOTHING_SWEPT
        if self._writers.holders:
            raise InvalidUsage("gc inside a build would wait for itself", hint="call it after `writing()` is left")
        self._prepare()
        lock = acquire(self._own / "lock", alone=True, wait=False)
        if lock is None:
            waits()
            lock = acquire(self._own / "lock", alone=True)
        try:
            swept = sweep(self, self._own, older_than=self._clock() - keep_younger_than, dry_run=dry_run)
            if not dry_run:
                self.elsewhere.forget_but(reachable(self.index().manifests, self))
            return swept
        finally:
            if lock:
                lock.release()

    def verify(self) -> "Iterator[Finding]":
        """Read every blob and every name; yield what is wrong."""
        from wherry.store.sweep import check

        with self.reading():
            yield from check(self, self.elsewhere.places)

    def usage(self) -> "Usage":
        """Say where the bytes are."""
        from wherry.store.sweep import measure

        with self.reading():
            return measure(self, self._own)

    def _have(self, blob: Descriptor) -> None:
        if self._fetch and not self.has(blob) and (places := self.elsewhere.places(blob.digest)):
            self.write(blob, self._fetch(blob, places))

    def _place(self, file: Incoming, digest: Digest) -> None:
        target = Path(self.path_of(digest))
        if digest.algorithm != "sha256":
            make_folder(target.parent)
        file.move(target, durable=False)
        with suppress(OSError):
            self._soundness.note(digest, target.lstat())

    def _discard(self, blob: Descriptor, path: Path) -> None:
        names = ", ".join(hurt(self, blob.digest)) or "no named image"
        with suppress(OSError):
            path.unlink()
        self.warned(f"{blob.digest.short}: damaged in {self.folder} and deleted; used by {names}")

    def _settle(self, root: Descriptor) -> None:
        """Make sure that all a root points to is here, and wait until it would survive a loss of power.

        Where this store waits for no layers, it still waits for documents: gc needs them to know what an image needs.
        """
        paths = []
        for blob in walk([root], self):
            if not self.sound(blob):
                if self.elsewhere.places(blob.digest):
                    continue
                next(self.read(blob), b"")  # says what is wrong with it
            if self._settles or blob.media_type in media.INDEXES | media.MANIFESTS:
                paths.append(self.path_of(blob.digest))
        self._writeback.finish()
        sync_all(paths)

    def _prepare(self) -> None:
        if not self._prepared:
            prepare(self, self._own)
            clear_stale(self._own)
            self._prepared = True


class _Stale(Exception):
    """What an earlier fetch left was not the blob's beginning."""


class DiskBlobWriter:
    """A blob on its way in, whose digest is known only at its end."""

    def __init__(self, store: DiskStore, file: Incoming) -> None:
        self._store = store
        self._file = file
        self._state = Digest.of(b"").hasher()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            CannotWrite: no space, or not allowed.
        """
        self._state.update(chunk)
        self._size += len(chunk)
        self._file.write(chunk)

    def commit(self, media_type: str) -> Descriptor:
        """Name the bytes by their digest and store them."""
        blob = Descriptor(media_type=media_type, digest=Digest.from_hash(self._state), size=self._size)
        if not self._store.sound(blob):
            self._store._place(self._file, blob.digest)  # noqa: SLF001 - a draft is the store's other half
        return blob
