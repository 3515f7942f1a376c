"""`wherry images`: list the images of the local store."""

import json

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.store.catalog import ListedImage, listings, pulled


@click.command("images", cls=GroupedCommand)
@click.option("-q", "--quiet", is_flag=True, help="Print digests only, each once.")
@click.option("--digests", is_flag=True, help="Print digests in full.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, quiet: bool, digests: bool, as_json: bool) -> None:
    """List the images of the local store.

    PULLED: compressed bytes transferred for one platform. CREATED: the time recorded in the image.
    """
    began = world.clock()
    found = listings(world.store)
    if as_json:
        lines = [json.dumps([_document(listing) for listing in found], indent=2)]
    elif quiet:
        lines = list(dict.fromkeys(listing.root.digest for listing in found))
    else:
        lines = _table(found, digests=digests) if found else []
    for line in lines:
        world.say(line)
    if not (as_json or quiet):
        _note_problems(world, found)
    # On a terminal the table is as wide as that; a later call may have another width.
    if found and world.call and world.columns is None and not any(listing.problem for listing in found):
        from wherry.cli.replay_record import remember_listing

        printed = "".join(f"{line}\n" for line in lines)
        remember_listing(world, [listing.root for listing in found], began=began, printed=printed)


def _table(found: tuple[ListedImage, ...], *, digests: bool) -> list[str]:
    from wherry.report.content import created_text
    from wherry.report.plain import plain
    from wherry.report.terminal import table

    rows = [("NAME", "DIGEST", "PLATFORMS", "PULLED", "CREATED")]
    for listing in found:
        digest = listing.root.digest
        rows.append(
            (
                plain(digest.short if listing.name == digest else listing.name),
                digest if digests else digest.short,
                plain(",".join(str(image.platform) for image in listing.images)) or "-",
                _sizes(listing),
                plain(created_text(next((image.config.created for image in listing.images), None))),
            )
        )
    return list(table(rows, right=(3,)))


def _note_problems(world: World, found: tuple[ListedImage, ...]) -> None:
    from wherry.report.plain import plain

    if not found:
        world.note("no images yet; run `wherry build` or `wherry load`")
    for listing in found:
        if listing.problem:
            world.note(f"{plain(listing.name)} is broken: {plain(listing.problem)}; see `wherry verify-store`")


def _sizes(listing: ListedImage) -> str:
    from wherry.report.terminal import size

    sizes = sorted(pulled(image) for image in listing.images)
    if not sizes:
        return "-"
    least, most = size(sizes[0]), size(sizes[-1])
    return most if least == most else f"{least} to {most}"


def _document(listing: ListedImage) -> dict[str, object]:
    return {
        "name": listing.name,
        "digest": listing.root.digest,
        "mediaType": listing.root.media_type,
        "platforms": [
            {
                "platform": str(image.platform),
                "digest": image.descriptor.digest,
                "pulled": pulled(image),
                "created": image.config.created,
            }
            for image in listing.images
        ],
        "problem": listing.problem or None,
    }
