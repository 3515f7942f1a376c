"""`wherry pull NAME…`: pull pull images from registries into the local store."""

import json

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import TRANSFER, with_options
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("pull", cls=GroupedCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-t", "--tag", "tag", metavar="NAME", help="Name in the local store. [default: the same name]")
@with_options(TRANSFER)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    names: tuple[str, ...],
    platforms: tuple[str, ...],
    tag: str | None,
    insecure: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Pull each NAME, such as debian:12 or localhost:5000/api@sha256:…, into the local store.

    Blobs in the store are not pulled again; interrupted downloads resume. Prints NAME@DIGEST.
    """
    from wherry.app.transfer import pull, trust
    from wherry.store.over import parse_wanted

    if tag and len(names) > 1:
        raise InvalidUsage(f"-t {tag}: one name for {len(names)} images", hint="pull them one by one")
    if insecure:
        trust(world, *(f"docker://{name.removeprefix('docker://')}" for name in names))
    wanted = parse_wanted(platforms)
    began = world.clock()
    with world.reporter("quiet" if quiet else "auto") as progress:
        pulled = [pull(world, name, tag=tag or "", platforms=wanted, progress=progress) for name in names]
    if as_json:
        rows = [{"name": one.name, "digest": one.digest, "mediaType": one.root.media_type} for one in pulled]
        lines = [json.dumps(rows, indent=2)]
    else:
        lines = [one.digest if quiet else f"{one.name}@{one.digest}" for one in pulled]
    for line in lines:
        world.say(line)
    from wherry.cli.keep import keep_transfer

    keep_transfer(world, "pull", pulled, began)
    if world.call:
        from wherry.cli.replay_record import remember_transfer

        remember_transfer(world, pulled, began=began, source="", printed="".join(f"{line}\n" for line in lines))
