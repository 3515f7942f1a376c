"""Trees through the launcher: what other users own is written and deleted by it alone."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.sandbox.frames import FrameBody, FrameEntry, write_frames
from wherry.sandbox.ids import Mapping
from wherry.sandbox.spec import Delete, LauncherEvent, Unpack, Weigh
from wherry.sandbox.start import Launcher, SandboxRefused, raised

if TYPE_CHECKING:
    from wherry.layer.room import Room

_AT_ONCE = 1000
"""Folders whose weights fit into one event of the launcher."""


@dataclass(frozen=True, slots=True)
class SandboxSnapshotWriter:
    """Writes and deletes trees as one user with the ids that user has."""

    mapping: Mapping
    why: Callable[[], str]
    """Asked why namespaces may be refused here."""
    room: "Room | None" = None
    """What layers may take; None: all there is."""

    @property
    def identity(self) -> str:
        """What trees of this writer differ by: the same text, the same owners on disk."""
        return self.mapping.identity

    def unpack(
        self, entries: Iterable[tuple[FrameEntry, FrameBody]], into: Path, trash: Path, below: Sequence[Path]
    ) -> tuple[bool, int]:
        """Unpack a layer into an empty folder.

        Args:
            entries: the layer, read once.
            into: the folder.
            trash: another on the same disk.
            below: the folders of the layers under it, base first.

        Returns:
            Whether it came out as it did because of those below, and the bytes of its files.

        Raises:
            BadLayer: an entry can't be what it says.
            SandboxRefused: this machine gives no user namespace.
            InvalidArchive, CannotWrite: it is more than there is room for.
        """
        job = Unpack(
            task="unpack",
            ids=self.mapping.for_trees,
            into=str(into),
            trash=str(trash),
            below=[str(folder) for folder in below],
        )
        launcher = Launcher(job)
        try:
            with suppress(BrokenPipeError):
                write_frames(self.room.bounded(entries) if self.room else entries, launcher.frames)
            event = _last(launcher)
        except BaseException:
            launcher.kill()
            raise
        finally:
            code = launcher.end()
        if event is None or "error" in event or code:
            raise raised(event or LauncherEvent(error=f"the launcher ended with {code}"), self.why)
        return event["depends"], event["bytes"]

    def delete(self, folders: Sequence[Path], trash: Path) -> None:
        """Delete folders whole; `trash` is another on the same disk."""
        self._ask(
            Delete(
                task="delete", ids=self.mapping.for_trees, folders=[str(folder) for folder in folders], trash=str(trash)
            )
        )

    def weigh(self, folders: Sequence[Path]) -> list[int]:
        """Give the bytes that each folder takes on the disk."""
        weights: list[int] = []
        for start in range(0, len(folders), _AT_ONCE):
            names = [str(folder) for folder in folders[start : start + _AT_ONCE]]
            weights += self._ask(Weigh(task="weigh", ids=self.mapping.for_trees, folders=names))["weights"]
        return weights

    def _ask(self, job: Delete | Weigh) -> LauncherEvent:
        launcher = Launcher(job)
        event = _last(launcher)
        code = launcher.end()
        if event is not None and "error" in event:
            raise raised(event, self.why)
        if code:
            raise SandboxRefused(f"the launcher ended with {code}", hint=self.why())
        return event or LauncherEvent()


def _last(launcher: Launcher) -> LauncherEvent | None:
    event = None
    while (heard := launcher.hear()) is not None:
        event = heard[0]
    return event
