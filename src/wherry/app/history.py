"""Where the history is, whether one is kept, and what is counted when it is read."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final

from wherry.app.history_place import history_folder
from wherry.app.session import Session
from wherry.digest import Digest
from wherry.errors import InvalidUsage, WherryError
from wherry.history.database import HistoryDatabase
from wherry.history.exchange import written
from wherry.oci import media
from wherry.oci.descriptor import Descriptor

_SOON: Final = 100
"""Lines of the journal that are taken in by who must not wait."""
_LARGEST: Final = 4 << 30
"""Bytes of a base layer that is measured."""


class HistoryOff(InvalidUsage):
    """No history is kept."""

    def __init__(self) -> None:
        super().__init__(
            "no history is kept: it is switched off",
            hint="unset WHERRY_HISTORY, or remove record = false below [history] of wherry.toml",
        )


@dataclass(frozen=True, slots=True)
class ImportedHistory:
    """What came of an import."""

    name: str
    entries: int
    """How many there were."""
    added: int
    """How many were new."""
    ahead: float = 0.0
    """Seconds by which the clock of its machine is ahead; its moments were set back."""
    future: int = 0
    """Entries that are dated after now all the same."""


def open_history(session: Session, *, patience: float | None = None) -> HistoryDatabase:
    """Open the history with all that was recorded until now.

    Args:
        session: where.
        patience: seconds to wait for another process at most, by who has none to look through the file for damage;
            None: it is looked through.

    Raises:
        HistoryOff: none is kept.
        CannotWrite: there is none yet, and it cannot be made.
        HistoryDamaged: it can't be read.
    """
    folder = history_folder(session)
    if folder is None:
        raise HistoryOff
    if patience is None:
        database = HistoryDatabase(folder, session.warn, clock=session.clock, checked=True)
        database.fold()
    else:
        database = HistoryDatabase(folder, clock=session.clock, patience=patience)
        database.fold(_SOON)
    return database


def export_history(session: Session, database: HistoryDatabase, since: float = 0.0) -> Iterator[bytes]:
    """Write the history as JSON lines."""
    return written(database.entries(since), database.machine, session.clock())


def moment_of(words: str, now: float) -> float:
    """Read a moment: a day such as 2026-11-29, or a span back from now such as 30d or 12h.

    Raises:
        InvalidUsage: it is neither.
    """
    from datetime import UTC, datetime

    units = {"d": 86400, "h": 3600, "w": 7 * 86400}
    if words[-1:] in units and words[:-1].isdecimal() and len(words) < len("100000d"):
        return now - int(words[:-1]) * units[words[-1]]
    try:
        found = datetime.fromisoformat(words)
    except ValueError as error:
        raise InvalidUsage(f"{words}: not a moment", hint="write a day (2026-11-29) or a span (30d, 12h)") from error
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def measure_layers(session: Session, database: HistoryDatabase, patience: float = 3.0) -> int:
    """Count the unpacked bytes of base layers that are in the store, so that images have a whole figure; give how many.

    Builds do not do it, since it takes longer than they may wait. Each layer is counted once.
    """
    found: dict[str, int] = {}
    began = time.monotonic()
    for digest, entry in database.unmeasured().items():
        layer = next(one for image in entry.images for one in image.layers if one.digest == digest)
        if time.monotonic() - began > patience:
            break
        with suppress(WherryError, OSError):
            found[digest] = _unpacked(session, Digest.parse(digest), layer.pulled)
    if found:
        database.measured(found)
    return len(found)


def _unpacked(session: Session, digest: Digest, size: int) -> int:
    from wherry.layer.decompress import decompress

    blob = Descriptor(media_type=media.OCI_LAYER, digest=digest, size=size)
    chunks = session.store.read(blob)
    first = next(chunks, b"")
    algorithm = "gzip" if first[:2] == b"\x1f\x8b" else "zstd" if first[:4] == b"\x28\xb5\x2f\xfd" else "none"
    return sum(map(len, decompress(chain([first], chunks), algorithm, name=str(digest), limit=_LARGEST)))
