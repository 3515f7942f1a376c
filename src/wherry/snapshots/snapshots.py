"""Unpacked layers that sandboxes mount: each once, under the digest of its tar, for every image that has it.

A folder of trees is part of the cache and can be deleted at any time. In it:

    trees.json              the format, and the ID mapping of the owners on disk
    lock                    taken alone for deletion, shared while trees are looked up and held
    layers/HEX/tree         a layer that is the same above any layers, by diff id
    chains/HEX/tree         one that is not (it deletes something, or leaves out folders), by chain id
    steps/HEX/tree          what a step of a build changed, under a random name that its result knows
    …/tree.json             its record
    held/…                  a file for each process that uses trees, naming them, locked as long as it does
    making/…, trash/…       trees on their way in and out; what a killed process left is deleted by the next

Sources: OCI image-spec v1.1.1, config.md "Layer DiffID" and "Layer ChainID".
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock as Lock_
from typing import Generic, Protocol, TypeVar

import msgspec

from wherry.digest import Digest
from wherry.errors import HostUnable
from wherry.oci.config import chain_ids
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.snapshots.collect import Collector
from wherry.snapshots.records import KINDS, RECORD, Snapshot, SnapshotFolder, SnapshotRecord, SnapshotsMarker
from wherry.snapshots.settling import Settler, note_settled, unsettled, write_out
from wherry.store.files import cannot_write, replacing
from wherry.store.locks import Lock, acquire

MOST_LAYERS = 500
"""That one overlay joins: OVL_MAX_STACK in Linux 6.18, fs/overlayfs/params.h."""
FORMAT = 2
"""Changes when trees of before can't be used any more."""

_KERNELS = ("work", "incompat/volatile", "incompat")
"""What overlayfs makes in its folder `work`."""

E_contra = TypeVar("E_contra", contravariant=True)
E = TypeVar("E")


class SnapshotWriter(Protocol[E_contra]):
    """Writes and deletes files of other users; `E_contra` is what it unpacks, an entry with its body."""

    @property
    def identity(self) -> str:
        """What trees differ by: the same text, the same owners on disk."""

    def unpack(self, entries: Iterable[E_contra], into: Path, trash: Path, below: Sequence[Path]) -> tuple[bool, int]:
        """Unpack a layer into an empty folder.

        Returns:
            Whether it came out as it did because of the layers below, and the bytes of its files.
        """

    def delete(self, folders: Sequence[Path], trash: Path) -> None:
        """Delete folders whole."""

    def weigh(self, folders: Sequence[Path]) -> Sequence[int]:
        """Give the bytes that each folder takes on the disk."""


class Snapshots(Generic[E]):
    """The unpacked layers of one user's cache."""

    def __init__(
        self,
        folder: Path,
        writer: SnapshotWriter[E],
        read: Callable[[Descriptor, Digest], Iterable[E]],
        boot: Path | None = None,
    ) -> None:
        """Take the folder, which is made when first written.

        Args:
            folder: where trees rest; trees of other formats or ids are next to these.
            writer: writes and deletes them.
            read: gives a layer's entries, and fails at its end if its diff id is another.
            boot: see `SnapshotFolder`; None: the kernel's file.
        """
        self._writer = writer
        self._read = read
        self._marker = SnapshotsMarker(FORMAT, writer.identity)
        self.folder = folder / Digest.of(msgspec.json.encode(self._marker)).short
        self.there = SnapshotFolder(self.folder) if boot is None else SnapshotFolder(self.folder, boot)
        self.stage = self.folder / "stage"
        """An empty folder for sandboxes to mount on, each seen by itself only."""

    @contextmanager
    def hold(self, image: Image) -> Iterator[tuple[Path, ...]]:
        """Give an image's layers as folders, base first, and keep them from deletion as long as this is open.

        What is not unpacked yet is; another process at the same layer is waited for.

        Raises:
            BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what it should be.
            CannotWrite: the cache can't be written.
        """
        with self.work() as hold:
            yield tuple(tree.folder for tree in hold.image(image))

    @contextmanager
    def work(self) -> Iterator["Lease[E]"]:
        """Have trees looked up and made, and keep what was from deletion, as long as this is open."""
        self._prepare()
        held = self.folder / "held" / f"{os.getpid()}-{os.urandom(6).hex()}"
        ours = acquire(held, alone=True)
        settler, whole = Settler(self.settle), False
        try:
            yield Lease(self, held, settler)
            whole = True
        finally:
            settler.end(failed=not whole)
            with suppress(OSError):
                held.unlink()
            _release(ours)

    def delete(
        self, keep: Callable[[str], bool], *, before: float = 0.0, most: int | None = None, dry_run: bool = False
    ) -> tuple[Snapshot, ...]:
        """Delete trees, other than those in use, and what killed processes left half done.

        Args:
            keep: reports whether trees of a diff ID must stay.
            before: of steps, delete what no build has had since then (seconds since the epoch).
            most: bytes that trees may take; those of steps go until it's so, the longest unused first.
            dry_run: delete nothing.

        Returns:
            The deleted ones.
        """
        if not self.folder.exists():
            return ()
        self._prepare()
        deletion = acquire(self.folder / "lock", alone=True)
        try:
            gone = Collector(self.there, self._writer).collect(keep, before=before, most=most, dry_run=dry_run)
        finally:
            _release(deletion)
        if not dry_run:
            with suppress(OSError):  # they are as they were, and a later build settles them
                self.settle()
        return gone

    def stored(self) -> tuple[Snapshot, ...]:
        """Name all trees."""
        return self.there.stored()

    def settle(self) -> int:
        """Have all trees on the disk, so that they outlast a crash; return how many were not known to be.

        Raises:
            OSError: the disk could not be written.
        """
        names = unsettled(self.there)
        if names:
            write_out(self.folder)
            looking = acquire(self.folder / "lock", alone=False)
            try:
                note_settled(self.there, names)
            finally:
                _release(looking)
        return len(names)

    def tree(self, name: str) -> Snapshot | None:
        """Find a tree by its name."""
        return self.there.find(name)

    def _layer(self, image: Image, number: int, below: Sequence[Snapshot]) -> Snapshot:
        """Find or make the tree of one layer."""
        blob, diff_id = image.manifest.stack[number], image.config.diff_ids[number]
        chain = chain_ids(image.config.diff_ids)[number]
        names = (f"layers/{diff_id.encoded}", f"chains/{chain.encoded}")
        if (there := self.there.find(*names)) is not None:
            return there
        making = self.folder / "making" / diff_id.encoded
        lock = acquire(making.with_suffix(".lock"), alone=True)
        try:
            if (there := self.there.find(*names)) is not None:
                return there
            return self._make(making, names, self._read(blob, diff_id), diff_id, [tree.folder for tree in below])
        finally:
            _release(lock)

    def _make(
        self, making: Path, names: tuple[str, str], entries: Iterable[E], diff_id: Digest, below: Sequence[Path]
    ) -> Snapshot:
        if making.exists():  # a killed process left it
            self._writer.delete([making], self.folder / "trash")
        try:
            for folder in (making, making / "tree", making / "trash"):
                _make_open(folder)
            depends, size = self._writer.unpack(entries, making / "tree", making / "trash", below)
            (making / RECORD).write_bytes(msgspec.json.encode(SnapshotRecord(str(diff_id), size, self.there.boot)))
            (making / "trash").rmdir()
            name = names[depends]
            if (self.folder / name).exists():  # a crash may have cut it
                self._writer.delete([self.folder / name], self.folder / "trash")
            making.rename(self.folder / name)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        except BaseException:
            self._writer.delete([making], self.folder / "trash")
            raise
        return Snapshot(name, self.folder / name / "tree", size)

    def clear(self, folders: Sequence[Path]) -> None:
        """Delete whole folders, whatever the owners of their files."""
        left = []
        for folder in folders:
            for name in (*_KERNELS, ""):  # most are empty otherwise, and need no helper
                with suppress(OSError):
                    (folder / name).rmdir()
            if folder.exists():
                left.append(folder)
        if left:
            self._writer.delete(left, self.folder / "trash")

    def _prepare(self) -> None:
        marker = self.folder / "trees.json"
        try:
            make_private(self.folder)
            if marker.exists():
                return
            for name in (*KINDS, "held", "making", "trash", "stage"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            with replacing(marker) as file:
                file.write(msgspec.json.encode(self._marker))
        except OSError as error:
            raise cannot_write(self.folder, error) from error


class Lease(Generic[E]):
    """Trees that one process uses: they stay as long as it does."""

    def __init__(self, trees: Snapshots[E], held: Path, settler: Settler) -> None:
        self._trees = trees
        self._settler = settler
        self._held = held
        self._turn = Lock_()
        self._names: set[str] = set()

    def image(self, image: Image) -> tuple[Snapshot, ...]:
        """Give an image's layers, base first; what is not unpacked yet is, and another process at it is waited for.

        Raises:
            HostUnable: it has more layers than can be mounted; nothing was read.
            BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what it should be.
            CannotWrite: the cache can't be written.
        """
        if (count := len(image.config.diff_ids)) > MOST_LAYERS:
            raise HostUnable(
                f"{image.descriptor.digest}: the image has {count} layers; Linux mounts at most {MOST_LAYERS}",
                hint="build it with fewer layers; copying, pushing and inspecting it work",
            )
        trees: list[Snapshot] = []
        for number in range(count):
            with self._looking():
                trees.append(self._trees._layer(image, number, trees))  # noqa: SLF001 - it is the other half of that class
                self._keep(trees[-1])
            self._settler.added()
        return tuple(trees)

    def find(self, name: str) -> Snapshot | None:
        """Find a tree by its name, and keep it."""
        with self._looking():
            tree = self._trees.tree(name)
            if tree is not None:
                os.utime(tree.folder.parent / RECORD)  # tells the collector that it is in use
                self._keep(tree)
        return tree

    @contextmanager
    def make(self) -> Iterator["ActiveSnapshot"]:
        """Have a step's tree made: `commit` keeps it, else what is there of it goes.

        Raises:
            CannotWrite: the cache can't be written.
        """
        trees = self._trees
        name = f"step-{os.getpid()}-{os.urandom(6).hex()}"
        folder = trees.folder / "making" / name
        lock = acquire(folder.with_suffix(".lock"), alone=True)
        try:
            with _writing(trees.folder):
                for place in (folder, folder / "tree", folder / "work", folder / "full"):
                    _make_open(place)
            making = ActiveSnapshot(folder)
            yield making
            with _writing(trees.folder):
                trees.clear([folder / "work", folder / "full"])
            with self._looking():
                making.tree = self._commit(folder)
            self._settler.added()
        finally:
            if folder.exists():
                trees.clear([folder])
            with suppress(OSError):
                folder.with_suffix(".lock").unlink()
            _release(lock)

    def _commit(self, folder: Path) -> Snapshot:
        name = f"steps/{os.urandom(16).hex()}"
        with _writing(self._trees.folder):
            (folder / RECORD).write_bytes(msgspec.json.encode(SnapshotRecord("", 0, self._trees.there.boot)))
            folder.rename(self._trees.folder / name)
        tree = Snapshot(name, self._trees.folder / name / "tree", 0)
        self._keep(tree)
        return tree

    @contextmanager
    def _looking(self) -> Iterator[None]:
        deletion = acquire(self._trees.folder / "lock", alone=False)
        try:
            yield
        finally:
            _release(deletion)

    def _keep(self, tree: Snapshot) -> None:
        with self._turn:
            if tree.name not in self._names:
                self._names.add(tree.name)
                self._held.write_text("".join(f"{name}\n" for name in sorted(self._names)))


@dataclass
class ActiveSnapshot:
    """A step's tree on its way."""

    folder: Path
    """Has `tree` and `work`, as an overlay wants them for what is written, and `full` where there are no overlays."""
    tree: Snapshot | None = None
    """Once it is there to stay."""


def make_private(folder: Path) -> None:
    """Have a folder that no other user of the machine may enter: what is in it may be set-uid root (CVE-2021-41091)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        with suppress(PermissionError):  # another user's, who keeps it open
            folder.chmod(0o700)


def _make_open(folder: Path) -> None:
    """Create a folder that is a rootfs's or holds one: its mode does not depend on the caller's umask."""
    folder.mkdir()
    folder.chmod(0o755)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error) from error


def _release(lock: Lock | None) -> None:
    if lock is not None:
        lock.release()
