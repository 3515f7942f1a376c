"""`wherry sbom IMAGE`: what an image is made of, as SPDX or CycloneDX."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import OUTPUT, with_options
from wherry.cli.world import World


@click.command("sbom", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option(
    "--format", "kind", type=click.Choice(["spdx", "cyclonedx"]), default="spdx", show_default=True,
    help="SPDX 2.3 or CycloneDX 1.6, both as JSON.",
)  # fmt: skip
@click.option("--platform", metavar="PLATFORM", help="Describe only this platform.", shell_complete=platforms)
@with_options(OUTPUT)
@click.option("--no-files", is_flag=True, help="Leave files out.")
@click.option("--no-licenses", is_flag=True, help="Do not look for licenses in the module cache.")
@click.option("--fetch", is_flag=True, help="Download module zips that the module cache lacks, for their licenses.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World, /, *, image: str, kind: str, platform: str | None, output: str | None, no_files: bool,
    no_licenses: bool, fetch: bool,
) -> None:  # fmt: skip
    """Print what IMAGE is made of. The same image gives the same bytes.

    Go modules with hash and linked packages, the standard library and the toolchain are read from the programs, not
    from source. So are packages of Debian, distroless and Alpine, certificates and time zones of wherry's bases with
    their versions, and all files. An index is described with all its platforms.
    """
    from wherry.app.sbom import SbomOptions, sbom
    from wherry.trust.sbom import SbomFormat

    options = SbomOptions(platform=platform, files=not no_files, licences=not no_licenses, fetch=fetch)
    document = sbom(world, image, SbomFormat(kind), options)
    world.put(document.content, output)
