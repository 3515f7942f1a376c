"""What may go: blobs that no name resolves to, and what the cache keeps for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.store.disk import FOREIGN_GRACE
from wherry.store.sweep import Swept

if TYPE_CHECKING:
    from wherry.digest import Digest
    from wherry.store.disk import DiskStore

MONTH = 30 * 86400
"""Seconds after which an unused result goes."""
HOUR = 3600
"""Seconds after which a folder that no build holds is a killed one's."""
WEEK = 7 * 86400


@dataclass(frozen=True, slots=True)
class Freed:
    """What was deleted, or would be."""

    store: Swept
    """Blobs of the local store."""
    trees: int = 0
    """Unpacked layers and steps."""
    tree_bytes: int = 0
    caches: int = 0
    """Caches of RUN."""


def gc(
    session: Session,
    *,
    older: float = FOREIGN_GRACE,
    unused: float = WEEK,
    most: int | None = None,
    dry_run: bool = False,
    waits: Callable[[], None] = lambda: None,
) -> Freed:
    """Delete blobs that no name resolves to, and what the cache keeps for them.

    Args:
        session: where the store and the cache are.
        older: seconds; blobs written since are spared, since another tool may be writing an image.
        unused: seconds; steps of Dockerfiles and caches of RUN that no build has used since go.
        most: bytes that unpacked layers and steps may take; the longest unused steps go first. None: any.
        dry_run: delete nothing.
        waits: called where a build that writes to the store is waited for.
    """
    swept = session.store.gc(keep_younger_than=older, dry_run=dry_run, waits=waits)
    trees, size, caches = _clean_trees(session, unused, most, dry_run=dry_run)
    if not dry_run:
        _clean_cache(session)
    return Freed(swept, trees, size, caches)


def _clean_trees(session: Session, unused: float, most: int | None, *, dry_run: bool) -> tuple[int, int, int]:
    """Delete unpacked layers that no image has, and steps and their caches that no build has used for long."""
    folder = session.cache_folder
    if not (folder / "trees").is_dir():
        return 0, 0, 0
    from wherry.app.sandboxes import mapping_of, trees_of
    from wherry.build.caches import unused as unused_caches

    kept = set(_diff_ids(session.store))
    every = trees_of(session, mapping_of(session), session.store)
    before = session.clock() - unused
    trees = every.delete(kept.__contains__, before=before, most=most, dry_run=dry_run)
    caches = list(unused_caches(folder / "mounts", before))
    if not dry_run:
        for cache in caches:
            every.clear([cache])
    return len(trees), sum(tree.bytes for tree in trees), len(caches)


def _diff_ids(store: "DiskStore") -> "Iterator[Digest]":
    """Yield the diff IDs of every image that has a name; signatures and other artifacts have none."""
    from wherry.errors import InvalidDocument
    from wherry.store.images import images_of

    for root in store.tags().values():
        try:
            images = images_of(store, root)
        except InvalidDocument:  # an artifact: what is damaged stopped the sweep before
            continue
        for image in images:
            yield from image.config.diff_ids


def _clean_cache(session: Session) -> None:
    folder = session.cache_folder
    from wherry.store.results import RESULTS, Results, forget_other_formats

    forget_other_formats(folder, session.clock() - MONTH)
    if (folder / RESULTS).is_file():
        results = Results(folder)
        results.forget_unused(session.clock() - MONTH)
        results.close()
    if (folder / "published").is_dir():
        from shutil import rmtree

        from wherry.source.published import unused_since

        for module in unused_since(folder / "published", session.clock() - MONTH):
            rmtree(module, ignore_errors=True)
    if (folder / "sizes").is_dir():
        from wherry.app.sizes import forget_sizes

        forget_sizes(folder, session.clock() - MONTH)
    if (folder / "vulndb").is_dir() or (folder / "scans").is_dir():
        from wherry.app.vulnerability_data import forget_databases

        forget_databases(folder, session.clock() - MONTH)
    if (folder / "layers").is_dir():
        from wherry.app.layer_indexes import forget_indexes

        forget_indexes(folder, session.clock() - MONTH)
    if (folder / "link").is_dir():
        from wherry.build.link_folders import delete_left

        delete_left(folder / "link", session.clock() - HOUR)
    for file in (path for name in ("locks", "calls", "contexts") for path in (folder / name).glob("*")):
        if file.stat().st_mtime < session.clock() - MONTH:
            file.unlink(missing_ok=True)
