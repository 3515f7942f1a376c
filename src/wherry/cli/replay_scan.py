"""A scan that fails nothing, written down for `wherry.cli.replay`.

Its image or program, database and ignore file have to be as they were. The age of the database is the one part of an
answer that changes by itself; it is counted again.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.cli import replay
from wherry.cli.replay_record import SeenStore, file_stamp, key_of, paths_meant, remember_seen
from wherry.cli.world import World
from wherry.errors import WherryError
from wherry.source.stamps import stamp_of

if TYPE_CHECKING:
    from wherry.app.scan_result import Scan
    from wherry.source.stamps import Stamped

_DAY = 86400
_PROGRAM = "program"


def remember_scan(world: World, found: "Scan", *, began: float, ignore: str | None, as_json: bool) -> None:
    """Keep what a scan printed, unless something may change unseen.

    Args:
        world: where; its `kept` is what was printed.
        found: what it found.
        began: seconds since the epoch, before anything was read.
        ignore: the file of findings to ignore.
        as_json: whether the age of the database was printed in seconds, and not in days.
    """
    key, kept = key_of(world), world.kept
    if not key or kept is None or world.columns is not None:
        return
    roots = []
    if any(subject.image for subject in found.subjects) or found.others or not found.subjects:
        from wherry.app.places import find

        try:
            at = find(world, found.name)
        except WherryError:  # it was deleted meanwhile
            return
        if at.source is not world.store:
            return
        roots.append(at.root)
    elif any(subject.kind != _PROGRAM for subject in found.subjects):
        return  # a go.mod: Go is asked for its version
    printed = "".join(f"{line}\n" for line in kept)
    since = _moment(found.database.modified)
    age = found.database.age
    due = _due(world.clock(), since if age is not None and not as_json else 0, expires=ignore is not None)
    if as_json and age is not None:
        printed = printed.replace(f'"ageSeconds": {int(age)}', f'"ageSeconds": {replay.AGE}', 1)
    paths: list[str | Path] = [
        *paths_meant(world, found.name),
        *_databases(world, found),
        *([ignore] if ignore else []),
    ]
    files = [(path, file_stamp(path)) for path in (str(world.cwd / path) for path in paths)]
    seen = SeenStore(roots, files, listed=list(_listed(found.database.paths)), due=due, since=since)
    remember_seen(world, key, seen, began=began, printed=printed)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0


def _due(now: float, since: float, *, expires: bool) -> float:
    """Say when the answer will be another one by itself: the age counts days, and ignored findings end with one."""
    whole = [now - now % _DAY + _DAY] if expires else []
    whole += [since + ((now - since) // _DAY + 1) * _DAY] if since else []
    return min(whole, default=0)


def _databases(world: World, found: "Scan") -> Iterator[Path]:
    """Name databases; of the copy of a mirror its directory too, where an update may put another file."""
    for path in found.database.paths:
        yield path
        if path.is_relative_to(world.cache_folder):
            yield path.parent


def _listed(paths: tuple[Path, ...]) -> "Iterator[Stamped]":
    """Give the stamps of all that is below the databases that are directories."""
    for path in paths:
        for folder, folders, names in os.walk(path):
            yield from ((place, stamp_of(place)) for name in (*folders, *names) for place in [f"{folder}/{name}"])
