"""`wherry copy FROM TO`: copy copy an image between registries, the local store, layouts and archives."""

import json

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import TRANSFER, with_options
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("copy", cls=GroupedCommand)
@click.argument("source", metavar="FROM", shell_complete=images)
@click.argument("target", metavar="TO")
@click.option("--all-tags", is_flag=True, help="Copy every tag of one repository to another.")
@click.option("--with-referrers", is_flag=True, help="Copy signatures, attestations and other attachments along.")
@click.option(
    "--compression", type=click.Choice(["gzip", "zstd", "none"]), help="Recompress the layers; this changes the digest."
)
@click.option("--compression-level", type=int, help="Compression level.")
@with_options(TRANSFER)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    source: str,
    target: str,
    platforms: tuple[str, ...],
    all_tags: bool,
    with_referrers: bool,
    compression: str | None,
    compression_level: int | None,
    insecure: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Copy an image, or some of its platforms. Blobs that the destination already has are not sent.

    FROM and TO are names in a registry (localhost:5000/api:dev, docker://debian:12), of the local store
    (store:api:dev), layout folders (oci:DIR:NAME, ./DIR) or archives (oci-archive:FILE, docker-archive:FILE, FILE.tar).
    A name without a registry refers to the local store. Prints TO@DIGEST.
    """
    from wherry.app.transfer import copy, copy_all_tags, trust
    from wherry.layer.compress import Encoding
    from wherry.store.over import parse_wanted

    if compression_level is not None and not compression:
        raise InvalidUsage("--compression-level without --compression", hint="add --compression gzip or zstd")
    if with_referrers and (all_tags or compression):
        raise InvalidUsage(
            "--with-referrers copies one image unchanged", hint="remove --all-tags, --compression and its level"
        )
    if insecure:
        trust(world, source, target)
    encoding = None
    if compression:
        level = compression_level
        encoding = Encoding.default(compression) if level is None else Encoding(compression, level)
    wanted = parse_wanted(platforms)
    began = world.clock()
    with world.reporter("quiet" if quiet else "auto") as progress:
        if with_referrers:
            from wherry.app.copy_attachments import copy_with_referrers

            copied = [copy_with_referrers(world, source, target, platforms=wanted, progress=progress)]
        elif all_tags:
            copied = [*copy_all_tags(world, source, target, platforms=wanted, encoding=encoding, progress=progress)]
        else:
            copied = [copy(world, source, target, platforms=wanted, encoding=encoding, progress=progress)]
    if as_json:
        lines = [json.dumps([{"name": one.name, "digest": one.digest} for one in copied], indent=2)]
    else:
        lines = [one.digest if quiet else f"{one.name}@{one.digest}" for one in copied]
    for line in lines:
        world.say(line)
    from wherry.cli.keep import keep_transfer

    keep_transfer(world, "copy", copied, began)
    if not all_tags and not with_referrers and world.call:
        from wherry.cli.replay_record import remember_transfer

        remember_transfer(world, copied, began=began, source=source, printed="".join(f"{line}\n" for line in lines))
