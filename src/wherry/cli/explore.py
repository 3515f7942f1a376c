"""`wherry explore IMAGE`: go through layers and files in the terminal."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage


@click.command("explore", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Explore this platform.", shell_complete=platforms)
@click.pass_obj
def command(world: World, /, *, image: str, platform: str | None) -> int:
    """Go through the layers and files of IMAGE in the terminal; needs the extra wherry[tui].

    Layers are on the left, the tree of the chosen one on the right: + added, ~ changed, - removed, ! wasted. Keys are
    dive's: Tab switches sides, Space folds a folder, Ctrl+F filters, Ctrl+O sorts by size, q quits; ? lists all.
    """
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise HostUnable("explore needs the package textual", hint="install it: pip install 'wherry[tui]'")
    if not (world.stdin.isatty() and world.stdout.isatty() and world.stderr.isatty()):
        raise InvalidUsage("explore needs a terminal", hint="use `wherry analyze` in a pipe")
    from wherry.app.explore import explore
    from wherry.cli.explorer import ExplorerApp

    ExplorerApp(explore(world, image, platform=platform), world.cwd).run()
    return 0
