"""`wherry inspect IMAGE`: what an image is made of."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from wherry.app.places import find
from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.platform import Platform
from wherry.store.contract import BlobSource, read_whole

if TYPE_CHECKING:
    from wherry.report.content import Inspected


@click.command("inspect")
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: the one to look into.", shell_complete=platforms
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the same values as JSON; of all platforms, unless one is named."
)
@click.option("--raw", type=click.Choice(["manifest", "config"]), help="Print the document as it is stored.")
@click.option(
    "--files",
    type=click.IntRange(1, 10_000),
    help="How many of the biggest files to name. [default: those of 1 % or more]",
)
@click.pass_obj
def command(
    world: World, /, *, image: str, platform: str | None, as_json: bool, raw: str | None, files: int | None
) -> int:
    """Show what IMAGE is made of, and where its bytes are.

    IMAGE is a name or digest of the local store, a layout folder or an archive; PATH:NAME names one of several
    images in those. A name with a registry that is not in the store is read from there; docker:// asks only there.
    """
    at = find(world, image)
    found = Found(at.name, at.source, at.root)
    wanted = Platform.parse(platform) if platform else None
    if raw:
        world.stdout.write(found.document(raw, wanted).decode(errors="replace"))
    elif as_json:
        world.say(json.dumps(_document(found, found.images(wanted), files), indent=2))
    else:
        _show(world, found, wanted, files)
    return 0


@dataclass(frozen=True, slots=True)
class Found:
    """An image under the name it was asked for."""

    name: str
    source: BlobSource
    root: Descriptor

    def images(self, platform: Platform | None) -> tuple[Image, ...]:
        """Read the images of all platforms, or the one that is wanted.

        Raises:
            NotFound: there is none of the platform.
        """
        from wherry.store.images import image_for, images_of

        if platform:
            return (image_for(self.source, self.root, platform, self.name),)
        return images_of(self.source, self.root)

    def document(self, kind: str, platform: Platform | None) -> bytes:
        """Read a document as it is stored: the root, or one platform's manifest or config.

        Raises:
            InvalidUsage: a config is asked for, and there are several.
        """
        if kind == "manifest" and platform is None:
            return read_whole(self.source, self.root)
        images = self.images(platform)
        if len(images) != 1:
            there = ", ".join(str(image.platform) for image in images) or "none"
            raise InvalidUsage(f"{self.name} has {len(images)} configs", hint=f"choose by --platform; it has: {there}")
        return read_whole(self.source, images[0].descriptor if kind == "manifest" else images[0].manifest.config)


def _inspected(found: Found, image: Image, files: int | None) -> "Inspected":
    from wherry.analysis.content import content_of
    from wherry.report.content import Inspected

    return Inspected(image, content_of(found.source, image, biggest=files), _recipe(image))


def _recipe(image: Image) -> Mapping[str, object]:
    from wherry.build.recipe import RECIPE

    text = (image.config.runtime.labels or {}).get(RECIPE, "{}")
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _show(world: World, found: Found, platform: Platform | None, files: int | None) -> None:
    from wherry.report.content import details, overview

    images = found.images(platform)
    if not images:
        raise NotFound(
            f"{found.name} has no image of any platform", hint="`wherry inspect --raw manifest` shows it as it is"
        )
    world.say(found.name if str(found.root.digest) in found.name else f"{found.name}@{found.root.digest}")
    if len(images) > 1:
        for line in overview(images):
            world.say(line)
        world.say("")
    chosen = _chosen(images)
    for line in details(_inspected(found, chosen, files)):
        world.say(line)
    if len(images) > 1:
        world.note(f"these are the details of {chosen.platform}; --platform chooses another")


def _chosen(images: Sequence[Image]) -> Image:
    """Take the image of this machine, or else the first."""
    here = Platform.of("linux", os.uname().machine)
    return next((image for image in images if image.platform == here), images[0])


def _document(found: Found, images: Sequence[Image], files: int | None) -> dict[str, object]:
    from wherry.report.content import document

    return {
        "version": 1,
        "name": found.name,
        "digest": found.root.digest,
        "mediaType": found.root.media_type,
        "images": [document(_inspected(found, image, files)) for image in images],
    }
