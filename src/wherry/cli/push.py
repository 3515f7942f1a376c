"""`wherry push IMAGE [NAME…]`: push push an image to registries."""

import json

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import TRANSFER, with_options
from wherry.cli.world import World


@click.command("push", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--digestfile", metavar="FILE", help="Write the digest to this file.")
@with_options(TRANSFER)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    names: tuple[str, ...],
    platforms: tuple[str, ...],
    insecure: bool,
    quiet: bool,
    as_json: bool,
    digestfile: str | None,
) -> None:
    """Push IMAGE, from the local store, a layout or an archive, as each NAME (default: its own name).

    Blobs that the registry has are not sent again. Prints NAME@DIGEST.
    """
    from wherry.app.transfer import push, trust
    from wherry.store.over import parse_wanted

    if insecure:
        trust(world, *(f"docker://{name.removeprefix('docker://')}" for name in names or (image,)))
    began = world.clock()
    with world.reporter("quiet" if quiet else "auto") as progress:
        pushed = push(world, image, names, platforms=parse_wanted(platforms), progress=progress)
    root = pushed[0].root
    if digestfile:
        from wherry.store.files import replacing

        with replacing(world.cwd / digestfile) as file:
            file.write(root.digest.encode())
    if as_json:
        document = {
            "digest": root.digest,
            "mediaType": root.media_type,
            "size": root.size,
            "names": list(map(str, pushed)),
        }
        lines = [json.dumps(document, indent=2)]
    else:
        lines = list(dict.fromkeys([root.digest] if quiet else map(str, pushed)))
    for line in lines:
        world.say(line)
    from wherry.cli.keep import keep_transfer

    keep_transfer(world, "push", pushed, began)
    if not digestfile and world.call:
        from wherry.cli.replay_record import remember_transfer

        printed = "".join(f"{line}\n" for line in lines)
        remember_transfer(world, pushed, began=began, source=image, printed=printed)
