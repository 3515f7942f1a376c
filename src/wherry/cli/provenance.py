"""`wherry provenance IMAGE`: how an image was built, as a SLSA statement."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import OUTPUT, with_options
from wherry.cli.world import World


@click.command("provenance", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Describe only this platform.", shell_complete=platforms)
@click.option("--predicate", is_flag=True, help="Print the predicate alone, for `wherry attest --predicate FILE`.")
@with_options(OUTPUT)
@click.pass_obj
def command(world: World, /, *, image: str, platform: str | None, predicate: bool, output: str | None) -> None:
    """Print how IMAGE was built: an in-toto statement with SLSA provenance v1. The same image gives the same bytes.

    It has the recipe that `wherry rebuild` builds from, source and commit, base, toolchain, and each module with its
    hash. Values of -X that the image withholds are not in it. Nothing is signed; `wherry attest` signs.
    """
    from wherry.app.images import open_image
    from wherry.app.provenance import predicate_of, provenance
    from wherry.app.sbom import SbomOptions

    if predicate:
        document = predicate_of(world, open_image(world, image), SbomOptions(platform=platform))
    else:
        document = provenance(world, image, platform=platform)
    world.put(document, output)
