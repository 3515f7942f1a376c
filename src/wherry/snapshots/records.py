"""What is written down of trees, and which of them can be believed.

Writing a tree out would take longer than many a step, so it is not waited for. Until it is known to be on the disk,
a tree's record names the run of the machine (boot id) that it was made in; in another run it counts for nothing, since
a crash may have lost a part of it.

Source: Linux 6.18, Documentation/admin-guide/sysctl/kernel.rst, "random", for the boot id.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wherry.typed import from_json

RECORD = "tree.json"
KINDS = ("layers", "chains", "steps")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SnapshotRecord(msgspec.Struct, frozen=True):
    """What is known of a tree (tree.json)."""

    diff_id: str
    """Empty for a step's."""
    bytes: int
    """Of its files; of a step: what it takes on the disk, 0 until it is measured."""
    boot: str = ""
    """The run of the machine in which it can be believed; empty: in each, as it is on the disk."""


class SnapshotsMarker(msgspec.Struct, frozen=True):
    """What a folder of trees is (trees.json)."""

    format: int
    identity: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An unpacked layer."""

    name: str
    """`layers/HEX` or `chains/HEX`."""
    folder: Path
    """What an overlay joins."""
    bytes: int
    """Of its files."""


class SnapshotFolder:
    """The trees in a folder, by their names."""

    def __init__(self, folder: Path, boot: Path = _BOOT) -> None:
        """Take the folder.

        Args:
            folder: need not be there.
            boot: a file with what differs from one run of the machine to the next; without one, all trees are believed.
        """
        self.folder = folder
        self.boot = ""
        with suppress(OSError):
            self.boot = boot.read_text().strip()

    def find(self, *names: str) -> Snapshot | None:
        """Find the first tree of these that is there and can be believed."""
        for name in names:
            record = self.record(name)
            if record is not None:
                return Snapshot(name, self.folder / name / "tree", record.bytes)
        return None

    def record(self, name: str) -> SnapshotRecord | None:
        """Read what is known of a tree; None: it is not there, or a crash may have lost a part of it."""
        try:
            record = from_json((self.folder / name / RECORD).read_bytes(), SnapshotRecord)
        except (OSError, msgspec.DecodeError):
            return None
        return record if record.boot in ("", self.boot) else None

    def stored(self) -> tuple[Snapshot, ...]:
        """Name all trees."""
        return tuple(tree for name in self._names() if (tree := self.find(name)) is not None)

    def lost(self) -> tuple[str, ...]:
        """Name what is there and is not believed."""
        return tuple(name for name in self._names() if self.record(name) is None)

    def _names(self) -> Iterator[str]:
        for kind in KINDS:
            with suppress(FileNotFoundError):
                yield from sorted(f"{kind}/{entry.name}" for entry in (self.folder / kind).iterdir())
