"""`wherry tag IMAGE NAME…`: add names to an image."""

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.oci.reference import Reference


@click.command("tag", cls=GroupedCommand)
@click.argument("image", shell_complete=images)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.pass_obj
def command(world: World, /, *, image: str, names: tuple[str, ...]) -> None:
    """Add NAMEs to IMAGE, a name or digest of the local store.

    A NAME that another image has is moved to this one.
    """
    wanted = [str(Reference.parse(name)) for name in names]
    with world.store.writing():
        root = world.store.resolve(image)
        for name in wanted:
            world.store.tag(name, root)
            world.say(f"{name}@{root.digest}")
