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
    help="Of the cache, delete what steps of Dockerfiles made, and caches of RUN, that no build has used for AGE.",
)
@click.option(
    "--max-used-space",
    "--keep-storage",
    metavar="SIZE",
    help="Of the cache, delete the longest unused steps of Dockerfiles until unpacked layers and steps take SIZE.",
)
@click.pass_obj
def command(world: World, /, *, dry_run: bool, older: str, unused: str, max_used_space: str | None) -> None:
    """Delete blobs of the local store that no name leads to, and what the cache keeps for them.

    Waits until running builds have named what they wrote. Of the cache, unpacked layers that no image has go, and
    results and modules of PACKAGE@VERSION that no build has used for 30 days.
    """
    from wherry.report.terminal import size

    most = _bytes(max_used_space) if max_used_space is not None else None
    swept = world.store.gc(
        keep_younger_than=_seconds(older),
        dry_run=dry_run,
        waits=lambda: world.note("waiting for builds that write to the store"),
    )
    verb = "would free" if dry_run else "freed"
    world.say(f"{verb} {size(swept.bytes)} in {len(swept.blobs)} blobs")
    _clean_trees(world, _seconds(unused), most, dry_run=dry_run)
    if not dry_run:
        _clean_cache(world)
    if swept.spared:
        spared = sum(blob.size for blob in swept.spared)
        world.note(f"{len(swept.spared)} blobs ({size(spared)}) are younger than {older}; --older 0s takes them too")


def _clean_trees(world: World, unused: float, most: int | None, *, dry_run: bool) -> None:
    """Delete unpacked layers that no image has, and steps and their caches that no build has used for long."""
    folder = world.cache_folder
    if not (folder / "trees").is_dir():
        return
    from wherry.app.sandboxes import mapping_of, trees_of
    from wherry.build.caches import unused as unused_caches
    from wherry.report.terminal import size
    from wherry.store.images import images_of

    roots = world.store.tags().values()
    kept = {diff_id for root in roots for image in images_of(world.store, root) for diff_id in image.config.diff_ids}
    every = trees_of(world, mapping_of(world), world.store)
    before = world.clock() - unused
    verb = "would free" if dry_run else "freed"
    trees = every.delete(kept.__contains__, before=before, most=most, dry_run=dry_run)
    if trees:
        world.say(f"{verb} {size(sum(tree.bytes for tree in trees))} in {len(trees)} unpacked layers and steps")
    caches = 0
    for cache in unused_caches(folder / "mounts", before):
        caches += 1
        if not dry_run:
            every.clear([cache])
    if caches:
        world.say(f"{verb} {caches} caches of RUN")


def _clean_cache(world: World) -> None:
    folder = world.cache_folder
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
        from wherry.app.sizes import forget_sizes

        forget_sizes(folder, world.clock() - _MONTH)
    for file in (path for name in ("locks", "calls", "contexts") for path in (folder / name).glob("*")):
        if file.stat().st_mtime < world.clock() - _MONTH:
            file.unlink(missing_ok=True)


def _seconds(age: str) -> float:
    found = _AGE.fullmatch(age)
    if not found:
        raise InvalidUsage(f"{age!r}: no age", hint="write a number and one of s, m, h, d, such as 2h")
    return float(int(found[1]) * _SECONDS[found[2] or "s"])


def _bytes(text: str) -> int:
    from wherry.dockerfile.errors import DockerfileError
    from wherry.dockerfile.mounts import parse_size

    try:
        return parse_size(text)
    except DockerfileError:
        raise InvalidUsage(f"{text!r}: no number of bytes", hint="write it as 500m or 10g") from None
