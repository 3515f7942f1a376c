"""`wherry save IMAGE… -o FILE|DIR|-`: save images from the local store."""

from pathlib import Path

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("save", cls=GroupedCommand)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=images)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE|DIR|-",
    help="Output file; a directory (or a name ending in /) gets a layout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker"]),
    default="oci",
    show_default=True,
    help="docker: an archive that any `docker load` reads; one platform only.",
)
@click.option("--platform", metavar="PLATFORM", help="Save only this platform.", shell_complete=platforms)
@click.pass_obj
def command(world: World, /, *, images: tuple[str, ...], output: str, form: str, platform: str | None) -> None:
    """Write images of the local store to an archive or a layout directory.

    The same images give the same bytes. Without -o, the archive is written to stdout.
    """
    from wherry.app.archives import save

    folder = output != "-" and output.endswith("/")
    to = world.binary_out if output == "-" else world.cwd / output
    saved = save(
        world, images, to, form="docker" if form == "docker" else "oci", platform=platform or "", layout=folder
    )
    if output == "-":
        return
    place = str(to) if isinstance(to, Path) and to.is_dir() else output
    for one in saved:
        world.note(f"{one} saved to {place}")
