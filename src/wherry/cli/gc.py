"""`wherry gc`: delete what no name leads to, in the store and in the cache."""

import re

import click

from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.store.disk import FOREIGN_GRACE

_AGE = re.compile(r"(\d{1,6})(s|m|h|d)?")
_MONTH = 30 * 86400
"""Seconds after which an unused result goes."""
RESULTS = "results.sqlite"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would go.")
@click.option(
    "--older",
    metavar="AGE",
    default=f"{FOREIGN_GRACE / 60:.0f}m",
    show_default=True,
    help="Spare blobs written less than AGE ago, such as 90s, 10m, 2h, 7d: another tool may be writing an image.",
)
@click.option(
    "--unused",
    metavar="AGE",
    default="7d",
    show_default=True,
    help="Of the cache, delete what steps of Dockerfiles made that no build has used for AGE.",
)
@click.pass_obj
def command(world: World, /, *, dry_run: bool, older: str, unused: str) -> None:
    """Delete blobs of the local store that no name leads to, and what the cache keeps for them.

    Waits until running builds have named what they wrote. Of the cache, unpacked layers that no image has go, and
    results and modules of PACKAGE@VERSION that no build has used for 30 days.
    """
    from wherry.report.terminal import size

    swept = world.store.gc(
        keep_younger_than=_seconds(older),
        dry_run=dry_run,
        waits=lambda: world.note("waiting for builds that write to the store"),
    )
    verb = "would free" if dry_run else "freed"
    world.say(f"{verb} {size(swept.bytes)} in {len(swept.blobs)} blobs")
    if not dry_run:
        _clean_cache(world, _seconds(unused))
    if swept.spared:
        spared = sum(blob.size for blob in swept.spared)
        world.note(f"{len(swept.spared)} blobs ({size(spared)}) are younger than {older}; --older 0s takes them too")


def _clean_cache(world: World, unused: float) -> None:
    folder = world.cache_folder
    if (folder / "trees").is_dir():
        from wherry.cli.sandboxes import mapping_of, trees_of
        from wherry.report.terminal import size
        from wherry.store.images import images_of

        roots = world.store.tags().values()
        kept = {
            diff_id for root in roots for image in images_of(world.store, root) for diff_id in image.config.diff_ids
        }
        every = trees_of(world, mapping_of(world), world.store)
        trees = every.delete(kept.__contains__, before=world.clock() - unused)
        if trees:
            world.say(f"freed {size(sum(tree.bytes for tree in trees))} in {len(trees)} unpacked layers and steps")
    if (folder / RESULTS).is_file():
        from wherry.store.results import Results

        results = Results(folder)
        results.forget_unused(world.clock() - _MONTH)
        results.close()
    if (folder / "published").is_dir():
        from shutil import rmtree

        from wherry.source.published import unused_since

        for module in unused_since(folder / "published", world.clock() - _MONTH):
            rmtree(module, ignore_errors=True)
    if (folder / "sizes").is_dir():
        from wherry.cli.sizing import forget_sizes

        forget_sizes(folder, world.clock() - _MONTH)
    for lock in (folder / "locks").glob("*"):
        if lock.stat().st_mtime < world.clock() - _MONTH:
            lock.unlink(missing_ok=True)


def _seconds(age: str) -> float:
    found = _AGE.fullmatch(age)
    if not found:
        raise InvalidUsage(f"{age!r}: no age", hint="write a number and one of s, m, h, d, such as 2h")
    return float(int(found[1]) * _SECONDS[found[2] or "s"])
