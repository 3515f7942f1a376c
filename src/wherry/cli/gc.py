"""`wherry gc`: delete what no image name references, in the store and in the cache."""

import json
import re
from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.counted import counted
from wherry.errors import InvalidUsage
from wherry.store.disk import FOREIGN_GRACE

if TYPE_CHECKING:
    from wherry.app.gc import Freed

_AGE = re.compile(r"(\d{1,6})(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command("gc", cls=GroupedCommand)
@click.option("--dry-run", is_flag=True, help="Delete nothing; print what would be deleted.")
@click.option(
    "--older",
    metavar="AGE",
    default=f"{FOREIGN_GRACE / 60:.0f}m",
    show_default=True,
    help="Keep blobs written less than AGE ago (90s, 10m, 2h, 7d): another tool may be writing an image.",
)
@click.option(
    "--unused",
    metavar="AGE",
    default="7d",
    show_default=True,
    help="Delete cached Dockerfile steps and RUN cache mounts that no build has used for AGE.",
)
@click.option(
    "--max-used-space",
    "--keep-storage",
    metavar="SIZE",
    help="Delete the least recently used cached steps until unpacked layers and steps take at most SIZE.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was deleted as JSON.")
@click.pass_obj
def command(
    world: World, /, *, dry_run: bool, older: str, unused: str, max_used_space: str | None, as_json: bool
) -> None:
    """Delete blobs of the local store that no image name references, and their cached data.

    Waits for running builds to name what they wrote. From the cache, deletes unpacked layers that no image uses, and
    results and modules of PACKAGE@VERSION that no build has used for 30 days.
    """
    from wherry.app.gc import gc
    from wherry.report.terminal import size

    most = _bytes(max_used_space) if max_used_space is not None else None
    freed = gc(
        world,
        older=_seconds(older),
        unused=_seconds(unused),
        most=most,
        dry_run=dry_run,
        waits=lambda: world.note("waiting for running builds to finish writing to the store"),
    )
    if as_json:
        world.say(json.dumps(_document(freed, dry_run=dry_run), indent=2))
        return
    verb, swept = "would free" if dry_run else "freed", freed.store
    world.say(f"{verb} {size(swept.bytes)} in {counted(len(swept.blobs), 'blob')}")
    if freed.trees:
        world.say(
            f"{verb} {size(freed.tree_bytes)} in {counted(freed.trees, 'directory')} of unpacked layers and steps"
        )
    if freed.caches:
        world.say(f"{verb} {counted(freed.caches, 'cache')} of RUN mounts")
    if swept.spared:
        spared = sum(blob.size for blob in swept.spared)
        world.note(
            f"younger than {older}: {counted(len(swept.spared), 'blob')} ({size(spared)}); --older 0s deletes them too"
        )


def _document(freed: "Freed", *, dry_run: bool) -> dict[str, object]:
    """Write what was deleted, or would be; sizes are bytes."""
    swept = freed.store
    return {
        "dryRun": dry_run,
        "blobs": [{"digest": str(blob.digest), "size": blob.size} for blob in swept.blobs],
        "bytes": swept.bytes,
        "spared": [{"digest": str(blob.digest), "size": blob.size} for blob in swept.spared],
        "unpacked": freed.trees,
        "unpackedBytes": freed.tree_bytes,
        "cacheMounts": freed.caches,
    }


def _seconds(age: str) -> float:
    found = _AGE.fullmatch(age)
    if not found:
        raise InvalidUsage(f"{age!r}: invalid age", hint="write a number and a unit (s, m, h or d), such as 2h")
    return float(int(found[1]) * _SECONDS[found[2] or "s"])


def _bytes(text: str) -> int:
    from wherry.dockerfile.errors import DockerfileError
    from wherry.dockerfile.mounts import parse_size

    try:
        return parse_size(text)
    except DockerfileError:
        raise InvalidUsage(f"{text!r}: invalid size", hint="write it as 500m or 10g") from None
