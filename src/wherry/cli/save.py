"""`wherry save IMAGE… -o FILE|DIR|-`: images out of the local store."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.oci.descriptor import Descriptor
from wherry.platform import Platform
from wherry.store.archive import write_docker_archive, write_oci_archive
from wherry.store.catalog import bring
from wherry.store.disk import DiskStore
from wherry.store.files import replacing
from wherry.store.images import image_for
from wherry.store.layout import find_name


@click.command("save")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=images)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE|DIR|-",
    help="Where to; a folder (or a name ending in /) gets a layout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker"]),
    default="oci",
    show_default=True,
    help="docker: what any `docker load` takes; one platform only.",
)
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: the one to save.", shell_complete=platforms
)
@click.pass_obj
def command(world: World, /, *, images: tuple[str, ...], output: str, form: str, platform: str | None) -> None:
    """Write images of the local store to an archive or a layout folder.

    The same images give the same bytes. Without -o the archive goes to stdout.
    """
    with world.store.reading():
        roots = _roots(world, images, platform)
        target = world.cwd / output
        if output != "-" and (output.endswith("/") or target.is_dir()):
            _save_layout(world, roots, target, form)
            return
        write = write_oci_archive if form == "oci" else write_docker_archive
        with nullcontext(world.binary_out) if output == "-" else replacing(target) as out:
            write(out, world.store, roots)
    if output != "-":
        _tell(world, roots, output)


def _roots(world: World, images: tuple[str, ...], platform: str | None) -> dict[str, Descriptor]:
    tags = world.store.tags()
    roots = {}
    for image in images:
        root = world.store.resolve(image)
        if platform:
            root = image_for(world.store, root, Platform.parse(platform), image).descriptor
        roots[find_name(image, tags) or str(root.digest)] = root
    return roots


def _save_layout(world: World, roots: Mapping[str, Descriptor], target: Path, form: str) -> None:
    if form == "docker":
        raise InvalidUsage("a layout folder is no archive for Docker", hint="name a file, or leave --format out")
    nameless = [name for name, root in roots.items() if name == root.digest]
    if nameless:
        raise InvalidUsage(f"{nameless[0]}: goes into a layout by a name", hint="give it one with `wherry tag`")
    bring(DiskStore(target), world.store, roots)
    _tell(world, roots, str(target))


def _tell(world: World, roots: Mapping[str, Descriptor], place: str) -> None:
    for name, root in roots.items():
        world.note(f"{name}@{root.digest} saved to {place}" if name != root.digest else f"{name} saved to {place}")
