"""`wherry du`: show the disk usage of the local store."""

import json
from dataclasses import asdict

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("du", cls=GroupedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, as_json: bool) -> None:
    """Show the disk usage of the local store.

    ALONE: bytes that `wherry rm` and `wherry gc` would free, because no other image shares them. Names of the same
    image count as one.
    """
    usage = world.store.usage()
    if as_json:
        world.say(json.dumps({"folder": str(world.store.folder), **asdict(usage)}, indent=2))
        return
    from wherry.report.plain import plain
    from wherry.report.terminal import size, table

    rows = [("NAME", "BYTES", "ALONE", "BLOBS")]
    rows += [
        (plain(name), size(share.bytes), size(share.alone), str(share.blobs))
        for name, share in sorted(usage.names.items(), key=lambda pair: (-pair[1].bytes, pair[0]))
    ]
    if usage.nameless_blobs:
        rows.append(("(no name; gc frees it)", size(usage.nameless), size(usage.nameless), str(usage.nameless_blobs)))
    if usage.temporary:
        rows.append(("(being written)", size(usage.temporary), size(usage.temporary), ""))
    rows.append(("all", size(usage.bytes + usage.temporary), "", str(usage.blobs)))
    for line in table(rows, right=(1, 2, 3)):
        world.say(line)
    world.note(str(world.store.folder))
