"""`wherry inspect IMAGE`: show an image's config, layers and largest files."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from wherry.app.images import OpenImage, open_image, recipe_of
from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import NotFound
from wherry.oci.image import Image
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.report.content import Inspected


@click.command("inspect", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option(
    "--platform", metavar="PLATFORM", help="Show this platform of a multi-platform image.", shell_complete=platforms
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; all platforms unless --platform is given.")
@click.option("--raw", type=click.Choice(["manifest", "config"]), help="Print the stored document unchanged.")
@click.option(
    "--files",
    type=click.IntRange(1, 10_000),
    help="Number of largest files to list. [default: those of 1 % or more]",
)
@click.pass_obj
def command(
    world: World, /, *, image: str, platform: str | None, as_json: bool, raw: str | None, files: int | None
) -> int:
    """Show the config, layers and largest files of IMAGE.

    IMAGE is a name or digest of the local store, a layout folder or an archive; PATH:NAME selects one of several images
    in it. A name with a registry that is not in the local store is read from the registry; docker:// always reads from
    the registry.
    """
    began = world.clock()
    world.kept = []
    found = open_image(world, image)
    wanted = Platform.parse(platform) if platform else None
    if raw:
        world.stdout.write(found.document("config" if raw == "config" else "manifest", wanted).decode(errors="replace"))
    elif as_json:
        world.say(json.dumps(_document(found, found.images(wanted), files), indent=2))
    else:
        _show(world, found, wanted, files)
    if world.kept:
        from wherry.cli.replay_record import remember_reading

        remember_reading(world, image, began=began)
    return 0


def _inspected(found: OpenImage, image: Image, files: int | None) -> "Inspected":
    from wherry.analysis.judges import judge
    from wherry.report.content import Inspected

    return Inspected(image, found.content(image, biggest=files), recipe_of(image), tuple(judge(image)))


def _show(world: World, found: OpenImage, platform: Platform | None, files: int | None) -> None:
    from wherry.report.content import details, overview

    images = found.images(platform)
    if not images:
        raise NotFound(
            f"{found.name} has no image for any platform",
            hint="`wherry inspect --raw manifest` prints the stored document",
        )
    world.say(found.name if str(found.root.digest) in found.name else f"{found.name}@{found.root.digest}")
    if len(images) > 1:
        world.show(overview(images))
        world.say("")
    chosen = _chosen(images)
    world.show(details(_inspected(found, chosen, files)))
    if len(images) > 1:
        world.note(f"showing {chosen.platform}; choose another with --platform")


def _chosen(images: Sequence[Image]) -> Image:
    """Choose the image for this machine, or else the first."""
    here = Platform.of("linux", os.uname().machine)
    return next((image for image in images if image.platform == here), images[0])


def _document(found: OpenImage, images: Sequence[Image], files: int | None) -> dict[str, object]:
    from wherry.report.content import document

    return {
        "version": 1,
        "name": found.name,
        "digest": found.root.digest,
        "mediaType": found.root.media_type,
        "images": [document(_inspected(found, image, files)) for image in images],
    }
