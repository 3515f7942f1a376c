"""Which trees go: unused ones, those that a crash may have cut, and what killed processes left half done."""

import os
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Protocol

import msgspec

from wherry.snapshots.records import RECORD, Snapshot, SnapshotFolder
from wherry.store.files import replacing
from wherry.store.locks import acquire


class FolderRemover(Protocol):
    """Deletes and weighs files of other users."""

    def delete(self, folders: Sequence[Path], trash: Path) -> None:
        """Delete folders whole."""

    def weigh(self, folders: Sequence[Path]) -> Sequence[int]:
        """Give the bytes that each folder takes on the disk."""


class Collector:
    """Chooses and deletes trees; made and used while `lock` is held alone."""

    def __init__(self, trees: SnapshotFolder, remover: FolderRemover) -> None:
        self._trees = trees
        self._remover = remover
        self._folder = trees.folder

    def collect(
        self, keep: Callable[[str], bool], *, before: float, most: int | None, dry_run: bool
    ) -> tuple[Snapshot, ...]:
        """See `Snapshots.delete`."""
        held = self._held()
        self._weigh()
        gone = self._unwanted(held, keep, before, most)
        if dry_run:
            return tuple(gone)
        folders = [folder for folder in (self._folder / "trash").iterdir() if folder.is_dir()]
        folders += left_half_done(self._folder)
        for number, name in enumerate((*(tree.name for tree in gone), *self._trees.lost())):
            folders.append(self._folder / "trash" / f"{os.getpid()}-{os.urandom(6).hex()}-{number}")
            (self._folder / name).rename(folders[-1])
        self._remover.delete(folders, self._folder / "trash")
        return tuple(gone)

    def _held(self) -> set[str]:
        """Name the trees in use; a file of a process that ended is deleted."""
        held: set[str] = set()
        for path in (self._folder / "held").iterdir():
            ours = acquire(path, alone=True, wait=False)
            if ours is None:
                held.update(path.read_text().split())
            else:
                path.unlink()
                ours.release()
        return held

    def _weigh(self) -> None:
        """Write down what steps take, of those not yet measured; their last use is unchanged."""
        unknown = [tree for tree in self._trees.stored() if not tree.bytes and tree.name.startswith("steps/")]
        if not unknown:
            return
        for tree, weight in zip(unknown, self._remover.weigh([tree.folder for tree in unknown]), strict=True):
            path, record = self._folder / tree.name / RECORD, self._trees.record(tree.name)
            if record is None:
                continue
            used = path.stat().st_mtime_ns
            with replacing(path) as file:
                file.write(msgspec.json.encode(msgspec.structs.replace(record, bytes=weight)))
            os.utime(path, ns=(used, used))

    def _unwanted(self, held: set[str], keep: Callable[[str], bool], before: float, most: int | None) -> list[Snapshot]:
        """Name the unused trees to delete."""
        stored = self._trees.stored()
        gone, steps = [], []
        for tree in stored:
            record = self._trees.record(tree.name)
            if tree.name in held or record is None:
                continue
            if record.diff_id:
                gone += [] if keep(record.diff_id) else [tree]
                continue
            used = (self._folder / tree.name / RECORD).stat().st_mtime
            if used < before:
                gone.append(tree)
            else:
                steps.append((used, tree))
        if most is not None:
            excess = sum(tree.bytes for tree in stored) - sum(tree.bytes for tree in gone) - most
            for _, tree in sorted(steps, key=itemgetter(0)):
                if excess <= 0:
                    break
                gone.append(tree)
                excess -= tree.bytes
        return gone


def left_half_done(folder: Path) -> list[Path]:
    """Name what killed processes were making in a folder of trees; a lock tells what is still being made."""
    left = []
    for path in (folder / "making").glob("*.lock"):
        lock = acquire(path, alone=True, wait=False)
        if lock is None:
            continue
        if path.with_suffix("").is_dir():
            left.append(path.with_suffix(""))
        path.unlink(missing_ok=True)
        lock.release()
    return left
