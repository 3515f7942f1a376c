"""`wherry report --html FILE SUBJECT`: the size document as a page to walk."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World


@click.command("report")
@click.argument("subject", metavar="[IMAGE|BINARY]", required=False, shell_complete=images)
@click.option("--html", "page", required=True, metavar="FILE", help="Write the page here; - is standard output.")
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: only this one.", shell_complete=platforms
)
@click.option(
    "--source", metavar="DIR", help="The module's source, for what imports tell. [default: here, if it is it]"
)
@click.option("--why", metavar="MODULE", help="Show each way by which MODULE comes to be imported.")
@click.option("--from", "document", metavar="FILE", help="Take what `wherry size --json` printed; - is standard input.")
@click.option("--slim", metavar="FILE", help="Add what `wherry slim --json` printed.")
@click.option("--flags", metavar="FILE", help="Add what `wherry flags --json` printed.")
@click.option("--leaks", metavar="FILE", help="Add what `wherry leaks --json` printed.")
@click.pass_obj
def command(world: World, /, **options: object) -> int:
    """Write one self-contained page: from image to layer to file to package to function, each as large as its bytes.

    The page opens offline, asks nobody for anything, is walked by mouse, touch or keyboard, and has its tables without
    JavaScript too. The same input gives the same bytes.
    """
    from wherry.cli.reporting import write_report

    return write_report(world, options)
