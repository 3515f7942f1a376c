"""Entries to rows: what is asked for by SQL has columns, the rest is in the document."""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from wherry.history.entry import CallFigures, ImageFigures

_CALL = (
    "INSERT OR IGNORE INTO calls (id, at, machine, command, ok, unchanged, seconds, hits, misses, cpu, memory, "
    "compiler_cpu, compiler_memory, sent, start, revision, go, document) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def insert(database: sqlite3.Connection, entries: Iterable[CallFigures], machine: str) -> int:
    """Add entries that are not there yet; give how many were added.

    Args:
        database: within a transaction.
        entries: of any machine.
        machine: the name of those that have none.
    """
    return sum(
        _insert(database, one if one.machine else msgspec.structs.replace(one, machine=machine)) for one in entries
    )


def _insert(database: sqlite3.Connection, entry: CallFigures) -> bool:
    values = (
        entry.id, entry.at, entry.machine, entry.command, entry.ok, entry.unchanged, entry.seconds, entry.hits,
        entry.misses, entry.cpu, entry.memory, entry.compiler_cpu, entry.compiler_memory, entry.sent, entry.start,
        entry.revision, entry.go, entry.encoded().decode(),
    )  # fmt: skip
    if not database.execute(_CALL, values).rowcount:
        _restarted(database, entry)
        return False
    _layers(database, entry.images)
    for place, image in enumerate(entry.images):
        _image(database, entry, place, image)
    steps = [(entry.id, place, entry.at, one.name, one.cached, one.seconds) for place, one in enumerate(entry.steps)]
    database.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)", steps)
    budgets = [
        (entry.id, place, entry.at, one.what, one.image, one.platform, one.limit, one.actual, one.ok)
        for place, one in enumerate(entry.budgets)
    ]
    database.executemany("INSERT INTO budgets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", budgets)
    if entry.scan is not None:
        found = (entry.id, entry.at, *msgspec.structs.astuple(entry.scan))
        database.execute("INSERT INTO scans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", found)
    if (one := entry.container) is not None:
        ended = (entry.id, entry.at, one.pod, one.container, one.reason, one.restarts)
        database.execute("INSERT INTO containers VALUES (?, ?, ?, ?, ?, ?)", ended)
    if entry.node_pull is not None:
        row = (entry.id, entry.at, *msgspec.structs.astuple(entry.node_pull))
        database.execute("INSERT INTO node_pulls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    if entry.pod_start is not None:
        row = (entry.id, entry.at, *msgspec.structs.astuple(entry.pod_start))
        database.execute("INSERT INTO pod_starts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    if (told := entry.kubelet) is not None:
        rows = [
            (entry.id, place, entry.at, told.node, told.began, one.size, one.count, one.seconds)
            for place, one in enumerate(told.pulls)
        ]
        database.executemany("INSERT INTO kubelet_pulls VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return True


def _restarted(database: sqlite3.Connection, entry: CallFigures) -> None:
    """Keep the larger number of restarts where the end of a container is seen again, once it was started again."""
    if (one := entry.container) is None or not one.restarts:
        return
    raised = "UPDATE containers SET restarts = ?1 WHERE call = ?2 AND restarts < ?1"
    if database.execute(raised, (one.restarts, entry.id)).rowcount:
        told = "UPDATE calls SET document = json_set(document, '$.container.restarts', ?) WHERE id = ?"
        database.execute(told, (one.restarts, entry.id))


def _layers(database: sqlite3.Connection, images: Sequence[ImageFigures]) -> None:
    known = [(one.digest, one.unpacked) for image in images for one in image.layers if one.unpacked is not None]
    database.executemany("INSERT OR IGNORE INTO layers VALUES (?, ?)", known)
    packages = [(image.digest, one.path, one.bytes) for image in images for one in image.packages]
    database.executemany("INSERT OR REPLACE INTO packages VALUES (?, ?, ?)", packages)


def _image(database: sqlite3.Connection, entry: CallFigures, place: int, image: ImageFigures) -> None:
    base: int | None = None
    unpacked: int | None = None
    if image.layers:
        base = sum(one.pulled for one in image.layers if not one.own)
        unpacked = unpacked_of(database, image)
    else:
        same = "SELECT base, unpacked FROM images WHERE digest = ? AND unpacked IS NOT NULL LIMIT 1"
        base, unpacked = database.execute(same, (image.digest,)).fetchone() or (None, None)
    values = (
        entry.id, place, entry.at, image.name, image.platform, image.digest, image.root, image.pulled, unpacked, base,
        image.program,
    )  # fmt: skip
    database.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def unpacked_of(database: sqlite3.Connection, image: ImageFigures) -> int | None:
    """Sum up the unpacked bytes of an image's layers; None where one is not known."""
    total = 0
    for layer in image.layers:
        row = database.execute("SELECT unpacked FROM layers WHERE digest = ?", (layer.digest,)).fetchone()
        if row is None:
            return None
        total += row[0]
    return total
